# frozen_string_literal: true

# Peers that lie: a get and a put end in a message or an error of this library, and
# memory stays bounded.
class LiarTest < GipcTest
  PROGRAM = "#{ENV.fetch("GIPC_TEST_PROGRAMS", "#{BUILD}/programs")}/liar"
  ENDS = [EOFError, Errno::EPIPE, Errno::ECONNRESET, Gipc::Truncated, Gipc::Protocol, Gipc::TooBig].freeze

  def resident = File.read("/proc/self/statm").split[1].to_i * 4096

  def meet(kind, seed)
    mine, its = pipe(duplex: true, codec: :raw, transport: kind == "ring" ? :ring : :auto)
    child = Gipc.exec_process([PROGRAM, kind, seed.to_s], handles: {"peer" => its})
    if kind == "ring"
      40.times { assert_equal "hello", mine.put("hello").get(timeout: 60) }
      assert_equal %i[ring ring], mine.stats.values_at(:transport_in, :transport_out)
      mine << "lie"
    end
    [mine, child]
  end

  # A message, a timeout, or an end.
  def try
    yield
  rescue Gipc::Timeout, *ENDS
    nil
  end

  def use_until_its_end(mine, child)
    10.times do
      try { mine.get(timeout: 0.001) }
      try { mine.put("x" * 3000, timeout: 0.001) }
    end
    child.kill
    child.join
    assert_raises(*ENDS) { loop { mine.get(timeout: 60) } }
    assert_raises(*ENDS) { loop { mine.put("x" * 3000, timeout: 60) } }
    mine.abort
  end

  # H63, H64, H79, H88, H111
  def test_a_peer_that_lies_ends_its_stream_and_no_more
    skip "rings are on Linux only" if ENV["GIPC_TEST_OS"] == "posix"
    before = resident
    %w[garbage lengths stops half ring].each do |kind|
      (long? ? 100 : 3).times { |seed| use_until_its_end(*meet(kind, seed)) }
    end
    assert_operator resident, :<, before + (24 << 20)
  end
end
