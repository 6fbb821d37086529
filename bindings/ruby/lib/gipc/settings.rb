# frozen_string_literal: true

# The limits and counters of {Gipc::Handle}.

module Gipc
  # Limits, the transport and counters of a {Handle}.
  module Settings
    # The default of {#limit}: 1 GiB.
    DEFAULT_LIMIT = 1 << 30

    STATS = %i[messages_in messages_out bytes_in bytes_out reads writes
               transport_in transport_out bells_in bells_out stalls_out].freeze
    private_constant :STATS

    # The size of the largest message, in bytes, that this handle gets or puts.
    #
    # @return [Integer] default {DEFAULT_LIMIT}
    def limit
      @limit || DEFAULT_LIMIT
    end

    # Sets the limit.  A message costs memory only as its bytes arrive.
    #
    # @param bytes [Integer]
    # @raise [TypeError] if it is not a number of bytes
    def limit=(bytes)
      Native.set_limit(@native, Options.count(:limit, bytes))
      @limit = bytes
    end

    # Sets how many bytes are read ahead while a put waits; default 64 MiB, 0 turns
    # read-ahead off.  At the limit the peer waits.
    def read_limit=(bytes)
      Native.set_read_limit(@native, Options.count(:read_limit, bytes))
    end

    # Sets the low and high water marks of the write queue: messages are queued while it
    # holds less than +high+ bytes.
    #
    # @param low [Integer] bytes; default 64 KiB
    # @param high [Integer] bytes; default 256 KiB
    # @return [self]
    # @raise [Errno::EINVAL] if low is not below high
    def set_marks(low, high)
      Native.set_marks(@native, Options.count(:low, low), Options.count(:high, high))
      self
    end

    # Sets how the bytes get to the peer, in both directions.  :auto, the default: two
    # handles on one machine that exchange messages change by themselves from the socket
    # to a ring in shared memory, where a put needs no system call; any other peer reads
    # every message from the socket.  :plain: no ring is used, and one in use is left.
    # :ring: a ring is offered with the first message.  {#stats} says which is in use.
    #
    # @param name [:auto, :plain, :ring]
    # @raise [ArgumentError] for another word
    # @raise [Errno::EOPNOTSUPP] if this handle or system has no ring
    # @raise [Errno::EBUSY] if the ring has messages, which must be got first
    def transport=(name)
      Transport.choose(@native, Transport.number(name), inspect)
    end

    # Number of bytes in memory, with headers: received and not yet got, and queued and
    # not yet written.
    #
    # @return [Hash{Symbol => Integer}] :read and :write, for the open directions
    def pending
      directions = {read: readable? && Native::READ, write: writable? && Native::WRITE}
      directions.filter_map { |name, one| [name, Native.pending(@native, one)] if one }.to_h
    end

    # Counters of this handle.
    #
    # @return [Hash{Symbol => Integer, Symbol}] messages_in, messages_out, bytes_in,
    #   bytes_out, reads and writes (system calls); transport_in and transport_out, :ring
    #   while messages go through a ring, or :plain; bells_in, how often a get found the
    #   ring empty; bells_out, how often a put woke the peer; stalls_out, how often a put
    #   found the ring full
    def stats
      stats = Native.handle_stats(@native)
      STATS.to_h { |name| [name, stats.public_send(name)] }.merge(
        transport_in: Transport::IN_USE[stats.transport_in],
        transport_out: Transport::IN_USE[stats.transport_out]
      )
    end
  end
end
