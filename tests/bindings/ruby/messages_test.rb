# frozen_string_literal: true

# Messages: whole, once, in order, whatever breaks off a get or a put.

class MessagesTest < GipcTest
  # H93
  def test_a_million_messages_arrive_in_order
    count = full_count? ? 1_000_000 : 50_000
    reader, writer = pipe
    start(writer) do |w|
      (0...count).each_slice(1000) { |numbers| w.put_many(numbers) }
    end
    expected = 0
    reader.each do |number|
      flunk "#{number} instead of #{expected}" unless number == expected
      expected += 1
    end
    assert_equal count, expected
  end

  # H62, H84
  def test_messages_of_every_size_arrive_whole
    sizes = STREAMS["sizes"].flat_map { |first, last| [*first..last] }
    mine, yours = pipe(duplex: true, codec: :raw)
    start(yours) { |h| h.each { |message| h.put(message) } }
    block = Random.new(1).bytes(sizes.max)
    sizes.each do |size|
      message = block.byteslice(block.bytesize - size, size)
      mine.put(message)
      back = mine.get
      assert back == message, "#{size} bytes came back as #{back.bytesize}"
      assert_equal Encoding::BINARY, back.encoding
    end
  end

  def test_the_raw_codec_takes_bytes_only
    reader, writer = pipe(codec: :raw)
    [nil, 1, :a, ["a"], {a: 1}].each do |object|
      assert_raises(TypeError) { writer.put(object) }
      assert_raises(TypeError) { writer.put_many(["good", object]) }
    end
    writer.put("é")
    assert_equal "\xC3\xA9".b, reader.get
    assert_raises(Gipc::Timeout) { reader.get(timeout: 0) } # nothing else was written
  end

  # H68, H69: the deadline covers the whole message.
  def test_a_get_that_times_out_loses_nothing
    reader, peer = bare_reader
    bytes = frame("hello") + frame("") + frame("world")
    bytes.each_char do |byte|
      started = now
      [0, 0.001].each { |timeout| take_all(reader, timeout) }
      assert_operator now - started, :<, 5
      peer.write(byte)
    end
    take_all(reader, 0)
    assert_equal ["hello", "", "world"], @taken
  end

  def test_a_timeout_that_cannot_be_is_an_error
    reader, writer = pipe
    writer.put(:first)
    ["1", Float::NAN, 1i].each do |timeout|
      [-> { reader.get(timeout: timeout) }, -> { writer.put(1, timeout: timeout) },
       -> { writer.put_many([1], timeout: timeout) }, -> { writer.flush(timeout: timeout) }]
        .each { |call| assert_raises(ArgumentError, timeout.inspect, &call) }
    end
    writer.put(:second)
    assert_equal %i[first second], [reader.get, reader.get]
  end

  def test_a_negative_timeout_waits_indefinitely
    large = "x" * 5_000_000
    [-1, -Float::INFINITY, Float::INFINITY, 1e300].each do |timeout|
      reader, writer = pipe(codec: :raw)
      gets = Array.new(2) { until_waiting(Thread.new { reader.get(timeout: timeout) }) }
      writer.put("first").put("second")
      assert_equal %w[first second], gets.map(&:value).sort
      [-> { writer.put(large, timeout: timeout) }, -> { writer.put_many([large], timeout: timeout) }].each do |call|
        put = until_waiting(Thread.new(&call))
        assert_equal large, reader.get
        assert_same writer, put.value
      end
      assert_raises(Gipc::Timeout) { writer.put(large, timeout: 0) }
      flush = until_waiting(Thread.new { writer.flush(timeout: timeout) })
      assert_equal large, reader.get
      assert_same writer, flush.value
    end
  end

  # H67
  def test_a_put_that_times_out_is_withdrawn
    [100, 30_000].each do |size|
      writer, peer = bare_writer(buffer: 4608)
      sent = []
      0.step do |i|
        message = "#{i} ".ljust(size, "x")
        writer.put(message, timeout: 0.001)
        sent << message
      rescue Gipc::Timeout => e
        sent << message unless e.withdrawn?
        assert_equal !e.in_progress?, e.withdrawn?
        break if e.withdrawn?
      end
      rest = Thread.new { peer.read }
      writer.put("last")
      writer.close
      assert_equal sent + ["last"], messages_in(rest.value)
    end
  end

  # H67: the peer gets the rest without a further call.
  def test_a_put_cancelled_halfway_finishes_in_the_background
    cancellations.each do |kind, cancel|
      [20_000, 100_000].each do |size|
        writer, peer = bare_writer(buffer: 4608)
        # It may be stopped before, where it lets others run.
        cancel.call { writer.put("x" * size) while true } until peer.wait_readable(0)
        bytes = +"".b
        bytes << peer.readpartial(1000) until whole?(bytes) && writer.stats[:bytes_out] == bytes.bytesize
        assert_operator messages_in(bytes).size, :>=, 1, kind.to_s
        writer.close
        assert_equal "", peer.read
      end
    end
  end

  # H58, H66: every kind of cancellation, at every byte.
  def test_a_get_cancelled_at_any_byte_loses_nothing
    cancellations.each do |kind, cancel|
      reader, peer = bare_reader
      bytes = frame("first") + frame("second")
      (0..bytes.bytesize).each do |position|
        cancel.call { @taken << reader.get while true }
        peer.write(bytes[position].to_s)
      end
      take_all(reader, 0)
      assert_equal %w[first second], @taken, kind.to_s
      @taken.clear
    end
  end

  # The same where it is received straight into its String.
  def test_a_get_cancelled_at_any_byte_loses_nothing_of_a_large_message
    message = Random.new(2).bytes(40_000)
    bytes = frame(message) + frame("after")
    cancellations.each do |kind, cancel|
      reader, peer = bare_reader
      [0, 1, 3, 4, 5, 4095, 4096, 20_000, 40_003, bytes.bytesize].each_cons(2) do |from, to|
        cancel.call { @taken << reader.get while true }
        peer.write(bytes.byteslice(from, to - from))
      end
      take_all(reader, 0)
      assert @taken == [message, "after"], kind.to_s
      @taken.clear
    end
  end

  # H67: withdrawn, or finished before the next.
  def test_a_put_cancelled_at_any_byte_keeps_the_stream_in_order
    cancellations.each do |kind, cancel|
      [100, 20_000, 100_000].each do |size|
        writer, peer = bare_writer(buffer: 4608)
        bytes = +"".b
        8.times do |i|
          # As many as fit, then one that is cancelled while it waits.
          count = 0
          until peer.wait_readable(0)
            cancel.call { writer.put("#{i}.#{count += 1} ".ljust(size, "x")) while true }
          end
          bytes << peer.readpartial(1 + i * 1009)
        end
        rest = Thread.new { bytes << peer.read }
        writer.put("last")
        writer.close
        names = messages_in(rest.value).map { |message| message[/\A\S+/] }
        assert_equal "last", names.pop, kind.to_s
        assert_operator names.size, :>=, 1
        order = names.map { |name| name.split(".").map(&:to_i) }
        assert_equal order.sort.uniq, order, "#{kind} #{size}"
      end
    end
  end

  # H83
  def test_the_end_of_the_stream_is_told
    reader, writer = pipe
    writer.put_many([1, nil, false])
    writer.close
    assert_equal [1, nil, false], reader.to_a
    100.times { assert_raises(EOFError) { reader.get } }
    assert_equal [], reader.to_a

    reader, writer = pipe
    reader.close
    assert_raises(Errno::EPIPE) { writer.put(1) }
    assert_raises(Errno::EPIPE) { writer.put("x" * 100_000) }
  end

  # H65
  def test_a_stream_cut_inside_a_message_is_told
    STREAMS["cuts"].each do |message|
      bytes = frame("\0" * message["size"])
      message["at"].each do |cut|
        reader, peer = bare_reader
        peer.write(frame("whole"), bytes.byteslice(0, cut))
        peer.close
        assert_equal "whole", reader.get
        2.times { assert_raises(Gipc::Truncated) { reader.get } }
        assert_kind_of Gipc::Error, assert_raises(Gipc::Error) { reader.get }
        reader.close
      end
    end
  end

  # H63, H64, H88
  def test_a_hostile_peer_is_a_clear_error
    errors = {"protocol" => Gipc::Protocol, "too_big" => Gipc::TooBig}
    STREAMS["hostile"].each do |hostile|
      reader, peer = bare_reader
      peer.write([hostile["bytes"]].pack("H*"))
      2.times { assert_raises(errors.fetch(hostile["error"]), hostile["name"]) { reader.get(timeout: 60) } }
    end

    # What it claims costs nothing before it comes.
    reader, peer = bare_reader
    before = resident
    peer.write([1 << 30].pack("N"), "only this")
    assert_raises(Gipc::Timeout) { reader.get(timeout: 0) }
    assert_operator resident - before, :<, 4 << 20
    reader.limit = 1000
    writer, = bare_writer
    writer.limit = 1000
    assert_raises(Gipc::TooBig) { writer.put("x" * 1001) }
    writer.put("x" * 1000)
  end

  # H85
  def test_puts_in_a_batch_leave_together
    reader, writer = pipe(codec: :raw)
    writer.put_many(Array.new(5000) { "x" })
    assert_equal [5000, 25_000], writer.stats.values_at(:messages_out, :bytes_out) # all of it
    assert_operator writer.stats[:writes], :<, 20
    assert_equal ["x"] * 5000, reader.first(5000)

    # More than fits, with large ones in between: it waits, and it may time out.
    mixed = Array.new(400) { |i| i % 40 == 7 ? "y" * 50_000 : i.to_s }
    error = assert_raises(Gipc::Timeout) { (1..100).each { writer.put_many(mixed, timeout: 0.01) } }
    assert_kind_of Gipc::Error, error
    got = beside { reader.to_a }
    writer.flush
    writer.close
    assert_equal mixed.first(300), got.value.first(300)
  end

  def test_large_messages_cross_while_both_sides_put # H78
    mine, yours = pipe(duplex: true, codec: :raw)
    start(yours) do |h|
      putting = Thread.new { 4.times { h.put("y" * 3_000_000) } }
      4.times { h.get }
      putting.join
    end
    putting = Thread.new { 4.times { mine.put("x" * 3_000_000) } }
    4.times { assert_equal 3_000_000, mine.get.bytesize }
    putting.join
  end

  # H78: each gets only when it has put.
  def test_two_peers_that_put_first_do_not_lock_each_other
    mine, yours = pipe(duplex: true, codec: :raw)
    both = [mine, yours].map do |handle|
      Thread.new do
        handle.put("x" * 6_000_000)
        handle.get.bytesize
      end
    end
    assert_equal [6_000_000] * 2, both.map(&:value)
  end

  # H78
  def test_peers_that_put_several_messages_at_once_do_not_lock
    plans do |first, second|
      ends_of_every_kind do |mine, yours|
        both = [[mine, first, second], [yours, second, first]].map do |plan|
          Thread.new { talk(*plan) }
        end
        assert_equal [true] * 2, both.map(&:value)
      end
    end
  end

  # H78
  def test_a_put_receives_from_a_peer_that_reads_when_it_has_written
    ends_of_every_kind do |mine, yours|
      yours.read_limit = 0
      peer = Thread.new { talk(yours, [5_000_000], [5_000_000]) }
      assert talk(mine, [5_000_000], [5_000_000])
      assert peer.value
    end
  end

  # What is sent from the caller's String is what that was when it was put.
  def test_a_string_may_be_changed_and_moved_while_it_is_put
    [600, 20_000, 200_000].each do |size|
      writer, peer = bare_writer(buffer: 4608)
      filler = writer_filled(writer, size)
      message = "a" * size
      putting = until_waiting(Thread.new { writer.put(message) })
      message.replace("b" * size)
      GC.compact
      bytes = +"".b
      bytes << peer.readpartial(100_000) while bytes.bytesize < (filler + 1) * (4 + size)
      putting.join
      assert_equal "a" * size, messages_in(bytes).last
    end
  end

  private

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def resident = File.read("/proc/self/statm").split[1].to_i * 4096

  def setup
    @taken = []
  end

  def whole?(bytes)
    bytes = bytes.byteslice(4 + bytes.unpack1("N")..) while bytes && bytes.bytesize >= 4
    bytes == ""
  end

  # Until no more fits, but for what is queued: how many.
  def writer_filled(writer, size)
    count = 0
    loop do
      writer.put("f" * size, timeout: 0)
      count += 1
    rescue Gipc::Timeout => e
      return e.withdrawn? ? count : count + 1
    end
  end

  def take_all(reader, timeout)
    while true
      message = reader.get_nonblock(exception: false)
      message = reader.get(timeout: timeout) if message == :wait_readable
      @taken << message
    end
  rescue Gipc::Timeout
    nil
  end

  # Each calls the block, which waits in the end, and breaks it off there.
  # Those of threads would end the loop itself.
  def cancellations
    under_async = self.class.loop == "async"
    tasks = Object.const_defined?(:Async) ? task_cancellations : {}
    under_async ? tasks : {**thread_cancellations, **tasks}
  end

  def thread_cancellations
    {
      timeout: lambda do |&block|
        Timeout.timeout(0.003, &block)
      rescue Timeout::Error
        nil
      end,
      raise: lambda do |&block|
        thread = Thread.new(&block)
        thread.report_on_exception = false
        until_waiting(thread).raise("off")
        assert_equal "off", assert_raises(RuntimeError) { thread.join }.message
      end,
      kill: ->(&block) { until_waiting(Thread.new(&block)).kill.join }
    }
  end

  def task_cancellations
    {
      task_stop: lambda do |&block|
        Async do |task|
          child = task.async { block.call }
          task.yield
          child.stop
        end.wait
      end,
      with_timeout: lambda do |&block|
        Async do |task|
          task.with_timeout(0.002, &block)
        rescue Async::TimeoutError
          nil
        end.wait
      end
    }
  end
end

MessagesTest.also_under_async except: %w[
  a_negative_timeout_waits_indefinitely peers_that_put_several_messages_at_once_do_not_lock
]
