# frozen_string_literal: true

# What goes wrong.  Beside these: EOFError at the end of a stream, and Errno::*.

module Gipc
  # All errors of this library.
  class Error < StandardError; end

  # The handle, or its direction, is closed.
  class Closed < Error; end

  # Another fiber or thread is using it; or this one is, below a trap or a hook.
  class Locked < Error; end

  # The time is over.
  class Timeout < Error
    # Whether a part of the message had left when a put timed out: the rest is
    # queued and leaves before anything else, so do not put it again.  Otherwise
    # the message is withdrawn.
    def in_progress?
      @in_progress || false
    end

    # How many messages are sent or queued, from the first one on: of a put_many any
    # number, of a put in progress 1, else 0.  Do not put these again.
    # @return [Integer]
    def accepted
      @accepted || (in_progress? ? 1 : 0)
    end

    # @private
    attr_writer :accepted
  end

  # It belongs to another process.
  class WrongProcess < Error; end

  # The stream ended inside a message.
  class Truncated < Error; end

  # The peer broke the format.
  class Protocol < Error; end

  # The message is over the limit of the handle.
  class TooBig < Error; end

  # A put on a reader, or a get on a writer.
  class WrongDirection < Error; end

  # The process has ended already.
  class Dead < Error; end

  # The process has ended, and something else in this program took its status
  # where the kernel does not keep it.
  class StatusLost < Error; end

  # The variable GIPC_HANDLES is malformed, or means other descriptors.
  class BadHandles < Error; end

  # In the order of their numbers.
  Native.set_error_classes(
    [EOFError, Truncated, Protocol, TooBig, Closed, Locked, WrongProcess,
     WrongDirection, Dead, StatusLost, BadHandles].freeze
  )
end
