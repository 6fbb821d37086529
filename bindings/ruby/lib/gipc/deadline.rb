# frozen_string_literal: true

# A timeout that covers a whole call, on the monotonic clock.

module Gipc
  # @private
  class Deadline
    # Longer than a timer of any scheduler or system call: decades.
    LONGEST = 1e9
    private_constant :LONGEST

    # @param seconds [Numeric, nil] nil, negative or infinite: never, as in C
    # @param masked [Boolean] whether the caller holds interrupts back, which are to
    #   strike while it waits
    # @return [Deadline, nil] nil: there is nothing to know
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

    # Lets interrupts strike in the block, which waits and has done nothing, where
    # they are held back.
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

    # Seconds, never negative; nil: there is no end.
    def left
      [@at - now, 0].max if @at
    end

    def over?
      !@at.nil? && now >= @at
    end

    private

    def now
      ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
    end
  end
end
