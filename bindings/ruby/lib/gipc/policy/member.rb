# frozen_string_literal: true

# What a pool or a keeper has of one process that it started: also what it printed.

module Gipc
  # @private
  class Member
    # Of the lines on standard error, so many are kept.
    LINES = 20
    LONGEST_LINE = 4096
    private_constant :LINES, :LONGEST_LINE

    # How a process ended, in words.
    #
    # @param info [Process::ExitInfo, nil]
    def self.ending(info)
      return "ended" unless info
      return "ended with signal #{Signal.signame(info.signal) || info.signal}" if info.signal

      info.code ? "ended with code #{info.code}" : "ended, status lost"
    end

    attr_reader :process

    # @param process [Process]
    def initialize(process)
      @process = process
      @lines = []
      @reading = Thread::Mutex.new
      @reader = watch(process.stderr, "gipc stderr") { read_lines } if process.stderr
    end

    # Sends a signal to a process that may have ended.
    def signal(signal)
      @process.signal(signal)
    rescue Dead
      nil
    end

    # Asks it to end.
    def terminate
      signal(:TERM)
      signal(:CONT) # a stopped process cannot handle the signal
    end

    # What is known of it when it has ended.
    def facts
      {pid: @process.pid, exit_info: @process.exit_info, stderr: @lines}
    end

    # Releases what it has, after its end.
    def close
      if @reader
        finish(@reader) { read_lines }
        @process.stderr.close
      end
      @process.close
    end

    private

    # Calls the block in a thread of its own when the stream is readable, until it returns
    # false.
    def watch(stream, name)
      Thread.new do
        Thread.current.name = name
        loop do
          stream.wait_readable
          break unless @reading.synchronize { yield }
        end
      rescue IOError
        nil # closed
      end
    end

    # Calls the block for what the thread has not read, and ends the thread.
    def finish(thread, &block)
      @reading.synchronize(&block)
      thread.kill
      thread.join
    end

    # It never waits for room in the pipe because of this program.
    #
    # @return [Boolean] false at the end of the stream
    def read_lines
      while true
        text = @process.stderr.read_nonblock(65_536, exception: false)
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
end
