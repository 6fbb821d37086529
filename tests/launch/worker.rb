# frozen_string_literal: true

# A worker of pool.*, which prints as programs do that know nothing of it.

require "gipc"

puts "printed before" unless $stdout.tty? # and still in a buffer
Gipc.serve(codec: :raw) do |task|
  puts "printed with #{task.bytesize} bytes in hand"
  File.read(task.delete_prefix("hold ")) if task.start_with?("hold ") # until the pool lets it go on
  task.upcase
end
