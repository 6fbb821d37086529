# frozen_string_literal: true

# A pool of 100 workers that has nothing to do; says so when all are ready.

require "gipc"

pool = Gipc::Pool.open(100, least: 100, &:abs)
sleep 0.01 until pool.stats[:workers].map { |worker| worker[:state] } == [:ready] * 100
puts "idle"
$stdout.flush
$stdin.read
pool.close
