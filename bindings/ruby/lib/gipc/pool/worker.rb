# frozen_string_literal: true

# The worker's side of a pool: get a task, do it, put the answer.

module Gipc
  # @private
  class Worker
    class << self
      # The worker that this process is, or nil.
      def current
        @current if @current&.pid == ::Process.pid
      end

      # Serves until the pool closes its end.
      def serve(handle, codec, prepare, &work)
        @current = new(handle, codec, work)
        @current.run(prepare)
      ensure
        @current = nil
      end
    end

    attr_reader :pid

    # @param handle [Handle] raw
    def initialize(handle, codec, work)
      @pid = ::Process.pid
      @handle = handle
      @codec = codec
      @work = work
    end

    def run(prepare)
      prepare&.call
      put(Native::READY_MESSAGE)
      while true
        answer(*Native.worker_task(@handle.get))
      end
    rescue EOFError, Errno::EPIPE, Errno::ECONNRESET
      nil # the pool has ended, or has stopped this worker
    ensure
      @handle.abort_unless_locked unless @handle.closed?
    end

    # The descriptors of the task.
    def take_fds
      @handle.take_fds
    end

    # A sign of life.
    def alive
      put(Native::ALIVE_MESSAGE)
    end

    private

    def answer(task, data)
      answer = begin
        done(task, data)
      rescue SystemExit, SignalException
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException
        Failure.encode(task, e, @codec)
      end
      Native.close_fds(@handle.native) # the next task may be long in coming
      @handle.put(answer)
    rescue TooBig => e
      @handle.put(Failure.encode(task, e, @codec))
    end

    def done(task, data)
      result = @work.call(@codec.load(data))
      message(Native::DONE_MESSAGE, task, Codec.encode(@codec, result))
    end

    def put(kind)
      @handle.put(message(kind, 0, ""))
    end

    def message(kind, task, data)
      Native.worker_message(kind, task, data, "", "", "")
    end
  end
end
