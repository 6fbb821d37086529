# frozen_string_literal: true

# The program of a template, and what its children do: Gipc::Template starts it.

require "gipc"

module Gipc
  # @private
  module Templated
    # Loads the files, and serves.
    def self.main(preload)
      # Not for the programs that a child starts.
      ENV["LD_PRELOAD"] = ENV.delete("GIPC_LD_PRELOAD")
      ARGV.clear
      ready = Gipc.inherit("gipc.ready", codec: :marshal)
      problem = load(preload)
      ready.put(problem).close
      exit!(1) if problem
      GC.start # garbage would be copied when a child frees it
      perform(Native.template_serve)
    end

    # @return [Array(Class, String), nil] the class of an error, and its message
    def self.load(preload)
      preload.each { |name| require name }
      others = Thread.list - [Thread.current]
      return if others.empty?

      [Error, "a file that was loaded has started threads: #{others.map(&:inspect).join(", ")}"]
    rescue Exception => e # rubocop:disable Lint/RescueException
      [LoadError, e.is_a?(LoadError) ? e.message : "#{e.message} (#{e.class})"]
    end

    # In the child.
    def self.perform(call)
      Child.run([], nil) do
        owner, name, arguments = Marshal.load(call)
        arguments = arguments.map { |argument| Template.arrived(argument) }
        Object.const_get(owner).public_send(name, *arguments)
      end
    end

    private_class_method :load, :perform
  end
  private_constant :Templated

  Templated.main(ARGV.dup) if $PROGRAM_NAME == __FILE__
end
