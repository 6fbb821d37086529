# frozen_string_literal: true

# The thread of a pool: workers, messages and tasks.

module Gipc
  class Pool
    # @private
    class Driver < Gipc::Driver
      # Messages of one worker that are read before others are looked at.
      BATCH = 32
      # The same of one that has ended, as another process may still write to its stream.
      REMAINDER = 1_000_000
      # A process has so many seconds to end after the end of its stream.
      LEAVING = 1
      POLITE = [Native::WHY_RETIRED, Native::WHY_IDLE, Native::WHY_STOPPED, Native::WHY_GAVE_UP].freeze
      private_constant :BATCH, :REMAINDER, :LEAVING, :POLITE

      # How often room was made in the queue.
      attr_reader :drains

      def initialize(crew, tasks, starter, measure)
        super(crew)
        @tasks = tasks
        @starter = starter
        @measure = measure
        @leaving = {}
        @ended = {}
        @last = {}
        @drains = 0
      end

      # Waits until there is room in the queue, or the pool has stopped.
      def await_room(seen)
        @condition.wait_until(nil) { @drains != seen || @stopped }
      end

      # The error of tasks after the pool gave up.
      # @return [PoolBroken, nil]
      def broken
        Outcome.error(Native::WHY_GAVE_UP, @broken) if @broken
      end

      private

      def carry_out_all
        super
        @ended.clear
      end

      def wait
        time = @leaving.each_value.min || Float::INFINITY
        super(time)
        stop_leaving(time) unless @leaving.empty?
      end

      def carry_out(kind, why, worker, task, attempt, _service)
        case kind
        when Native::ACTION_SEND then send_task(worker, task, attempt)
        when Native::ACTION_FINISH then finish(worker, task, why, attempt)
        when Native::ACTION_START then start_worker(worker)
        when Native::ACTION_STOP then stop_worker(worker, why, task)
        when Native::ACTION_KILL then @members[worker]&.signal(:KILL)
        when Native::ACTION_DUMP then dump(worker)
        when Native::ACTION_DRAINED then notify_room
        when Native::ACTION_GAVE_UP then @broken = @last
        when Native::ACTION_STOPPED then @stopped = true
        end
      end

      # ---- Workers

      def start_worker(worker)
        handle, process = @starter.start
        member = Member.new(handle, process)
        @members[worker] = member
        Native.crew_started(@crew, worker, *member.native)
      rescue StandardError => e
        @last = {error: e}
        start_failed(worker, e)
      end

      # One that has no task, and did nothing wrong, ends at the end of its stream.
      def stop_worker(worker, why, task)
        member = @members[worker] or return
        return member.finish_stream if task.zero? && POLITE.include?(why)

        member.terminate
      end

      def dump(worker)
        @members[worker]&.signal(@starter.dump_signal) if @starter.dump_signal
      end

      def look(worker, directions)
        member = @members[worker] or return
        return ended(worker, member) if directions.zero?

        flush(member) if directions.anybits?(Native::WRITE)
        return unless directions.anybits?(Native::READ)
        return unless receive(worker, member, BATCH) == false

        @leaving[worker] = now + LEAVING
      end

      # The stream of a process that ends may end a little before it.
      def stop_leaving(time)
        return if now < time

        @leaving.reject! { |worker, at| at <= now && (Native.crew_misbehaved(@crew, worker) || true) }
      end

      def now
        ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
      end

      def ended(worker, member)
        receive(worker, member, REMAINDER)
        Native.crew_ended(@crew, worker, member.native.last)
        @members.delete(worker)
        @leaving.delete(worker)
        member.close
        @last = @ended[worker] = member.facts
      end

      # ---- Messages

      def send_task(worker, number, attempt)
        member = @members[worker] or return
        task = @tasks.fetch(number)
        return send_fds(worker, number, attempt) if task.fds

        Native.crew_send(@crew, worker, member.native.first, number, attempt, task.data)
      rescue Error, SystemCallError
        Native.crew_misbehaved(@crew, worker)
      end

      # The same for a task with descriptors.  If they cannot be sent, it has failed.
      def send_fds(worker, number, attempt)
        member = @members[worker]
        task = @tasks[number]
        error = Native.crew_send_fds(@crew, worker, member.native.first, number, attempt, task.data, task.fds)
        task.answer = SystemCallError.new("the worker cannot be sent descriptors", error) if error.is_a?(Integer)
      end

      def flush(member)
        Native.crew_flush(@crew, member.native.first)
      end

      # @return [Boolean, nil] false: there are no more messages
      def receive(worker, member, most)
        most.times do
          answer = Native.crew_receive(@crew, worker, member.native.first)
          return answer unless answer
          next unless answer.is_a?(Array)

          _, number, *parts = answer
          @tasks[number]&.answer = parts
          report_memory(worker, member) if @measure
        end
        nil
      rescue Closed
        nil # its end was read before
      end

      def report_memory(worker, member)
        bytes = Member.memory(member.process.pid)
        Native.crew_memory(@crew, worker, bytes) if bytes
      end

      # ---- Tasks

      def finish(worker, number, why, attempt)
        facts = why == Native::WHY_GAVE_UP ? @broken || @last : @ended.fetch(worker, {})
        @tasks.delete(number)&.finish(why, {task: number, attempt: attempt, **facts})
      end

      def notify_room
        @drains += 1
        @condition.notify
      end

      def abandon(error)
        @broken = {error: error}
        @tasks.keys.each { |number| finish(0, number, Native::WHY_GAVE_UP, 0) }
      end
    end
    private_constant :Driver
  end
end
