# frozen_string_literal: true

# A worker in Ruby, for a pool in any language; worker.c describes it.

require "gipc"

class Refused < StandardError
end

def reverse(task)
  case task
  when "fail" then raise Refused, "too groß"
  when "exit" then exit!(7)
  when "kill" then Process.kill(:KILL, Process.pid)
  when "hang" then sleep
  else task.reverse
  end
end

if ARGV == ["raw"]
  Gipc.serve(codec: :raw) { |task| reverse(task) }
else
  Gipc.serve(codec: :msgpack) { |value| value }
end
