# frozen_string_literal: true

# What a pool has of one worker: its process, its handle, and what it printed.

module Gipc
  class Pool
    # @private
    class Member
      PAGE = Etc.sysconf(Etc::SC_PAGESIZE)
      # Of the lines on standard error, so many are kept.
      LINES = 20
      LONGEST_LINE = 4096
      private_constant :PAGE, :LINES, :LONGEST_LINE

      # @return [Array] the native objects of the handle and the process
      attr_reader :native

      attr_reader :process, :handle

      # Whether it has a task.
      attr_accessor :busy

      def initialize(handle, process)
        @handle = handle
        @process = process
        @native = [handle.native, process.native]
        @lines = []
        @reading = Thread::Mutex.new
        @reader = collect(process.stderr) if process.stderr
      end

      # Asks a worker without a task to end: it gets the end of the stream.
      def finish
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

      # Sends a signal to a worker that may have ended.
      def signal(signal)
        @process.signal(signal)
      rescue Dead
        nil
      end

      # What is known of it when it has ended.
      def facts
        {pid: @process.pid, exit_info: @process.exit_info, stderr: @lines}
      end

      # Releases what it has, after its end.
      def close
        @handle.abort unless @handle.closed?
        if @reader
          @reading.synchronize { read_lines(@process.stderr) }
          @reader.kill
          @reader.join
          @process.stderr.close
        end
        @process.close
      end

      private

      # It never waits for room in the pipe because of this program.
      def collect(stream)
        Thread.new do
          Thread.current.name = "gipc stderr"
          loop do
            stream.wait_readable
            break unless @reading.synchronize { read_lines(stream) }
          end
        rescue IOError
          nil # closed
        end
      end

      # @return [Boolean] false at the end of the stream
      def read_lines(stream)
        while true
          text = stream.read_nonblock(65_536, exception: false)
          return true if text == :wait_readable
          return false if text.nil?

          add(text)
        end
      end

      def add(text)
        text = text.force_encoding(Encoding::UTF_8).scrub
        text = "#{@lines.pop}#{text}" unless @lines.empty? || @lines.last.end_with?("\n")
        @lines.concat(text.lines.map { |line| line[0, LONGEST_LINE] })
        @lines.shift(@lines.size - LINES) if @lines.size > LINES
      end
    end
    private_constant :Member
  end
end
