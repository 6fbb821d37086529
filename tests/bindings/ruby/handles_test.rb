# frozen_string_literal: true

# Handles: closing, sharing, waiting beside others.

class HandlesTest < GipcTest
  # H96
  def test_a_closed_handle_says_so
    reader, writer = pipe
    refute_predicate reader, :closed?
    [reader, writer].each(&:close)
    [-> { reader.get }, -> { reader.get(timeout: 0) }, -> { reader.to_a },
     -> { writer.put(1) }, -> { writer << 1 }, -> { writer.put_many([1]) },
     -> { writer.put("x" * 100_000) }, -> { writer.flush }, -> { reader.to_io },
     -> { reader.close }, -> { writer.close_write },
     -> { Gipc.start_process(reader) { nil } }].each do |use|
      assert_raises(Gipc::Closed) { use.call }
    end
    assert_predicate reader, :closed?
    assert_match(/closed/, reader.inspect)
  end

  def test_the_wrong_direction_says_so
    reader, writer = pipe
    assert_raises(Gipc::WrongDirection) { reader.put(1) }
    assert_raises(Gipc::WrongDirection) { writer.get }
    assert_equal [true, false, false, true],
                 [reader.readable?, reader.writable?, writer.readable?, writer.writable?]
  end

  def test_a_handle_in_use_cannot_be_closed
    mine, peer = pipe(duplex: true, codec: :raw)
    getting = waiting { mine.get }
    assert_raises(Gipc::Locked) { mine.close }
    assert_raises(Gipc::Locked) { Gipc.start_process(mine) { nil } }
    refute_predicate mine, :closed?
    mine.put("in the other direction")
    peer.put("answer")
    assert_equal "answer", getting.value

    putting = waiting { mine.put("x" * 10_000_000) }
    assert_raises(Gipc::Locked) { mine.close }
    assert_raises(Gipc::Locked) { mine.close_write }
    peer.put("still")
    assert_equal "still", mine.get
    2.times { peer.get }
    putting.join
    mine.close
  end

  # H37, H72: a plain fork.
  def test_a_handle_of_another_process_says_so
    mine, peer = pipe(duplex: true)
    errors, report = IO.pipe
    getting = waiting { mine.get } # does not block the child
    child = Process.fork do
      errors.close
      results = [-> { mine.get }, -> { mine.put(1) }, -> { mine.close },
                 -> { mine.to_io }, -> { mine.put("x" * 100_000) }].map do |use|
        use.call
      rescue Gipc::Error => e
        e.class
      end
      report.write(Marshal.dump(results))
      exit!(0)
    end
    report.close
    assert_equal [Gipc::WrongProcess] * 5, Marshal.load(errors.read)
    Process.wait(child)
    peer.put("exact")
    assert_equal "exact", getting.value
  ensure
    errors.close
  end

  def test_leaving_the_block_closes
    ends = nil
    result = Gipc.pipe do |reader, writer|
      ends = [reader, writer]
      writer << :through
      writer.close
      reader.get
    end
    assert_equal :through, result
    assert(ends.all?(&:closed?))
    assert_raises(KeyError) do
      Gipc.pipe(duplex: true) do |*both|
        ends = both
        raise KeyError
      end
    end
    assert(ends.all?(&:closed?))
    Gipc.open(*sockets(nil).first(1)) { |handle| ends = [handle] }
    assert(ends.all?(&:closed?))
  end

  def test_two_waiters_take_turns
    reader, writer = pipe
    got = Array.new(3) { [] }
    threads = got.map { |list| until_waiting(Thread.new { list << reader.get }) }
    writer.put_many([1, 2, 3])
    threads.each(&:join)
    assert_equal [[1], [2], [3]], got

    # A waiter that times out does not keep the lock.
    first = until_waiting(Thread.new { reader.get })
    second = until_waiting(Thread.new { reader.get })
    third = until_waiting(Thread.new { reader.get })
    assert_raises(Gipc::Timeout) { reader.get(timeout: 0.01) }
    second.kill.join
    writer.put("a").put("b")
    assert_equal %w[a b], [first.value, third.value]
  end

  def test_two_putters_share_a_handle_fairly
    reader, writer = pipe(codec: :raw)
    putting = %w[a b c].map { |name| Thread.new { 5.times { writer.put(name * 500_000) } } }
    got = Array.new(15) { reader.get }
    putting.each(&:join)
    assert_equal({500_000 => 15}, got.map(&:bytesize).tally)
    assert_equal %w[a b c].to_h { |name| [name, 5] }, got.map { |bytes| bytes.squeeze }.tally
  end

  # A thread that found the lock free before another one acquired it has to wait.
  def test_a_step_behind_a_waiting_call_has_to_wait
    reader, peer = bare_reader
    peer.write(frame("x" * 100_000).byteslice(0, 50_000))
    getting = until_waiting(Thread.new { reader.get })
    assert_equal NATIVE::WAIT, NATIVE.take(reader.instance_variable_get(:@native))
    writer, other = bare_writer(buffer: 4608)
    putting = until_waiting(Thread.new { writer.put("y" * 100_000) })
    assert_equal NATIVE::WAIT, NATIVE.put(writer.instance_variable_get(:@native), "z")
    peer.write("x" * 50_004)
    assert_equal 100_000, getting.value.bytesize
    other.read(100_004)
    putting.join
  end

  def test_the_descriptor_can_be_polled
    reader, writer = pipe
    assert_nil IO.select([reader], nil, nil, 0)
    assert_equal [[], [writer], []], IO.select([], [writer], [], 5)
    writer.put(1).put(2)
    assert_equal [[reader], [], []], IO.select([reader], [], [], 5)
    assert_equal 1, reader.get_nonblock
    assert_equal 2, reader.get_nonblock
    assert_equal :wait_readable, reader.get_nonblock(exception: false)
    assert_raises(IO::WaitReadable) { reader.get_nonblock }
    assert_nil IO.select([reader], nil, nil, 0)
    writer.close
    assert IO.select([reader], nil, nil, 5)
    assert_raises(EOFError) { reader.get_nonblock(exception: false) }
  end

  def test_threads_go_on_while_a_get_waits
    mine, peer = pipe(duplex: true)
    counter = 0
    busy = Thread.new { counter += 1 while true }
    getting = until_waiting(Thread.new { mine.get })
    before = counter
    Thread.pass until counter > before + 1000
    peer.put(:done)
    assert_equal :done, getting.value
    child = start { sleep }
    joining = until_waiting(Thread.new { child.join })
    before = counter
    Thread.pass until counter > before + 1000
    child.kill
    assert_same child, joining.value
  ensure
    busy.kill.join
  end

  # The stream is adopted, and its descriptor goes with the handle.
  def test_any_stream_can_be_opened
    from, to = IO.pipe
    reader = Gipc.open(from)
    writer = Gipc.open(to)
    @handles.push(reader, writer)
    assert_equal [true, true], [from.closed?, to.closed?]
    writer << [1, "two"]
    assert_equal [1, "two"], reader.get
    number = reader.to_io.fileno
    reader.close
    assert_raises(Errno::EBADF) { IO.for_fd(number) }
    assert_raises(Errno::EPIPE) { writer << 1 }

    a, b = UNIXSocket.pair
    @handles << (a = Gipc.open(a.fileno.tap { a.autoclose = false }))
    @streams << b
    a << 1
    b.close_write
    assert_raises(EOFError) { a.get }
    File.open(File::NULL) { |file| assert_raises(Errno::EINVAL) { Gipc.open(nil, file) } }
  end

  def test_the_writing_direction_ends_alone
    mine, peer = pipe(duplex: true)
    mine.put("question")
    assert_nil mine.close_write
    assert_equal ["question"], peer.to_a
    peer.put("answer")
    assert_equal "answer", mine.get
    assert_raises(Gipc::Closed) { mine.put(1) }
    refute_predicate mine, :closed?
  end

  # What is collected while it is open disturbs nobody.
  def test_handles_can_be_collected
    kept = pipe
    make = -> { 300.times { Gipc.pipe.each(&:to_io) } }
    make.call
    GC.start
    100.times { descriptors_of_new_pipe }
    kept.last.put(:whole)
    assert_equal :whole, kept.first.get
    GC.start
  end

  def test_there_is_only_one_of_each_end
    reader, = pipe
    assert_raises(TypeError) { reader.dup }
    assert_raises(TypeError) { Marshal.dump(reader) }
  end

  # H90: the number of a closed descriptor comes back as another file.
  def test_a_closed_descriptor_is_left_alone
    reader, writer = pipe
    io = reader.to_io
    [reader, writer].each(&:close)
    assert_predicate io, :closed?
    from, to = IO.pipe
    io = nil # rubocop:disable Lint/UselessAssignment
    GC.start
    to.write("x")
    assert_equal "x", from.read(1)
    [from, to].each(&:close)
  end

  private

  def descriptors_of_new_pipe
    reader, writer = Gipc.pipe
    writer << 1
    assert_equal 1, reader.get
    [reader, writer].each(&:close)
  end
end

HandlesTest.also_under_async except: %w[two_waiters_take_turns threads_go_on_while_a_get_waits]
