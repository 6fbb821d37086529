# frozen_string_literal: true

# A fair (FIFO) lock for fibers and threads, whose wait can be interrupted or time out.

module Gipc
  # The queue is in ext/gipc/lock.i: no exception leaves the lock acquired, and it works
  # in a trap.
  #
  # @private
  class FairLock
    def initialize
      @tickets = []
    end

    # Whether a fiber or thread has the lock, or waits for it.
    def locked?
      !@tickets.empty?
    end

    # Whether the lock cannot be released while this call lasts, because the code that
    # this call interrupts has it.
    def locked_below?
      Native.is_locked_below(@tickets)
    end

    # Acquires the lock, yields, and releases it.
    #
    # @raise [Timeout] if the lock is not acquired before the deadline
    # @raise [Locked] if this call would wait for itself
    def exclusively(deadline)
      Native.queued(@tickets) do |ticket|
        until @tickets.first.equal?(ticket)
          raise Timeout, "timed out waiting for another fiber or thread that is using this handle" if deadline&.expired?

          Deadline.interruptible(deadline) { Native.await_lock(@tickets, ticket, deadline&.left) }
        end
        yield
      end
    end

    # Yields with the lock, if no fiber or thread has it; otherwise does nothing.
    def if_free
      Native.queued(@tickets) { |ticket| yield if @tickets.first.equal?(ticket) } unless locked?
    end
  end
end
