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

    # Until this one is writable, or the other one readable, which may be the same
    # file.
    #
    # @param other [IO]
    # @raise [Timeout] at the deadline
    def wait_either(fd, other, deadline)
      mine = io(fd)
      left = deadline&.left
      ready = if one_file?(mine, other)
                mine.wait(IO::READABLE | IO::WRITABLE, left)
              else
                select(other, mine, left)
              end
      check(ready, deadline)
    end

    # Before the descriptor is closed, whose number may come back as another one.
    def forget
      @io&.close
      @io = nil
    end

    private

    def one_file?(mine, other)
      mine, other = [mine, other].map(&:stat)
      [mine.dev, mine.ino] == [other.dev, other.ino]
    end

    # A scheduler need not know select; then a thread of its own does.
    def select(readable, writable, left)
      scheduler = Fiber.current_scheduler
      return IO.select([readable], [writable], nil, left) if scheduler.nil?

      begin
        thread = Thread.new { IO.select([readable], [writable], nil, left) }
        thread.value
      ensure
        thread&.kill
      end
    end

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
