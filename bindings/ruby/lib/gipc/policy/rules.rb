# frozen_string_literal: true

# What a program says of a pool or a service: rules of the policy, and options of a start.

module Gipc
  # @private
  module Rules
    COMMON = %i[ready_within silence dump grace first_delay longest_delay growth jitter healthy limit window seed].freeze
    POOL = %i[least queue_limit queue_low retire_tasks retire_memory idle ahead poison
              prepare_failures].concat(COMMON).freeze
    SERVICE = %i[restart notify].concat(COMMON).freeze
    private_constant :COMMON

    class << self
      # @param options [Hash{Symbol => Object}] nil is the default of each
      # @param known [Array<Symbol>] the rules of this kind
      # @return [Array(Hash{String => Numeric}, Hash{Symbol => Object})] rules, and options
      #   of a start
      # @raise [ArgumentError, TypeError] which name the option
      def split(options, known)
        unknown = options.keys - known - Options.names
        raise ArgumentError, "unknown option: #{unknown.join(", ")} (there are: #{known.join(", ")}, and those of " \
                             "a start: #{Options.names.join(", ")})" unless unknown.empty?

        rules, start = options.compact.partition { |name, _| known.include?(name) }.map(&:to_h)

        rules.each { |name, value| check_number(name, value) }
        Options.build([], start) # its errors are raised here, and not at each start
        [rules.transform_keys(&:to_s), start]
      end

      # The value of a word, for an option of this name.
      def one_of(option, table, word)
        table.fetch(word) do
          raise ArgumentError, "option #{option}: #{word.inspect} is none of #{table.keys.map(&:inspect).join(", ")}"
        end
      end

      # A member of a pool or keeper has no parent's end of these.
      #
      # @param options [Hash] of the start
      def check_streams(options)
        %i[stdin stdout].each do |name|
          raise ArgumentError, "option #{name}: nothing would use this pipe" if options[name] == :pipe
        end
      end

      # @param name [Symbol, String, Integer, nil] of the signal for a dump
      def check_signal(name)
        Options.signal(name) if name
      rescue ArgumentError, TypeError => e
        raise e.class, "option dump_signal: #{e.message}"
      end

      private

      def check_number(name, value)
        return if value.is_a?(Numeric) && value.real? && !value.to_f.nan?

        raise TypeError, "option #{name}: a number is needed, not #{value.inspect}"
      end
    end
  end
end
