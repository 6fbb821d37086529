# frozen_string_literal: true

# Reads from several children, whichever has a message, and sees how each ends.

require "gipc"

members = [1, 10, 100].flat_map do |number|
  reader, writer = Gipc.pipe
  child = Gipc.start_process(writer) do |w|
    3.times { |multiple| w.put(multiple * number) }
    exit number
  end
  [reader, child]
end

numbers = []
codes = []
until members.empty?
  Gipc.wait(members).each do |one|
    if one.is_a?(Gipc::Process)
      codes << one.exitcode
      members.delete(one)
    else
      begin
        numbers << one.get
      rescue EOFError # before or after the end of the process
        one.close
        members.delete(one)
      end
    end
  end
end
p numbers.sort, codes.sort
