# frozen_string_literal: true

# Tasks that a worker is sent before it has answered the one that it does, and those that
# it was sent and has not begun.

require_relative "pool_support"

class PoolAheadTest < PoolTest
  def test_only_the_task_that_it_had_begun_dies_with_a_worker
    pool = open_pool(1, ahead: 5) { |job| job == 3 ? Process.kill(:KILL, Process.pid) && sleep : job }
    tasks = (1..9).map { |job| pool.submit(job) }
    assert_raises(Gipc::WorkerDied) { tasks[2].value }
    tasks.delete_at(2)
    assert_equal([1, 2, *4..9], tasks.map(&:value))
    assert_equal [0, 2, 1], pool.stats.values_at(:retries, :starts, :died)
  end

  def test_a_task_that_was_sent_ahead_and_cancelled_is_not_begun
    reader, writer = line
    begun, note = line
    pool = open_pool(1, ahead: 1) do |job|
      note.puts(job)
      job == 1 ? reader.readline : job
    end
    first = pool.submit(1)
    second = pool.submit(2)
    assert_equal "1\n", begun.readline
    until_true { pool.stats[:running] == 2 }
    assert second.cancel
    refute second.done?
    assert first.cancel
    assert_raises(Gipc::TaskCancelled) { second.value }
    writer.puts("unread")
    assert_equal 3, pool.call(3)
    assert_equal "3\n", begun.readline
  end

  def test_large_tasks_are_sent_when_there_is_room
    pool = open_pool(1, ahead: 10, &:bytesize)
    jobs = (1..20).map { |n| "x" * (300_000 + n) }
    assert_equal jobs.map(&:bytesize), pool.map(jobs).to_a
    assert_equal 1, pool.stats[:starts]
  end

  def test_a_launcher_is_sent_no_task_ahead
    error = assert_raises(ArgumentError) { Gipc::Pool.open(1, launch: %w[ssh host], ahead: 1) }
    assert_match(/option ahead: not with launch/, error.message)
    open_pool(1, launch: %w[ssh host], ahead: 0).close
  end

  # Its answer, and the end of its stream, are there before the pool reads.
  CLOSES = <<~RUBY
    answer, closed, finish = ARGV
    handle = Gipc.inherit("worker", codec: :raw)
    handle.put("R\\1")
    task = handle.get
    waits = File.exist?(answer)
    File.open(answer) {} if waits
    handle.put("D" + task[1, 8] + Marshal.dump(:done))
    handle.close
    [closed, finish].zip(%w[w r]) { |name, mode| File.open(name, mode) {} } if waits
  RUBY

  def test_a_worker_that_has_answered_and_closed_costs_no_task
    Dir.mktmpdir do |folder|
      answer, closed, finish = names = %w[answer closed finish].map { |name| "#{folder}/#{name}" }
      names.each { |name| File.mkfifo(name) }
      pool, driver = pool_by_hand(argv: [*RUBY, "-rgipc", "-e", CLOSES, *names])
      tasks = [1, 2].map { |job| pool.submit(job) }
      driver.send(:carry_out_all)
      turn(driver) until pool.stats[:running] == 1
      File.open(answer, "w") {}
      File.unlink(answer)
      File.open(closed) {}
      turn(driver) until tasks.first.done?
      File.open(finish, "w") {}
      turn(driver) until tasks.last.done?
      assert_equal %i[done done], tasks.map(&:value)
      assert_equal 2, pool.stats[:starts]
    ensure
      driver&.start
    end
  end

  private

  # A pool whose driver has no thread yet.
  def pool_by_hand(**options)
    kind = Gipc::Pool.const_get(:Driver)
    kind.define_method(:start) { self }
    pool = open_pool(1, **options)
    [pool, pool.instance_variable_get(:@driver)]
  ensure
    kind.remove_method(:start)
  end

  def turn(driver)
    driver.send(:wait)
    driver.send(:carry_out_all)
  end
end
