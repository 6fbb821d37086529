# frozen_string_literal: true

# A timeout that covers a whole call, on the monotonic clock.

module Gipc
  # @private
  class Deadline
    # Longer than a timer of any scheduler or system call: decades.
    LONGEST = 1e9
    private_constant :LONGEST

    # @param seconds [Numeric, nil] nil, negative or infinite: no deadline, as in C
    # @param masked [Boolean] whether the caller defers interrupts, which are to be raised
    #   in its waits
    # @return [Deadline, nil] nil if there is neither
    # @raise [ArgumentError] if it is not a number
    def self.after(seconds, masked: false)
      unless seconds.nil? || number?(seconds)
        raise ArgumentError, "a timeout is a number of seconds, or nil, not #{seconds.inspect}"
      end
      seconds = nil if seconds && (seconds.negative? || seconds > LONGEST)
      new(seconds, masked) if seconds || masked
    end

    def self.number?(seconds)
      seconds.is_a?(Numeric) && seconds.real? && !(seconds.respond_to?(:nan?) && seconds.nan?)
    end
    private_class_method :number?

    # Calls the block, which waits and has done nothing yet, so that deferred interrupts
    # are raised in it.
    def self.interruptible(deadline, &block)
      deadline&.masked? ? Thread.handle_interrupt(Object => :on_blocking, &block) : yield
    end

    def initialize(seconds, masked)
      @at = now + seconds if seconds
      @masked = masked
    end

    def masked?
      @masked
    end

    # Seconds until the deadline, never negative; nil if there is none.
    def left
      [@at - now, 0].max if @at
    end

    def expired?
      !@at.nil? && now >= @at
    end

    private

    def now
      ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
    end
  end
end
