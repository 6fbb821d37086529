# frozen_string_literal: true

# Converts keywords to the options of a start.

module Gipc
  # The keywords of {Gipc.start_process}, {Gipc.exec_process} and {Gipc.launch}.  nil is the
  # default of each.  An unknown name is an ArgumentError; a value of a wrong type is a
  # TypeError, and an invalid value an ArgumentError; both name the option.  An error of
  # the start is an Errno::* that names the program, the directory, or the option.
  #
  # [name:] what {Process#name} returns; default "gipc-<pid>"
  # [daemon:] true: the child is killed when this process ends, however it ends
  # [death_signal:] the signal that a daemon gets then (a name or a number), default KILL
  # [env:] a Hash of variables to set; nil removes one
  # [clear_env:] true: the child gets only the variables of +env+
  # [chdir:] its working directory
  # [program:] the file that {Gipc.exec_process} runs instead of the first word
  # [stdin:, stdout:, stderr:] :inherit, the default; :null; :pipe, whose parent's end
  #   Process#stdin, #stdout or #stderr returns; an IO or the number of a descriptor;
  #   :stdout, for stderr only
  # [map_fds:] a Hash: the child has a copy of each value (an IO or a number) under
  #   the number that is its key
  # [group:] :inherit, :new (a process group), :session, or :tree (a session, and all
  #          that the child starts ends with it; for programs and templates)
  # [terminal:] an IO or a number: the controlling terminal of a new session
  # [user:] [uid, gid, groups], numbers; usually needs the superuser
  # [uid:, gid:] a number: that one alone
  # [no_new_privileges:] true: no program that it executes gains privileges (Linux)
  # [umask:] 0 to 0777
  # [nice:] added to the nice value
  # [rlimits:] a Hash, such as nofile: 64, core: [0, 0], its soft and hard limits
  # [block_signals:] names or numbers of signals that it starts with blocked
  # [keep_fds:] numbers of the descriptors that stay open, in addition to 0 to 2 and
  #   those that Ruby needs.  Default: none in a program, and in a block all except those
  #   of this library
  # [keep_all_fds:] true: a program keeps all descriptors that are not close-on-exec
  module Options
    STDIO = {inherit: Native::STDIO_INHERIT, null: Native::STDIO_NULL,
             pipe: Native::STDIO_PIPE, stdout: Native::STDIO_STDOUT}.freeze
    GROUPS = {inherit: Native::GROUP_INHERIT, new: Native::GROUP_NEW,
              session: Native::GROUP_SESSION, tree: Native::GROUP_TREE}.freeze
    # How each option is set.
    SETTERS = {
      name: ->(o, name) { Native.options_set_name(o, text(name)) },
      daemon: ->(o, on) { Native.options_set_daemon(o, flag(on) ? 1 : 0) },
      death_signal: ->(o, name) { Native.options_set_death_signal(o, signal(name)) },
      env: ->(o, env) { set_env(o, env) },
      clear_env: ->(o, on) { Native.options_clear_env(o) if flag(on) },
      chdir: ->(o, path) { Native.options_set_cwd(o, text(path)) },
      program: ->(o, path) { Native.options_set_program(o, text(path)) },
      stdin: ->(o, to) { set_stdio(o, 0, to) },
      stdout: ->(o, to) { set_stdio(o, 1, to) },
      stderr: ->(o, to) { set_stdio(o, 2, to) },
      map_fds: ->(o, map) { pairs(map) { |to, from| Native.options_map_fd(o, fd(from), number(to)) } },
      group: ->(o, group) { Native.options_set_group(o, one_of(GROUPS, group)) },
      terminal: ->(o, terminal) { Native.options_set_terminal(o, fd(terminal)) },
      user: ->(o, user) { set_user(o, *list(user)) },
      uid: ->(o, uid) { Native.options_set_uid(o, number(uid)) },
      gid: ->(o, gid) { Native.options_set_gid(o, number(gid)) },
      no_new_privileges: ->(o, on) { Native.options_set_no_new_privileges(o, flag(on) ? 1 : 0) },
      umask: ->(o, mask) { Native.options_set_umask(o, number(mask)) },
      nice: ->(o, step) { Native.options_set_nice(o, number(step)) },
      rlimits: ->(o, limits) { pairs(limits) { |resource, limit| rlimit(o, resource, *limit) } },
      block_signals: ->(o, names) { list(names).each { |name| Native.options_block_signal(o, signal(name)) } },
      keep_fds: ->(o, fds) { Native.options_keep_fds(o, numbers(fds)) },
      keep_all_fds: ->(o, on) { Native.options_keep_all_fds(o) if flag(on) }
    }.freeze
    # The options that a part of a start belongs to, as the library calls it.
    OF_PART = {"program" => %i[program], "cwd" => %i[chdir], "env" => %i[env clear_env],
               "stdio" => %i[stdin stdout stderr], "map_fd" => %i[map_fds], "nice" => %i[nice],
               "rlimit" => %i[rlimits], "user" => %i[user uid gid]}.freeze
    private_constant :STDIO, :GROUPS, :SETTERS, :OF_PART

    class << self
      # The names of all options.
      #
      # @return [Array<Symbol>]
      def names
        SETTERS.keys
      end

      # @param handles [Array<Array(String, Handle)>] with their names, or nil
      # @return [Native::Options]
      # @private
      def build(handles, options)
        unknown = options.keys - names
        unless unknown.empty?
          raise ArgumentError, "unknown option: #{unknown.join(", ")} (there are: #{names.join(", ")})"
        end
        o = Native.options_new
        options.each { |name, value| set(o, name, value) unless value.nil? }
        handles.each do |key, handle|
          raise TypeError, "a Gipc::Handle is needed, not #{handle.inspect}" unless handle.is_a?(Handle)

          pass(o, key, handle)
        end
        o
      end

      # Calls the block, which starts a child, and names in its error what it failed
      # for.
      # @private
      def naming(native, options, program = nil)
        yield
      rescue SystemCallError => e
        part = Native.options_failed(native) or raise
        names = OF_PART.fetch(part, [part.to_sym])
        given = options.slice(*names).compact
        what = if part == "program" then given[:program] || program
               elsif part == "cwd" then given[:chdir]
               else given.empty? ? part : given.map { |name, value| "#{name}: #{value.inspect}" }.join(", ")
               end
        raise SystemCallError.new(what.to_s, e.errno)
      end

      # @return [Integer]
      # @private
      def signal(name)
        if name.is_a?(Integer)
          raise ArgumentError, "no signal: #{name}" unless name.bit_length < 32

          return name
        end
        raise TypeError, "a signal is a name or a number, not #{name.inspect}" unless text?(name)

        Signal.list.fetch(text(name).delete_prefix("SIG")) do
          raise ArgumentError, "no signal: #{name}"
        end
      end

      # A String, also of a Symbol or a path.
      # @private
      def text(value)
        value = value.to_path if value.respond_to?(:to_path)
        raise TypeError, "a String is needed, not #{value.inspect}" unless text?(value)
        # In such an encoding a character can have a NUL.
        raise ArgumentError, "#{value.encoding} is not for the system" unless value.encoding.ascii_compatible?

        value.to_s
      end

      # A number of bytes, or of something else, for an argument of this name.
      # @private
      def count(argument, value, least = 0)
        raise TypeError, "#{argument} is an Integer, not #{value.inspect}" unless value.is_a?(Integer)
        raise ArgumentError, "#{argument} is #{least} or more, not #{value}" if value < least
        raise ArgumentError, "#{argument} is of 64 bits, not #{value}" if value.bit_length > 64

        value
      end

      # @return [Native::Numbers]
      # @private
      def numbers(values)
        numbers = Native.numbers_new
        list(values).each { |value| Native.numbers_add(numbers, number(value)) }
        numbers
      end

      private

      def pass(native, key, handle)
        handle.pass(native, key)
      rescue Errno::EINVAL
        raise Errno::EINVAL, "handle #{key&.inspect || handle.inspect} is given twice" \
                             "#{", or this is not a valid name" if key}"
      end

      def text?(value)
        value.is_a?(String) || value.is_a?(Symbol)
      end

      def set(native, name, value)
        SETTERS.fetch(name).call(native, value)
      rescue TypeError, ArgumentError, RangeError, IOError, Errno::EINVAL => e
        type = [TypeError, IOError].find { |one| e.is_a?(one) } || ArgumentError
        reason = e.is_a?(SystemCallError) ? "#{value.inspect} is not valid" : e.message
        raise type, "option #{name}: #{reason}"
      end

      def number(value)
        raise TypeError, "a number is needed, not #{value.inspect}" unless value.is_a?(Integer)

        value
      end

      def flag(value)
        raise TypeError, "true or false is needed, not #{value.inspect}" unless [true, false].include?(value)

        value
      end

      def fd(value)
        (io = IO.try_convert(value)) ? io.fileno : number(value)
      end

      def list(values)
        raise TypeError, "an Array is needed, not #{values.inspect}" unless values.is_a?(Array)

        values
      end

      def pairs(map, &block)
        raise TypeError, "a Hash is needed, not #{map.inspect}" unless map.is_a?(Hash)

        map.each(&block)
      end

      def one_of(table, name)
        table.fetch(name) do
          raise ArgumentError, "#{name.inspect} is none of #{table.keys.map(&:inspect).join(", ")}"
        end
      end

      def set_env(native, env)
        pairs(env) { |name, value| Native.options_set_env(native, text(name), value && text(value)) }
      end

      def set_stdio(native, which, target)
        if target.is_a?(Symbol)
          Native.options_set_stdio(native, which, one_of(STDIO, target), -1)
        else
          Native.options_set_stdio(native, which, Native::STDIO_FD, fd(target))
        end
      end

      def rlimit(native, resource, soft, hard = soft)
        unless resource.is_a?(Integer)
          name = :"RLIMIT_#{text(resource).upcase}"
          raise ArgumentError, "no limit: #{resource.inspect}" unless ::Process.constants.include?(name)

          resource = ::Process.const_get(name)
        end
        Native.options_set_rlimit(native, resource, number(soft), number(hard))
      end

      def set_user(native, uid, gid, groups = [])
        Native.options_set_user(native, number(uid), number(gid), numbers(groups))
      end
    end
  end
end
