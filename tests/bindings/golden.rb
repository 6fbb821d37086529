# frozen_string_literal: true

# The values of golden.json, as Ruby has them.

require "json"

module Golden
  TABLE = JSON.parse(File.read("#{__dir__}/golden.json"), max_nesting: false)

  def self.value((kind, content))
    case kind
    when "nil" then nil
    when "bool", "str" then content
    when "int" then Integer(content)
    when "float" then [content].pack("H*").unpack1("G")
    when "bin" then [content].pack("H*")
    when "list" then content.map { |item| value(item) }
    when "map" then content.to_h { |pair| pair.map { |item| value(item) } }
    end
  end

  # A value with its bytes in each codec: nil where that cannot carry it.
  class Entry
    FAMILIES = {"lua5.4" => %w[lua], "lua5.3" => %w[lua],
                "lua5.1" => %w[lua51 lua], "luajit" => %w[lua51 lua]}.freeze

    attr_reader :name, :value, :bytes

    def initialize(entry)
      @entry = entry
      @name = entry["name"]
      @value = Golden.value(entry["value"])
      @bytes = %w[msgpack json].to_h { |codec| [codec, in_codec(codec, entry)] }
    end

    # What may come back from a language: the bytes, and others where it has
    # fewer kinds of values; nil if it may refuse.
    def back_from(language, codec)
      family = FAMILIES.fetch(language, []).find { |key| @entry[key]&.key?(codec) }
      family ? [bytes[codec], in_codec(codec, @entry[family])] : [bytes[codec]]
    end

    private

    def in_codec(codec, entry)
      text = entry[codec]
      codec == "msgpack" && text ? [text].pack("H*") : text
    end
  end

  ENTRIES = TABLE["values"].map { |entry| Entry.new(entry) }

  # Whether a is b in all that another language could see.
  def self.same?(a, b)
    return false unless a.instance_of?(b.class)

    case a
    when Float then a.nan? && b.nan? || [a].pack("G") == [b].pack("G")
    when String then a.b == b.b && binary?(a) == binary?(b)
    when Array then a.size == b.size && a.zip(b).all? { |pair| same?(*pair) }
    when Hash then same?(a.to_a, b.to_a)
    else a == b
    end
  end

  def self.binary?(string)
    string.encoding == Encoding::BINARY
  end
end
