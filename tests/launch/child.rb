# frozen_string_literal: true

# Answers each message on stdin with the same one on stdout, and prints as
# programs do that know nothing of it; ends with the code that it is given.

require "gipc"

puts "printed before" unless $stdout.tty? # and still in a buffer
Gipc.stdio(codec: :raw) do |handle|
  handle.each do |message|
    puts "printed with #{message.bytesize} bytes in hand"
    system("echo printed by a program; cat", exception: true)
    handle.put(message)
  end
end
puts "printed after"
exit ARGV.fetch(0).to_i
