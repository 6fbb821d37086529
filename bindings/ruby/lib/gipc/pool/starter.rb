# frozen_string_literal: true

# Starts the workers of a pool: a fork that calls a block, or a program.

module Gipc
  class Pool
    # @private
    class Starter
      # The name under which a program gets its handle.
      NAME = "worker"
      DUMP = :USR1
      private_constant :NAME, :DUMP

      # @return [Symbol, String, Integer, nil] the signal for a dump of the stacks
      attr_reader :dump_signal

      # @param options [Hash] of the start
      def initialize(argv, stdio, codec, prepare, dump_signal, options, work)
        piped = options.values_at(:stdin, :stdout) == %i[pipe pipe]
        check(argv, stdio || piped, prepare, work)
        check_streams(options) if stdio && !piped
        @argv = argv
        @stdio = stdio || piped
        @codec = codec
        @prepare = prepare
        @dump_signal = dump_signal || (DUMP unless argv)
        @options = {daemon: true, **options}
        @work = work
        Rules.check_signal(@dump_signal)
      end

      # @return [Array(Handle, Process)]
      def start
        return start_behind_launcher if @stdio

        ours, theirs = Gipc.pipe(duplex: true, codec: :raw)
        process = @argv ? exec(theirs) : fork(theirs)
        [ours, process]
      ensure
        [ours, theirs].each { |handle| handle&.abort unless process } unless @stdio
      end

      private

      def check(argv, stdio, prepare, work)
        raise ArgumentError, "a pool has a block, or argv:, which is a program" unless argv.nil? ^ work.nil?
        Process.words(argv) if argv
        raise ArgumentError, "option stdio: it is for argv:" if stdio && argv.nil?
        raise ArgumentError, "option prepare: a program prepares itself in Gipc.serve" if prepare && argv
        raise TypeError, "option prepare: #{prepare.inspect} has no call" unless
          prepare.nil? || prepare.respond_to?(:call)
      end

      def check_streams(options)
        %i[stdin stdout].each do |name|
          raise ArgumentError, "option #{name}: with stdio: true it is the handle of the worker" if options[name]
        end
      end

      def exec(theirs)
        Gipc.exec_process(@argv, handles: {NAME => theirs}, **@options)
      end

      def fork(theirs)
        Gipc.start_process(theirs, **@options) do |handle|
          Child.dump_on(@dump_signal)
          Worker.serve(handle, @codec, @prepare, &@work)
        end
      end

      # Its handle is its standard input and output.
      def start_behind_launcher
        process = Gipc.exec_process(@argv, **@options, stdin: :pipe, stdout: :pipe)
        [Gipc.open(process.stdout, process.stdin, codec: :raw), process]
      end
    end
    private_constant :Starter
  end
end
