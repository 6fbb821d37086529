# frozen_string_literal: true

# Tasks of a pool: calls, results, exceptions, and the queue.

require_relative "pool_support"

class PoolTasksTest < PoolTest
  class Odd < StandardError
    attr_reader :held

    def initialize(held, other)
      super("odd #{other}")
      @held = held
    end
  end

  def test_a_task_is_the_block_with_its_job
    pool = open_pool(2) { |job| [job, Process.pid] }
    result, pid = pool.call({deep: [1, "é", nil]})
    assert_equal({deep: [1, "é", nil]}, result)
    refute_equal Process.pid, pid
    assert_nil pool.close
    assert_predicate pool, :closed?
    assert_nil pool.close
    assert_raises(Gipc::PoolClosed) { pool.call(1) }
    assert_raises(Gipc::Closed) { pool.submit_nonblock(1) }
  end

  def test_tasks_and_results_of_any_size_are_carried
    pool = open_pool(2, codec: :raw) { |job| job.b + "!" }
    [0, 1, 100_000, 20_000_000].each do |size|
      assert_equal "x" * size + "!", pool.call("x" * size)
    end
    jobs = Array.new(8) { |i| (65 + i).chr * 3_000_000 }
    assert_equal(jobs.map { |job| "#{job}!" }, pool.map(jobs).to_a)
  end

  def test_results_of_map_are_in_the_order_of_the_jobs
    reader, writer = line
    pool = open_pool(2) { |job| job.zero? ? reader.readline.to_i : job.tap { writer.puts(7) if job == 1 } }
    assert_equal [7, 1, 2, 3], pool.map(0..3).to_a
    assert_equal [1, 2, 3, 7].sort, pool.map(0..3, ordered: false).sort
  end

  def test_jobs_of_map_are_taken_only_when_there_is_room
    pool = open_pool(2) { |job| job }
    taken = 0
    jobs = (1..Float::INFINITY).lazy.map { |job| (taken += 1) && job }
    seen = []
    pool.map(jobs, ahead: 4) do |result|
      seen << result
      assert_operator taken, :<=, seen.size + 4
      break if seen.size == 30
    end
    assert_equal (1..30).to_a, seen
    until_true { pool.stats.values_at(:queued, :running) == [0, 0] }
    assert_equal [1, 2, 3], pool.map(1..Float::INFINITY).first(3)
  end

  def test_the_end_of_a_map_cancels_what_is_left
    pool = open_pool(1) { |job| job == 1 ? job : sleep }
    pool.map(1..5, ahead: 2) { break }
    until_true { pool.stats.values_at(:queued, :running) == [0, 0] }
    assert_equal [1, 1], pool.stats.values_at(:done, :cancelled)
  end

  def test_each_result_has_the_failed_ones_too
    pool = open_pool(2) { |job| job == 2 ? raise(KeyError, "two") : job }
    tasks = pool.each_result(1..3).sort_by(&:job)
    assert_equal [1, 2, 3], tasks.map(&:job)
    assert_equal [nil, KeyError, nil], tasks.map { |task| task.error&.class }
    assert_equal 3, tasks.last.value
    assert(tasks.all?(&:done?))
    error = assert_raises(KeyError) { pool.map(1..3).to_a }
    assert_equal "two", error.message
  end

  def test_the_exception_of_a_task_is_raised_with_both_backtraces
    pool = open_pool do |job|
      case job
      when :known then raise KeyError.new("no key", receiver: {a: 1}, key: :b)
      when :kept then raise Odd.new(5, "one")
      when :held then raise Odd.new(proc {}, "two")
      when :script then raise NotImplementedError, "later"
      when :nameless then raise Class.new(StandardError), "third"
      when :silent then raise Class.new(StandardError) { def message = raise("again") }
      else [][1].none
      end
    end
    here = "#{__FILE__}:#{__LINE__ + 1}:"
    error = assert_raises(KeyError) { pool.call(:known) }
    assert_equal ["no key", :b], [error.message, error.key]
    assert_match(/pool_test\.rb:\d+:in/, error.backtrace.first)
    assert(error.backtrace.any? { |place| place.start_with?(here) }, error.backtrace.to_s)
    error = assert_raises(Odd) { pool.call(:kept) }
    assert_equal [5, "odd one"], [error.held, error.message]
    error = assert_raises(Odd) { pool.call(:held) }
    assert_equal [nil, "odd two"], [error.held, error.message]
    assert_match(/pool_test\.rb:\d+:in/, error.backtrace.first)
    assert_raises(NotImplementedError) { pool.call(:script) }
    error = assert_raises(Gipc::RemoteError) { pool.call(:nameless) }
    assert_match(/third \(#<Class:/, error.message)
    assert_match(/cannot be shown/, assert_raises(Gipc::RemoteError) { pool.call(:silent) }.message)
    assert_raises(NoMethodError) { pool.call(:other) }
    assert_equal 1, pool.stats[:starts]
  end

  def test_a_result_that_cannot_be_encoded_fails_its_task_alone
    pool = open_pool { |job| job == 1 ? {"deep" => [proc {}]} : Process.pid }
    before = pool.call(0)
    error = assert_raises(TypeError) { pool.call(1) }
    assert_includes error.message, 'at ["deep"][0]'
    assert_equal before, pool.call(0)
    assert_raises(TypeError) { pool.call(proc {}) }
    assert_equal 3, pool.stats[:submitted]
  end

  def test_a_full_queue_makes_a_submit_wait
    reader, writer = line
    pool = open_pool(1, queue_limit: 2, queue_low: 1) { |job| job == :wait ? reader.readline : job }
    first = pool.submit(:wait)
    until_true { pool.stats[:running] == 1 }
    tasks = Array.new(2) { |i| pool.submit(i) }
    assert_equal :wait_writable, pool.submit_nonblock(3, exception: false)
    assert_raises(IO::WaitWritable) { pool.submit_nonblock(3) }
    late = waiting { pool.submit(:late).value }
    writer.puts("go")
    assert_equal [:late, "go\n", [0, 1]], [late.value, first.value, tasks.map(&:value)]
  end

  def test_a_higher_priority_is_first
    reader, writer = line
    order, log = line
    pool = open_pool { |job| job == :wait ? reader.readline : log.puts(job) }
    pool.submit(:wait)
    until_true { pool.stats[:running] == 1 }
    tasks = {low: -1, middle: 0, high: 5}.map { |job, priority| pool.submit(job, priority: priority) }
    writer.puts
    tasks.each(&:wait)
    assert_equal %w[high middle low], Array.new(3) { order.readline(chomp: true) }
  end

  def test_a_queued_and_a_running_task_can_be_cancelled
    pool = open_pool { |job| job == :sleep ? sleep : job }
    running = pool.submit(:sleep)
    until_true { pool.stats[:running] == 1 }
    queued = pool.submit(1)
    assert queued.cancel
    error = assert_raises(Gipc::TaskCancelled) { queued.value }
    assert_equal queued.number, error.task
    assert_raises(Gipc::Timeout) { running.wait(timeout: 0) }
    assert running.cancel
    error = assert_raises(Gipc::TaskCancelled) { running.value }
    assert_equal [15, :cancelled], [error.exit_info.signal, error.why]
    refute running.cancel
    assert_equal 2, pool.call(2)
  end

  def test_a_call_that_is_interrupted_cancels_its_task
    pool = open_pool { |job| job == :sleep ? sleep : job }
    caller = beside { pool.call(:sleep) }
    until_true { pool.stats[:running] == 1 }
    caller.kill
    until_true { pool.stats[:cancelled] == 1 }
    assert_equal 2, pool.call(2)
    return if Fiber.current_scheduler # Async 1 raises it in its reactor

    assert_raises(Timeout::Error) { Timeout.timeout(0.02) { pool.call(:sleep) } }
    until_true { pool.stats[:cancelled] == 2 }
  end

  def test_an_option_that_is_wrong_is_named
    {{poison: -1} => /option poison: -1/, {workers: 2} => /unknown option: workers .*: least, .*silence, .*chdir/,
     {chdir: 5} => /option chdir/, {retries: -1} => /option retries/, {priority: 1.5} => /option priority/,
     {retry_for: :never} => /option retry_for: :never is none of :died/, {idle: "x"} => /option idle/,
     {codec: :none} => /no codec/, {timeout: 0} => /option timeout/, {stdio: true} => /unknown option: stdio/, {launch: ["x"]} => /a block, or argv: or launch/,
     {stdout: :pipe} => /option stdout: nothing/,
     {prepare: 5} => /option prepare/, {argv: ["x"]} => /a block, or argv: or launch/,
     {dump_signal: :NONE} => /option dump_signal: no signal/, {least: 3} => /option least/,
     {restart: 1} => /unknown option: restart/, {most: 1} => /unknown option: most/, {notify: 1} => /unknown option: notify/,
     {timeout: "x"} => /timeout is .* not "x"/, {stdin: 1.5} => /option stdin/}.each do |options, text|
      error = assert_raises(ArgumentError, TypeError, options.to_s) { open_pool(2, **options) { nil } }
      assert_match text, error.message
    end
    {{argv: []} => /argv: it is empty/, {argv: [5]} => /argv: a String is needed/, {argv: "x"} => /an Array/,
     {launch: ["x"], stdin: :null} => /option stdin: /, {argv: ["x"], stdin: :pipe, stdout: :pipe} => /option stdin: /,
     {launch: []} => /launch: it is empty/, {launch: "x"} => /launch: an Array/,
     {launch: ["x"], argv: ["x"]} => /a block, or argv/, {launch: ["x"], prepare: 5} => /option prepare/}.each do |options, text|
      assert_match text, assert_raises(ArgumentError, TypeError) { open_pool(1, **options) }.message
    end
    {"1" => /workers is an Integer, not "1"/, 1.5 => /workers/, -1 => /workers/, 0 => /workers is 1 or more, not 0/, 2**64 => /workers/}.each do |workers, text|
      assert_match text, assert_raises(ArgumentError, TypeError) { Gipc::Pool.open(workers) { nil } }.message
    end
    assert_raises(ArgumentError) { Gipc::Pool.open(1) }
    pool = open_pool(1, silence: nil, least: nil) { |job| job }
    assert_match(/unknown option: grace/, assert_raises(ArgumentError) { pool.call(1, grace: 1) }.message)
    assert_raises(TypeError) { pool.map(5) }
    assert_equal 0, pool.stats[:starts]
  end

  RULES = %i[least queue_limit queue_low retire_tasks retire_memory idle ahead poison prepare_failures ready_within
             silence dump grace first_delay longest_delay growth jitter healthy window limit seed].freeze

  def test_every_rule_that_is_wrong_is_named
    RULES.each do |name|
      ["1", false, Float::NAN, Complex(1, 1)].each do |value|
        error = assert_raises(TypeError, "#{name}: #{value}") { open_pool(1, name => value) { nil } }
        assert_match(/option #{name}: .*#{Regexp.escape(value.inspect)}/, error.message)
      end
      open_pool(1, name => 0) { nil }.close
    end
    whole = RULES - %i[idle ready_within silence dump grace first_delay longest_delay growth jitter healthy window]
    whole.each { |name| assert_match(/option #{name}: 0.5/, wrong_rule(name => 0.5).message) }
    %i[poison limit growth first_delay healthy window].each do |name|
      assert_match(/option #{name}: -1/, wrong_rule(name => -1).message)
    end
  end

  def wrong_rule(rule)
    assert_raises(ArgumentError) { open_pool(1, **rule) { nil } }
  end

  def test_a_change_before_the_wait_is_not_missed
    crew = NATIVE.crew_new({})
    assert_nil NATIVE.crew_next(crew)
    assert_equal 1, NATIVE.crew_submit(crew, {}, :task, [-1, 0, 0, 0])
    assert_equal [], NATIVE.crew_wait(crew, Float::INFINITY)
    assert_equal NATIVE::ACTION_START, NATIVE.crew_next(crew).first
    NATIVE.crew_end(crew)
    checks = 0
    Gipc.const_get(:Condition).new.wait_until(nil) { (checks += 1) > 1 }
    assert_operator checks, :>, 1
  end

  def test_a_pool_of_another_process_is_refused
    pool = open_pool { |job| job }
    assert_equal 1, pool.call(1)
    reader, writer = line
    pid = Process.fork do
      result = begin
        pool.call(1)
      rescue StandardError => e
        e
      end
      writer.puts([result.class, pool.inspect].join(" "))
      pool = nil
      GC.start
      exit!(0)
    end
    Process.wait(pid)
    assert_equal "Gipc::WrongProcess #<Gipc::Pool of another process>\n", reader.readline
    assert_equal 2, pool.call(2)
  end
end

PoolTasksTest.each_also_under_async
