# frozen_string_literal: true

# The transports of handles: the socket, and a ring in shared memory.

class TransportTest < GipcTest
  PORTABLE = ENV["GIPC_TEST_OS"] == "posix"
  RING = PORTABLE ? :plain : :ring
  # Messages after which two handles use a ring, and some more.
  ENOUGH = 40

  def test_a_pipe_changes_to_a_ring_unless_that_is_refused
    {auto: RING, plain: :plain}.each do |transport, used|
      mine, yours = pipe(duplex: true, codec: :raw, transport: transport)
      check_echo(mine, yours, used)
    end
    # One side is enough to refuse it.
    mine, yours = pipe(duplex: true, codec: :raw, transport: :auto)
    yours.transport = :plain
    check_echo(mine, yours, :plain)
  end

  def test_a_program_chooses_the_transport_of_what_it_inherits
    {auto: RING, plain: :plain}.each do |transport, used|
      mine, yours = pipe(duplex: true, codec: :raw, transport: :auto)
      script = <<~RUBY
        require "gipc"
        Gipc.inherit("echo", codec: :raw, transport: #{transport.inspect}) do |pipe|
          pipe.each { |message| pipe << message }
          print pipe.stats.values_at(:transport_in, :transport_out).uniq
        end
      RUBY
      child = exec([*RUBY, "-e", script], handles: {echo: yours}, stdout: :pipe)
      @streams << child.stdout
      exchange(mine)
      assert_equal [used, used], in_use(mine)
      mine.close
      assert_equal [used].inspect, child.stdout.read
    end
  end

  def test_a_ring_is_left_and_used_again
    skip "it needs rings" if PORTABLE
    reader, writer = pipe(codec: :raw, transport: :ring)
    %i[ring plain ring].each do |transport|
      writer.transport = transport unless in_use(writer).last == transport
      3.times { assert_equal "message", (writer << "message") && reader.get }
      assert_equal [transport] * 2, [in_use(writer).last, in_use(reader).first]
    end
    # The reader needs the writer for that.
    writer << "unread"
    error = assert_raises(Errno::EBUSY) { reader.transport = :plain }
    assert_match(/Gipc::Handle r.* still uses a ring/, error.message)
    assert_equal "unread", reader.get
  end

  def test_a_get_on_a_ring_blocks_only_its_caller
    one, other = pipe(duplex: true, codec: :raw, transport: :auto)
    ENOUGH.times do |i|
      [[one, other], [other, one]].each { |a, b| assert_equal i.to_s, (a << i.to_s) && b.get }
    end
    assert_equal [RING] * 4, in_use(one) + in_use(other)
    waits = waiting { one.get }
    gets = waiting { other.get }
    one << "for the other direction"
    assert_equal "for the other direction", gets.value
    asleep, rung = one.stats[:bells_in], other.stats[:bells_out]
    other << "for the one that waits"
    assert_equal "for the one that waits", waits.value
    return if PORTABLE

    assert_operator asleep, :>, 0
    assert_equal rung + 1, other.stats[:bells_out]
  end

  # Its put finds the reader awake, so the descriptor is not readable.
  def test_a_message_that_is_in_a_ring_is_waited_for
    reader, writer = pipe(codec: :raw, transport: :auto)
    ENOUGH.times { assert_equal "x", (writer << "x") && reader.get }
    [5, 5000, 200_000].each do |size|
      putting = beside { writer << "x" * size }
      assert_equal [reader], Gipc.wait([reader], timeout: 60)
      assert_equal size, reader.get.bytesize
      putting.join
    end
    assert_empty Gipc.wait([reader], timeout: 0)
  end

  def test_a_put_waits_for_room_in_a_ring
    skip "it needs rings" if PORTABLE
    reader, writer = pipe(codec: :raw, transport: :ring)
    3.times { assert_equal "x", (writer << "x") && reader.get }
    assert_equal :ring, in_use(writer).last
    puts = waiting { writer.put_many(["x" * 10_000] * 200) }
    sleep(0) until writer.stats[:stalls_out].positive? # others run
    200.times { assert_equal 10_000, reader.get.bytesize }
    assert_same writer, puts.value
    assert_equal :ring, in_use(writer).last
  end

  def test_an_unknown_or_impossible_transport_is_refused_by_name
    handle, = pipe
    socket, = sockets(nil)
    [
      -> { Gipc.pipe(transport: :fast) }, -> { Gipc.open(socket, transport: :fast) },
      -> { Gipc.inherit("none", transport: :fast) }, -> { Gipc.stdio(transport: :fast) },
      -> { handle.transport = :fast }
    ].each do |call|
      assert_match(/transport: :fast is none of :auto, :plain, :ring/, assert_raises(ArgumentError, &call).message)
    end
    assert_raises(ArgumentError) { handle.transport = nil }
    # A pipe of the kernel has no ring; the streams are still the caller's.
    from, to = IO.pipe
    error = assert_raises(Errno::EOPNOTSUPP) { Gipc.open(from, to, transport: :ring) }
    assert_match(/these streams .*:ring.*AF_UNIX/, error.message)
    to.syswrite(frame("still mine"))
    @handles << (adopted = Gipc.open(from, to, codec: :raw, transport: :plain))
    error = assert_raises(Errno::EOPNOTSUPP) { adopted.transport = :ring }
    assert_match(/Gipc::Handle rw.* :ring/, error.message)
    assert_equal "still mine", adopted.get
    return check_no_ring if PORTABLE

    @handles << (writer = Gipc.open(socket, transport: :ring))
    assert_equal :plain, writer.put(1).stats[:transport_out] # nobody has accepted it yet
  end

  also_under_async

  private

  def check_no_ring
    assert_match(/a pipe .*:ring/, assert_raises(Errno::EOPNOTSUPP) { Gipc.pipe(transport: :ring) }.message)
    GC.start # the ends
  end

  def in_use(handle) = handle.stats.values_at(:transport_in, :transport_out)

  def exchange(handle)
    ENOUGH.times { |i| assert_equal i.to_s, handle.put(i.to_s).get }
  end

  def check_echo(mine, yours, used)
    child = start(yours) { |pipe| pipe.each { |message| pipe << message } }
    exchange(mine)
    assert_equal [used, used], in_use(mine)
    mine.close
    assert_equal 0, child.join.exitcode
  end
end
