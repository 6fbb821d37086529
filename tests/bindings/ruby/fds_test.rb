# frozen_string_literal: true

# Messages with descriptors.

require "socket"

class FdsTest < GipcTest
  def setup
    super
    skip "messages have descriptors on Linux only" if ENV["GIPC_TEST_OS"] == "posix"
  end

  def raw(**options)
    pipe(codec: :raw, **options)
  end

  def test_descriptors_come_with_their_message
    reader, writer = raw
    ours, theirs = UNIXSocket.pair
    @streams.push(ours, theirs)
    20.times { |i| writer.put(i.to_s, ios: [theirs, theirs.fileno].first(i % 3)) }
    20.times do |i|
      assert_equal i.to_s, reader.get
      fds = reader.take_fds
      assert_equal i % 3, fds.size
      assert_empty reader.take_fds
      fds.each do |fd|
        socket = UNIXSocket.for_fd(fd)
        assert_predicate socket, :close_on_exec?
        socket.write("x")
        socket.close
        assert_equal "x", ours.readpartial(10)
      end
    end
  end

  # H89: a third of them comes with one, and every other of these is taken.
  def test_descriptors_stay_flat_over_10000_messages
    null = File.open(File::NULL)
    @streams.push(null)
    %i[ring plain].each do |transport|
      reader, writer = raw(transport: transport)
      counts = 10_000.times.filter_map do |i|
        writer.put("x", ios: (i % 3).zero? ? [null] : [])
        assert_equal "x", reader.get
        reader.take_fds.each { |fd| IO.for_fd(fd).close } if (i % 6).zero?
        descriptors.size if i % 99 == 1 && i > 100
      end
      of_ring = transport == :ring ? 1 : 0 # its memory, while it is in use
      assert_operator counts.max - counts.min, :<=, of_ring, transport
    end
  end

  def test_a_child_serves_the_sockets_of_a_listener
    mine, yours = raw(duplex: true)
    listener = TCPServer.new("127.0.0.1", 0)
    @streams << listener
    child = start(yours) do |h|
      h.each { |message| Socket.for_fd(h.take_fds.first).then { |s| s.write(message) && s.close } }
    end
    20.times do |i|
      client = TCPSocket.new("127.0.0.1", listener.addr[1])
      accepted = listener.accept
      mine.put(i.to_s, ios: [accepted])
      accepted.close
      assert_equal i.to_s, client.read
      client.close
    end
    mine.close
    child.join
    assert_equal 0, child.exitcode
  end

  def test_those_not_taken_are_closed_with_the_next_get
    reader, writer = raw
    from, to = IO.pipe
    @streams.push(from, to)
    writer.put("a", ios: [to])
    writer.put("b")
    to.close
    assert_equal "a", reader.get
    assert_equal :wait_readable, from.read_nonblock(1, exception: false)
    assert_equal "b", reader.get
    assert_nil from.read_nonblock(1, exception: false)
  end

  def test_a_put_that_times_out_says_what_became_of_it
    _reader, writer = raw
    from, to = IO.pipe
    @streams.push(from, to)
    writer.set_marks(1, 2)
    accepted = 0
    results = Array.new(3) do
      writer.put("x" * 300_000, ios: [to], timeout: 0.01) { accepted += 1 }
    rescue Gipc::Timeout => e
      e.withdrawn?
    end
    assert_equal [false, true], [results.first, results.last]
    assert_equal results.count(false), accepted
  end

  def test_wrong_descriptors_are_refused_and_nothing_is_sent
    reader, writer = raw
    assert_raises(Errno::EBADF) { writer.put("a", ios: [999]) }
    assert_raises(ArgumentError) { writer.put("a", ios: [0] * 254) }
    assert_raises(NoMethodError) { writer.put("a", ios: ["file"]) }
    writer.put("b")
    assert_equal "b", reader.get
    from, to = IO.pipe
    handle = Gipc.open(nil, to, codec: :raw)
    @streams.push(from)
    assert_raises(Errno::EOPNOTSUPP) { handle.put("a", ios: [0]) }
    handle.close
  end

  # ---- Handles

  def test_a_child_answers_on_handles_that_it_gets
    requests, its = pipe(duplex: true)
    child = start(its) do |h|
      h.each { |message| h.take_handles.each { |reply| reply.put(message + 1) && reply.close } }
      h.put(:done)
    end
    20.times do |i|
      reader, reply = pipe
      requests.put(i, ios: [reply])
      assert_predicate reply, :closed?
      assert_raises(Gipc::Closed) { reply.put(1) }
      assert_equal i + 1, reader.get
      assert_raises(EOFError) { reader.get }
      reader.close
    end
    requests.close_write
    assert_equal :done, requests.get
    child.join
    assert_equal 0, child.exitcode
  end

  def test_handles_and_descriptors_come_in_their_order
    reader, writer = raw
    a, b = pipe(duplex: true)
    c, d = pipe(codec: :json)
    writer.put("take", ios: [b, 1, d, 2])
    assert_equal "take", reader.get
    assert_equal 2, reader.take_fds.each { |fd| IO.for_fd(fd).close }.size
    duplex, = taken = reader.take_handles(codec: :marshal)
    assert_empty reader.take_handles
    assert_equal [[true, true], [false, true]], taken.map { |h| [h.readable?, h.writable?] }
    a.put(:question)
    assert_equal :question, duplex.get
    taken.each(&:close)
    assert_raises(EOFError) { a.get }
    assert_raises(EOFError) { c.get }
  end

  def test_a_refused_put_leaves_the_handles_as_they_were
    reader, writer = pipe
    a, b = pipe
    b.put(1)
    b.put(2)
    assert_equal 1, a.get
    assert_raises(Errno::EBUSY) { writer.put("no", ios: [a]) } # the other one is read ahead
    assert_raises(Errno::EINVAL) { writer.put("no", ios: [reader]) }
    assert_raises(ArgumentError) { writer.put("no", ios: [b] * 8) }
    assert_equal 2, a.get
    writer.put("yes", ios: [a])
    assert_equal "yes", reader.get
    reader.take_handles.each do |moved|
      b.put(3)
      assert_equal 3, moved.get
      moved.close
    end
  end
end
