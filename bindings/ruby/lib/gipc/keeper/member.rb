# frozen_string_literal: true

# What a keeper has of one process of a service.

module Gipc
  class Keeper
    # @private
    class Member < Gipc::Member
      attr_reader :service

      # Why it was asked to end.
      attr_accessor :why

      # Whether it may get the signal for a dump.  Until a block has a trap for it, that
      # would end it.
      attr_accessor :dumps

      # @param socket [Native::NotifySocket, nil]
      def initialize(service, process, socket)
        super(process)
        @service = service
        @socket = socket
        @why = :none
        @dumps = service.program?
      end

      # Calls the block, in another thread, when the process has sent something.
      def listen(&heard)
        return unless @socket

        @heard = heard
        stream = IO.for_fd(Native.notify_socket_fd(@socket), autoclose: false)
        @listener = watch(stream, "gipc notify", &heard)
      end

      # Calls that block for what the process sent before its end, and no more from then on.
      def deafen
        finish(@listener, &@heard) if @listener
      end

      def facts
        {**super, why: @why}
      end

      # Releases what it has, after its end.
      def close
        Native.release(@socket) if @socket
        super
      end
    end
    private_constant :Member
  end
end
