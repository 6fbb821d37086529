# frozen_string_literal: true

# Beside other fibers: Async, EventMachine, nio4r.

class LoopsTest < GipcTest
  def test_others_go_on_while_a_get_waits_under_async
    needs :Async
    mine, peer = pipe(duplex: true)
    child = start { sleep }
    under_async do |task|
      waiting = [task.async { mine.get }, task.async { child.join },
                 task.async { mine.put("x" * 10_000_000) }]
      ticks = 0
      task.async { ticks += tick(task) while ticks < 10 }.wait
      assert_equal 10, ticks
      assert(waiting.all?(&:running?))
      child.kill
      peer.put("done")
      got = task.async { peer.get.bytesize }
      assert_equal [["done", child], 10_000_000], [waiting.first(2).map(&:wait), got.wait]
    end
  end

  # The thread writes when it sees that the main one waits.
  def test_threads_go_on_while_a_get_waits_under_async
    needs :Async
    reader, writer = pipe
    main = Thread.current
    under_async do
      thread = Thread.new do
        Thread.pass until main.stop?
        writer.put(:seen)
      end
      assert_equal :seen, reader.get
      thread.join
    end
  end

  # What is there is got without a wait.
  def test_a_busy_get_lets_other_threads_run
    reader, writer = pipe
    writer.put_many([1] * 4000)
    passes = 0
    calls = TracePoint.new(:call) { |call| passes += 1 if call.method_id == :let_others_run }
    calls.enable { 4000.times { reader.get } }
    assert_operator passes, :>=, 3
  end

  def test_two_waiters_take_turns_under_async
    needs :Async
    reader, writer = pipe
    under_async do |task|
      got = []
      getting = Array.new(5) { |i| task.async { 20.times { got << [i, reader.get] } } }
      putting = Array.new(2) { task.async { 50.times { |n| writer.put(n) } } }
      [*getting, *putting].each(&:wait)
      assert_equal [20] * 5, got.map(&:first).tally.values
      # The first in line gives up, by force and by its timeout.
      first = task.async { reader.get }
      second = task.async { reader.get }
      third = task.async { assert_raises(Gipc::Timeout) { reader.get(timeout: 0.001) }.message }
      fourth = task.async { reader.get }
      fifth = task.async { reader.get }
      sixth = task.async { task.with_timeout(0.001) { reader.get } }
      third.wait
      assert_raises(Async::TimeoutError) { sixth.wait }
      [first, fourth].each(&:stop) # the one that waits, and one in the queue of the lock
      # Async 2 calls it cancelled from 2.37 on.
      assert_empty [first, fourth].map(&:status) - %i[stopped cancelled]
      writer.put(:a).put(:b)
      assert_equal %i[a b], [second.wait, fifth.wait]
    end
  end

  def test_a_negative_timeout_waits_indefinitely_under_async
    needs :Async
    reader, writer = pipe
    under_async do |task|
      [-1, Float::INFINITY, 1e300].each do |timeout|
        gets = Array.new(2) { task.async { reader.get(timeout: timeout) } }
        tick(task)
        assert(gets.all?(&:running?))
        writer.put(1).put(2)
        assert_equal [1, 2], gets.map(&:wait).sort
      end
    end
  end

  # H78
  def test_peers_that_put_several_messages_at_once_do_not_lock_under_async
    needs :Async
    plans do |first, second|
      ends_of_every_kind do |mine, yours|
        under_async do |task|
          both = [[mine, first, second], [yours, second, first]].map do |plan|
            task.async { talk(*plan) }
          end
          assert_equal [true] * 2, both.map(&:wait)
        end
      end
    end
  end

  def test_a_put_receives_from_a_peer_that_reads_when_it_has_written_under_async
    needs :Async
    ends_of_every_kind do |mine, yours|
      peer = start(yours) do |handle|
        handle.read_limit = 0
        exit talk(handle, [5_000_000], [5_000_000])
      end
      under_async { assert talk(mine, [5_000_000], [5_000_000]) }
      peer.join
      assert_equal 0, peer.exitcode
    end
  end

  # H81: a fiber that never has to wait lets others run.
  def test_a_busy_pipe_does_not_starve_others_under_async
    needs :Async
    reader, writer = pipe(codec: :raw)
    ticks = 0
    under_async do |task|
      ticker = task.async { loop { ticks += tick(task) } }
      30_000.times { writer.put("x" * 100) && reader.get }
      ticker.stop
    end
    assert_operator ticks, :>=, 5
  end

  def test_a_join_times_out_and_others_go_on_under_async
    needs :Async
    child = start { sleep }
    under_async do |task|
      assert_nil child.join(0.005)
      assert_raises(Async::TimeoutError) { task.with_timeout(0.005) { child.join } }
      joins = Array.new(3) { task.async { child.join } }
      child.kill
      assert_equal [child] * 3, joins.map(&:wait)
    end
  end

  def test_a_timeout_around_a_get_is_the_schedulers_own
    needs :Async
    reader, writer = pipe
    under_async do |task|
      assert_raises(Async::TimeoutError) { task.with_timeout(0.005) { reader.get } }
      assert_raises(Async::TimeoutError) { task.with_timeout(0.005) { reader.get(timeout: 60) } }
      assert_raises(Gipc::Timeout) { task.with_timeout(5) { reader.get(timeout: 0.005) } }
      writer.put(1)
      assert_equal 1, task.with_timeout(5) { reader.get }
    end
  end

  # H25, H26, H27, H28
  def test_nothing_of_the_parents_loop_acts_in_the_child_under_async
    needs :Async
    marks, mark = IO.pipe
    reader, writer = pipe
    under_async do |task|
      ticker = task.async { loop { mark.syswrite("#{Process.pid}\n" * tick(task)) } }
      waiter = task.async { reader.get }
      child = task.async do
        start do
          Async { |own| 50.times { tick(own) } }
          Fiber.scheduler && exit(9)
          exit 4
        end
      end.wait
      assert_equal 4, child.join.exitcode
      ticker.stop
      writer.put("the parent's own")
      assert_equal "the parent's own", waiter.wait
    end
    mark.close
    assert_equal [Process.pid.to_s], marks.read.lines(chomp: true).uniq
  ensure
    marks&.close
  end

  def test_the_child_has_a_loop_of_its_own_under_async
    needs :Async
    under_async do |task|
      mine, yours = pipe(duplex: true)
      task.async do
        start(yours) do |h|
          Async do |own|
            ticks = 0
            ticker = own.async { loop { ticks += tick(own) } }
            h.each { |n| h.put([n + 1, ticks]) }
            ticker.stop
            exit Gipc.start_process { Async { exit 8 } }.join.exitcode
          end
        end
      end.wait
      n = ticks = 0
      while ticks < 3
        answer, ticks = mine.put(n).get
        assert_equal n += 1, answer
      end
      mine.close
      assert_equal 8, @processes.last.join.exitcode
    end
  end

  def test_a_worker_pool_counts_right_under_async
    needs :Async
    total = 0
    under_async do |task|
      queue = (1..300).to_a
      Array.new(4) do
        mine, yours = pipe(duplex: true)
        start(yours) { |h| h.each { |n| h.put(n * n) } }
        task.async do
          while (n = queue.shift)
            square = mine.put(n).get
            total += square
          end
        end
      end.each(&:wait)
    end
    assert_equal (1..300).sum { |n| n * n }, total
  end

  # H70: a start does not leave its fiber, nor lose the child when that is stopped.
  def test_a_start_is_not_left_halfway_under_async
    needs :Async
    under_async do |task|
      order = []
      starting = task.async do
        start { sleep }
        order << :started
        task.sleep(60)
      end
      order << :after
      starting.stop
      assert_equal %i[started after], order
      assert_equal 1, @processes.size
    end
  end

  def test_the_descriptor_can_be_polled_by_nio4r
    needs :NIO
    reader, writer = pipe
    child = start { sleep }
    selector = NIO::Selector.new
    selector.register(reader.to_io, :r).value = :message
    selector.register(child.sentinel, :r).value = :end
    assert_nil selector.select(0)
    writer.put(1)
    assert_equal [:message], selector.select(20).map(&:value)
    assert_equal 1, reader.get_nonblock
    child.kill
    assert_equal [:end], selector.select(20).map(&:value)
    assert_equal(-9, child.join.exitcode)
  rescue Errno::EOPNOTSUPP
    skip "no descriptors of processes here"
  ensure
    selector&.close
  end

  # H101: the reactor waits without Ruby's lock, whichever library came first.
  # The thread writes once the main one waits, which it can see only during the wait.
  def test_threads_run_while_a_reactor_of_nio4r_waits
    needs :NIO
    [%w[gipc nio], %w[nio gipc]].each do |order|
      program = <<~RUBY
        ARGV.each { |library| require library }
        reader, writer = IO.pipe
        selector = NIO::Selector.new
        selector.register(reader, :r)
        main, begun = Thread.current, false
        Thread.new do
          Thread.pass until begun && main.stop?
          writer.write("x")
        end
        begun = true
        exit selector.select(10) ? 0 : 1
      RUBY
      assert_equal 0, exec([*RUBY, "-e", program, *order]).join.exitcode, order.join(", then ")
    end
  end

  def test_the_descriptor_can_be_polled_under_eventmachine
    needs :EventMachine
    reader, writer = pipe
    child = start(writer) { |w| 3.times { |i| w.put(i) } }
    got = []
    watcher = Module.new do
      define_method(:notify_readable) do
        while (object = reader.get_nonblock(exception: false)) != :wait_readable
          got << object
        end
      rescue EOFError
        detach
        EventMachine.stop
      end
    end
    EventMachine.run { EventMachine.watch(reader.to_io, watcher).notify_readable = true }
    assert_equal [0, 1, 2], got
    assert_equal 0, child.join.exitcode
  end

  private

  # Lets others run, and counts that as one.
  def tick(task)
    task.sleep(0.001)
    1
  end

  # The failure of a task is the failure of the test.
  def under_async(&block)
    Async { |task| task.async(&block).wait }.wait
  end
end
