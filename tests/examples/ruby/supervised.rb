# frozen_string_literal: true

# A child that is restarted when it dies, and continues where it was.

require "gipc"

def count(writer, first)
  (first..6).each do |number|
    exit 2 if number == 3 && first < 3
    Process.kill(:KILL, Process.pid) if number == 5 && first < 5
    writer << number
  end
end

seen = []
loop do
  reader, writer = Gipc.pipe
  child = Gipc.start_process(writer) { |w| count(w, seen.size) }
  reader.each { |number| seen << number }
  reader.close
  break if child.join.exitcode.zero?

  puts "after #{seen.size} numbers: exit code #{child.exitcode}, started again"
end
p seen
