# frozen_string_literal: true

# The errors of keepers, with what is known of the process of the service.

module Gipc
  # What an error of a service knows.
  module ServiceFacts
    # The name of the service.
    # @return [Symbol]
    attr_reader :service

    # The ID of its process that ended.
    # @return [Integer, nil] nil if it could not be started
    attr_reader :pid

    # How that process ended.
    # @return [Process::ExitInfo, nil]
    attr_reader :exit_info

    # Why it could not be started.
    # @return [StandardError, nil]
    attr_reader :error

    # Why the keeper stopped it: :silent, :not_ready, and others of {Keeper::Change};
    # :none if it ended by itself.
    # @return [Symbol]
    attr_reader :why

    # The last lines of the standard error of that process, if the service has
    # <tt>stderr: :pipe</tt>.
    # @return [Array<String>]
    attr_reader :stderr

    # @private
    def initialize(service, what, facts)
      @service = service
      @pid, @exit_info, @error = facts.values_at(:pid, :exit_info, :error)
      @why = facts.fetch(:why, :none)
      @stderr = facts.fetch(:stderr, [])
      super("service #{service} #{what}: #{ending}")
    end

    private

    def ending
      return "it could not be started: #{error.message}" if error

      reason = {silent: ", as it showed no sign of life", not_ready: ", as it was not ready in time"}[why]
      "process #{pid} #{Member.ending(exit_info)}#{reason}"
    end
  end

  # A service ended more often than its rules allow, or could not be started so often, and
  # its keeper restarts it no more.
  class GaveUp < Error
    include ServiceFacts
  end

  # The new process of a service that was to be reloaded ended before it was ready; the
  # old one runs on.
  class ReloadFailed < Error
    include ServiceFacts
  end
end
