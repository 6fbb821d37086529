# frozen_string_literal: true

# Streams that are open already, as native handles.

require "fcntl"

module Gipc
  # @private
  module Adopt
    class << self
      # The native handle of these streams, which owns their descriptors then.
      def streams(reader, writer, transport)
        fds = {reader: reader, writer: writer}.map { |name, stream| descriptor_of(name, stream) }
        if writer.equal?(reader)
          flags = IO.for_fd(fds.first, autoclose: false).fcntl(Fcntl::F_GETFL)
          fds[0] = -1 if flags & Fcntl::O_ACCMODE == Fcntl::O_WRONLY
          fds[1] = -1 if flags & Fcntl::O_ACCMODE == Fcntl::O_RDONLY
        end
        native = Native.open(*fds, transport)
        [reader, writer].grep(IO).uniq.each do |stream|
          stream.autoclose = false
          stream.close
        end
        native
      end

      private

      def descriptor_of(name, stream)
        return stream || -1 if stream.nil? || stream.is_a?(Integer)
        raise TypeError, "#{name} is an IO or a descriptor, not #{stream.inspect}" unless stream.is_a?(IO)

        stream.fileno
      end
    end
  end
end
