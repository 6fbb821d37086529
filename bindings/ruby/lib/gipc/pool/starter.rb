# frozen_string_literal: true

# Starts the workers of a pool: a fork that calls a block, or a program, also behind a launcher.

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
      def initialize(argv, launch, codec, prepare, dump_signal, options, work)
        check(argv, launch, prepare, work)
        check_streams(launch, options)
        @argv = argv
        @launch = launch
        @codec = codec
        @prepare = prepare
        @dump_signal = dump_signal || (DUMP if work)
        @options = {daemon: true, **options}
        @work = work
        Rules.check_signal(@dump_signal)
      end

      # @return [Array(Handle, Process)]
      def start
        return start_behind_launcher if @launch

        ours, theirs = Gipc.pipe(duplex: true, codec: :raw)
        process = @argv ? exec(theirs) : fork(theirs)
        [ours, process]
      ensure
        [ours, theirs].each { |handle| handle&.abort unless process } unless @launch
      end

      private

      def check(argv, launch, prepare, work)
        raise ArgumentError, "a pool has a block, or argv: or launch:, which is a program" unless
          [argv, launch, work].one?
        Process.words(argv) if argv
        Process.words(launch, :launch) if launch && !launch.respond_to?(:call)
        raise ArgumentError, "option prepare: a program prepares itself in Gipc.serve" if prepare && !work
        raise TypeError, "option prepare: #{prepare.inspect} has no call" unless
          prepare.nil? || prepare.respond_to?(:call)
      end

      def check_streams(launch, options)
        %i[stdin stdout].each do |name|
          raise ArgumentError, "option #{name}: with launch: it is the handle of the worker" if launch && options[name]
        end
        Rules.check_streams(options)
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
        argv = @launch.respond_to?(:call) ? @launch.call : @launch
        Gipc.launch(argv, codec: :raw, **@options).reverse
      end
    end
    private_constant :Starter
  end
end
