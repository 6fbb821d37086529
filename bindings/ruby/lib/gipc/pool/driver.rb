# frozen_string_literal: true

# The thread of a pool: carries out what the policy decides, and reports what happens.

module Gipc
  class Pool
    # All that waits here waits in this thread, so that it does not depend on the loop of
    # the caller, and a caller may be in any thread and any scheduler.
    #
    # @private
    class Driver
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
        @crew = crew
        @tasks = tasks
        @starter = starter
        @measure = measure
        @members = {}
        @leaving = {}
        @ended = {}
        @last = {}
        @drains = 0
        @stopped = false
        @condition = Condition.new
      end

      def start
        thread = Thread.new { run }
        thread.name = "gipc pool"
        thread.report_on_exception = false
        self
      end

      # Waits until there is room in the queue, or the pool has stopped.
      def await_room(seen)
        @condition.wait_until(nil) { @drains != seen || @stopped }
      end

      # Waits until no process and no task is left.
      def await_stop(deadline)
        @condition.wait_until(deadline) { @stopped }
      end

      def stopped?
        @stopped
      end

      # The error of tasks after the pool gave up.
      # @return [PoolBroken, nil]
      def broken
        Outcome.error(Native::WHY_GAVE_UP, @broken) if @broken
      end

      private

      def run
        until @stopped
          carry_out_all
          break if @stopped

          time = @leaving.each_value.min || Float::INFINITY
          Native.crew_wait(@crew, time).each { |worker, directions| look(worker, directions) }
          stop_leaving(time) unless @leaving.empty?
        end
      rescue Exception => e # rubocop:disable Lint/RescueException
        abandon(e)
        raise
      ensure
        @stopped = true
        Native.crew_end(@crew)
        @condition.notify
      end

      def carry_out_all
        while (action = Native.crew_next(@crew))
          carry_out(*action)
        end
        @ended.clear
      end

      def carry_out(kind, why, worker, task, attempt)
        case kind
        when Native::ACTION_SEND then send_task(worker, task, attempt)
        when Native::ACTION_FINISH then finish(worker, task, why, attempt)
        when Native::ACTION_START then start_worker(worker)
        when Native::ACTION_STOP then stop_worker(worker, why)
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
      rescue SystemCallError => e
        @last = {error: e}
        Native.crew_start_failed(@crew, worker, e.errno)
      end

      # One that has no task, and did nothing wrong, ends at the end of its stream.
      def stop_worker(worker, why)
        member = @members[worker] or return
        return member.finish if !member.busy && POLITE.include?(why)

        member.signal(:TERM)
        member.signal(:CONT) # a stopped process cannot handle it
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
        member.busy = true
        data = @tasks.fetch(number).data
        Native.crew_send(@crew, member.native.first, number, attempt, data)
      rescue Error, SystemCallError
        Native.crew_misbehaved(@crew, worker)
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
          member.busy = false
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

      # After an error of this thread, which is not expected: nobody waits forever.
      def abandon(error)
        @broken = {error: error}
        @members.each_value { |member| member.signal(:KILL) }
        @tasks.keys.each { |number| finish(0, number, Native::WHY_GAVE_UP, 0) }
      end
    end
    private_constant :Driver
  end
end
