# frozen_string_literal: true

# One end of a pipe: getting, putting, closing, and passing to a child.

module Gipc
  # One end of a pipe: reads, writes, or both.
  #
  # Fibers and threads may share a handle: each direction has a fair lock.  A call
  # that waits lets other fibers run if there is a Fiber::Scheduler, and other threads
  # in any case.  It may be interrupted at any byte (a timeout, Async::Task#stop,
  # Timeout.timeout, Thread#raise): a get keeps the received bytes for the next one; a
  # put is cancelled or, if a part of the message was written, finished in the
  # background.
  #
  # Times are in seconds.  Every method may raise {Closed}, {WrongProcess} (in a
  # process that does not own the handle) and Errno::*.
  class Handle
    include Enumerable
    include Transfer
    include Taking
    include Settings

    # @return [#dump, #load] the codec
    attr_reader :codec

    # @private
    attr_reader :native

    # @private
    def initialize(native, codec)
      @native = native
      @codec = codec
      @duplex = Native.directions(native) == (Native::READ | Native::WRITE)
      @in = Descriptor.new(:wait_readable)
      @out = Descriptor.new(:wait_writable)
      @flusher = nil
    end

    # Gets the next object.
    #
    # With a block, calls it with the object, and no object is lost: an exception of
    # another thread (Thread#raise, Timeout.timeout, Thread#kill) is raised while this
    # waits and has taken nothing, or after the block has ended.
    #
    #   Timeout.timeout(5) { reader.get { |job| jobs << job } }
    #
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely;
    #   0: does not wait
    # @yield [Object]
    # @return [Object] of a raw pipe a binary String; or what the block returns
    # @raise [EOFError] at the end of the stream, for this get and every later one
    # @raise [Timeout]
    # @raise [Truncated] if the stream ended inside a message
    # @raise [Protocol, TooBig] if the peer sends an invalid frame, or a message over the
    #   limit
    # @raise [WrongDirection] on a writer
    # @raise [Locked] in a trap or a hook that interrupts a get on this handle
    def get(timeout: nil)
      return masked(timeout) { |deadline| yield @codec.load(take(deadline)) } if block_given?

      deadline = timeout && Deadline.after(timeout)
      message = Native.take(@native) unless @in.locked?
      message = receive(message, deadline) unless message.is_a?(String)
      @codec.load(message)
    end

    # Gets the next message as bytes, without the codec, into a String whose memory is
    # reused.  The String cannot be changed during the call.
    #
    # @param buffer [String] its content is lost; empty after an exception
    # @param timeout [Numeric, nil] (see #get)
    # @return [String] buffer, with binary encoding
    # @raise (see #get)
    def get_into(buffer, timeout: nil)
      raise TypeError, "buffer is a String, not #{buffer.inspect}" unless buffer.is_a?(String)

      deadline = Deadline.after(timeout)
      buffer.clear.force_encoding(Encoding::BINARY)
      message = Native.take(@native) unless @in.locked?
      message = receive(message, deadline, buffer) unless message.is_a?(String)
      message.equal?(buffer) ? buffer : buffer.replace(message)
    end

    # Gets the next object without waiting, as IO#read_nonblock does.  For programs with
    # their own loop: one readable event may stand for several messages, so repeat the
    # call until there is none.  A peer may put faster than this: after some 256 messages
    # or 256 KiB let the loop run, and continue in its next iteration.
    #
    # @param exception [Boolean] false: returns :wait_readable instead of raising
    # @return [Object, :wait_readable]
    # @raise [IO::EAGAINWaitReadable] if no message is available
    # @raise (see #get)
    def get_nonblock(exception: true)
      get(timeout: 0)
    rescue Timeout
      return :wait_readable unless exception

      raise IO::EAGAINWaitReadable, "no message yet"
    end

    # Yields the objects until the end of the stream.
    #
    # @yield [Object]
    # @return [self], or without a block an Enumerator
    # @raise (see #get)
    def each
      return enum_for unless block_given?

      # Kernel#loop would rescue a StopIteration raised by the block.
      while true
        begin
          object = get
        rescue EOFError
          return self
        end
        yield object
      end
    end

    # Puts an object.  Returns when all bytes of the message are written, that is,
    # accepted by the kernel, or in a ring, which outlives this process.
    #
    # With a block, calls it once the message is accepted, also if an exception of
    # another thread (Thread#raise, Timeout.timeout) ends the wait for its remaining
    # bytes.  If the block is not called, nothing of the message is sent.
    #
    #   Timeout.timeout(5) { writer.put(job) { jobs.delete(job) } }
    #
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely
    # @param ios [Array<IO, Integer, Handle>, nil] up to 253 open files or descriptors, such
    #   as sockets, of which the peer takes copies with {#take_fds}; they can be closed when
    #   the call returns.  Up to 7 handles among them move to the peer, which takes them
    #   with {#take_handles}: here they are closed, as if passed to a child
    # @yield []
    # @return [self]
    # @raise [Errno::EOPNOTSUPP] if the peer is not known to take descriptors; nothing was
    #   sent
    # @raise [Errno::EBUSY] if one of the handles has received or queued bytes; nothing was
    #   sent, and the handles are as before
    # @raise [Timeout] see {Timeout#withdrawn?}
    # @raise [Errno::EPIPE] if the peer has closed its end
    # @raise [TooBig] if the message exceeds the limit
    # @raise [WrongDirection] on a reader
    # @raise [TypeError, ArgumentError, JSON::GeneratorError] and others of the codec, if
    #   it cannot encode the object; the text says which part
    # @raise [Locked] in a trap or a hook that interrupts a put on this handle
    def put(object, timeout: nil, ios: nil, &accepted)
      message = Codec.encode(@codec, object)
      return put_with(message, ios, timeout, &accepted) if ios

      if accepted
        masked(timeout) do |deadline|
          confirm(accepted) { send_message(message, deadline) }
        end
      else
        send_message(message, timeout && Deadline.after(timeout))
      end
      self
    end

    # Puts an object without waiting, as IO#write_nonblock does.  Its remaining bytes, if
    # any, are written in the background.
    #
    # @param exception [Boolean] false: returns :wait_writable instead of raising
    # @return [self, :wait_writable]
    # @raise [IO::EAGAINWaitWritable] if nothing of the message was written
    # @raise (see #put)
    def put_nonblock(object, exception: true)
      put(object, timeout: 0)
    rescue Timeout => e
      return self unless e.withdrawn?
      return :wait_writable unless exception

      raise IO::EAGAINWaitWritable, "no room for the message yet"
    end

    # Like {#put} without a timeout; returns self, so that calls can be chained.
    #
    # @return (see #put)
    # @raise (see #put)
    def <<(object)
      put(object)
    end

    # Puts many objects, in batches that reduce the number of system calls.  Returns when
    # all bytes are written.  After an interruption the first ones are written or queued
    # ({Timeout#accepted}).
    #
    # @param objects [Enumerable] may be lazy; all objects are encoded first
    # @param timeout [Numeric, nil] for all of them (see #put)
    # @return [self]
    # @raise (see #put)
    def put_many(objects, timeout: nil)
      unless objects.respond_to?(:each_entry)
        raise TypeError, "objects is an Enumerable, not #{objects.inspect}"
      end
      messages = Codec.encode_all(@codec, objects)
      deadline = Deadline.after(timeout)
      accepted = 0
      writing(deadline) do |fd|
        outcome = kept = nil
        until outcome == Native::DONE
          outcome, accepted = Native.queue(@native, messages, accepted)
          kept ||= messages.map! { |message| unchanging(message) } unless outcome == Native::DONE
          outcome == Native::YIELD ? Gipc.let_others_run : send_queued(fd, deadline)
        end
      end
      self
    rescue Timeout => e
      e.accepted = accepted
      raise
    end

    # Waits until all bytes that an interrupted put has queued are written.  They are
    # also written in the background.
    #
    # @param timeout [Numeric, nil] (see #put)
    # @return [self]
    # @raise (see #put)
    def flush(timeout: nil)
      deadline = Deadline.after(timeout)
      writing(deadline) { |fd| send_queued(fd, deadline) }
      self
    end

    # Closes the handle.  The peer gets all messages, then the end of the stream.
    #
    # @param timeout [Numeric, nil] seconds to wait until queued bytes are written;
    #   nil, or negative: indefinitely
    # @return [nil]
    # @raise [Timeout] if the timeout expires: queued bytes are discarded, and the handle
    #   is closed
    # @raise [Locked] if a fiber or thread is using the handle
    # @raise [Closed] if the handle was closed before
    def close(timeout: nil)
      deadline = Deadline.after(timeout)
      check_unused
      begin
        finish_writing(deadline) do
          forget_descriptors
          Native.close(@native)
        end
      rescue Timeout
        abort
        raise
      end
      Native.release(@native)
    end

    # Closes the handle without waiting.  Queued bytes that cannot be written at once are
    # discarded; if a part of a message was written, the peer gets {Truncated}.
    #
    # @return [nil]
    # @raise [Locked] if a fiber or thread is using the handle
    def abort
      check_unused
      forget_descriptors
      Native.release(@native)
    end

    # Shuts down the writing direction only.
    #
    # @return [nil]
    # @raise (see #close)
    def close_write
      stop_flushing
      raise Locked, "another fiber or thread is using this handle" if @out.locked?

      finish_writing(nil) do
        @out.forget
        Native.shutdown(@native)
      end
      nil
    end

    # Whether the handle is closed in this process: by {#close}, or because it was passed
    # to a child.
    def closed?
      Native.directions(@native)
      false
    rescue Closed, WrongProcess
      true
    end

    # Whether the handle is open for gets.
    def readable?
      open_for?(Native::READ)
    end

    # Whether the handle is open for puts.
    def writable?
      open_for?(Native::WRITE)
    end

    # What to wait for in a loop of your own (IO.select, EventMachine, nio4r); for a duplex
    # handle, the descriptor that it reads from.  The handle may hold messages while its
    # descriptor is not readable: call {#get_nonblock} until there is none, then wait.
    #
    # @return [IO] does not own its descriptor
    def to_io
      return @in.io(Native.fd(@native, Native::READ)) if readable?

      @out.io(Native.fd(@native, Native::WRITE))
    end

    # The event to wait for with {#to_io}: :r or :w, as nio4r calls them.
    #
    # @return [:r, :w]
    def events
      readable? ? :r : :w
    end

    # With the open directions.
    def inspect
      state = if closed?
                "closed"
              else
                [("r" if readable?), ("w" if writable?)].join
              end
      "#<#{self.class} #{state}>"
    end

    # @private
    def initialize_copy(_other)
      raise TypeError, "#{self.class} cannot be copied (dup, clone)"
    end

    # ---- Making handles (internal)

    # @private
    def self.lend_to_block(handles)
      return handles.size == 1 ? handles.first : handles unless block_given?

      begin
        result = yield(*handles)
        completed = true
        result
      ensure
        open = handles.reject(&:closed?)
        completed ? open.each(&:close) : open.each { |handle| handle.abort_unless_locked }
      end
    end

    # Does not replace the exception that leaves the block, if another thread is in a get.
    # @private
    def abort_unless_locked
      abort
    rescue Locked
      nil
    end

    # What {Gipc.wait} checks: the native handle, its descriptor to read, or to write.
    # @private
    def watched
      return [@native] if closed?
      return [@native, Native.fd(@native, Native::READ)] if readable?

      [@native, nil, Native.fd(@native, Native::WRITE)]
    end

    # ---- Passing to a child (internal)

    # @private
    def pass(options, name)
      check_unused
      forget_descriptors
      Native.options_pass(options, name, @native)
    end

    # Before each try to move it in a message.
    # @private
    def prepare_move
      check_unused
      forget_descriptors
    end

    # Frees the handle in this process, after it was passed.
    # @private
    def disown
      Native.release(@native)
    end

    # Makes this process the owner of the handle.
    # @private
    def take_ownership
      initialize(@native, @codec)
    end

    private

    def forget_descriptors
      @in.forget
      @out.forget
    end

    def open_for?(direction)
      !(Native.directions(@native) & direction).zero?
    rescue Closed, WrongProcess
      false
    end

    def check_unused
      stop_flushing
      return unless @in.locked? || @out.locked?
      return if closed?

      @out.if_free { flush_in_background }
      raise Locked, "another fiber or thread is using this handle"
    end
  end
end
