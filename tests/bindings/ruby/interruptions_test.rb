# frozen_string_literal: true

# Exceptions and traps that come at any place, and what they leave behind.

class InterruptionsTest < GipcTest
  class Strike < RuntimeError; end

  LAYER = "#{ROOT}/bindings/ruby/lib/"
  INSTRUCTIONS = %i[line call return c_call c_return b_call b_return].freeze

  # H124
  def test_a_handle_is_usable_after_an_exception_at_any_instruction
    at_every_instruction do |strike|
      [10, 40_000].each { |size| get_in_two_parts(size, strike) }
      [[20_000, :put], [100_000, :put], [20_000, :put_many]].each { |size, how| put_and_put_again(size, how, strike) }
      flush_and_close(strike)
    end
  end

  # H124
  def test_a_process_is_usable_after_an_exception_at_any_instruction
    at_every_instruction do |strike|
      child = start { sleep }
      helper = when_main_waits { child.kill }
      strike.call { child.join }
      helper.join
      assert_equal(-9, child.join.exitcode)
    end
  end

  # H124: in the block of a get a message is safe, whatever the exception is.
  def test_no_message_is_lost_to_a_thread_that_raises
    count = 3000
    reader, writer = pipe
    start(writer) { |w| count.times { |i| w.put(i) } }
    taken = []
    getting = masked_thread do
      struck_in { reader.get { |number| Thread.pass || taken << number } } until taken.size == count
    end
    strike_while(getting) { taken.size }
    getting.join
    assert_equal (0...count).to_a, taken
  end

  # Timeout.timeout raises another class in each Ruby.
  def test_no_message_is_lost_to_a_timeout_around_a_get
    count = 2000
    reader, writer = pipe
    start(writer) { |w| count.times { |i| w.put(i) } }
    taken = []
    strikes = 0
    until taken.size == count
      begin
        Timeout.timeout(strikes < 200 ? 0.001 : nil) do
          reader.get { |number| sleep(0.0001) && taken << number } until taken.size == count
        end
      rescue Timeout::Error
        strikes += 1
      end
    end
    assert_equal (0...count).to_a, taken
  end

  # H67, H124: its block is called if a message is accepted.
  def test_an_interrupted_put_reports_whether_its_message_is_sent
    count = 200
    writer, peer = bare_writer(buffer: 4608)
    sent = []
    putting = masked_thread do
      count.times do |i|
        message = "#{i} ".ljust(i.even? ? 1000 : 40_000, "x")
        struck_in { writer.put(message) { sent << message } }
      end
      writer.close
    end
    bytes = +"".b
    reading = Thread.new { bytes << peer.read }
    strike_while(putting) { sent.size }
    [putting, reading].each(&:join)
    assert_operator sent.size, :>, 0
    assert sent == messages_in(bytes)
  end

  # H126
  def test_a_put_inside_a_put_of_the_same_thread_is_refused
    writer, peer = bare_writer(buffer: 4608)
    reader, other = bare_reader
    errors = []
    trapping(-> { errors << assert_raises(Gipc::Locked) { writer.put("inner") } }) do
      helper = when_main_waits(-> { peer.wait_readable(0) }) do
        Process.kill(:USR1, Process.pid)
        Thread.pass while errors.empty?
        peer.read(100_004)
      end
      writer.put("x" * 100_000)
      helper.join
    end
    trapping(-> { errors << assert_raises(Gipc::Locked) { reader.get } }) do
      other.write(frame("outer").byteslice(0, 3))
      helper = when_main_waits(-> { reader.pending[:read] == 3 }) do
        Process.kill(:USR1, Process.pid)
        Thread.pass while errors.size < 2
        other.write(frame("outer").byteslice(3..))
      end
      assert_equal "outer", reader.get
      helper.join
    end
    writer.put("after")
    assert_equal frame("after"), peer.readpartial(100)
  end

  # As in a program that ends its workers when it is terminated.
  def test_in_a_trap_all_but_the_interrupted_call_works
    child, other = start { sleep }, start { sleep }
    reader, writer = pipe
    waiting = until_waiting(Thread.new { reader.get })
    results = nil
    work = lambda do
      writer.put(:for_the_other_thread)
      writer.put(:for_the_trap)
      results = [reader.get(timeout: 60), other.stop.exitcode, child.stop(grace: 60).exitcode,
                 Gipc.start_process { exit 4 }.join.exitcode, Gipc.pipe { |r, w| w.put(1) && r.get }]
    end
    trapping(work) do
      helper = when_main_waits { Process.kill(:USR1, Process.pid) }
      assert_equal(-15, child.join.exitcode)
      helper.join
    end
    assert_equal :for_the_other_thread, waiting.value
    assert_equal [:for_the_trap, -15, -15, 4, 1], results
  end

  # H127
  def test_a_block_left_by_an_exception_does_not_wait_for_the_peer
    socket, = sockets(4608)
    assert_raises(KeyError) do
      Gipc.open(nil, socket, codec: :raw) do |writer|
        assert_raises(Gipc::Timeout) { writer.put("x" * 1_000_000, timeout: 0.01) }
        raise KeyError
      end
    end
    # Nor is it hidden by a thread that uses the handle.
    mine, = sockets(nil)
    getting = nil
    assert_raises(KeyError) do
      Gipc.open(mine) do |handle|
        @handles << handle
        getting = waiting { handle.get }
        raise KeyError
      end
    end
    getting.kill.join
  end

  # H11, H12
  def test_a_child_that_lives_on_keeps_its_runtimes_descriptors
    kept, other = IO.pipe
    [[], [kept.fileno]].each do |fds|
      child = start(keep_fds: fds, stderr: :null) do
        caught = 0
        trap(:USR1) { caught += 1 }
        Process.kill(:USR1, Process.pid)
        sleep(0.001) until caught == 1
        threads = Array.new(4) { Thread.new { 50.times { sleep(0.0001) } } }
        threads.each(&:join)
        Timeout.timeout(0.01) { sleep }
      rescue Timeout::Error
        fds.each { |fd| IO.for_fd(fd, autoclose: false) }
        begin
          IO.for_fd(other.fileno)
        rescue Errno::EBADF
          exit 7
        end
      end
      assert_equal 7, child.join.exitcode, fds.inspect
    end
    [kept, other].each(&:close)
  end

  def test_an_exception_keeps_its_class_and_value
    error = Class.new(StandardError) { attr_accessor :value }.new("as it was")
    error.value = [1, 2]
    assert_same(error, assert_raises(error.class) { Gipc.pipe { raise error } })
    reader, writer = pipe
    writer.put(1)
    assert_same(error, assert_raises(error.class) { reader.get { raise error } })
    thread = until_waiting(Thread.new { reader.get })
    thread.report_on_exception = false
    thread.raise(error)
    assert_same(error, assert_raises(error.class) { thread.join })
    codec = Module.new { define_singleton_method(:dump) { |_| raise error } }
    codec.define_singleton_method(:load) { |_| raise error }
    assert_same(error, assert_raises(error.class) { pipe(codec: codec).last.put(1) })
    assert_equal [1, 2], error.value
    assert_equal :thrown, catch(:out) { reader.tap { writer.put(1) }.get { throw :out, :thrown } }
  end

  # A program's last threads have nothing to say when it ends.
  def test_a_thread_lost_at_the_end_of_the_program_prints_nothing
    script = <<~RUBY
      require "gipc"
      reader, writer = Gipc.pipe
      thread = Thread.new { writer.put("x" * 10_000_000) }
      Thread.pass until thread.stop?
    RUBY
    assert_equal "", IO.popen([*RUBY, "-e", script], err: %i[child out], &:read)
  end

  # H124: a wait may end for nothing, as with RUBY_MN_THREADS=1.
  def test_a_wait_that_wakes_early_is_repeated
    reader, writer = pipe
    io = reader.to_io
    calls = 0
    io.define_singleton_method(:wait_readable) do |timeout = nil|
      (calls += 1) < 3 ? nil : super(timeout)
    end
    writer_thread = Thread.new do
      Thread.pass until calls == 3
      writer.put(1)
    end
    assert_equal 1, reader.get
    writer_thread.join
  end

  private

  # Yields a callable that calls its block and raises at the nth instruction of the
  # Ruby layer in it, for each n until there is none so late.  Not where Ruby asks for
  # a backtrace: it does that in the midst of a raise, where another one is fatal.
  def at_every_instruction
    1.step do |n|
      struck = false
      yield(lambda do |&block|
        raising_at(n) { block.call }
      rescue Strike
        struck = true
      end)
      return unless struck
    end
  end

  def raising_at(number, &block)
    thread = Thread.current
    count = 0
    trace = TracePoint.new(*INSTRUCTIONS) do |point|
      next unless Thread.current.equal?(thread) && point.path.start_with?(LAYER)
      next if point.method_id == :backtrace

      raise Strike if (count += 1) == number
    end
    trace.enable(&block)
  end

  # Calls the block in a thread once this one waits, in what makes the condition true.
  def when_main_waits(condition = -> { true })
    main = Thread.current
    Thread.new do
      Thread.pass until main.stop? && condition.call
      yield
    end
  end

  def get_in_two_parts(size, strike)
    reader, peer = bare_reader
    bytes = frame("x" * size)
    peer.write(bytes.byteslice(0, size / 2))
    helper = when_main_waits { peer.write(bytes.byteslice(size / 2..), frame("after")) }
    strike.call { reader.get }
    helper.join
    message = reader.get(timeout: 60)
    message = reader.get(timeout: 60) if message == "x" * size
    assert_equal "after", message
    [reader, peer].each(&:close)
  end

  def put_and_put_again(size, how, strike)
    writer, peer = bare_writer(buffer: 4608)
    bytes = +"".b
    helper = when_main_waits { bytes << peer.read }
    strike.call { writer.public_send(how, how == :put ? "x" * size : ["x" * size] * 2) }
    writer.put("last", timeout: 60)
    writer.close(timeout: 60)
    helper.join
    *others, last = messages_in(bytes)
    assert_equal "last", last
    assert_operator others.size, :<=, 2
    assert(others.all? { |message| message == "x" * size })
    peer.close
  end

  # Of a message that is partly sent the rest is not lost.
  def flush_and_close(strike)
    writer, peer = bare_writer(buffer: 4608)
    assert_raises(Gipc::Timeout) { writer.put("x" * 40_000, timeout: 0) }
    bytes = +"".b
    helper = when_main_waits { bytes << peer.read }
    strike.call do
      writer.flush
      writer.close
    end
    writer.close(timeout: 60) unless writer.closed?
    helper.join
    assert_equal ["x" * 40_000], messages_in(bytes)
    peer.close
  end

  # From its first instruction on nothing is raised in it, except where it allows that.
  def masked_thread(&block)
    Thread.handle_interrupt(Exception => :never) { Thread.new(&block) }
  end

  def struck_in
    Thread.handle_interrupt(Exception => :immediate) { yield }
  rescue Strike
    nil
  end

  # Raises in a thread, once for each step that it has made, until it ends.
  def strike_while(thread)
    last = nil
    while thread.alive?
      step = yield
      thread.raise(Strike) unless step == last
      last = step
      Thread.pass
    end
  end

  def trapping(handler)
    previous = trap(:USR1) { handler.call }
    yield
  ensure
    trap(:USR1, previous || "DEFAULT")
  end
end

InterruptionsTest.also_under_async
