# frozen_string_literal: true

# What is measured of pools in Ruby: the results of a block that returns its argument,
# from two workers.  The time is that from the first result to the last one, as Parallel
# has no workers without tasks.  And the time that another worker takes the place of one
# that was killed.

require "socket"

WORKERS = 2
AHEAD = 20 # tasks that a worker is sent ahead, where it is

build = ENV.fetch("GIPC_TEST_BUILD", File.expand_path("../../../build/linux", __dir__))
$LOAD_PATH.unshift(*Dir["#{build}/bench-gems/usr/share/rubygems-integration/*/gems/*/lib"])

# Tasks per second, of a block that calls what it gets for each result.
def rate_of_tasks(count)
  started = nil
  yield -> { started ||= now }
  count / (now - started)
end

def pool_tasks(data, count, ahead = 0)
  pool = Gipc::Pool.open(WORKERS, ahead: ahead) { |job| job }
  rate_of_tasks(count) { |done| pool.map([data] * (count + 1)) { done.call } }
ensure
  pool&.close
end

# nil: it is not installed.
def parallel_tasks(data, count)
  require "parallel"
  rate_of_tasks(count) do |done|
    finish = ->(*) { done.call }
    Parallel.map([data] * (count + 1), in_processes: WORKERS, finish: finish) { |job| job }
  end
rescue LoadError
  nil
end

# ---- Recovery -----------------------------------------------------------------

# Recoveries per second: run yields the process ID of a worker that has just done a
# task, again and again; it is killed.
def recoveries(count, run)
  started = nil
  left = count
  run.call do |worker|
    started ||= now
    Process.kill(:KILL, worker)
    return count / (now - started) if left.zero?

    left -= 1
  end
end

def recovering_gipc
  pool = Gipc::Pool.open(1, retries: 1) { |_| Process.pid }
  loop { yield pool.call(nil) }
ensure
  pool&.close
end

# A function child, without a pool.
def recovering_child
  loop do
    mine, theirs = Gipc.pipe(duplex: true, codec: :raw)
    child = Gipc.start_process(theirs) { |handle| handle.each { |_| handle.put("done") } }
    mine.put("task")
    mine.get
    yield child.pid
    child.join
    mine.close
  end
end

def recovering_fork
  loop do
    mine, theirs = UNIXSocket.pair
    child = Process.fork do
      mine.close
      theirs.write("done") while theirs.readpartial(64)
    end
    theirs.close
    mine.write("task")
    mine.readpartial(64)
    yield child
    Process.wait(child)
    mine.close
  end
end
