# frozen_string_literal: true

# Lets fibers and threads do something one after the other, in the order in
# which they came, and give up waiting at any time.

module Gipc
  # What it consists of is in ext/gipc/lock.i: no exception leaves it locked, and
  # it works in a trap.
  #
  # @private
  class FairLock
    def initialize
      @tickets = []
    end

    # Whether somebody has it, or waits for it.
    def locked?
      !@tickets.empty?
    end

    # Whether it cannot come while this call lasts, as what this one interrupts has it.
    def locked_below?
      Native.is_locked_below(@tickets)
    end

    # @raise [Timeout] if it does not come before the deadline
    # @raise [Locked] instead of waiting for itself
    def exclusively(deadline)
      Native.queued(@tickets) do |ticket|
        until @tickets.first.equal?(ticket)
          raise Timeout, "timed out, behind another" if deadline&.over?

          Deadline.interruptible(deadline) { Native.await_lock(@tickets, ticket, deadline&.left) }
        end
        yield
      end
    end

    # Does nothing when somebody has it.
    def if_free
      Native.queued(@tickets) { |ticket| yield if @tickets.first.equal?(ticket) } unless locked?
    end
  end
end
