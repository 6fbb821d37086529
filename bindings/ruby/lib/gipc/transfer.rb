# frozen_string_literal: true

# How bytes get into a handle and out of it, with waits in between: what
# {Gipc::Handle} does where it cannot be done at once.

module Gipc
  # @private
  module Transfer
    private

    # Calls the block with the deadline and with interrupts held back, but where it
    # waits.  A scheduler's fibers are broken off in waits only, and the mask would
    # go with the thread to other fibers.
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

    # A get that could not be done at once, with what it has come to so far.  What
    # is large goes into the buffer, if there is one.
    def receive(result, deadline, buffer = nil)
      Gipc.let_others_run if result == Native::YIELD
      fd = Native.fd(@native, Native::READ)
      @in.exclusively(deadline) do
        # Saves a look into the kernel, which has just had nothing.
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

    # Straight into a String.
    def receive_large(fd, deadline, buffer)
      Native.receive(@native, buffer) { @in.wait(fd, deadline) }
    end

    # ---- Putting

    # Waits for the lock, then yields the descriptor.
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

    # A put that could not be done at once, with what it has come to so far.
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

    # Straight from a String.
    def lend(message, fd, deadline)
      Native.lend(@native, message) do |outcome|
        outcome == Native::YIELD ? Gipc.let_others_run : wait_writable(fd, deadline)
      end
    end

    # Calls the block of a put once the message is on its way, also if an exception
    # ends the wait for its rest.
    def confirm(accepted)
      yield
    rescue Exception => e # rubocop:disable Lint/RescueException
      accepted.call if e.instance_variable_get(:@in_progress)
      raise
    else
      accepted.call
    end

    # What the caller does with the String while it waits here changes nothing.
    # Both share their bytes until then.
    def unchanging(message)
      message.frozen? ? message : message.dup.freeze
    end

    def send_queued(fd, deadline)
      wait_writable(fd, deadline) until Native.flush_step(@native) == Native::DONE
    end

    # What a put that was broken off has left in the queue is sent meanwhile.
    def flush_in_background
      return if @flusher&.alive? || Native.pending(@native, Native::WRITE).zero?

      @flusher = Thread.new { Thread.handle_interrupt(Object => :immediate) { flush_all } }
    rescue Error, ThreadError
      nil # it is closed; or the program ends, and has no more threads
    end

    def flush_all
      @out.exclusively(nil) do
        send_queued(Native.fd(@native, Native::WRITE), nil)
      ensure
        @flusher = nil # what is queued later is another one's
      end
    rescue Error, SystemCallError
      nil # which the next put raises
    end

    def stop_flushing
      @flusher&.kill&.join
      @flusher = nil
    end

    # Two peers that put at once, and only put, would wait for each other: what the
    # other one puts is received meanwhile, by whoever gets or else here, so that
    # the wait is for both directions.
    def wait_writable(fd, deadline)
      if receives_ahead?
        @out.wait_either(fd, Native.fd(@native, Native::READ), deadline)
      else
        @out.wait(fd, deadline)
      end
    end

    def receives_ahead?
      return false unless @duplex && readable?

      @in.if_free { Native.read_ahead(@native) }
      true
    rescue Error, SystemCallError
      false # the limit, or the end, which the next get raises
    end

    # Repeats a step that cannot be done while bytes are queued.
    def finish_writing(deadline)
      while yield == Native::WAIT
        writing(deadline) { |fd| send_queued(fd, deadline) }
      end
    end
  end
end
