# frozen_string_literal: true

# What the tests of pools share.

class PoolTest < GipcTest
  # Runs every test of a class also as a task of Async.
  def self.each_also_under_async
    copy_under_async(public_instance_methods(false).grep(/\Atest_/))
  end

  def before_setup
    @pools = []
    super
  end

  def after_teardown
    @pools.each(&:abort)
    super
  end

  def open_pool(workers = 1, **options, &work)
    @pools << (pool = Gipc::Pool.open(workers, **{grace: 60, first_delay: 0.001}, **options, &work))
    pool
  end

  # A pipe between this process and the block of a pool.
  def line
    reader, writer = IO.pipe
    @streams.push(reader, writer)
    writer.sync = true
    [reader, writer]
  end

  # A pool whose workers run this program.
  def program_pool(script, workers: 1, launched: false, **options)
    open_pool(workers, (launched ? :launch : :argv) => [*RUBY, "-rgipc", "-e", script], **options)
  end

  def pid_of(pool)
    pool.stats[:workers].map { |worker| worker[:pid] }
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # Lets others run until the condition is true.
  def until_true
    until yield
      Fiber.current_scheduler ? sleep(0) : Thread.pass
    end
  end
end
