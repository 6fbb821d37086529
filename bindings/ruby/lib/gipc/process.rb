# frozen_string_literal: true

# A child process: its start, its end, and signals in between.

module Gipc
  # A child process, made by {Gipc.start_process} or {Gipc.exec_process}.  It
  # belongs to the process that started it.  What is collected while the child
  # runs has no effect on the child.
  #
  # Waiting lets other fibers run where there is a Fiber::Scheduler, and other
  # threads in any case.  Any number of them may wait at once.
  class Process
    # How it ended.  +code+ is the exit code or nil, +signal+ the number of the
    # signal that ended it or nil, +core+ whether a core was dumped; +user+ and
    # +system+ are processor seconds and +max_rss+ KiB, nil where not known;
    # +how+ tells how the status is known (:wait, :kernel, :reported, :child,
    # :lost), +ended+ how a block ended: :return, :exit (it called exit),
    # :exception (one escaped it); :unsent, the first two with messages that could
    # not be written;
    # :unborn, it was killed before the block began; :unknown, it was killed or left
    # by exit!, or is a program.
    ExitInfo = Struct.new(:code, :signal, :core, :how, :ended, :user, :system,
                          :max_rss, keyword_init: true)
    HOW = %i[unknown wait kernel reported child lost].freeze
    ENDED = %i[unknown return exit exception unwound unborn unsent].freeze
    # Pauses in seconds, where the kernel has no descriptor of a process.
    FIRST_PAUSE = 0.001
    LONGEST_PAUSE = 0.05
    private_constant :HOW, :ENDED, :FIRST_PAUSE, :LONGEST_PAUSE

    # @return [Integer]
    attr_reader :pid

    # @return [String]
    attr_reader :name

    # The ends of its standard streams that were started as :pipe, else nil.  They
    # are yours to close.
    # @return [IO, nil]
    attr_reader :stdin, :stdout, :stderr

    # @private
    def self.start(handles, options, &block)
      raise ArgumentError, "a block is needed, to call in the child" unless block
      raise ArgumentError, "option program: it is for exec_process" if options[:program]

      native_options = Options.build(handles.map { |handle| [nil, handle] }, options)
      native = Options.naming(native_options, options) do
        fork(native_options, handles, options, &block)
      end
      process = new(native, options)
      handles.each(&:depart)
      process
    end

    # @private
    def self.exec(argv, handles, options)
      native_options = Options.build(named(handles), options)
      words = words(argv)
      native = Options.naming(native_options, options, argv.first) do
        Native.exec_process(words, native_options)
      end
      process = new(native, options)
      handles.each_value(&:depart)
      process
    end

    def self.words(argv)
      raise TypeError, "an Array of Strings is needed, not #{argv.inspect}" unless argv.is_a?(Array)
      raise ArgumentError, "it is empty: its first word is the program" if argv.empty?

      words = Native.words_new
      argv.each { |word| Native.words_add(words, Options.text(word)) }
      words
    rescue TypeError, ArgumentError => e
      raise e.class, "argv: #{e.message}"
    end

    def self.named(handles)
      raise TypeError, "handles is a Hash of handles, not #{handles.inspect}" unless handles.is_a?(Hash)

      handles.map { |name, handle| [name.to_s, handle] }
    end

    # Forks in a fresh thread, so that no fiber of this one comes along.  It is
    # not to be broken off, nor left for another fiber: then nobody would have
    # the child.
    def self.fork(native_options, handles, options, &block)
      kept = Options.numbers(options[:keep_fds]) if options[:keep_fds]
      Thread.handle_interrupt(Object => :never) do
        thread = Thread.new do
          Thread.current.report_on_exception = false
          Thread.current.name = (options[:name] || "ruby").to_s # which top and pgrep show of the child
          outcome = Native.fork_process(native_options, kept)
          next outcome if outcome.is_a?(Native::Process)

          Child.run(handles, outcome, &block)
        end
        Fiber.new(blocking: true) { thread.value }.resume
      end
    end
    private_class_method :fork, :words, :named

    # @private
    def initialize(native, options)
      @native = native
      @pid = Native.process_pid(native)
      @name = Native.process_name(native).force_encoding(Encoding::UTF_8)
      @end = Descriptor.new(:wait_readable)
      @stdin, @stdout, @stderr = %i[stdin stdout stderr].each_with_index.map do |key, i|
        IO.for_fd(Native.process_stdio(native, i), i.zero? ? "w" : "r") if options[key] == :pipe
      end
      @stdin&.sync = true
    end

    # Whether it still runs.
    def alive?
      !@info && Native.process_is_alive(@native)
    end

    # The exit code; minus the number of the signal that ended it; nil while it
    # runs.
    #
    # @return [Integer, nil]
    # @raise [StatusLost] if something else took the status, where the kernel
    #   does not keep it
    def exitcode
      info = exit_info
      return unless info
      raise StatusLost, Native.strerror(Native::ESTATUSLOST) if info.how == :lost

      info.signal ? -info.signal : info.code
    end

    # @return [ExitInfo, nil] nil while it runs
    def exit_info
      @info ||= Native.process_info(@native)&.then { |info| translate(info) }
    end

    # Waits until it has ended.  In a trap, too, whatever that interrupts.
    #
    # @param timeout [Numeric, nil] seconds; nil, or negative: until it ends
    # @return [self, nil] nil if it still runs after timeout, as Thread#join
    def join(timeout = nil)
      deadline = Deadline.after(timeout)
      wait(deadline) if alive?
      exit_info
      release unless @sentinel || @end.locked?
      self
    rescue Timeout
      raise unless deadline&.over?

      nil
    end

    # Asks it to end (SIGTERM).
    #
    # @return [Boolean] false if it has ended already
    def terminate
      signal(:TERM)
      true
    rescue Dead
      false
    end

    # Ends it (SIGKILL).
    #
    # @return [Boolean] false if it has ended already
    def kill
      signal(:KILL)
      true
    rescue Dead
      false
    end

    # Sends a signal: to this process, never to a stranger with its number.
    #
    # @param signal [Symbol, String, Integer] 0 only checks
    # @return [self]
    # @raise [Dead] if it has ended already
    def signal(signal)
      raise Dead, Native.strerror(Native::EDEAD) if @info

      Native.process_signal(@native, Options.signal(signal))
      self
    end

    # Sends a signal to all processes of its group.
    #
    # @param (see #signal)
    # @return [self]
    # @raise [Dead] if it has been joined
    # @raise [Errno::EINVAL] if it was not started with +group+
    def signal_group(signal)
      raise Dead, Native.strerror(Native::EDEAD) if @info

      Native.process_signal_group(@native, Options.signal(signal))
      self
    end

    # Asks it to end, and ends it if it still runs after a while.
    #
    # @param grace [Numeric] seconds; infinite: it is never killed
    # @return [self]
    # @raise [ArgumentError] if grace is negative or not a number; no signal is sent
    def stop(grace: 5)
      check_grace(grace)
      signal(:TERM)
      signal(:CONT) # in case it is stopped
      return self if join(grace)

      kill
      join
    rescue Dead
      join
    end

    # Asks all processes of its group to end.  When it has ended, or still runs after
    # a while, all that are left are killed.
    #
    # @param (see #stop)
    # @return (see #stop)
    # @raise [ArgumentError] (see #stop)
    # @raise [Errno::EINVAL] if it was not started with +group+
    def stop_group(grace: 5)
      check_grace(grace)
      signal_group(:TERM)
      signal_group(:CONT)
      await_end(Deadline.after(grace))
      signal_group(:KILL)
      join
    rescue Dead
      join
    end

    # Readable once it has ended: for loops of your own (IO.select, EventMachine,
    # nio4r).  Until {#close}.  A process that was joined holds no descriptor, unless
    # this was called before.
    #
    # @return [IO] which does not own its descriptor
    # @raise [Closed] if it was joined, or closed
    # @raise [Errno::EOPNOTSUPP] where the kernel has none
    def sentinel
      raise Closed, "the process has been joined or closed" unless @native

      @sentinel ||= IO.for_fd(Native.process_fd(@native), "rb", autoclose: false)
    end

    # Lets go of it, which only one that has ended allows.  How it ended is still
    # known.
    #
    # @return [nil]
    # @raise [Locked] if it still runs
    def close
      raise Locked, "the process still runs" if alive?

      exit_info
      release
    end

    # With its name, its number, and whether it runs.
    def inspect
      state = if alive?
                "running"
              elsif exit_info.how == :lost
                "ended, status lost"
              else
                "ended with #{exitcode}"
              end
      "#<#{self.class} #{name} #{pid} #{state}>"
    rescue WrongProcess # after a plain fork
      "#<#{self.class} #{name} #{pid} of another process>"
    end

    # (see Handle#watched)
    # @private
    def watched
      alive? ? [@native, descriptor] : [nil]
    end

    # @private
    def initialize_copy(_other)
      raise TypeError, "there is only one of each process"
    end

    private

    def translate(info)
      ExitInfo.new(code: known(info.code), signal: info.signal.nonzero?,
                   core: info.core == 1, how: HOW[info.how],
                   ended: ENDED[info.ended], user: known(info.user),
                   system: known(info.system), max_rss: known(info.max_rss))
    end

    def known(number)
      number unless number.negative?
    end

    def check_grace(grace)
      Deadline.after(grace)
      raise ArgumentError, "grace is 0 seconds or more, not #{grace}" if grace&.negative?
    end

    # What this call interrupts may wait already, which cannot go on before: then
    # the descriptor is not waited for in a scheduler, and stays open.
    def wait(deadline)
      fd = descriptor
      if fd.nil?
        poll(deadline)
      elsif @end.locked_below?
        @end.wait(fd, deadline) while alive?
      else
        @end.exclusively(deadline) { @end.wait(fd, deadline) while alive? }
      end
    end

    # Waits and leaves it to be joined: until then its group keeps its number.
    def await_end(deadline)
      fd = descriptor
      if fd.nil?
        poll(deadline)
      elsif @end.locked_below?
        @end.wait(fd, deadline)
      else
        @end.exclusively(deadline) { @end.wait(fd, deadline) unless @info }
      end
    rescue Timeout
      raise unless deadline&.over?
    end

    def descriptor
      Native.process_fd(@native)
    rescue Errno::EOPNOTSUPP
      nil
    end

    def poll(deadline)
      pause = FIRST_PAUSE
      while alive?
        raise Timeout, "timed out" if deadline&.over?

        sleep([pause, deadline&.left].compact.min)
        pause = [pause * 2, LONGEST_PAUSE].min
      end
    end

    # Its descriptor goes at once, not when it is collected.
    def release
      return unless @native

      @end.forget
      @sentinel&.close
      @sentinel = nil
      Native.release(@native)
      @native = nil
    end
  end
end
