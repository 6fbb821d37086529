# frozen_string_literal: true

# Workers of a pool: their ends, timeouts, retries, retirement, and programs.

require_relative "pool_support"

class PoolWorkersTest < PoolTest
  def test_a_worker_that_ends_fails_its_task_alone
    reader, writer = line
    pool = open_pool(2) do |job|
      case job
      when :exit then exit 3
      when :kill then Process.kill(:KILL, Process.pid)
      when :wait then reader.readline
      else job
      end
    end
    other = pool.submit(:wait)
    error = assert_raises(Gipc::WorkerDied) { pool.call(:exit) }
    assert_equal [2, 1, 3, nil, :died], [error.task, error.attempt, error.exit_info.code, error.exit_info.signal, error.why]
    assert_operator error.exit_info.max_rss, :>, 0 if error.exit_info.max_rss
    assert_match(/task 2 .*attempt 1.*worker #{error.pid} ended with code 3/, error.message)
    error = assert_raises(Gipc::WorkerDied) { pool.call(:kill) }
    assert_equal 9, error.exit_info.signal
    assert_equal 5, pool.call(5)
    writer.puts("still")
    assert_equal "still\n", other.value
    stats = pool.stats
    assert_equal [4, 2, 2], stats.values_at(:submitted, :died, :done)
    assert_equal 4, stats[:starts]
  end

  def test_a_worker_that_has_ended_holds_no_descriptor
    pool = open_pool(1, stderr: :pipe) { |job| job == :exit ? exit : job }
    assert_equal 1, pool.call(1)
    before = descriptors.size
    5.times do
      assert_raises(Gipc::WorkerDied) { pool.call(:exit) }
      assert_equal 1, pool.call(1)
    end
    assert_equal before, descriptors.size
  end

  def test_no_task_is_lost_or_done_twice_when_workers_end
    log, written = line
    pool = open_pool(3, retries: 2, poison: 9) do |job|
      written.write([job].pack("N"))
      Process.kill(:KILL, Process.pid) if job % 7 == 0
      job
    end
    tasks = pool.each_result(1..100).to_a
    assert_equal (1..100).to_a, tasks.map(&:job).sort
    assert(tasks.all? { |task| task.job % 7 == 0 ? task.error.is_a?(Gipc::WorkerDied) : task.value == task.job })
    counts = log.read_nonblock(10_000).unpack("N*").tally
    assert_equal((1..100).to_h { |job| [job, job % 7 == 0 ? 3 : 1] }, counts)
  end

  def test_a_task_that_ends_many_workers_is_given_up
    pool = open_pool(1, poison: 2, retries: 100) { exit!(1) }
    error = assert_raises(Gipc::WorkerDied) { pool.call(1) }
    assert_equal [:poison, 2], [error.why, error.attempt]
    assert_equal 1, pool.stats[:poison]
  end

  def test_a_task_is_done_again_only_if_that_was_asked_for
    count, written = line
    pool = open_pool do |job|
      written.putc("x")
      raise IOError, "again" if job == :fail
    end
    assert_raises(IOError) { pool.call(:fail) }
    assert_equal "x", count.read_nonblock(100)
    assert_raises(IOError) { pool.call(:fail, retries: 2) } # which are for workers that end
    assert_equal "x", count.read_nonblock(100)
    assert_raises(IOError) { pool.call(:fail, retries: 2, retry_for: %i[died failed]) }
    assert_equal "xxx", count.read_nonblock(100)
  end

  def test_the_timeout_of_a_task_ends_its_worker
    pool = open_pool(1, timeout: 0.02) do |job|
      job == :quick ? job : sleep
    end
    error = assert_raises(Gipc::TaskTimeout) { pool.call(:sleep) }
    assert_equal [15, :timed_out], [error.exit_info.signal, error.why]
    assert_equal :quick, pool.call(:quick, timeout: nil)
    assert_equal 1, pool.stats[:timed_out]
    pool = open_pool(1, prepare: -> { trap(:TERM, "IGNORE") }, grace: 0.01) { sleep }
    error = assert_raises(Gipc::Timeout) { pool.call(1, timeout: 0.001) }
    assert_equal 9, error.exit_info.signal
  end

  def test_an_error_has_the_last_lines_of_standard_error
    pool = open_pool(1, stderr: :pipe) do |job|
      200.times { |i| warn "line #{i} of #{job} #{"x" * 1000}" } # more than a pipe holds
      exit!(1)
    end
    %w[one two].each do |job|
      error = assert_raises(Gipc::WorkerDied) { pool.call(job) }
      assert_operator error.stderr.size, :<=, 20
      assert_match(/\Aline 199 of #{job} /, error.stderr.last)
    end
  end

  def test_workers_retire_after_tasks_and_at_a_size
    pool = open_pool(1, retire_tasks: 2) { Process.pid }
    pids = pool.map(1..6).to_a
    assert_equal [2, 2, 2], pids.tally.values
    pool = open_pool(1, retire_memory: 1) { Process.pid }
    assert_equal 3, pool.map(1..3).to_a.uniq.size
    pool = open_pool(2, idle: 0.001) { Process.pid }
    pool.call(1)
    until_true { pool.stats[:workers].empty? }
    assert_equal 0, pool.stats[:failures]
  end

  def test_prepare_is_called_once_in_each_worker
    count, written = line
    ready = nil
    pool = open_pool(1, prepare: -> { written.putc("p") && ready = :ready }) { ready }
    assert_equal %i[ready ready], pool.map(1..2).to_a
    assert_equal "p", count.read_nonblock(100)
    pool = open_pool(1, prepare: -> { raise "no database" }, stderr: :pipe) { |job| job }
    error = assert_raises(Gipc::PoolBroken) { pool.call(1) }
    assert_match(/gave up.*ended with code 1/, error.message)
    assert_match(/no database/, error.stderr.join)
    assert_raises(Gipc::PoolBroken) { pool.call(1) }
    assert_equal 3, pool.stats[:starts]
    assert_nil pool.close
  end

  def test_a_close_does_what_is_queued_and_an_abort_does_not
    reader, writer = line
    pool = open_pool(1) { |job| job == :wait ? reader.readline : job }
    tasks = [:wait, 1, 2].map { |job| pool.submit(job) }
    closing = waiting { pool.close }
    until_true { pool.closed? }
    assert_raises(Gipc::PoolClosed) { pool.submit(3) }
    writer.puts("go")
    assert_nil closing.value
    assert_equal ["go\n", 1, 2], tasks.map(&:value)

    [:abort, :close].each do |method|
      pool = open_pool(1) { sleep }
      tasks = Array.new(2) { |job| pool.submit(job) }
      until_true { pool.stats[:running] == 1 }
      method == :abort ? pool.abort : pool.close(grace: 0.01)
      errors = tasks.map { |task| assert_raises(Gipc::PoolClosed) { task.value } }
      assert_equal [1, 2], errors.map(&:task)
      assert_empty pool.stats[:workers]
    end
  end

  def test_workers_may_be_programs
    pool = program_pool("Gipc.serve(codec: :json, prepare: -> { $n = 2 }) { |job| job == 0 ? 1 / job : job * $n }",
                        workers: 2, codec: :json)
    assert_equal [2, 4, 6], pool.map(1..3).to_a
    error = assert_raises(ZeroDivisionError) { pool.call(0) }
    assert_match(/\A-e:1:in/, error.backtrace.first)
    pool = program_pool("$stdout.sync = true; puts 'printed'; Gipc.serve { |job| job }", launched: true)
    assert_raises(Gipc::PoolBroken) { pool.call(1) }
    pool = program_pool("Gipc.serve { |job| puts 'printed'; job * 2 }", launched: true, stderr: :null)
    assert_equal ["x" * 2_000_000, 4], [pool.call("x" * 1_000_000), pool.call(2)]
    pool = open_pool(1, argv: ["/nonexistent/program"])
    assert_match(%r{could not be started: No such file.*/nonexistent/program},
                 assert_raises(Gipc::PoolBroken) { pool.call(1) }.message)
    process = Gipc.exec_process([*RUBY, "-rgipc", "-e", "Gipc.serve { nil } rescue exit(Errno::ENOENT === $! ? 5 : 6)"],
                                stdin: :null)
    assert_equal 5, process.join.exitcode
    refute Gipc.alive
  end

  # It carries the standard streams and the exit code, and nothing else.
  def test_workers_may_be_behind_a_launcher
    launcher = ["sh", "-c", 'echo launched >&2; "$@"', "sh"]
    script = "Gipc.serve(codec: :json) { |job| job == 0 ? (warn 'last words'; exit!(7)) : job * 2 }"
    argv = [*launcher, *RUBY, "-rgipc", "-e", script]
    starts = 0
    [argv, -> { (starts += 1) && argv }].each do |launch|
      pool = open_pool(2, launch: launch, codec: :json, stderr: :pipe)
      assert_equal [2, 4, 6], pool.map(1..3).to_a
      error = assert_raises(Gipc::WorkerDied) { pool.call(0) }
      assert_equal [7, ["launched\n", "last words\n"]], [error.exit_info.code, error.stderr]
      assert_equal 8, pool.call(4)
      assert_nil pool.close
      assert_equal 1, pool.stats[:failures]
    end
    assert_operator starts, :>=, 2
    pool = open_pool(1, launch: -> { raise KeyError, "no host" }, first_delay: 0.001)
    assert_match(/no host/, assert_raises(Gipc::PoolBroken) { pool.call(1) }.message)
  end

  # child_worker.c answers with the bytes in reverse.
  def test_workers_may_be_programs_in_c
    program = "#{ENV.fetch("GIPC_TEST_PROGRAMS", "#{BUILD}/programs")}/child_worker"
    {"worker" => :argv, "stdio" => :launch}.each do |argument, way|
      pool = open_pool(2, way => [program, argument], codec: :raw)
      assert_equal %w[cba fed ihg], pool.map(%w[abc def ghi]).to_a
      error = assert_raises(Gipc::WorkerDied) { pool.call("die") }
      assert_equal 4, error.exit_info.code
      assert_raises(Gipc::RemoteError) { pool.call("x" * 100) }
      assert_nil pool.close
    end
  end

  def test_a_worker_that_breaks_the_protocol_costs_one_task
    script = <<~'RUBY'
      handle = Gipc.inherit("worker", codec: :raw)
      handle.put("R\x01")
      task = handle.get
      number = task.byteslice(1, 8)
      case task.byteslice(13..)
      when "garbage" then handle.put("?")
      when "other" then handle.put("D" + [99].pack("Q>"))
      when "frame" then IO.for_fd(handle.to_io.fileno, "wb", autoclose: false).syswrite("\xF0\0\0\0")
      when "closes" then handle.close
      when "twice" then 2.times { handle.put("D" + number + "result") }
      end
      sleep
    RUBY
    pool = program_pool(script, codec: :raw)
    %w[garbage other frame closes].each do |job|
      error = assert_raises(Gipc::WorkerDied, job) { pool.call(job) }
      assert_equal [:protocol, 15], [error.why, error.exit_info.signal]
    end
    assert_equal "result", pool.call("twice")
    until_true { pool.stats[:failures] == 5 }
  end

  # Silence counts only while a worker has a task.
  def test_a_worker_without_a_task_may_be_silent
    pool = open_pool(1, silence: 0.05, dump: 100, stderr: :null) { Process.pid }
    pid = pool.call(1)
    idle_since = now
    until_true { now > idle_since + 0.2 }
    assert_equal([[pid, :ready]], pool.stats[:workers].map { |worker| worker.values_at(:pid, :state) })
    assert_equal pid, pool.call(2)
  end

  # The process has ended before its messages are read.
  def test_an_answer_counts_although_the_worker_has_ended_since
    pool = program_pool(<<~'RUBY', codec: :raw)
      handle = Gipc.inherit("worker", codec: :raw)
      handle.put("R\x01")
      number = handle.get.byteslice(1, 8)
      handle.put_many(["A"] * 5000 + ["D" + number + "last words"])
      exit!(1)
    RUBY
    assert_equal "last words", pool.call("job")
  end

  def test_a_silent_worker_shows_its_stacks_and_is_stopped
    pool = open_pool(1, silence: 1, dump: 100) { |job| job }
    assert_equal 1, pool.call(1)
    stubborn = open_pool(1, silence: 0.02, dump: 0.02, stderr: :null) { sleep }
    assert_equal :silent, assert_raises(Gipc::WorkerDied) { stubborn.call(1) }.why
    require "stringio"
    dumped = open_pool(1, silence: 0.02, dump: 100, prepare: -> { $stderr = StringIO.new }) do
      # A dump may also come before this, but after a sign of life comes another one.
      until $stderr.string.include?("pool_workers_test.rb")
        size = $stderr.string.size
        Gipc.alive
        Thread.pass while $stderr.string.size == size
      end
      :dumped
    end
    assert_equal :dumped, dumped.call(1)
  end
end

PoolWorkersTest.each_also_under_async
