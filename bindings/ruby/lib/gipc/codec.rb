# frozen_string_literal: true

# How objects become messages: Marshal, bytes as they are, JSON, MessagePack.

module Gipc
  # A codec has +dump+, from an object to a String, and +load+, back.
  module Codec
    # Bytes as they are.  What is got is binary.
    module Raw
      def self.dump(bytes)
        return bytes if bytes.is_a?(String)

        raise TypeError, "the raw codec takes a String, not #{bytes.class}"
      end

      def self.load(bytes)
        bytes
      end
    end

    # A JSON document (RFC 8259) for each message, in UTF-8.  JSON::GeneratorError: NaN
    # and Infinity, binary Strings, keys that are neither Strings nor Symbols, integers
    # over 64 bits, and any other object.  JSON::NestingError: nesting deeper than 100
    # levels, in both directions (the library's default).
    module Json
      DEPTH = 100
      INTEGERS = (-2**63...2**64).freeze
      private_constant :DEPTH, :INTEGERS

      def self.dump(object)
        check(object, DEPTH)
        JSON.generate(object)
      end

      def self.load(bytes)
        text = bytes.force_encoding(Encoding::UTF_8)
        raise JSON::ParserError, "the message is not UTF-8" unless text.valid_encoding?

        object = JSON.parse(text)
        # No walk without so many digits in a row.
        check(object, DEPTH) if text.match?(/\d{19}/)
        object
      end

      # The library would make a String of it.
      def self.check(object, depth)
        case object
        when String then refuse("a binary String") if object.encoding == Encoding::BINARY
        when Array then object.each { |item| check(item, depth - 1) } if depth.positive?
        when Hash then check_map(object, depth) if depth.positive?
        when Integer then refuse("an integer over 64 bits") unless INTEGERS.cover?(object)
        when Symbol, Float, nil, true, false then nil
        else refuse(object.class)
        end
      end

      def self.check_map(map, depth)
        map.each do |key, value|
          refuse("a key that is a #{key.class}") unless key.is_a?(String) || key.is_a?(Symbol)

          check(key, depth)
          check(value, depth - 1)
        end
      end

      def self.refuse(what)
        raise JSON::GeneratorError, "JSON does not know #{what}"
      end
      private_class_method :check, :check_map, :refuse
    end

    # MessagePack.  A binary String is "bin", any other "str"; integers have at
    # most 64 bits (RangeError).  The nesting of what is got is bounded by the
    # msgpack library (MessagePack::StackError: 128 levels).
    module Msgpack
      def self.dump(object)
        MessagePack.pack(object)
      rescue SystemStackError # which is not a StandardError
        raise ArgumentError, "Arrays and Hashes are nested too deeply"
      end

      def self.load(bytes)
        MessagePack.unpack(bytes)
      rescue EOFError, NoMemoryError # as of a size that no message has
        raise MessagePack::MalformedFormatError, "the message is cut"
      end
    end

    # How deep {encode} looks for the place of what cannot be encoded.
    DEEPEST = 100
    private_constant :DEEPEST

    # The bytes of an object.
    #
    # @private
    def self.encode(codec, object)
      codec.dump(object)
    rescue StandardError => e
      refuse(e, codec, object)
    end

    # The bytes of each object.  Without a call for each, which costs as much as a small
    # message.
    #
    # @private
    def self.encode_all(codec, objects)
      messages = []
      object = nil
      if objects.instance_of?(Array)
        objects.each { |one| messages << codec.dump(object = one) }
      else
        objects.each_entry { |one| messages << codec.dump(object = one) }
      end
      messages
    rescue StandardError => e
      refuse(e, codec, object)
    end

    # Raises the error of a codec, which says where in the object that is which the codec
    # does not take, as in <tt>(at ["jobs"][3])</tt>.
    def self.refuse(error, codec, object)
      place = place(codec, object)
      raise error if place.empty?

      raise error.exception("#{error.message} (at #{place})")
    end

    def self.place(codec, object)
      steps = []
      while steps.size < DEEPEST
        items = case object
                when Array then object.each_with_index.lazy.map { |item, i| [i, item] }
                when Hash then object.lazy
                else break
                end
        key, object = items.find { |_, item| !encodes?(codec, item) }
        break unless key

        steps << "[#{key.inspect}]"
      end
      steps.join
    end

    def self.encodes?(codec, object)
      codec.dump(object)
      true
    rescue StandardError
      false
    end
    private_class_method :refuse, :place, :encodes?

    # The modules JSON and MessagePack mean :json and :msgpack.
    #
    # @return [#dump, #load]
    # @raise [ArgumentError] if there is none of this name
    # @raise [LoadError] if its gem is not installed
    # @private
    def self.of(name)
      case name
      when :marshal then Marshal
      when :raw then Raw
      when :json then json
      when :msgpack then msgpack
      else
        return json if named?(:JSON, name)
        return msgpack if named?(:MessagePack, name)
        return name if name.respond_to?(:dump) && name.respond_to?(:load)

        raise ArgumentError, "no codec: #{name.inspect}; there are :marshal, " \
                             ":raw, :json, :msgpack, and what has dump and load"
      end
    end

    # Whether it is the module of this name, if that is loaded.
    def self.named?(name, codec)
      Object.const_defined?(name) && Object.const_get(name).equal?(codec)
    end

    def self.json
      require "json"
      Json
    end

    def self.msgpack
      require "msgpack"
      Msgpack
    rescue LoadError
      raise LoadError, "the codec :msgpack needs the gem msgpack: " \
                       "gem install msgpack"
    end
    private_class_method :named?, :json, :msgpack
  end
end
