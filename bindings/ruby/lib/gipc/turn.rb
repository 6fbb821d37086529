# frozen_string_literal: true

# Lets fibers and threads do something one after the other, in the order in
# which they came, and give up waiting at any time.

module Gipc
  # @private
  class Turn
    def initialize
      @mutex = Mutex.new
      @owner = nil
      @waiting = []
    end

    def taken?
      !@owner.nil?
    end

    # @raise [Timeout] if the turn does not come before the deadline
    def exclusively(deadline)
      ticket = ConditionVariable.new
      take(ticket, deadline)
      yield
    ensure
      give_up(ticket)
    end

    # Does nothing when somebody has the turn.
    def if_free
      ticket = ConditionVariable.new
      mine = @mutex.synchronize { @owner ? false : @owner = ticket }
      yield if mine
    ensure
      give_up(ticket)
    end

    private

    def take(ticket, deadline)
      @mutex.lock
      @owner ? @waiting << ticket : @owner = ticket
      until @owner.equal?(ticket)
        raise Timeout, "timed out, behind another" if deadline&.over?

        ticket.wait(@mutex, deadline&.left)
      end
    ensure
      # A fiber that is broken off while it waits does not have it (Ruby 3.1).
      @mutex.unlock if @mutex.owned?
    end

    # The turn goes to the next one at once, so that nobody jumps the queue.
    def give_up(ticket)
      @mutex.synchronize do
        if @owner.equal?(ticket)
          @owner = @waiting.shift
          @owner&.signal
        else
          @waiting.delete(ticket)
        end
      end
    end
  end
end
