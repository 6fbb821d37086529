# frozen_string_literal: true

# A descriptor of the library, to wait for in Ruby's own way: other fibers run
# where there is a scheduler, and other threads in any case.

module Gipc
  # Who waits for it has its lock.
  #
  # @private
  class Descriptor < FairLock
    # @param event [:wait_readable, :wait_writable]
    def initialize(event)
      super()
      @event = event
      @io = nil
    end

    # One object for one descriptor, as schedulers and selectors know it by that.
    # It does not own the descriptor.
    def io(fd)
      @io ||= IO.for_fd(fd, @event == :wait_readable ? "rb" : "wb", autoclose: false)
    end

    # @raise [Timeout] at the deadline
    def wait(fd, deadline)
      wait_for(io(fd), @event, deadline)
    end

    # Until this one is writable, or the other one readable.
    #
    # @param other [Integer]
    # @raise [Timeout] at the deadline
    def wait_either(fd, other, deadline)
      Descriptor.wait_any([other], [fd], deadline)
    end

    # Until one of these is readable, or one of those writable.
    #
    # @param readable [Array<Integer>]
    # @param writable [Array<Integer>]
    # @raise [Timeout] at the deadline
    def self.wait_any(readable, writable, deadline)
      # A scheduler knows one event of one object.
      all = Native.polled_together(readable, writable)
      IO.open(all, "rb") { |io| new(:wait_readable).wait_for(io, :wait_readable, deadline) }
    end

    # Before the descriptor is closed, whose number may come back as another one.
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

    # Async 1 ends a wait for a timeout around it, and does not raise the exception
    # of that.  Without a scheduler, nothing has happened.
    def raise_timeout_of(scheduler)
      name = scheduler.class.name.to_s[/.+(?=::)/] or return
      library = Object.const_get(name)
      raise library.const_get(:TimeoutError), "timed out" if library.const_defined?(:TimeoutError, false)
    end
  end
end
