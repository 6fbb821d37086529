# frozen_string_literal: true

# A forked child, from its reset to its end.

module Gipc
  # @private
  module Child
    # Reserved by the interpreter, or never caught.
    UNTRAPPED = %w[EXIT KILL STOP SEGV BUS ILL FPE VTALRM].freeze

    # Calls the block with the handles and ends this process.  The calling thread is the
    # only one of the child, and was created for it.
    #
    # @param error [Exception, nil] of a hook of the fork
    def self.run(handles, error, &block)
      status = 1
      ended = Native::ENDED_EXCEPTION
      # The thread was created with interrupts deferred.
      Thread.handle_interrupt(Object => :immediate) do
        reset_traps
        handles.each(&:take_ownership)
        raise error if error

        block.call(*handles)
        status = 0
        ended = Native::ENDED_RETURN
      end
    rescue SystemExit => e
      status = e.status
      ended = Native::ENDED_EXIT
    rescue SignalException => e
      signal = e.signo
    rescue Exception => e # rubocop:disable Lint/RescueException
      report(e)
    ensure
      finish(status, signal, ended)
    end

    # The library has closed the descriptors of these objects, whose finalizers would close
    # other files that get their numbers.
    #
    # @param kept [Array<Integer>]
    def self.leave_files(kept)
      GC.start # of those that are garbage already, while no number is used again
      ObjectSpace.each_object(IO) do |io|
        io.autoclose = false unless io.closed? || io.fileno < 3 || kept.include?(io.fileno)
      rescue IOError
        next # one that was not opened
      end
    end

    # On this signal, prints the stacks of all threads on standard error.
    def self.dump_on(signal)
      trap(signal) do
        Thread.list.each { |thread| warn(thread.inspect, *thread.backtrace) }
      end
    end

    # The interpreter still has the blocks of the parent's traps.
    def self.reset_traps
      (Signal.list.keys - UNTRAPPED).each do |name|
        previous = trap(name, "DEFAULT")
        # The library does not change this one.
        trap(name, previous) if name == "PIPE" && previous.is_a?(String)
      rescue ArgumentError, Errno::EINVAL
        next # it cannot be trapped on this system
      end
    end

    def self.report(error)
      STDERR.write(text_of(error))
    rescue SystemCallError, IOError
      nil # standard error is closed
    end

    # The text that the interpreter prints, also of an error whose message raises.
    def self.text_of(error)
      error.full_message(highlight: STDERR.tty?)
    rescue Exception # rubocop:disable Lint/RescueException
      place, *others = error.backtrace || ["unknown place"]
      ["#{place}: #{error.class}", *others].join("\n\tfrom ") << "\n"
    end

    def self.finish(status, signal, ended)
      [$stdout, $stderr, STDOUT, STDERR].uniq.each do |stream|
        stream.flush
      rescue SystemCallError, IOError
        next
      end
      end_by(signal) if signal
      # The library writes what is queued, and no Ruby code runs that could handle these.
      %w[HUP INT TERM].each { |name| trap(name, "SYSTEM_DEFAULT") }
      Native.exit_as(status, ended)
    end

    # Ends the process as Ruby does after a SignalException that is not rescued.
    def self.end_by(signal)
      trap(signal, "SYSTEM_DEFAULT")
      ::Process.kill(signal, ::Process.pid)
      sleep
    rescue ArgumentError
      nil
    end
    private_class_method :reset_traps, :report, :text_of, :finish, :end_by
  end
end
