# frozen_string_literal: true

# The error classes.  Other errors are EOFError at the end of a stream, and Errno::*.

module Gipc
  # All errors of this library.
  class Error < StandardError; end

  # The handle, or its direction, is closed.
  class Closed < Error; end

  # Another fiber or thread is using the handle; or this one is, and was interrupted by
  # a trap or a hook.
  class Locked < Error; end

  # The timeout expired.
  class Timeout < Error
    # Whether a put was cancelled before any byte of the message was written.  If not,
    # the remaining bytes are queued and written first: do not put the message again.
    # @return [Boolean] true also for other operations
    def withdrawn?
      accepted.zero?
    end

    # The opposite of {#withdrawn?}, for a put: the name in 0.1.
    def in_progress?
      @in_progress || false
    end

    # Number of messages that were written or queued, counted from the first one: any
    # number for put_many, 0 or 1 for put.  Do not put these again.
    # @return [Integer]
    def accepted
      @accepted || (in_progress? ? 1 : 0)
    end

    # @private
    attr_writer :accepted
  end

  # The handle or process belongs to another process.
  class WrongProcess < Error; end

  # The stream ended inside a message.
  class Truncated < Error; end

  # The peer sent data that is not a valid frame.
  class Protocol < Error; end

  # The message exceeds the limit of the handle.
  class TooBig < Error; end

  # A put on a reader, or a get on a writer.
  class WrongDirection < Error; end

  # The process has ended already.
  class Dead < Error; end

  # The process has ended, other code in this program reaped it, and the kernel does not
  # keep the status.
  class StatusLost < Error; end

  # The variable GIPC_HANDLES is malformed, or its descriptors were
  # replaced.
  class BadHandles < Error; end

  # In the order of their numbers.
  Native.set_error_classes(
    [EOFError, Truncated, Protocol, TooBig, Closed, Locked, WrongProcess,
     WrongDirection, Dead, StatusLost, BadHandles].freeze
  )
end
