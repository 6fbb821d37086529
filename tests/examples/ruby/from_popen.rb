# frozen_string_literal: true

# The same program with IO.popen, and with this gem.

require "gipc"

# -- before
def before
  IO.popen([RbConfig.ruby, "-e", "while (line = gets) do puts line.upcase; $stdout.flush end"], "r+") do |io|
    io.puts "hello"
    puts io.gets # waits without a limit
  end
  puts $?.exitstatus
end

# -- after
def after
  program = 'require "gipc"; handle = Gipc.stdio; handle.each { |text| handle << text.upcase }'
  child, handle = Gipc.launch([RbConfig.ruby, "-e", program])
  handle << "hello" # a value, not a line
  puts handle.get(timeout: 20)
  handle.close
  puts child.join.exitcode
end

# -- end
before
after
