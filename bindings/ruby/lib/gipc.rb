# frozen_string_literal: true

# Child processes and framed message pipes for any Fiber::Scheduler: the entry points.

require "io/wait"
begin
  require "gipc/loader"
rescue LoadError => e
  raise unless e.path == "gipc/loader"

  raise LoadError, "gipc is not compiled.  Bundler does not compile a gem with path:, so " \
                   "build and install the gem (README.md), or run `make binding-programs` in " \
                   "the repository and put its build/linux/ruby into RUBYLIB"
end

module Gipc
  # The version of the library that runs.
  # @return [String]
  VERSION = [16, 8, 0].map { |bits| Native.version >> bits & 0xff }.join(".")
end

module Gipc
  FEATURES = {pidfd: Native::FEATURE_PIDFD, kept_status: Native::FEATURE_KEPT_STATUS,
              shared_start: Native::FEATURE_SHARED_START,
              close_range: Native::FEATURE_CLOSE_RANGE,
              wipe_on_fork: Native::FEATURE_WIPE_ON_FORK,
              pipe_read: Native::FEATURE_PIPE_READ,
              pipe_write: Native::FEATURE_PIPE_WRITE}.freeze
  private_constant :FEATURES
end

require_relative "gipc/errors"
require_relative "gipc/deadline"
require_relative "gipc/fair_lock"
require_relative "gipc/descriptor"
require_relative "gipc/codec"
require_relative "gipc/options"
require_relative "gipc/taking"
require_relative "gipc/transfer"
require_relative "gipc/transport"
require_relative "gipc/settings"
require_relative "gipc/adopt"
require_relative "gipc/handle"
require_relative "gipc/child"
require_relative "gipc/process"
require_relative "gipc/template"
require_relative "gipc/wait"
require_relative "gipc/overview"
require_relative "gipc/policy/condition"
require_relative "gipc/policy/rules"
require_relative "gipc/policy/member"
require_relative "gipc/policy/driver"
require_relative "gipc/pool"
require_relative "gipc/keeper"

module Gipc
  class << self
    # A pipe that carries objects.  One-way: the first end reads, the second
    # writes; with +duplex+ both ends do both.
    #
    #   reader, writer = Gipc.pipe
    #   Gipc.pipe(codec: :raw) { |reader, writer| ... }   # closed after it
    #
    # @param duplex [Boolean]
    # @param codec [:marshal, :raw, :json, :msgpack, #dump and #load] how an
    #   object becomes bytes.  Marshal runs code that the peer chooses: use another
    #   codec if the peer is not trusted.
    # @param transport [:auto, :plain, :ring, nil] see {Handle#transport=}; nil: that of the
    #   environment variable GIPC_TRANSPORT, or :auto
    # @yield [Handle, Handle] the ends, which are closed at the end of the block, unless
    #   they are closed already
    # @return [Array(Handle, Handle)], or what the block returns
    # @raise [ArgumentError] if the codec or the transport is not valid
    # @raise [Errno::EMFILE] and the like
    def pipe(duplex: false, codec: :marshal, transport: nil, &block)
      codec = Codec.of(codec)
      number = Transport.of(transport)
      ends = duplex ? Native.pipe_duplex : Native.pipe
      ends.each { |native| Transport.choose(native, number, "a pipe") }
      Handle.lend_to_block(ends.map { |native| Handle.new(native, codec) }, &block)
    end

    # Adopts a stream: a socket, a pipe, a terminal.  The handle then owns the
    # descriptors, and the IO objects +reader+ and +writer+ are closed.
    #
    # @param reader [IO, Integer, nil] what to get from
    # @param writer [IO, Integer, nil] what to put to; default: +reader+, if it is also
    #   open for writing
    # @param codec (see pipe)
    # @param transport (see pipe)
    # @yield [Handle] closed at the end of the block
    # @return [Handle], or what the block returns
    # @raise [Errno::EINVAL] if one is not a stream, or not open for its direction
    # @raise [Errno::EOPNOTSUPP] if the transport is :ring, and one is not an AF_UNIX socket
    def open(reader, writer = reader, codec: :marshal, transport: nil, &block)
      codec = Codec.of(codec)
      native = Transport.naming("a handle of these streams") do
        Adopt.streams(reader, writer, Transport.of(transport))
      end
      Handle.lend_to_block([Handle.new(native, codec)], &block)
    end

    # The handle that the parent passed under this name, in a program that was
    # started with {exec_process}, of whatever language the parent is.
    #
    # @param name [String, Symbol]
    # @param codec (see pipe)
    # @param transport (see pipe)
    # @yield (see open)
    # @return (see open)
    # @raise [Errno::ENOENT] if there is none of this name
    # @raise [BadHandles] if GIPC_HANDLES is malformed or stale
    def inherit(name, codec: :marshal, transport: nil, &block)
      unless name.is_a?(String) || name.is_a?(Symbol)
        raise TypeError, "name is a String or a Symbol, not #{name.inspect}"
      end
      codec = Codec.of(codec)
      number = Transport.of(transport)
      native = Transport.choose(inherited(name.to_s), number)
      Handle.lend_to_block([Handle.new(native, codec)], &block)
    end

    # A handle over the standard input and output of this program, for launchers that
    # forward only these (ssh, docker run -i).  Afterwards standard input is empty, and
    # output is printed to standard error, so that it does not get into the messages.
    #
    # @param codec (see pipe)
    # @param transport (see pipe)
    # @yield (see open)
    # @return (see open)
    # @raise [Errno::EBADF] if one of them is closed
    # @raise [Errno::EINVAL] if standard error is the same file
    # @raise [Closed] if they are /dev/null, which they are after the first call
    def stdio(codec: :marshal, transport: nil, &block)
      codec = Codec.of(codec)
      number = Transport.of(transport)
      handle = Handle.new(Transport.choose(Native.stdio, number), codec)
      # What was printed before and is still buffered.
      STDOUT.flush
      Handle.lend_to_block([handle], &block)
    end

    # Forks, and calls the block in the child with the handles, which are passed: they are
    # closed in this process.  No fiber, thread, trap, at_exit block or other handle of
    # this process is used in the child.  The exit code is 0 after the block, n after
    # +exit n+ (0 to 255; others become 255), and 1 after an exception, which is printed
    # on standard error.
    #
    # The block runs in a new thread, with the stack of a thread and without the thread
    # variables of the caller.
    #
    # @param handles [Array<Handle>]
    # @param options [Hash] see {Options}
    # @yield [*handles] in the child
    # @return [Process]
    # @raise [Locked] if a handle is busy
    # @raise [Errno::EAGAIN] and others, if the system cannot create a process
    def start_process(*handles, **options, &block)
      Process.start(handles, options, &block)
    end

    # Runs a program; never a shell.
    #
    #   Gipc.exec_process(%w[worker --fast], handles: {"in" => reader})
    #
    # @param argv [Array<String>] a name without "/" is searched in the PATH of
    #   the child
    # @param handles [Hash{String, Symbol => Handle}] are passed under these names; the
    #   program gets them with {inherit}
    # @param options [Hash] see {Options}
    # @return [Process]
    # @raise [Errno::ENOENT] and others of exec; then there is no child
    # @raise [Errno::EBUSY] if a handle holds messages that were not got
    def exec_process(argv, handles: {}, **options)
      Process.exec(argv, handles, options)
    end

    # Runs a program behind a launcher, such as ssh, srun or podman run -i, or without one,
    # and makes a handle of its standard input and output, where the program uses {stdio}.
    #
    #   process, handle = Gipc.launch(%w[ssh -T host worker])
    #   Gipc.launch(%w[ssh -T host worker]) { |process, handle| ... }   # handle closed after it
    #
    # @param argv [Array<String>] the launcher, the program and their arguments, as for
    #   {exec_process}
    # @param handles [Hash{String, Symbol => Handle}] see {exec_process}; few launchers pass
    #   them on
    # @param codec (see pipe)
    # @param options [Hash] see {Options}; but not +stdin+ and +stdout+
    # @yield [Process, Handle] the handle is closed at the end of the block, unless it is
    #   closed already; the process is not waited for
    # @return [Array(Process, Handle)], or what the block returns
    # @raise (see exec_process)
    def launch(argv, handles: {}, codec: :marshal, **options)
      codec = Codec.of(codec)
      process, native = Process.launch(argv, handles, options)
      handle = Handle.new(native, codec)
      return [process, handle] unless block_given?

      Handle.lend_to_block([handle]) { yield process, handle }
    end

    # Kernel features that work on this system, as probed by the library.  Without
    # :kept_status another reaper in the program can lose a status ({StatusLost}).
    #
    # @return [Array<Symbol>] of :pidfd, :kept_status, :shared_start, :close_range,
    #   :wipe_on_fork, :pipe_read, :pipe_write
    # @raise [Errno::EMFILE] and the like
    def features
      mask = Native.features
      FEATURES.filter_map { |name, bit| name if mask.anybits?(bit) }
    end

    # Sets how long the exit of a child, of this process and of its children, waits for
    # queued messages while no byte of them can be written; default 60.
    #
    # @param seconds [Numeric, nil] nil, or negative: indefinitely; 0: not at all
    # @raise [ArgumentError] if it is not a number
    def exit_timeout=(seconds)
      Native.set_exit_timeout(Deadline.after(seconds)&.left || -1)
    end

    # @private
    def inherited(name)
      Native.inherit(name)
    rescue Errno::ENOENT
      raise Errno::ENOENT, "no handle was passed under the name #{name.inspect}"
    rescue Errno::EINVAL
      raise Errno::EINVAL, "#{name.inspect} is not a valid name of a handle"
    end

    # Lets other fibers of this thread run; without a scheduler, other threads.
    # @private
    def let_others_run
      Fiber.current_scheduler ? sleep(0) : Thread.pass
    end
  end

  # Internal classes.
  private_constant :Native, :Adopt, :Child, :Condition, :Deadline, :Descriptor, :Driver, :Failure, :FairLock,
                   :Member, :Rules, :Settings, :Transfer, :Transport, :Worker
end
