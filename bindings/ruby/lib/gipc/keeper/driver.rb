# frozen_string_literal: true

# The thread of a keeper.

module Gipc
  class Keeper
    # @private
    class Driver < Gipc::Driver
      # So many at a time: a process may send them faster than they are read.
      DATAGRAMS = 1000
      private_constant :DATAGRAMS

      # @param services [Array<Service>]
      def initialize(crew, services)
        super(crew)
        @services = services
        @changes = Changes.new
      end

      # Waits until the block returns true, which is called after each change, or the
      # keeper has ended.
      def wait_until(deadline)
        @condition.wait_until(deadline) { yield || @stopped }
      end

      # (see Changes#from)
      def change_from(number)
        wait_until(nil) { @changes.from(number) }
        @changes.from(number)
      end

      # @raise [Dead] if it has ended
      def signal(number, signal)
        member = @members[number] or raise Dead, "the service has no process now"
        member.process.signal(signal)
      end

      private

      def carry_out(kind, why, worker, _task, _attempt, index)
        reason = REASONS[why]
        case kind
        when Native::ACTION_START then start_service(worker, @services[index])
        when Native::ACTION_STOP then stop(worker, reason)
        when Native::ACTION_KILL then kill(worker)
        when Native::ACTION_DUMP then dump(worker)
        when Native::ACTION_STOPPED then @stopped = true
        else end_of(kind, @services[index], reason)
        end
      end

      # ---- Processes

      def start_service(worker, service)
        socket = Native.notify_socket_new if service.notifies?
        process = service.start(socket && Native.notify_socket_address(socket), runs?(service))
        @members[worker] = member = Member.new(service, process, socket)
        Native.keeper_started(@crew, worker, process.native)
        note(member, :starting)
        note(member, :ready) unless service.must_notify?
        member.listen { heard(worker, member, socket) }
      rescue StandardError => e
        raise if process

        Native.release(socket) if socket
        service.ended({error: e})
        start_failed(worker, e)
        add(service, :not_started, error: e)
      end

      def runs?(service)
        @members.any? { |_, member| member.service.equal?(service) }
      end

      def stop(worker, reason)
        member = @members[worker] or return
        member.why = reason
        member.terminate
        note(member, :stopping)
      end

      def kill(worker)
        member = @members[worker] or return
        member.signal(:KILL)
        note(member, :killed)
      end

      def dump(worker)
        member = @members[worker] or return
        signal = member.service.dump_signal
        member.signal(signal) if signal && member.dumps
        note(member, :silent)
      end

      # @return [Boolean] true: there may be more later
      def heard(worker, member, socket)
        DATAGRAMS.times do
          ready = Native.keeper_notified(@crew, worker, socket, member.process.pid)
          break if ready.nil?

          member.dumps = true
          note(member, :ready) if ready
        end
        true
      end

      def look(worker, _directions)
        member = @members[worker] or return
        member.deafen
        Native.crew_ended(@crew, worker, member.process.native)
        @members.delete(worker)
        member.close
        member.service.ended(member.facts)
        note(member, :ended, **member.facts)
      end

      # ---- Services

      ENDS = {Native::ACTION_GAVE_UP => :gave_up, Native::ACTION_FINISHED => :finished,
              Native::ACTION_RELOADED => :reloaded, Native::ACTION_RELOAD_FAILED => :reload_failed}.freeze
      private_constant :ENDS

      def end_of(kind, service, reason)
        state = ENDS.fetch(kind)
        case state
        when :gave_up then service.give_up
        when :finished then service.finish
        else service.reloaded(state == :reloaded)
        end
        add(service, state, **(state == :reloaded ? {} : service.last), why: reason)
      end

      def note(member, state, **facts)
        add(member.service, state, pid: member.process.pid, why: member.why, **facts)
      end

      def add(service, state, **facts)
        @changes.add(Change.new(service: service.name, state: state, why: :none, **facts).freeze)
        @condition.notify
      end

      # After an error that is not expected.
      def abandon(error)
        @services.each do |service|
          service.ended({error: error})
          service.give_up
        end
      end
    end
    private_constant :Driver
  end
end
