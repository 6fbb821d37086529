# frozen_string_literal: true

# The life of a forked child: from its clean start to its end.

module Gipc
  # @private
  module Child
    # Reserved by the interpreter, or never caught.
    UNTRAPPED = %w[EXIT KILL STOP SEGV BUS ILL FPE VTALRM].freeze

    # Calls the block with the handles and ends this process.  The thread that
    # calls this is the only one of the child, and made for it.
    #
    # @param error [Exception, nil] what went wrong before
    def self.run(handles, error, &block)
      status = 1
      ended = Native::ENDED_EXCEPTION
      # The thread was made with interrupts held back.
      Thread.handle_interrupt(Object => :immediate) do
        reset_traps
        handles.each(&:arrive)
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

    # The blocks of the parent's traps are still known to the interpreter.
    def self.reset_traps
      (Signal.list.keys - UNTRAPPED).each do |name|
        previous = trap(name, "DEFAULT")
        # As the library does, which leaves this one as it was.
        trap(name, previous) if name == "PIPE" && previous.is_a?(String)
      rescue ArgumentError, Errno::EINVAL
        next # not to be trapped here
      end
    end

    def self.report(error)
      STDERR.write(text_of(error))
    rescue SystemCallError, IOError
      nil # there is nobody to tell
    end

    # As the interpreter prints it, also one whose message raises.
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
      # The library sends what is queued, and no Ruby runs that could see to these.
      %w[HUP INT TERM].each { |name| trap(name, "SYSTEM_DEFAULT") }
      Native.exit_as(status, ended)
    end

    # As Ruby ends where nobody rescues the signal.
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
