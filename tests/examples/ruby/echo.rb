# frozen_string_literal: true

# A child that answers every message until its parent closes the pipe.

require "gipc"

mine, yours = Gipc.pipe(duplex: true)
child = Gipc.start_process(yours) do |pipe|
  pipe.each { |message| pipe << message }
end
["hello", {a: [1, 2, 3]}, nil].each do |message|
  mine << message
  p mine.get(timeout: 5)
end
mine.close
puts "the child ended with #{child.join.exitcode}"
