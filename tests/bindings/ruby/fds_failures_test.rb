# frozen_string_literal: true

# Messages with descriptors that fail: nothing is left open.

require "socket"

class FdsFailuresTest < GipcTest
  def setup
    super
    skip "messages have descriptors on Linux only" if ENV["GIPC_TEST_OS"] == "posix"
    @from, @to = IO.pipe
    @streams.push(@from, @to)
  end

  def raw
    pipe(codec: :raw)
  end

  # The writing end of the pipe has no copy.
  def assert_gone
    assert_nil @from.read_nonblock(1, exception: false)
  end

  # A peer whose message of one byte says one descriptor, and has another number.
  def test_a_peer_with_another_number_is_a_protocol_error
    [0, 2].each do |sent|
      ours, theirs = UNIXSocket.pair
      @streams << theirs
      handle = Gipc.open(ours, nil, codec: :raw)
      @handles << handle
      rights = Socket::AncillaryData.unix_rights(*[@to] * sent) if sent > 0
      theirs.sendmsg([0x80, 0, 0, 1, 0, 0, 0, 1, 97].pack("C*"), 0, nil, *rights)
      assert_raises(Gipc::Protocol) { handle.get(timeout: 60) }
    end
    @to.close
    assert_gone
  end

  def test_a_reader_without_room_is_told
    reader, writer = raw
    writer.put("a", ios: [@to] * 2)
    writer.put("b")
    @to.close
    old = Process.getrlimit(:NOFILE)
    free = IO.sysopen("/dev/null").tap { |fd| IO.for_fd(fd).close }
    begin
      Process.setrlimit(:NOFILE, free + 1, old[1])
      assert_equal "a", reader.get
      assert_raises(Errno::EMFILE) { reader.take_fds }
    ensure
      Process.setrlimit(:NOFILE, *old)
    end
    assert_equal "b", reader.get
    assert_gone
  end

  def test_those_of_a_message_over_the_limit_are_closed
    reader, writer = raw
    reader.limit = 5
    writer.put("beyond", ios: [@to])
    @to.close
    assert_raises(Gipc::TooBig) { reader.get }
    assert_gone
  end

  def test_a_launcher_that_dies_and_one_without_descriptors
    process, handle = Gipc.launch(["cat"], codec: :raw)
    keep(process)
    @handles << handle
    assert_raises(Errno::EOPNOTSUPP) { handle.put("a", ios: [0]) }
    assert_equal "b", handle.put("b").get(timeout: 60)
    cut = 'printf "\000\000\000\005ab"; kill -9 $$'
    process, handle = Gipc.launch(["sh", "-c", cut], codec: :raw)
    keep(process)
    @handles << handle
    assert_raises(Gipc::Truncated) { handle.get(timeout: 60) }
    assert_equal(-9, process.join.exitcode)
  end
end
