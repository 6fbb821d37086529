# frozen_string_literal: true

# The thread of a pool or a keeper: carries out what the policy decides, and reports what
# happens.

module Gipc
  # What waits for processes waits in this thread, so that it does not depend on the loop
  # of the caller, and a caller may be in any thread and any scheduler.
  #
  # @private
  class Driver
    # In the order of gipc_why.
    REASONS = %i[none done failed died poison timed_out cancelled silent not_ready protocol
                 retired idle reload group stopped gave_up].freeze
    # In the order of gipc_worker_state.
    STATES = %i[off starting ready silent stopping killed].freeze

    def initialize(crew)
      @crew = crew
      @members = {}
      @stopped = @released = false
      @condition = Condition.new
    end

    def start
      thread = Thread.new { run }
      thread.name = "gipc #{self.class.name[/(\w+)::Driver/, 1].downcase}"
      thread.report_on_exception = false
      self
    end

    # Waits until no process, no task and no descriptor of it is left.
    def await_stop(deadline)
      @condition.wait_until(deadline) { @released }
    end

    def stopped?
      @stopped
    end

    private

    def run
      until @stopped
        carry_out_all
        wait unless @stopped
      end
    rescue Exception => e # rubocop:disable Lint/RescueException
      # It is not expected: nobody waits forever.
      @members.each_value { |member| member.signal(:KILL) }
      abandon(e)
      raise
    ensure
      @stopped = true
      Native.crew_end(@crew)
      @released = true
      @condition.notify
    end

    def carry_out_all
      while (action = Native.crew_next(@crew))
        carry_out(*action)
      end
    end

    # Reports those that are ready before a time, on the monotonic clock.
    def wait(most = Float::INFINITY)
      Native.crew_wait(@crew, most).each { |worker, directions| look(worker, directions) }
    end

    # The number of the error for the policy.
    def start_failed(worker, error)
      code = error.is_a?(SystemCallError) ? error.errno : Errno::ECANCELED::Errno
      Native.crew_start_failed(@crew, worker, code)
    end
  end
end
