# frozen_string_literal: true

# The errors of tasks that were not answered.

module Gipc
  class Pool
    # @private
    module Outcome
      REASONS = %i[none done failed died poison timed_out cancelled silent not_ready protocol
                   retired idle reload group stopped gave_up].freeze

      class << self
        # @param facts [Hash] see {TaskFacts#know}
        def error(why, facts)
          reason = REASONS[why]
          kind, text = describe(reason, facts)
          kind.new(text).know(**facts, why: reason)
        end

        # @return [String] of an ExitInfo
        def ending(info)
          return "could not be started" unless info
          return "ended with signal #{signal_name(info.signal)}" if info.signal

          info.code ? "ended with code #{info.code}" : "ended, status lost"
        end

        private

        def describe(reason, facts)
          task = "task #{facts[:task]}"
          worker = "its worker #{facts[:pid]} #{ending(facts[:exit_info])}"
          case reason
          when :timed_out then [TaskTimeout, "#{task} timed out (attempt #{facts[:attempt]}): #{worker}"]
          when :cancelled then [TaskCancelled, "#{task} was cancelled"]
          when :stopped then [PoolClosed, "#{task} was not done: the pool is closed"]
          when :gave_up then [PoolBroken, "#{task} was not done: the pool gave up, as a worker #{ending(facts[:exit_info])}"]
          else [WorkerDied, "#{task} was not done (attempt #{facts[:attempt]}): #{worker}#{because(reason)}"]
          end
        end

        def because(reason)
          case reason
          when :poison then ", and the task had ended others before: it is given up"
          when :silent then ", as it showed no sign of life"
          when :protocol then ", as it sent what it must not send"
          else ""
          end
        end

        def signal_name(number)
          Signal.signame(number) || number
        end
      end
    end
    private_constant :Outcome
  end
end
