# frozen_string_literal: true

# The error of a keeper that gave up a service.

module Gipc
  # A service ended more often than its rules allow, or could not be started so often, and
  # its keeper restarts it no more.
  class GaveUp < Error
    # The name of the service.
    # @return [Symbol]
    attr_reader :service

    # The process ID of its last process.
    # @return [Integer, nil] nil if it could not be started
    attr_reader :pid

    # How that process ended.
    # @return [Process::ExitInfo, nil]
    attr_reader :exit_info

    # Why its last start failed.
    # @return [StandardError, nil]
    attr_reader :error

    # Why the keeper stopped it: :silent or :not_ready; :none if it ended by itself.
    # @return [Symbol]
    attr_reader :why

    # The last lines of the standard error of that process, if the service has
    # <tt>stderr: :pipe</tt>.
    # @return [Array<String>]
    attr_reader :stderr

    # @private
    def initialize(service, why: :none, pid: nil, exit_info: nil, error: nil, stderr: [])
      last = if error then "it could not be started: #{error.message}"
             else "process #{pid} #{Member.ending(exit_info)}#{REASONS[why]}"
             end
      super("service #{service} is given up: #{last}")
      @service = service
      @why = why
      @pid = pid
      @exit_info = exit_info
      @error = error
      @stderr = stderr
    end

    REASONS = {silent: ", as it showed no sign of life", not_ready: ", as it was not ready in time"}.freeze
    private_constant :REASONS
  end
end
