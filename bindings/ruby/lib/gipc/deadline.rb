# frozen_string_literal: true

# A timeout that covers a whole call, on the monotonic clock.

module Gipc
  # @private
  class Deadline
    # Longer than a timer of any scheduler or system call: decades.
    LONGEST = 1e9
    private_constant :LONGEST

    # @param seconds [Numeric, nil] nil, negative or infinite: never, as in C
    # @return [Deadline, nil]
    # @raise [ArgumentError] if it is not a number
    def self.after(seconds)
      return if seconds.nil?

      unless seconds.is_a?(Numeric) && seconds.real? && !(seconds.respond_to?(:nan?) && seconds.nan?)
        raise ArgumentError, "a timeout is a number of seconds, or nil, not #{seconds.inspect}"
      end
      new(seconds) unless seconds.negative? || seconds > LONGEST
    end

    def initialize(seconds)
      @at = now + seconds
    end

    # Seconds, never negative.
    def left
      [@at - now, 0].max
    end

    def over?
      now >= @at
    end

    private

    def now
      ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
    end
  end
end
