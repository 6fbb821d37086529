# frozen_string_literal: true

# A timeout that covers a whole call, on the monotonic clock.

module Gipc
  # @private
  class Deadline
    # @param seconds [Numeric, nil] nil: never
    # @return [Deadline, nil]
    def self.after(seconds)
      seconds && new(seconds)
    end

    def initialize(seconds)
      unless seconds.is_a?(Numeric) && seconds >= 0
        raise ArgumentError, "a timeout is a number of seconds, 0 or more, " \
                             "not #{seconds.inspect}"
      end
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
