# frozen_string_literal: true

# The errors of pools, with what is known of the task and of its worker.

module Gipc
  # What an error of a task knows.
  module TaskFacts
    # The number of the task in its pool.
    # @return [Integer, nil]
    attr_reader :task

    # How often it was sent to a worker.
    # @return [Integer]
    attr_reader :attempt

    # The process ID of its last worker.
    # @return [Integer, nil]
    attr_reader :pid

    # How that worker ended: exit code, signal, and the resources that it used.
    # @return [Process::ExitInfo, nil]
    attr_reader :exit_info

    # The last lines of the standard error of that worker, if the pool has
    # <tt>stderr: :pipe</tt>.
    # @return [Array<String>]
    attr_reader :stderr

    # @return [Symbol] :died, :poison, :silent, :protocol, :not_ready, :timed_out,
    #   :cancelled, :stopped or :gave_up
    attr_reader :why

    # @private
    def know(task: nil, attempt: 0, pid: nil, exit_info: nil, stderr: [], why: nil)
      @task = task
      @attempt = attempt
      @pid = pid
      @exit_info = exit_info
      @stderr = stderr
      @why = why
      self
    end
  end

  # The worker ended, or was stopped by its pool, before it answered the task.
  class WorkerDied < Error
    include TaskFacts
  end

  # The timeout of the task expired, and its worker was ended.
  class TaskTimeout < Timeout
    include TaskFacts
  end

  # The task was cancelled.
  class TaskCancelled < Error
    include TaskFacts
  end

  # The pool is closed.
  class PoolClosed < Closed
    include TaskFacts
  end

  # The pool gave up, because too many workers ended, or could not be started.
  class PoolBroken < Error
    include TaskFacts
  end

  # A task failed in a worker with an exception that this program does not have.
  class RemoteError < Error
    # The name of its class, or of its kind, in the language of the worker.
    # @return [String]
    attr_reader :type

    # @private
    def initialize(type, message)
      super("#{message} (#{type})")
      @type = type
    end
  end
end
