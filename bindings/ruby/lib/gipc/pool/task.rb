# frozen_string_literal: true

# A task of a pool, and what becomes of it.

module Gipc
  class Pool
    # A task that {Pool#submit} returned.  Any number of fibers and threads may wait for
    # it.
    class Task
      # What was submitted.
      attr_reader :job

      # The number of the task in its pool, which the errors of the task have, too.
      # @return [Integer, nil] nil until it is queued
      attr_reader :number

      # @private
      attr_reader :data, :fds

      # @private
      attr_writer :number

      # @private
      def initialize(crew, job, codec, condition, numbers)
        @crew = crew
        @job = job
        @codec = codec
        @condition = condition
        @data = Codec.encode(codec, job)
        @numbers = numbers
        @outcome = @answer = @fds = nil
      end

      # Whether it has finished: with a result, or with an error.
      def done?
        !@outcome.nil?
      end

      # Waits until it has finished.  The end of this wait does not cancel the task.
      #
      # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely
      # @return [self]
      # @raise [Timeout] if it is not done yet
      def wait(timeout: nil)
        deadline = Deadline.after(timeout)
        @condition.wait_until(deadline) { done? }
        self
      end

      # Waits for the result.  An exception of the task is raised as itself: its backtrace
      # is that in the worker, followed by that of this call.
      #
      # @param timeout (see #wait)
      # @return [Object]
      # @raise [Timeout] if it is not done yet
      # @raise [WorkerDied, TaskTimeout, TaskCancelled, PoolClosed, PoolBroken, RemoteError]
      # @raise [Exception] of the task
      def value(timeout: nil)
        wait(timeout: timeout)
        failure = error
        return @codec.load(@outcome) unless failure

        @trace ||= failure.backtrace || []
        failure.set_backtrace(@trace + caller)
        raise failure
      end

      # @return [Exception, nil] nil also if it is not done yet
      def error
        @outcome unless @outcome.is_a?(String)
      end

      # Cancels the task.  One that runs ends with its worker, which gets SIGTERM, and
      # after the grace period SIGKILL; then the task is done.
      #
      # @return [Boolean] false if it has finished already
      def cancel
        !done? && Native.crew_cancel(@crew, @number)
      end

      # With its number and state.
      def inspect
        state = if !done? then "not done"
                else error ? error.class : "done"
                end
        "#<#{self.class} #{number} #{state}>"
      end

      # Duplicates the descriptors.
      # @private
      def keep_fds
        @fds = Native.fds_new(@numbers) if @numbers&.any?
      end

      # @private
      def close_fds
        Native.fds_free(@fds) if @fds
        @fds = nil
      end

      # An answer counts when the policy has accepted it: {#finish}.
      # @private
      def answer=(parts)
        @answer = parts
      end

      # @private
      def finish(why, facts)
        @outcome = outcome(why, facts)
        @answer = @data = nil
        close_fds
        @condition.notify
      end

      private

      def outcome(why, facts)
        case why
        when Native::WHY_DONE then @answer.first
        when Native::WHY_FAILED then @answer.is_a?(Array) ? Failure.decode(*@answer, @codec) : @answer
        else Outcome.error(why, facts)
        end
      end
    end
  end
end
