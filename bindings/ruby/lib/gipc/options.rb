# frozen_string_literal: true

# The options of a start, from keywords to the library's own.

module Gipc
  # The keywords of {Gipc.start_process} and {Gipc.exec_process}.
  #
  # [name:] what {Process#name} tells; default "gipc-<pid>"
  # [daemon:] true: the child is killed when this process ends, however it ends
  # [death_signal:] the signal that it gets then (a name or a number), default KILL
  # [env:] a Hash of variables to set; nil removes one
  # [clear_env:] true: the child gets no variable but those of +env+
  # [chdir:] its working directory
  # [stdin:, stdout:, stderr:] :inherit, the default; :null; :pipe, whose other
  #   end {Process#stdin} and its like are; an IO; and for stderr :stdout
  # [group:] :inherit, :new (a process group) or :session
  # [user:] [uid, gid, groups], numbers: most often needs the superuser
  # [no_new_privileges:] true: nothing that it executes gains privileges (Linux)
  # [rlimits:] a Hash as {nofile: 64, core: [0, 0]}: soft and hard limit
  # [keep_fds:] numbers: the descriptors that stay open beside 0 to 2.  Without
  #   it a program gets none, and a block all that are not this library's
  # [keep_all_fds:] true: a program keeps all that are not closed on exec
  module Options
    STDIO = {inherit: Native::STDIO_INHERIT, null: Native::STDIO_NULL,
             pipe: Native::STDIO_PIPE, stdout: Native::STDIO_STDOUT}.freeze
    GROUPS = {inherit: Native::GROUP_INHERIT, new: Native::GROUP_NEW,
              session: Native::GROUP_SESSION}.freeze
    private_constant :STDIO, :GROUPS

    # @param handles [Array<Array(String, Handle)>] with their names, or nil
    # @return [Native::Options]
    # @private
    def self.build(handles, name: nil, daemon: false, death_signal: nil,
                   env: {}, clear_env: false, chdir: nil, stdin: :inherit,
                   stdout: :inherit, stderr: :inherit, group: :inherit, user: nil,
                   no_new_privileges: false, rlimits: {}, keep_fds: nil,
                   keep_all_fds: false)
      o = Native.options_new
      Native.options_set_name(o, name.to_s) if name
      Native.options_set_daemon(o, 1) if daemon
      Native.options_set_death_signal(o, signal(death_signal)) if death_signal
      Native.options_clear_env(o) if clear_env
      env.each { |key, value| Native.options_set_env(o, key.to_s, value&.to_s) }
      Native.options_set_cwd(o, chdir.to_s) if chdir
      [stdin, stdout, stderr].each_with_index { |to, which| stdio(o, which, to) }
      Native.options_set_group(o, GROUPS.fetch(group))
      set_user(o, *user) if user
      Native.options_set_no_new_privileges(o, 1) if no_new_privileges
      rlimits.each { |resource, limit| rlimit(o, resource, *limit) }
      Native.options_keep_fds(o, numbers(keep_fds)) if keep_fds
      Native.options_keep_all_fds(o) if keep_all_fds
      handles.each { |key, handle| handle.pass(o, key) }
      o
    end

    # @return [Integer]
    # @private
    def self.signal(name)
      return name if name.is_a?(Integer)

      Signal.list.fetch(name.to_s.delete_prefix("SIG")) do
        raise ArgumentError, "no signal: #{name}"
      end
    end

    class << self
      private

      def stdio(options, which, target)
        if target.is_a?(Symbol)
          Native.options_set_stdio(options, which, STDIO.fetch(target), -1)
        else
          fd = target.is_a?(Integer) ? target : target.to_io.fileno
          Native.options_set_stdio(options, which, Native::STDIO_FD, fd)
        end
      end

      def rlimit(options, resource, soft, hard = soft)
        unless resource.is_a?(Integer)
          resource = ::Process.const_get("RLIMIT_#{resource.to_s.upcase}")
        end
        Native.options_set_rlimit(options, resource, soft, hard)
      end

      def set_user(options, uid, gid, groups = [])
        Native.options_set_user(options, uid, gid, numbers(groups))
      end

      def numbers(list)
        numbers = Native.numbers_new
        list.each { |number| Native.numbers_add(numbers, number) }
        numbers
      end
    end
  end
end
