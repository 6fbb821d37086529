# frozen_string_literal: true

# A storm: many tasks, while workers are killed all the time.

require_relative "pool_support"
require "tempfile"

class PoolStormTest < PoolTest
  # Results between two kills; in a long run a worker is killed every 50 ms, too.
  CALM = 100
  PAUSE = 0.05

  def test_no_task_of_a_storm_is_lost_or_done_twice
    check_executed_once(*storm(retries: 0))
  end

  def test_no_task_that_was_sent_ahead_is_lost_or_done_twice
    check_executed_once(*storm(retries: 0, ahead: 5))
  end

  def check_executed_once(executed, tasks, stats)
    done, died = tasks.partition { |task| task.error.nil? }
    assert(died.all? { |task| task.error.is_a?(Gipc::WorkerDied) && task.error.exit_info.signal == 9 })
    assert_equal [done.size, died.size], [stats[:done], stats.fetch(:died, 0)]
    assert_operator died.size, :<=, stats[:failures]
    assert_equal 1, executed.values.max
    assert_equal [], done.map(&:job) - executed.keys
  end

  def test_all_tasks_of_a_storm_are_done_if_they_may_be_retried
    executed, tasks, stats = storm(retries: 1000, poison: 1000)
    assert(tasks.all? { |task| task.value == task.job })
    assert_equal tasks.size, stats[:done]
    assert_operator executed.values.sum, :<=, tasks.size + stats[:retries]
    assert_equal tasks.size, executed.size
  end

  private

  # How often each job was executed, the tasks, and the counters of the pool.
  def storm(**options)
    count = long? ? 100_000 : 2000
    log = Tempfile.new
    @streams << log
    pool = open_pool(3, longest_delay: 0.001, **options) do |job|
      log.syswrite([job].pack("N")) # appended, as all share one offset
      job
    end
    tasks = []
    thunder = Thread.new { loop { sleep(PAUSE) && kill_one(pool) } } if long?
    pool.each_result(1..count) do |task|
      tasks << task
      kill_one(pool) if (tasks.size % CALM).zero?
    end
    thunder&.kill&.join
    assert_equal (1..count).to_a, tasks.map(&:job).sort
    assert_operator pool.stats[:failures], :>=, count / CALM / 2
    [File.binread(log.path).unpack("N*").tally, tasks, pool.stats]
  end

  def kill_one(pool)
    pid = pool.stats[:workers].filter_map { |worker| worker[:pid] if worker[:pid].positive? }.sample or return
    Process.kill(:KILL, pid)
  rescue Errno::ESRCH
    nil
  end
end
