# frozen_string_literal: true

# How objects become messages.

class CodecsTest < GipcTest
  def test_marshal_carries_what_ruby_can
    reader, writer = pipe
    [nil, :a, 1 << 100, 1.5, "é", {a: [Time.at(0), 1..2]}, Struct, Float::NAN].each do |object|
      back = reader.then { writer.put(object) && reader.get }
      object.respond_to?(:nan?) && object.nan? ? assert_predicate(back, :nan?) : assert_equal([object], [back])
    end
    assert_raises(TypeError) { writer.put(proc { nil }) }
    assert_raises(Gipc::Timeout) { reader.get(timeout: 0) }
  end

  def test_json_is_a_document_in_utf8
    reader, writer = pipe(codec: :json)
    bare, peer = bare_writer(codec: :json)
    bare.put({"a" => [1, 2.5, nil, true, "é"]})
    assert_equal frame('{"a":[1,2.5,null,true,"é"]}'), peer.readpartial(100)
    [nil, true, 0, -1.5, "", "é\u0000😀", [], {}, {"a" => {"b" => [1]}}, (1 << 64) - 1].each do |object|
      writer.put(object)
      assert_equal [object], [reader.get]
    end
    writer.put({a: :b})
    assert_equal({"a" => "b"}, reader.get)
    [Float::NAN, Float::INFINITY, [-Float::INFINITY], "\xFF", "a".b, {1 => 2}, [Object.new], {a: Time.now}, 1 << 64].each do |object|
      assert_raises(JSON::GeneratorError) { writer.put(object) }
    end
    [101, 100_000].each { |depth| assert_raises(JSON::NestingError) { writer.put(nested(depth)) } } # H110
    writer.put(nested(100))
    assert_equal nested(100), reader.get

    reader, peer = bare_reader(codec: :json)
    ["NaN", "[1,]", "", "{\"a\":1} 2", "\"\xFF\"", "[" * 200 + "]" * 200].each do |text|
      peer.write(frame(text))
      assert_raises(JSON::ParserError, text) { reader.get }
    end
    peer.write(frame('"goes on"'))
    assert_equal "goes on", reader.get
  end

  def test_msgpack_keeps_text_and_bytes_apart
    reader, writer = pipe(codec: :msgpack)
    [nil, true, -1, (1 << 64) - 1, -(1 << 63), 2.5, "é", "é".b, [], {"a" => [1]}, {1 => 2}].each do |object|
      writer.put(object)
      back = reader.get
      assert_equal [object], [back]
      assert_equal object.encoding, back.encoding if object.is_a?(String)
    end
    [1 << 64, -(1 << 63) - 1].each { |object| assert_raises(RangeError) { writer.put(object) } }
    assert_raises(NoMethodError, TypeError) { writer.put(Object.new) }

    reader, peer = bare_reader(codec: :msgpack)
    ["\xC1", "\x92\x01", "\x01\x02", "", "\x91" * 100_000 + "\x01"].each do |bytes| # H110
      peer.write(frame(bytes.b))
      assert_raises(MessagePack::UnpackError, bytes[0, 9]) { reader.get }
    end
    peer.write(frame("\x07"))
    assert_equal 7, reader.get
  end

  def test_anything_with_dump_and_load_is_a_codec
    reversed = Module.new do
      def self.dump(text) = text.reverse
      def self.load(bytes) = bytes.reverse
    end
    reader, writer = pipe(codec: reversed)
    writer.put("abc")
    assert_equal "abc", reader.get
    assert_same reversed, reader.codec
    [nil, :yaml, Object.new].each do |codec|
      assert_raises(ArgumentError) { Gipc.pipe(codec: codec) }
    end
    broken = Struct.new(:dump, :load).new
    assert_raises(ArgumentError, TypeError) { pipe(codec: broken).last.put(1) }
  end

  def test_a_codec_without_its_gem_is_a_clear_error
    script = <<~RUBY
      require "gipc"
      module Kernel
        alias all_require require
        def require(name) = name == "msgpack" ? raise(LoadError, name) : all_require(name)
      end
      begin
        Gipc.pipe(codec: :msgpack)
      rescue LoadError => e
        puts e.message
      end
    RUBY
    assert_match(/gem install msgpack/, IO.popen([*RUBY, "-e", script], &:read))
  end

  # H109: these run no code that the peer chooses.
  def test_only_marshal_makes_objects
    bytes = Marshal.dump(Struct)
    %i[json msgpack].each do |codec|
      reader, peer = bare_reader(codec: codec)
      peer.write(frame(bytes), frame('{"json_class":"Range","a":[1,2,false]}'))
      refute_kind_of Class, (reader.get rescue nil) # rubocop:disable Style/RescueModifier
      refute_kind_of Range, (reader.get rescue nil) # rubocop:disable Style/RescueModifier
    end
  end

  private

  def nested(depth)
    depth.times.inject(nil) { |inner, _| inner ? [inner] : [] }
  end
end
