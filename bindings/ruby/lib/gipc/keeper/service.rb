# frozen_string_literal: true

# A service of a keeper, and how its processes are started.

module Gipc
  class Keeper
    # A service, as {Keeper#[]} returns it.
    class Service
      # @return [Symbol]
      attr_reader :name

      # Number of starts after the first one, without those of a reload.
      # @return [Integer]
      attr_reader :restarts

      # @private
      attr_reader :index, :rules, :dump_signal, :last, :reloads, :reload_error, :failure

      # @private
      def initialize(name, index, rules, dump_signal, is_program, launch)
        @name = name
        @index = index
        @rules = rules
        @dump_signal = dump_signal
        @is_program = is_program
        @launch = launch
        @starts = @restarts = @reloads = 0
        @last = {}
      end

      # The process ID of its process.
      # @return [Integer, nil] nil if it has none now
      def pid
        number, pid, = process
        pid unless number.zero? || pid.zero?
      end

      # @return [Symbol] :starting (it is not ready yet), :ready, :silent (it showed no sign
      #   of life, and got the signal for a dump), :stopping or :killed; without a process
      #   :waiting (for its start), :finished, :gave_up, or :stopped (with its keeper)
      def state
        state = Driver::STATES[process.last]
        return state unless state == :off

        @end || (@keeper.stopped? ? :stopped : :waiting)
      end

      # Why its last process that ended was stopped, see {Change}.
      # @return [Symbol] :none if that ended by itself, or none has ended
      def why
        @last.fetch(:why, :none)
      end

      # How its last process ended.
      # @return [Process::ExitInfo, nil]
      def exit_info
        @last[:exit_info]
      end

      # Why its last start failed.
      # @return [StandardError, nil] nil if it did not
      def error
        @last[:error]
      end

      # The last lines of the standard error of its last process that ended, with
      # <tt>stderr: :pipe</tt>.
      # @return [Array<String>]
      def stderr
        @last.fetch(:stderr, [])
      end

      # @private
      def belong_to(keeper, crew)
        @keeper = keeper
        @crew = crew
      end

      # With its process ID and state.
      def inspect
        "#<#{self.class} #{name} #{pid} #{state}>"
      rescue WrongProcess
        "#<#{self.class} #{name} of another process>"
      end

      # Seconds between two signs of life, or nil.
      # @private
      def silence
        silence = @rules["silence"]
        silence if silence&.positive?
      end

      # Whether it is no block.
      # @private
      def program?
        @is_program
      end

      # Whether its processes get a notify socket.
      # @private
      def notifies?
        must_notify? || !silence.nil?
      end

      # Whether a process is ready when it says so, and not when it was started.
      # @private
      def must_notify?
        @rules["notify"] == 1
      end

      # Starts a process.
      #
      # @param address [String, nil] of its notify socket
      # @param reload [Boolean] beside another process of this service
      # @return [Process]
      # @private
      def start(address, reload)
        @restarts += 1 unless reload || @starts.zero?
        @starts += 1
        # Those of this process are for the supervisor of this process.
        environment = {"NOTIFY_SOCKET" => nil, "WATCHDOG_USEC" => nil, "WATCHDOG_PID" => nil}
        environment["NOTIFY_SOCKET"] = address if address
        environment["WATCHDOG_USEC"] = (silence * 1_000_000).round.to_s if silence
        @launch.call(environment)
      end

      # @private
      def ended(facts)
        @last = facts
      end

      # @private
      def finish
        @end = :finished
      end

      # Whether it is ready, or was and is silent, or has finished.
      # @private
      def up?
        %i[ready silent finished].include?(state)
      end

      # @private
      def give_up
        @end = :gave_up
        @failure = GaveUp.new(name, "is given up", @last)
      end

      # @private
      def reloaded(done)
        @reload_error = (ReloadFailed.new(name, "was not reloaded", @last) unless done)
        @reloads += 1
      end

      private

      def process
        Native.keeper_process(@crew, @index)
      end
    end
  end
end
