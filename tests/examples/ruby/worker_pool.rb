# frozen_string_literal: true

# Fibers of an Async reactor that share a few worker processes.  A task that ends its
# worker, takes too long or raises fails alone.

require "async"
require "gipc"

def work(number)
  exit!(3) if number == -1 # as a worker that crashes
  sleep if number == -2
  raise ArgumentError, "less than 0" if number.negative?

  number * number
end

Async do |task|
  pool = Gipc::Pool.open(3) { |number| work(number) }
  squares = Array.new(100) { |number| task.async { pool.call(number) } }
  puts squares.sum(&:wait)

  {-1 => nil, -2 => 0.1, -3 => nil}.each do |number, timeout|
    pool.call(number, timeout: timeout)
  rescue Gipc::WorkerDied => e
    puts "#{number}: its worker ended with #{e.exit_info.code}"
  rescue Gipc::TaskTimeout
    puts "#{number}: it took too long"
  rescue ArgumentError => e
    puts "#{number}: #{e.message}"
  end
  pool.close
end
