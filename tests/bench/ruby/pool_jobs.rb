# frozen_string_literal: true

# What is measured of pools in Ruby: the results of a block that returns its argument,
# from two workers.  The time is that from the first result to the last one, as Parallel
# has no workers without tasks.
WORKERS = 2

build = ENV.fetch("GIPC_TEST_BUILD", File.expand_path("../../../build/linux", __dir__))
$LOAD_PATH.unshift(*Dir["#{build}/bench-gems/usr/share/rubygems-integration/*/gems/*/lib"])

# Tasks per second, of a block that calls what it gets for each result.
def rate_of_tasks(count)
  started = nil
  yield -> { started ||= now }
  count / (now - started)
end

def pool_tasks(data, count)
  pool = Gipc::Pool.open(WORKERS) { |job| job }
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
