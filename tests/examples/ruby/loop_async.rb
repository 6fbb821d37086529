# frozen_string_literal: true

# A child that answers every message, beside a fiber that goes on meanwhile.

require "async"
require "gipc"

Async do |task|
  ticks = 0
  ticker = task.async do
    loop do
      ticks += 1
      sleep 0
    end
  end
  mine, theirs = Gipc.pipe(duplex: true)
  child = Gipc.start_process(theirs) do |pipe| # in another process, without the reactor
    pipe.each { |message| pipe << message }
  end
  ["hello", [1, 2, 3], nil].each do |message|
    mine << message
    p mine.get(timeout: 5)
  end
  mine.close
  puts "the child ended with #{child.join.exitcode}"
  ticker.stop
  puts ticks > 1 ? "the loop went on" : "the loop stood still"
end
