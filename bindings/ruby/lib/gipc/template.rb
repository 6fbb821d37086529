# frozen_string_literal: true

# Children that are a fork of a small interpreter, which has loaded what they need.

module Gipc
  # A process that starts children for this one: a new interpreter, which loads files, and
  # then is forked for each child.  A child starts as fast in a large program as in a small
  # one, and is a child of this process, as one of {Gipc.start_process}.
  #
  #   require "./jobs"
  #   template = Gipc::Template.new(preload: ["./jobs"])
  #   child = template.start(Jobs, :run, writer, "argument")
  #
  # A block cannot be sent to another interpreter, so a child calls a method of a module.
  # The environment, the directory and $LOAD_PATH of a child are those of the time when the
  # template was made.  A template that was killed is replaced.  It ends with this process,
  # or with {#close}.
  class Template
    # A handle among the arguments, on its way.
    Passed = Struct.new(:name, :codec)
    # Codecs whose libraries the child loads.
    NAMES = {Codec::Json => :json, Codec::Msgpack => :msgpack}.freeze
    private_constant :Passed, :NAMES

    # Starts the interpreter, and waits until it has loaded the files.
    #
    # @param preload [Array<String>] what a child needs, as for +require+, or paths, which may
    #   begin with "./", from the working directory
    # @raise [TypeError] if it is not an Array of Strings
    # @raise [LoadError] if one cannot be loaded, with the message of its error
    # @raise [Error] if the interpreter ends, or has other threads
    # @raise [Errno::EOPNOTSUPP] where there are no templates: on other systems than Linux,
    #   and with other C libraries than glibc
    def initialize(preload: [])
      raise TypeError, "preload is an Array of Strings, not #{preload.inspect}" unless preload.is_a?(Array)

      @preload = preload.map { |name| Options.text(name) }
      @native = execute
    end

    # Makes a template.
    #
    # @param preload (see #initialize)
    # @yield [Template] closed at the end of the block
    # @return what the block returns
    def self.open(preload: [])
      template = new(preload: preload)
      yield template
    ensure
      template&.close
    end

    # An argument in the child: of a handle on its way, the handle.
    # @private
    def self.arrived(argument)
      argument.is_a?(Passed) ? Gipc.inherit(argument.name, codec: argument.codec) : argument
    end

    # Starts a child that calls a method of a module with the arguments.  Handles among them
    # are passed: they are closed in this process.  The others are sent with Marshal, and
    # are, with the options, at most 128 KiB: put more to a handle.
    #
    # Otherwise this is as {Gipc.start_process}; the method runs in the main thread.
    #
    # @param owner [Module] has a name, by which the child finds it: +preload+ defines it
    # @param name [Symbol, String] of a public method of the module itself
    # @param arguments [Array]
    # @param options [Hash] see {Options}; +keep_all_fds+ is not possible
    # @return [Process]
    # @raise [TypeError] if an argument cannot be sent
    # @raise [Locked] if a handle is busy
    # @raise [Errno::E2BIG] if the arguments and options are too large
    # @raise [Closed] if the template is closed
    def start(owner, name, *arguments, **options)
      raise Closed, "the template is closed" unless @native
      raise ArgumentError, "option program: it is for exec_process" if options[:program]

      passed = {}
      call = Marshal.dump([name_of(owner), Options.text(name), sent(arguments, passed)])
      native_options = Options.build(passed.to_a, given(options))
      Options.naming(native_options, options) { replacing { launch(call, native_options, passed, options) } }
    end

    # Ends the template.  Its children run on.
    #
    # @return [nil]
    def close
      return unless @native

      Native.template_close(@native)
      @native = nil
    end

    # Whether {#close} was called.
    def closed?
      !@native
    end

    # With its state.
    def inspect
      "#<#{self.class} #{closed? ? "closed" : "open"}>"
    end

    # @private
    def initialize_copy(_other)
      raise TypeError, "#{self.class} cannot be copied (dup, clone)"
    end

    # @private
    def marshal_dump
      raise TypeError, "#{self.class} belongs to the process that made it"
    end

    private

    def name_of(owner)
      name = owner.name if owner.is_a?(Module)
      return name if name && Object.const_defined?(name) && Object.const_get(name).equal?(owner)

      raise TypeError, "a module that has a name is needed, not #{owner.inspect}"
    end

    def sent(arguments, passed)
      arguments.each_with_index.map do |argument, i|
        next argument unless argument.is_a?(Handle)

        passed["gipc.#{i}"] = argument
        Passed.new("gipc.#{i}", NAMES.fetch(argument.codec, argument.codec))
      end
    end

    # The child has no descriptors of this process but those that are sent.
    def given(options)
      return options unless options[:keep_fds]

      kept = options[:keep_fds].to_h { |fd| [fd, fd] }
      options.except(:keep_fds).merge(map_fds: kept.merge(options[:map_fds] || {}))
    end

    # Not interruptible, otherwise the process object of a child could be lost.
    def launch(call, native_options, passed, options)
      Thread.handle_interrupt(Object => :never) do
        process = Process.new(Native.template_start(@native, call, native_options), options)
        passed.each_value(&:disown)
        process
      end
    rescue Errno::E2BIG
      raise Errno::E2BIG, "the arguments and options are more than 128 KiB: put them to a handle"
    end

    # Repeats a start if the template was killed, and so was its spare.
    def replacing
      yield
    rescue Dead
      close
      @native = execute
      yield
    end

    # What the interpreter starts with, and puts back for its own children.
    def environment
      loader = $LOADED_FEATURES.find { |path| path.end_with?("/gipc/loader.#{RbConfig::CONFIG["DLEXT"]}") }
      preload = loader.sub(%r{loader(\.\w+)\z}, 'preload\1')
      {"LD_PRELOAD" => [preload, ENV.fetch("LD_PRELOAD", nil)].compact.join(":"),
       "GIPC_LD_PRELOAD" => ENV.fetch("LD_PRELOAD", nil)}
    end

    def execute
      Gipc.pipe(codec: :marshal) do |reader, writer|
        options = Options.build([["gipc.ready", writer]], {env: environment})
        paths = $LOAD_PATH.map { |path| "-I#{path}" }
        argv = [RbConfig.ruby, *paths, "#{__dir__}/templated.rb", *@preload]
        native = Native.template_exec(Process.words(argv), options)
        writer.disown
        return await(reader, native)
      end
    end

    # Returns the template once it has loaded the files.
    def await(reader, native)
      type, message = reader.get
    rescue EOFError
      raise Error, "the template ended during its start"
    else
      raise type, message if type

      loaded = native
    ensure
      Native.template_close(native) unless loaded
    end
  end
end
