# frozen_string_literal: true

# A child that answers every message, and a fiber that asks while another one waits.

require "async"
require "gipc"

Async do |task|
  mine, theirs = Gipc.pipe(duplex: true)
  child = Gipc.start_process(theirs) do |pipe| # in another process, without the reactor
    pipe.each { |message| pipe << message }
  end
  answers = task.async { 3.times { p mine.get(timeout: 5) } }
  ["hello", [1, 2, 3], nil].each { |message| mine << message }
  answers.wait
  mine.close
  puts "the child ended with #{child.join.exitcode}"
end
