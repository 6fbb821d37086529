# frozen_string_literal: true

# A descriptor of the library, to wait for in Ruby's own way: other fibers run
# where there is a scheduler, and other threads in any case.

module Gipc
  # @private
  class Descriptor
    # @param event [:wait_readable, :wait_writable]
    def initialize(event)
      @event = event
      @turn = Turn.new
      @io = nil
    end

    # Whether somebody waits here, or goes on after a wait.
    def taken?
      @turn.taken?
    end

    def exclusively(deadline, &block)
      @turn.exclusively(deadline, &block)
    end

    def if_free(&block)
      @turn.if_free(&block)
    end

    # One object for one descriptor, as schedulers and selectors know it by that.
    # It does not own the descriptor.
    def io(fd)
      @io ||= IO.for_fd(fd, @event == :wait_readable ? "rb" : "wb", autoclose: false)
    end

    # @raise [Timeout] at the deadline
    def wait(fd, deadline)
      check(io(fd).public_send(@event, deadline&.left), deadline)
    end

    # Until this one is writable, or the other one readable.
    #
    # @param other [Integer]
    # @raise [Timeout] at the deadline
    def wait_either(fd, other, deadline)
      # A scheduler knows one event of one object.
      IO.open(Native.either_fd(other, fd), "rb") do |either|
        check(either.wait_readable(deadline&.left), deadline)
      end
    end

    # Before the descriptor is closed, whose number may come back as another one.
    def forget
      @io&.close
      @io = nil
    end

    private

    def check(ready, deadline)
      return if ready

      # Timers may be early by a little.
      raise Timeout, "timed out" if deadline && deadline.left < 0.001

      # A scheduler may end a wait for a timeout around it, and tell it so.
      raise defined?(::Async::TimeoutError) ? ::Async::TimeoutError : Timeout,
            "timed out"
    end
  end
end
