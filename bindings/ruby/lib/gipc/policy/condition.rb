# frozen_string_literal: true

# A condition variable for fibers and threads, which needs no mutex and works in a trap.

module Gipc
  # @private
  class Condition
    def initialize
      @tickets = []
      @owner = ::Process.pid
    end

    # Waits until the block returns true; it is called after each {#notify}.
    #
    # @raise [Timeout] at the deadline
    # @raise [WrongProcess] in a fork, in which no thread notifies
    def wait_until(deadline)
      until yield
        raise WrongProcess, "this belongs to process #{@owner}, not to this one" if ::Process.pid != @owner

        # The ticket is there before the check, so that no notice is missed.
        Native.waiting(@tickets) do |ticket|
          break if yield
          raise Timeout, "timed out" if deadline&.expired?

          Native.await_notice(@tickets, ticket, deadline&.left)
        end
      end
    end

    # Wakes all that wait.
    def notify
      Native.notify_all(@tickets)
    end
  end
end
