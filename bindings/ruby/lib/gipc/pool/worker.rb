# frozen_string_literal: true

# The worker's side of a pool: get a task, do it, put the answer.

module Gipc
  # @private
  class Worker
    class << self
      # The worker that this process is, or nil.
      attr_reader :current

      # Serves until the pool closes its end.
      #
      # @param heartbeat [Numeric, nil] seconds between two signs of life while it has no
      #   task
      def serve(handle, codec, prepare, heartbeat, &work)
        @current = new(handle, codec, heartbeat, work)
        @current.run(prepare)
      ensure
        @current = nil
      end

      # On this signal, prints the stacks of all threads on standard error.
      def dump_on(signal)
        trap(signal) do
          Thread.list.each { |thread| warn(thread.inspect, *thread.backtrace) }
        end
      end
    end

    # @param handle [Handle] raw
    def initialize(handle, codec, heartbeat, work)
      @heartbeat = heartbeat
      @handle = handle
      @codec = codec
      @work = work
    end

    def run(prepare)
      prepare&.call
      put(Native::READY_MESSAGE)
      while true
        answer(*Native.worker_task(take))
      end
    rescue EOFError, Errno::EPIPE, Errno::ECONNRESET
      nil # the pool has ended, or has stopped this worker
    ensure
      @handle.abort_unless_locked unless @handle.closed?
    end

    # A sign of life.
    def alive
      put(Native::ALIVE_MESSAGE)
    end

    private

    # The next message of the pool.
    def take
      @handle.get(timeout: @heartbeat)
    rescue Timeout
      alive
      retry
    end

    def answer(task, data)
      answer = begin
        done(task, data)
      rescue SystemExit, SignalException
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException
        Failure.encode(task, e, @codec)
      end
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
