# frozen_string_literal: true

# The codecs for other languages: golden.json has values and their bytes.

require_relative "../golden"

class GoldenTest < GipcTest
  CODECS = %i[msgpack json].freeze
  LEVELS = 100_000

  def test_the_values_of_every_language
    each_entry do |codec, entry|
      what = "#{codec}: #{entry.name}"
      bytes = entry.bytes[codec.to_s]
      next expect_refused(codec, entry.value, what) unless bytes

      again = encoded(codec, entry.value)
      assert Golden.same?(entry.value, decoded(codec, bytes)), what
      assert Golden.same?(entry.value, decoded(codec, again)), what
      # JSON leaves it open how a fraction is written.
      assert_equal bytes.b, again, what unless codec == :json && entry.value.is_a?(Float)
    end
  end

  def test_integers_over_64_bits_are_refused
    Golden::TABLE["refused_integers"].each do |digits|
      CODECS.each { |codec| expect_refused(codec, [Integer(digits)], digits) }
      expect_malformed(:json, digits)
    end
  end

  def test_a_malformed_message_is_reported_and_the_next_one_is_got
    Golden::TABLE["malformed_msgpack"].each { |hex| expect_malformed(:msgpack, [hex].pack("H*")) }
    Golden::TABLE["malformed_json"].each { |text| expect_malformed(:json, text) }
    expect_malformed(:json, "\"\xFF\"")
  end

  def test_json_has_text_for_keys_and_no_bytes
    [{1 => 2}, [{nil => 1}], {"a" => {true => 1}}, "x".b, ["\xC3\xA9".b]].each do |value|
      expect_refused(:json, value, value.inspect)
    end
  end

  # H110
  def test_nesting_has_a_limit
    ["[", "{\"a\":"].each { |text| expect_malformed(:json, text * LEVELS) }
    ["\x91", "\x81\x01"].each { |bytes| expect_malformed(:msgpack, bytes.b * LEVELS) }
    deep = LEVELS.times.inject([]) { |inner| [inner] }
    expect_refused(:json, deep, "deep")
    begin
      expect_malformed(:msgpack, encoded(:msgpack, deep)) # where it arrives
    rescue ArgumentError => e # before it leaves, where a stack is small
      assert_match(/nested too deeply/, e.message)
    end
    cycle = []
    cycle << cycle
    CODECS.each { |codec| expect_refused(codec, cycle, "cycle") }
  end

  private

  def each_entry
    CODECS.product(Golden::ENTRIES).each { |codec, entry| yield codec, entry }
  end

  # Closed at once: there are more of them than a test may have descriptors.
  def encoded(codec, value)
    through(codec, :raw, value)
  end

  def decoded(codec, bytes)
    through(:raw, codec, bytes.dup)
  end

  def through(encode, decode, value)
    UNIXSocket.pair.then do |a, b|
      Gipc.open(a, nil, codec: decode) do |reader|
        Gipc.open(nil, b, codec: encode) do |writer|
          writer.put(value)
          return reader.get
        end
      end
    end
  end

  # Nothing is written, and the handle can be used.
  def expect_refused(codec, value, what)
    Gipc.pipe(codec: codec) do |reader, writer|
      error = assert_raises(StandardError, what) { writer.put(value) }
      refute_empty error.message
      writer.put("next")
      assert_equal "next", reader.get
    end
  end

  def expect_malformed(codec, bytes)
    reader, peer = UNIXSocket.pair
    Gipc.open(reader, nil, codec: codec) do |handle|
      sender = Thread.new { peer.write(frame(bytes), frame(codec == :json ? "7" : "\x07")) }
      error = assert_raises(StandardError, bytes[0, 20].inspect) { handle.get }
      refute_kind_of EOFError, error # it is not an end of the stream
      refute_empty error.message
      assert_equal 7, handle.get
      sender.join
    end
  ensure
    peer&.close
  end
end
