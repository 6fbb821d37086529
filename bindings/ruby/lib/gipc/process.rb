# frozen_string_literal: true

# A child process: starting it, signals, and its exit status.

module Gipc
  # A child process, made by {Gipc.start_process}, {Gipc.exec_process} or {Gipc.launch}.  Its owner is
  # the process that started it.  The child runs on if the object is collected.
  #
  # A wait lets other fibers run if there is a Fiber::Scheduler, and other threads in any
  # case.  Any number of them may wait at once.
  class Process
    # The exit status.  +code+ is the exit code or nil; +signal+ the number of the
    # terminating signal or nil; +core+ whether a core was dumped; +user+ and +system+
    # are processor seconds and +max_rss+ KiB, nil if not known; +how+ is the source of
    # the status (:wait, :kernel, :reported, :child, :lost); +ended+ is how a block
    # ended: :return; :exit, it called exit; :exception; :unsent, it returned or called
    # exit, and queued messages could not be written; :before_start, the child ended
    # before the block was called; :unknown, it was killed, called exit!, or is a
    # program.  Of a child with <tt>group: :tree</tt>, +tree+ is what kept its processes
    # together (:cgroup, :subreaper, :session; else nil), +left+ the number of those that
    # it left when it ended, and +killed+ how many of them were killed.
    ExitInfo = Struct.new(:code, :signal, :core, :how, :ended, :user, :system,
                          :max_rss, :tree, :left, :killed, keyword_init: true)
    HOW = %i[unknown wait kernel reported child lost].freeze
    ENDED = %i[unknown return exit exception unwound before_start unsent].freeze
    # Pauses in seconds, if the kernel has no pidfd.
    FIRST_PAUSE = 0.001
    LONGEST_PAUSE = 0.05
    TREES = [nil, :cgroup, :subreaper, :session].freeze
    private_constant :HOW, :ENDED, :TREES, :FIRST_PAUSE, :LONGEST_PAUSE

    # @return [Integer]
    attr_reader :pid

    # @return [String]
    attr_reader :name

    # The parent's end of a standard stream that was started as :pipe, else nil.  The
    # caller closes it.
    # @return [IO, nil]
    attr_reader :stdin, :stdout, :stderr

    # @private
    attr_reader :native

    # @private
    def self.start(handles, options, &block)
      raise ArgumentError, "a block is needed, to call in the child" unless block
      raise ArgumentError, "option program: it is for exec_process" if options[:program]
      # The root of a tree is forked once more, which Ruby would not know of.
      raise ArgumentError, "option group: :tree is for exec_process and templates" if options[:group] == :tree

      native_options = Options.build(handles.map { |handle| [nil, handle] }, options)
      native = Options.naming(native_options, options) do
        fork(native_options, handles, options, &block)
      end
      process = new(native, options)
      handles.each(&:disown)
      process
    end

    # @private
    def self.exec(argv, handles, options)
      run(:exec_process, argv, handles, options).first
    end

    # @return [Array(Process, Native::Handle)]
    # @private
    def self.launch(argv, handles, options)
      taken = %i[stdin stdout].find { |name| options[name] }
      raise ArgumentError, "option #{taken}: the handle of Gipc.launch takes its place" if taken

      run(:launch, argv, handles, options)
    end

    def self.run(call, argv, handles, options)
      native_options = Options.build(named(handles), options)
      words = words(argv)
      native, *others = Options.naming(native_options, options, argv.first) do
        Native.public_send(call, words, native_options)
      end
      process = new(native, options)
      handles.each_value(&:disown)
      [process, *others]
    end

    # @private
    def self.words(argv, name = :argv)
      raise TypeError, "an Array of Strings is needed, not #{argv.inspect}" unless argv.is_a?(Array)
      raise ArgumentError, "it is empty: its first word is the program" if argv.empty?

      words = Native.words_new
      argv.each { |word| Native.words_add(words, Options.text(word)) }
      words
    rescue TypeError, ArgumentError => e
      raise e.class, "#{name}: #{e.message}"
    end

    def self.named(handles)
      raise TypeError, "handles is a Hash of handles, not #{handles.inspect}" unless handles.is_a?(Hash)

      handles.map { |name, handle| [name.to_s, handle] }
    end

    # Forks in a new thread, so that the child has no fiber of this one.  The wait for it
    # cannot be interrupted and blocks other fibers: otherwise the process object of a
    # child could be lost.
    def self.fork(native_options, handles, options, &block)
      kept = Options.numbers(options[:keep_fds]) if options[:keep_fds]
      Thread.handle_interrupt(Object => :never) do
        thread = Thread.new do
          Thread.current.report_on_exception = false
          Thread.current.name = (options[:name] || "ruby").to_s # which top and pgrep show of the child
          outcome = Native.fork_process(native_options, kept)
          next outcome if outcome.is_a?(Native::Process)

          Child.leave_files(options[:keep_fds]) if options[:keep_fds]
          Child.run(handles, outcome, &block)
        end
        Fiber.new(blocking: true) { thread.value }.resume
      end
    rescue ThreadError => e # the system has no room for the thread, nor for a process
      raise Errno::EAGAIN, e.message
    end
    private_class_method :fork, :named, :run

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

    # Whether the child runs.
    def alive?
      !@info && Native.process_is_alive(@native)
    end

    # The exit code; minus the number of the terminating signal; nil while the child
    # runs.
    #
    # @return [Integer, nil]
    # @raise [StatusLost] if other code reaped the child, and the kernel does not keep
    #   the status
    def exitcode
      info = exit_info
      return unless info
      raise StatusLost, Native.strerror(Native::ESTATUSLOST) if info.how == :lost

      info.signal ? -info.signal : info.code
    end

    # @return [ExitInfo, nil] nil while the child runs
    def exit_info
      @info ||= Native.process_info(@native)&.then { |info| translate(info) }
    end

    # Waits until the child has ended.  Works in a trap, whatever that interrupts.
    #
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely
    # @return [self, nil] nil if the timeout expires, as Thread#join
    def join(timeout = nil)
      deadline = Deadline.after(timeout)
      wait(deadline) if alive?
      exit_info
      release unless @sentinel || @end.locked?
      self
    rescue Timeout
      raise unless deadline&.expired?

      nil
    end

    # Sends SIGTERM.
    #
    # @return [Boolean] false if the child has ended already
    def terminate
      signal(:TERM)
      true
    rescue Dead
      false
    end

    # Sends SIGKILL.
    #
    # @return [Boolean] false if the child has ended already
    def kill
      signal(:KILL)
      true
    rescue Dead
      false
    end

    # Sends a signal to this child only, never to another process that reuses its
    # process ID.
    #
    # @param signal [Symbol, String, Integer] 0 only checks
    # @return [self]
    # @raise [Dead] if the child has ended already
    def signal(signal)
      raise Dead, Native.strerror(Native::EDEAD) if @info

      Native.process_signal(@native, Options.signal(signal))
      self
    end

    # Sends a signal to all processes of the process group of the child.
    #
    # @param (see #signal)
    # @return [self]
    # @raise [Dead] if the child has been joined
    # @raise [Errno::EINVAL] if the child was not started with +group+
    def signal_group(signal)
      raise Dead, Native.strerror(Native::EDEAD) if @info

      Native.process_signal_group(@native, Options.signal(signal))
      self
    end

    # Sends SIGTERM, waits for the grace period, and sends SIGKILL if the child still runs.
    #
    # @param grace [Numeric] seconds; infinite: SIGKILL is never sent
    # @return [self]
    # @raise [ArgumentError] if grace is negative or not a number; no signal is sent
    def stop(grace: 5)
      check_grace(grace)
      signal(:TERM)
      signal(:CONT) # a stopped child cannot handle the signal
      return self if join(grace)

      kill
      join
    rescue Dead
      join
    end

    # Sends SIGTERM to all processes of the group, waits until the child has ended or the
    # grace period is over, and sends SIGKILL to the remaining ones.
    #
    # @param (see #stop)
    # @return (see #stop)
    # @raise [ArgumentError] (see #stop)
    # @raise [Errno::EINVAL] if the child was not started with +group+
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

    # Readable once the child has ended: for loops of your own (IO.select, EventMachine,
    # nio4r).  Valid until {#close}.  A process that was joined has no descriptor, unless
    # this was called before.
    #
    # @return [IO] does not own its descriptor
    # @raise [Closed] if the process was joined, or closed
    # @raise [Errno::EOPNOTSUPP] if the kernel has no pidfd
    def sentinel
      raise Closed, "the process has been joined or closed" unless @native

      @sentinel ||= IO.for_fd(Native.process_fd(@native), "rb", autoclose: false)
    end

    # Releases the descriptor of an ended process.  The exit status remains available.
    #
    # @return [nil]
    # @raise [Locked] if the child still runs
    def close
      raise Locked, "process #{pid} is still running: join or stop it before close" if alive?

      exit_info
      release
    end

    # With its name, its process ID, and its state.
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
      raise TypeError, "#{self.class} cannot be copied (dup, clone)"
    end

    private

    def translate(info)
      ExitInfo.new(code: known(info.code), signal: info.signal.nonzero?,
                   core: info.core == 1, how: HOW[info.how],
                   ended: ENDED[info.ended], user: known(info.user),
                   system: known(info.system), max_rss: known(info.max_rss),
                   tree: TREES[info.tree], left: known(info.left), killed: known(info.killed))
    end

    def known(number)
      number unless number.negative?
    end

    def check_grace(grace)
      Deadline.after(grace)
      raise ArgumentError, "grace is 0 seconds or more, not #{grace}" if grace&.negative?
    end

    # The code that this call interrupts may wait for the same descriptor, and cannot
    # continue before this call returns: then this waits without the lock.
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

    # Waits without reaping the child: until it is reaped, the ID of its group is not
    # reused.
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
      raise unless deadline&.expired?
    end

    def descriptor
      Native.process_fd(@native)
    rescue Errno::EOPNOTSUPP
      nil
    end

    def poll(deadline)
      pause = FIRST_PAUSE
      while alive?
        raise Timeout, "timed out" if deadline&.expired?

        sleep([pause, deadline&.left].compact.min)
        pause = [pause * 2, LONGEST_PAUSE].min
      end
    end

    # Closes the descriptor now, not when the object is collected.
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
