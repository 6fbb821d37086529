# frozen_string_literal: true

# Waiting for a descriptor of the library with Ruby's IO: other fibers run if there is a
# scheduler, and other threads in any case.

module Gipc
  # The caller of a wait has the lock.
  #
  # @private
  class Descriptor < FairLock
    # @param event [:wait_readable, :wait_writable]
    def initialize(event)
      super()
      @event = event
      @io = nil
    end

    # One IO object for each descriptor, because schedulers and selectors identify
    # descriptors by their IO objects.  It does not own the descriptor.
    def io(fd)
      @io ||= IO.for_fd(fd, @event == :wait_readable ? "rb" : "wb", autoclose: false)
    end

    # @raise [Timeout] at the deadline
    def wait(fd, deadline)
      wait_for(io(fd), @event, deadline)
    end

    # Waits until this descriptor is writable, or the other one is readable.
    #
    # @param other [Integer]
    # @raise [Timeout] at the deadline
    def wait_either(fd, other, deadline)
      Descriptor.wait_any([other], [fd], deadline)
    end

    # Waits until one of the first descriptors is readable, or one of the second writable.
    #
    # @param readable [Array<Integer>]
    # @param writable [Array<Integer>]
    # @raise [Timeout] at the deadline
    def self.wait_any(readable, writable, deadline)
      # A scheduler knows one event of one object.
      all = Native.polled_together(readable, writable)
      IO.open(all, "rb") { |io| new(:wait_readable).wait_for(io, :wait_readable, deadline) }
    end

    # Those of open files, which may be numbers.
    #
    # @param ios [Array<IO, Integer>]
    # @return [Array<Integer>]
    def self.numbers(ios)
      ios.map { |io| io.is_a?(Integer) ? io : io.to_io.fileno }
    end

    # Call this before the descriptor is closed: its number may be reused for another file.
    def forget
      @io&.close
      @io = nil
    end

    # @raise [Timeout] at the deadline
    def wait_for(io, event, deadline)
      until Deadline.interruptible(deadline) { io.public_send(event, deadline&.left) }
        # Timers may be early by a little.
        raise Timeout, "timed out" if deadline&.left&.<(0.001)

        raise_timeout_of(Fiber.current_scheduler)
      end
    end

    private

    # Async 1 ends a wait when an enclosing timeout expires, without raising the exception
    # of that timeout.  Without a scheduler, this does nothing.
    def raise_timeout_of(scheduler)
      name = scheduler.class.name.to_s[/.+(?=::)/] or return
      library = Object.const_get(name)
      raise library.const_get(:TimeoutError), "timed out" if library.const_defined?(:TimeoutError, false)
    end
  end
end
