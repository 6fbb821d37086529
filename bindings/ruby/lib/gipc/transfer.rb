# frozen_string_literal: true

# The gets and puts of {Gipc::Handle} that must wait.

module Gipc
  # @private
  module Transfer
    private

    # Calls the block with the deadline, and defers interrupts to its waits.  With a
    # scheduler the mask is not needed, as fibers are interrupted in waits only, and it
    # would apply to the other fibers of the thread.
    def masked(timeout)
      return yield(Deadline.after(timeout)) if Fiber.current_scheduler

      deadline = Deadline.after(timeout, masked: true)
      Thread.handle_interrupt(Object => :never) { yield deadline }
    end

    # ---- Getting

    # The bytes of the next message.
    def take(deadline)
      message = Native.take(@native) unless @in.locked?
      message.is_a?(String) ? message : receive(message, deadline)
    end

    # Completes a get whose first step had this outcome.  A large message is received into
    # the buffer, if there is one.
    def receive(result, deadline, buffer = nil)
      Gipc.let_others_run if result == Native::YIELD
      fd = Native.fd(@native, Native::READ)
      @in.exclusively(deadline) do
        # Saves a system call: there was nothing to read just now.
        @in.wait(fd, deadline) if result == Native::WAIT && Native.pending(@native, Native::READ).zero?
        loop do
          case message = Native.take(@native)
          when String then return message
          when Native::LENT then return receive_large(fd, deadline, buffer)
          when Native::WAIT then @in.wait(fd, deadline)
          when Native::YIELD then Gipc.let_others_run
          end
        end
      end
    end

    # Receives a large message straight into a String.
    def receive_large(fd, deadline, buffer)
      Native.receive(@native, buffer) { @in.wait(fd, deadline) }
    end

    # ---- Putting

    # Acquires the lock, then yields the descriptor.
    def writing(deadline)
      fd = Native.fd(@native, Native::WRITE)
      @out.exclusively(deadline) do
        yield fd
      ensure
        flush_in_background
      end
    end

    def send_message(message, deadline)
      result = Native.put(@native, message) unless @out.locked?
      finish_put(message, result, deadline) unless result == Native::DONE
    end

    # Puts a message with handles and descriptors; calls the block once it is accepted.
    def put_with(message, ios, timeout)
      handles, files = ios.partition { |io| io.is_a?(Handle) }
      fds = Descriptor.numbers(files)
      message = unchanging(message)
      accepted = false
      masked(timeout) do |deadline|
        writing(deadline) do |fd|
          until (result = queue_with(message, handles, fds)) == Native::DONE
            result == Native::YIELD ? Gipc.let_others_run : send_queued(fd, deadline)
          end
          accepted = true
          yield if block_given?
          send_queued(fd, deadline)
        end
      end
      self
    rescue Exception => e # rubocop:disable Lint/RescueException
      e.instance_variable_set(:@in_progress, true) if accepted && !e.frozen?
      raise
    end

    def queue_with(message, handles, fds)
      handles.each(&:prepare_move)
      result = Native.put_with(@native, message, handles.map(&:native), fds)
      handles.each(&:disown) if result == Native::DONE
      result
    rescue Errno::EBUSY
      raise Errno::EBUSY, "a handle has received or queued bytes, which a message cannot bring"
    end

    # Completes a put whose first step had this outcome.
    def finish_put(message, result, deadline)
      message = unchanging(message)
      writing(deadline) do |fd|
        until result == Native::DONE
          case result
          when Native::LENT then return lend(message, fd, deadline)
          when Native::QUEUED then return send_queued(fd, deadline)
          when Native::WAIT then wait_writable(fd, deadline)
          when Native::YIELD then Gipc.let_others_run
          end
          result = Native.put(@native, message)
        end
      end
    rescue Exception => e # rubocop:disable Lint/RescueException
      e.instance_variable_set(:@in_progress, true) if result == Native::QUEUED && !e.frozen?
      raise
    end

    # Puts a large message straight from a String.
    def lend(message, fd, deadline)
      Native.lend(@native, message) do |outcome|
        outcome == Native::YIELD ? Gipc.let_others_run : wait_writable(fd, deadline)
      end
    end

    # Calls the block of a put once the message is accepted, also if an exception ends the
    # wait for its remaining bytes.
    def confirm(accepted)
      yield
    rescue Exception => e # rubocop:disable Lint/RescueException
      accepted.call if e.instance_variable_get(:@in_progress)
      raise
    else
      accepted.call
    end

    # A String that the caller cannot change during the wait.  Both share their bytes
    # until the caller changes its own one.
    def unchanging(message)
      message.frozen? ? message : message.dup.freeze
    end

    def send_queued(fd, deadline)
      wait_writable(fd, deadline) until Native.flush_step(@native) == Native::DONE
    end

    # Starts the background flush of what an interrupted put has queued.
    def flush_in_background
      return if @flusher&.alive? || Native.pending(@native, Native::WRITE).zero?

      @flusher = Thread.new { Thread.handle_interrupt(Object => :immediate) { flush_all } }
    rescue Error, ThreadError
      nil # the handle is closed; or the program ends and cannot start threads
    end

    def flush_all
      @out.exclusively(nil) do
        send_queued(Native.fd(@native, Native::WRITE), nil)
      ensure
        @flusher = nil # what is queued later needs another flush
      end
    rescue Error, SystemCallError
      nil # the next put raises it
    end

    def stop_flushing
      @flusher&.kill&.join
      @flusher = nil
    end

    # The peer may also be blocked in a put: this waits for both directions, and reads
    # ahead unless a get is in progress, so that both can continue.
    def wait_writable(fd, deadline)
      if reads_ahead?
        @out.wait_either(fd, Native.fd(@native, Native::READ), deadline)
      else
        @out.wait(fd, deadline)
      end
    end

    def reads_ahead?
      return false unless @duplex && readable?

      @in.if_free { Native.read_ahead(@native) }
      true
    rescue Error, SystemCallError
      false # the limit or the end of the stream; the next get raises it
    end

    # Repeats a step that is not possible while bytes are queued.
    def finish_writing(deadline)
      while yield == Native::WAIT
        writing(deadline) { |fd| send_queued(fd, deadline) }
      end
    end
  end
end
