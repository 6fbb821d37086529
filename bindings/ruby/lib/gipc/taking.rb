# frozen_string_literal: true

# What comes with the messages of a {Gipc::Handle}.

module Gipc
  # Descriptors and handles of the message that the last get returned.
  module Taking
    # Takes the descriptors of the message that the last get returned.  Those that are not
    # taken are closed with the next get, or with the handle.
    #
    #   socket = Socket.for_fd(reader.take_fds.first)
    #
    # @return [Array<Integer>] which the caller closes
    # @raise [Errno::EMFILE] if they were lost, because this process had no descriptors left
    #   when they came
    def take_fds
      Native.take_fds(@native)
    end

    # Takes the handles of the message that the last get returned, as {#take_fds} does
    # its descriptors.
    #
    # @param codec (see Gipc.pipe)
    # @return [Array<Handle>] each reads, writes or both, as it was put
    # @raise (see #take_fds)
    def take_handles(codec: :marshal)
      codec = Codec.of(codec)
      taken = []
      while (native = Native.take_handle(@native))
        taken << Handle.new(native, codec)
      end
      taken
    end
  end
end
