# frozen_string_literal: true

# The errors of tasks that were not answered.

module Gipc
  class Pool
    # @private
    module Outcome
      class << self
        # @param facts [Hash] see {TaskFacts#know}
        def error(why, facts)
          reason = Driver::REASONS[why]
          kind, text = describe(reason, facts)
          kind.new(text).know(**facts.except(:error), why: reason)
        end

        private

        def describe(reason, facts)
          task = facts[:task] ? "task #{facts[:task]}" : "the task"
          worker = "its worker #{facts[:pid]} #{Member.ending(facts[:exit_info])}"
          case reason
          when :timed_out then [TaskTimeout, "#{task} timed out (attempt #{facts[:attempt]}): #{worker}"]
          when :cancelled then [TaskCancelled, "#{task} was cancelled"]
          when :stopped then [PoolClosed, "#{task} was not done: the pool is closed"]
          when :gave_up then [PoolBroken, "#{task} was not done: the pool gave up, as #{cause(facts)}"]
          else [WorkerDied, "#{task} was not done (attempt #{facts[:attempt]}): #{worker}#{because(reason)}"]
          end
        end

        def cause(facts)
          return "a worker could not be started: #{facts[:error].message}" if facts[:error]

          "a worker #{Member.ending(facts[:exit_info])}"
        end

        def because(reason)
          case reason
          when :poison then ", and the task had ended others before: it is given up"
          when :silent then ", as it showed no sign of life"
          when :protocol then ", as it sent what it must not send"
          else ""
          end
        end
      end
    end
    private_constant :Outcome
  end
end
