# frozen_string_literal: true

# What the parent and the child of the matrix have in common, in Ruby.

require "zlib"

module Peer
  MESSAGES = 10_000
  LARGEST = 1 << 17

  # The same numbers in every language: no product reaches 2^53.
  class Numbers
    def initialize(seed)
      @state = seed
    end

    def below(limit)
      @state = @state * 16_807 % 2_147_483_647
      @state % limit
    end
  end

  # Over the messages and their sizes.
  class Checksum
    def initialize
      @sum = 1
      @total = 0
    end

    def add(message)
      @sum = Zlib.adler32(message, Zlib.adler32("#{message.bytesize}:", @sum))
      @total += message.bytesize
    end

    def to_s
      format("%d messages, %d bytes, %08x", MESSAGES, @total, @sum)
    end
  end

  # Puts messages of mixed sizes, then one with their checksum.
  def self.put_stream(handle, seed:)
    numbers = Numbers.new(seed)
    block = Array.new(2 * LARGEST) { numbers.below(256) }.pack("C*")
    checksum = Checksum.new
    MESSAGES.times do
      offset = numbers.below(LARGEST)
      bits = [numbers.below(18), numbers.below(18)].min
      message = block.byteslice(offset, numbers.below(1 << bits))
      handle.put(message)
      checksum.add(message)
    end
    handle.put(checksum.to_s)
  end

  def self.get_stream(handle)
    checksum = Checksum.new
    MESSAGES.times { checksum.add(handle.get) }
    expected = handle.get
    raise "got #{checksum}; the peer put #{expected}" unless expected == checksum.to_s
  end
end
