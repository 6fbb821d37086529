# frozen_string_literal: true

# Fibers of an Async reactor that share a few worker processes.

require "async"
require "gipc"

Async do |task|
  pool = Gipc::Pool.open(3, least: 3) { |n| [Process.pid, (0...n).sum { |i| i * i }] }
  answers = (1..100).map { |number| task.async { pool.call(number) } }.map(&:wait)
  puts "#{pool.stats[:workers].size} workers"
  puts answers.sum(&:last)
  pool.close
end
