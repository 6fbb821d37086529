# frozen_string_literal: true

# Fibers of an Async reactor that share a few worker processes.

require "async"
require "async/semaphore"
require "gipc"

# A caller waits for a free worker; the others run.
class Pool
  def initialize(size)
    @free = Async::Semaphore.new(size)
    @pipes = Array.new(size) do
      mine, yours = Gipc.pipe(duplex: true)
      Gipc.start_process(yours) do |pipe|
        pipe.each { |n| pipe << [Process.pid, (0...n).sum { |i| i * i }] }
      end
      mine
    end
  end

  def ask(number)
    @free.acquire do
      pipe = @pipes.pop
      pipe.put(number).get
    ensure
      @pipes.push(pipe)
    end
  end

  def close
    @pipes.each(&:close)
  end
end

Async do |task|
  pool = Pool.new(3)
  answers = (1..100).map { |number| task.async { pool.ask(number) } }.map(&:wait)
  pool.close
  puts "#{answers.map(&:first).uniq.size} workers"
  puts answers.sum(&:last)
end
