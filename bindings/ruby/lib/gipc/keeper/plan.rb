# frozen_string_literal: true

# The services of a keeper, as its block lists them.

module Gipc
  class Keeper
    # What the block of {Gipc.keep} gets.
    #
    # Of the options of a service, these are its rules; times are in seconds: +restart+
    # (:always, the default; :on_failure, unless it ended with code 0; or :never), +notify+
    # (true: it is ready when it says so by {Gipc.ready} or sd_notify(3), else when it was
    # started), +ready_within+ (from its start; default no limit), +silence+ (between two
    # signs of life, by {Gipc.alive} or sd_notify(3); default no limit), +dump+ (from the
    # signal for a dump of the stacks to the stop; default 5), +grace+ (from SIGTERM to
    # SIGKILL; default 5), +first_delay+ (before a restart; 0.1), +longest_delay+ (30),
    # +growth+ (of the delay with each failure in a row; 2), +jitter+ (the part of a delay
    # that is random; 0.5), +healthy+ (a process that was ready for so long has not failed,
    # and the delay is the first one again; 10), +limit+ (restarts in a +window+, then the
    # service is given up; none), +window+ (60), and +seed+ (of the jitter).  A negative
    # +ready_within+, +silence+, +dump+ or +grace+ is no limit.  All others are options of
    # a start, see {Options}; +daemon+ is true, and +name+ is the name of the service.
    class Plan
      RESTARTS = {always: Native::RESTART_ALWAYS, on_failure: Native::RESTART_ON_FAILURE,
                  never: Native::RESTART_NEVER}.freeze
      DUMP = :USR1
      private_constant :RESTARTS, :DUMP

      # @private
      attr_reader :services

      # @private
      def initialize
        @services = []
      end

      # A service that is a block: each of its processes is a fork of this one.  Services
      # start in the order of these calls, and are stopped in the reverse order.
      #
      #   keeper = Gipc.keep { |k| k.service(:ticker, notify: true) { Gipc.ready; sleep } }
      #   keeper.stop
      #
      # @param name [Symbol, String] unique in its keeper
      # @param args [Array, #call] what the block gets.  One that can be called is called
      #   before each start, in a thread of the keeper, and returns the Array; handles in
      #   it are passed to the child
      # @param dump_signal [Symbol, String, Integer] makes the child show the stacks of
      #   all its threads on standard error
      # @param options [Hash] rules, and options of a start
      # @yield [*args] in the child; see {Gipc.start_process}
      # @return [self]
      # @raise [ArgumentError, TypeError] which name the service, and the option
      def service(name, args: [], dump_signal: DUMP, **options, &block)
        add(name, dump_signal, false, options) do |start|
          check_block(args, block)
          lambda do |environment|
            run_block(args.respond_to?(:call) ? args.call : args, with(start, environment), dump_signal, block)
          end
        end
      end

      # A service that is a program.
      #
      #   keeper = Gipc.keep { |k| k.program(:db, %w[sleep 1000], restart: :on_failure) }
      #   keeper.stop
      #
      # @param name (see #service)
      # @param argv [Array<String>] see {Gipc.exec_process}
      # @param handles [Hash, #call] see {Gipc.exec_process}.  One that can be called is
      #   called before each start, in a thread of the keeper, and returns the Hash
      # @param dump_signal [Symbol, String, Integer, nil] for a program that handles it;
      #   nil: none
      # @param options (see #service)
      # @return (see #service)
      # @raise (see #service)
      def program(name, argv, handles: {}, dump_signal: nil, **options)
        add(name, dump_signal, true, options) do |start|
          Process.words(argv)
          check_handles(handles)
          lambda do |environment|
            run_program(argv, handles.respond_to?(:call) ? handles.call : handles, with(start, environment))
          end
        end
      end

      private

      def add(name, dump_signal, is_program, options)
        name = name_of(name)
        rules, start = Rules.split({**options, **numbers(options)}, Rules::SERVICE)
        Native.check_rules(rules)
        Rules.check_signal(dump_signal)
        Rules.check_streams(start)
        launch = yield({name: name, daemon: true, **start})
        @services << Service.new(name, @services.size, rules, dump_signal, is_program, launch)
        self
      rescue ArgumentError, TypeError => e
        raise e.class, "service #{name}: #{e.message}"
      end

      def name_of(name)
        raise TypeError, "a name is a Symbol or a String, not #{name.inspect}" unless
          name.is_a?(Symbol) || name.is_a?(String)
        raise ArgumentError, "there are two of this name" if @services.any? { |one| one.name == name.to_sym }

        name.to_sym
      end

      # The rules that have words as values.
      def numbers(options)
        numbers = {}
        numbers[:restart] = Rules.one_of(:restart, RESTARTS, options[:restart]) unless options[:restart].nil?
        numbers[:notify] = Rules.one_of(:notify, {true => 1, false => 0}, options[:notify]) unless
          options[:notify].nil?
        numbers
      end

      def check_block(args, block)
        raise ArgumentError, "a block is needed, to call in the child" unless block
        return if args.respond_to?(:call)
        raise TypeError, "option args: an Array is needed, or what returns one, not #{args.inspect}" unless
          args.is_a?(Array)
        raise ArgumentError, "option args: a handle can be passed once: use a block that makes one for each start" if
          args.any?(Handle)
      end

      def check_handles(handles)
        return if handles.respond_to?(:call) || handles == {}
        raise TypeError, "option handles: a Hash is needed, or what returns one, not #{handles.inspect}" unless
          handles.is_a?(Hash)

        raise ArgumentError, "option handles: a handle can be passed once: use a block that makes one for each start"
      end

      # The environment that the program chose goes before.
      def with(start, environment)
        {**start, env: {**environment, **start[:env].to_h}}
      end

      def run_block(args, start, dump_signal, block)
        handles = args.grep(Handle)
        process = Gipc.start_process(*handles, **start) do
          Child.dump_on(dump_signal) if dump_signal
          Gipc.alive if start[:env]["WATCHDOG_USEC"] # the keeper may send that signal from now on
          block.call(*args)
        end
      ensure
        abort_all(handles) unless process
      end

      def run_program(argv, handles, start)
        process = Gipc.exec_process(argv, handles: handles, **start)
      ensure
        abort_all(handles.values) if handles.is_a?(Hash) && !process
      end

      def abort_all(handles)
        handles&.each { |handle| handle.abort unless handle.closed? }
      end
    end
  end
end
