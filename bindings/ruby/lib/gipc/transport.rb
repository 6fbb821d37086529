# frozen_string_literal: true

# How the bytes of a handle get to its peer.

module Gipc
  # @private
  module Transport
    NUMBERS = {auto: Native::TRANSPORT_AUTO, plain: Native::TRANSPORT_PLAIN,
               ring: Native::TRANSPORT_RING}.freeze
    IN_USE = NUMBERS.slice(:plain, :ring).invert.freeze
    # Of GIPC_TRANSPORT in the environment.
    DEFAULT = -1

    class << self
      # @return [Integer]
      def number(name)
        NUMBERS.fetch(name) do
          raise ArgumentError, "transport: #{name.inspect} is none of #{NUMBERS.keys.map(&:inspect).join(", ")}"
        end
      end

      # The same for a keyword, of which nil is the default.
      def of(name)
        name.nil? ? DEFAULT : number(name)
      end

      # @return [Native::Handle] native
      def choose(native, number, what = "the handle")
        naming(what) { Native.set_transport(native, number) } unless number == DEFAULT
        native
      end

      # The errors of the block name what has no such transport.
      def naming(what)
        yield
      rescue Errno::EOPNOTSUPP
        raise Errno::EOPNOTSUPP, "#{what} cannot use the transport :ring, which needs Linux and an " \
                                 "AF_UNIX stream socket"
      rescue Errno::EBUSY
        raise Errno::EBUSY, "#{what} still uses a ring: get its messages, then set the transport again"
      end
    end
  end
end
