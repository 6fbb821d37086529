# frozen_string_literal: true

# What a program says of a pool or a service: rules of the policy, and options of a start.

module Gipc
  # @private
  module Rules
    POOL = %i[most least queue_limit queue_low retire_tasks retire_memory idle poison prepare_failures].freeze
    SERVICE = %i[restart notify].freeze

    class << self
      # @param options [Hash{Symbol => Object}] nil is the default of each
      # @param foreign [Array<Symbol>] rules that this kind does not have
      # @return [Array(Hash{String => Numeric}, Hash{Symbol => Object})] rules, and options
      #   of a start
      # @raise [ArgumentError, TypeError] which name the option
      def split(options, foreign)
        rules, start = options.compact.partition { |name, _| rule?(name, foreign) }.map(&:to_h)
        unknown = start.keys - Options.names
        raise ArgumentError, "unknown option: #{unknown.join(", ")} (not a rule, and not an option of a start, " \
                             "which are: #{Options.names.join(", ")})" unless unknown.empty?

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

      # @param name [Symbol, String, Integer, nil] of the signal for a dump
      def check_signal(name)
        Options.signal(name) if name
      rescue ArgumentError, TypeError => e
        raise e.class, "option dump_signal: #{e.message}"
      end

      private

      def rule?(name, foreign)
        !foreign.include?(name) && Native.is_rule(name.to_s)
      end

      def check_number(name, value)
        return if value.is_a?(Numeric) && value.real? && !value.to_f.nan?

        raise TypeError, "option #{name}: a number is needed, not #{value.inspect}"
      end
    end
  end
end
