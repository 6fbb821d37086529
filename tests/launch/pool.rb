# frozen_string_literal: true

# A pool whose workers are behind a launcher: pool.rb FIFO LAUNCHER..., the command that
# starts worker.rb there.

require "gipc"

def assert(condition, what) = condition || raise("not so: #{what.inspect}")

fifo, *launcher = ARGV
File.mkfifo(fifo)
tasks = (0...50).map { |number| "task #{number}" } + ["x" * 1_000_000]
done = tasks.map(&:upcase)
pool = Gipc::Pool.open(2, launch: launcher, codec: :raw, first_delay: 0.001)
assert(pool.map(tasks).to_a == done, "all are done")
held = pool.submit("hold #{fifo}")
File.open(fifo, "w") do # a worker has begun
  # The end of a launcher is that of its worker.
  pool.stats[:workers].each { |worker| Process.kill(:KILL, worker[:pid]) }
  error = held.wait && held.error
  assert(error.is_a?(Gipc::WorkerDied) && error.exit_info.signal == 9, error)
end
sleep(0.01) until pool.stats[:failures] >= 2 # on a busy machine what was killed ends later
assert(pool.map(tasks, retries: 1).to_a == done, "all are done again")
stats = pool.stats
assert(stats[:failures] == 2 && stats[:starts] <= 4, stats)
pool.close
