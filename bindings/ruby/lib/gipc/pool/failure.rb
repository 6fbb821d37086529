# frozen_string_literal: true

# The exceptions of tasks on their way from a worker to the caller.

module Gipc
  # @private
  module Failure
    # These end a process, and no worker may do so with the caller's.
    ENDING = [SystemExit, SignalException, NoMemoryError].freeze
    # A message that is longer is of no use.
    LONGEST = 64 * 1024
    private_constant :ENDING, :LONGEST

    class << self
      # In a worker: the message that reports an exception.
      #
      # @return [String]
      def encode(task, error, codec)
        parts = [error.class.to_s, text(error), (error.backtrace || []).join("\n")]
        Native.worker_message(Native::FAILED_MESSAGE, task, whole(error, codec), *parts)
      end

      # @return [Exception] with the backtrace of the worker
      def decode(data, type, text, trace, codec)
        error = load(data, codec) || known(type, text) || RemoteError.new(type, text)
        error.set_backtrace(trace.split("\n"))
        error
      end

      private

      # Its message may raise, and it may be no text.
      def text(error)
        error.message.to_s.byteslice(0, LONGEST)
      rescue StandardError
        "(its message cannot be shown)"
      end

      # Only Marshal keeps the instance variables, and only some exceptions allow it.
      def whole(error, codec)
        codec == Marshal ? Marshal.dump(error) : ""
      rescue StandardError
        ""
      end

      def load(data, codec)
        return if data.empty? || codec != Marshal

        error = Marshal.load(data) # rubocop:disable Security/MarshalLoad
        error if error.is_a?(Exception)
      rescue StandardError
        nil # the class is not known here
      end

      # An exception of the class of this name, without a call of the class's own
      # initialize, which may take any arguments.
      def known(type, text)
        return unless type.match?(/\A[A-Z]\w*(::[A-Z]\w*)*\z/) && Object.const_defined?(type)

        error_class = Object.const_get(type)
        return unless error_class.is_a?(Class) && error_class < Exception
        return if ENDING.any? { |ending| error_class <= ending }

        error = error_class.allocate
        Exception.instance_method(:initialize).bind_call(error, text)
        error
      rescue StandardError
        nil
      end
    end
  end
end
