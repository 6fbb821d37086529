# frozen_string_literal: true

# What a pool has of one worker: its process, its handle, and what it printed.

module Gipc
  class Pool
    # @private
    class Member < Gipc::Member
      PAGE = Etc.sysconf(Etc::SC_PAGESIZE)
      private_constant :PAGE

      # @return [Array] the native objects of the handle and the process
      attr_reader :native

      attr_reader :handle

      def initialize(handle, process)
        super(process)
        @handle = handle
        @native = [handle.native, process.native]
      end

      # Asks a worker without a task to end: it gets the end of the stream.
      def finish_stream
        @handle.close_write if @handle.writable?
      rescue Error, SystemCallError
        nil # its end is seen by its process
      end

      # @return [Integer, nil] bytes; nil if the system does not say
      def self.memory(pid)
        File.read("/proc/#{pid}/statm").split[1].to_i * PAGE
      rescue SystemCallError
        nil
      end

      # Releases what it has, after its end.
      def close
        @handle.abort unless @handle.closed?
        super
      end
    end
    private_constant :Member
  end
end
