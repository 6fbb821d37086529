# frozen_string_literal: true

# One end of a pipe: its messages, its closing, its way to a child.

require "fcntl"

module Gipc
  # One end of a pipe: reads, writes, or both.
  #
  # Fibers and threads may share it: they take turns, in each direction.  What
  # waits lets other fibers run where there is a Fiber::Scheduler, and other
  # threads in any case.  It may be broken off at any byte (a timeout,
  # Async::Task#stop, Timeout.timeout, Thread#raise): a get keeps what has
  # arrived for the next one, a put is withdrawn or, if a part of it has left,
  # finished in the background.
  #
  # Times are in seconds.  Every method may raise {Closed}, {WrongProcess} (in a
  # process that did not get the handle) and Errno::*.
  class Handle
    include Enumerable
    include Transfer

    # What {#limit} is at first: 1 GiB.
    DEFAULT_LIMIT = 1 << 30

    # @return [#dump, #load] how an object becomes a message
    attr_reader :codec

    # @private
    def initialize(native, codec)
      @native = native
      @codec = codec
      @duplex = Native.directions(native) == (Native::READ | Native::WRITE)
      @in = Descriptor.new(:wait_readable)
      @out = Descriptor.new(:wait_writable)
      @flusher = nil
    end

    # Takes the next object.
    #
    # With a block, calls it with the object, which is lost to nobody: an exception
    # of another thread (Thread#raise, Timeout.timeout, Thread#kill) strikes while
    # this waits and nothing is taken, or after the block has ended.
    #
    #   Timeout.timeout(5) { reader.get { |job| jobs << job } }
    #
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely;
    #   0: takes what is there
    # @yield [Object]
    # @return [Object] of a raw pipe a binary String; or what the block returns
    # @raise [EOFError] at the end of the stream, and at every get after it
    # @raise [Timeout]
    # @raise [Truncated] if the stream ended inside a message
    # @raise [Protocol, TooBig] if the peer breaks the format or the limit
    # @raise [WrongDirection] on a writer
    # @raise [Locked] in a trap or a hook that interrupts a get of this handle
    def get(timeout: nil)
      return masked(timeout) { |deadline| yield @codec.load(take(deadline)) } if block_given?

      deadline = timeout && Deadline.after(timeout)
      message = Native.take(@native) unless @in.locked?
      message = receive(message, deadline) unless message.is_a?(String)
      @codec.load(message)
    end

    # Takes the next message as bytes, without the codec, into a String whose memory
    # is used again.  The String cannot be changed meanwhile.
    #
    # @param buffer [String] what it holds is lost; empty after an exception
    # @param timeout [Numeric, nil] (see #get)
    # @return [String] buffer, which is binary from then on
    # @raise (see #get)
    def get_into(buffer, timeout: nil)
      raise TypeError, "buffer is a String, not #{buffer.inspect}" unless buffer.is_a?(String)

      deadline = Deadline.after(timeout)
      buffer.clear.force_encoding(Encoding::BINARY)
      message = Native.take(@native) unless @in.locked?
      message = receive(message, deadline, buffer) unless message.is_a?(String)
      message.equal?(buffer) ? buffer : buffer.replace(message)
    end

    # Takes the next object if it is there, in the manner of IO#read_nonblock.
    # For programs with a loop of their own: a readable descriptor may bring more
    # than one message, so take until there is none.
    #
    # @param exception [Boolean] false: returns :wait_readable instead of raising
    # @return [Object, :wait_readable]
    # @raise [IO::EAGAINWaitReadable] if there is none yet
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

      while true # not loop, which would eat a StopIteration of the block
        begin
          object = get
        rescue EOFError
          return self
        end
        yield object
      end
    end

    # Puts an object.  It is with the kernel when this returns.
    #
    # With a block, calls it once the message is on its way, also where an exception
    # of another thread (Thread#raise, Timeout.timeout) ends the wait for the rest of
    # it.  If the block is not called, nothing of the message is sent.
    #
    #   Timeout.timeout(5) { writer.put(job) { jobs.delete(job) } }
    #
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely
    # @yield []
    # @return [self]
    # @raise [Timeout] see {Timeout#in_progress?}
    # @raise [Errno::EPIPE] if the peer has closed its end, or is gone
    # @raise [TooBig] if it is over the limit
    # @raise [WrongDirection] on a reader
    # @raise [TypeError, ArgumentError, JSON::GeneratorError] and others of the codec, if
    #   it cannot take the object, with the place of what it does not take
    # @raise [Locked] in a trap or a hook that interrupts a put of this handle
    def put(object, timeout: nil, &accepted)
      message = Codec.encode(@codec, object)
      if accepted
        masked(timeout) do |deadline|
          confirm(accepted) { send_message(message, deadline) }
        end
      else
        send_message(message, timeout && Deadline.after(timeout))
      end
      self
    end

    # Puts an object if that needs no wait, in the manner of IO#write_nonblock: it is
    # sent, or sent in the background from then on.
    #
    # @param exception [Boolean] false: returns :wait_writable instead of raising
    # @return [self, :wait_writable]
    # @raise [IO::EAGAINWaitWritable] if nothing of it was taken
    # @raise (see #put)
    def put_nonblock(object, exception: true)
      put(object, timeout: 0)
    rescue Timeout => e
      return self if e.in_progress?
      return :wait_writable unless exception

      raise IO::EAGAINWaitWritable, "no room for the message yet"
    end

    # Puts an object, with all the time there is.
    #
    # @return (see #put)
    # @raise (see #put)
    def <<(object)
      put(object)
    end

    # Puts many objects, in as few system calls as they fit in.  They are with
    # the kernel when this returns.  If it is broken off, a first part of them is
    # sent or queued ({Timeout#accepted}).
    #
    # @param objects [Enumerable] also a lazy one; all of it is encoded first
    # @param timeout [Numeric, nil] for all of them (see #put)
    # @return [self]
    # @raise (see #put)
    def put_many(objects, timeout: nil)
      unless objects.respond_to?(:each_entry)
        raise TypeError, "objects is an Enumerable, not #{objects.inspect}"
      end
      messages = []
      objects.each_entry { |object| messages << Codec.encode(@codec, object) }
      deadline = Deadline.after(timeout)
      accepted = 0
      writing(deadline) do |fd|
        outcome = nil
        until outcome == Native::DONE
          outcome, accepted = Native.queue(@native, messages, accepted)
          messages.map! { |message| unchanging(message) } unless outcome == Native::DONE
          outcome == Native::YIELD ? Gipc.let_others_run : send_queued(fd, deadline)
        end
      end
      self
    rescue Timeout => e
      e.accepted = accepted
      raise
    end

    # Waits until all that is queued, by a put that was broken off, is with the
    # kernel.  It leaves without that, too.
    #
    # @param timeout [Numeric, nil] (see #put)
    # @return [self]
    # @raise (see #put)
    def flush(timeout: nil)
      deadline = Deadline.after(timeout)
      writing(deadline) { |fd| send_queued(fd, deadline) }
      self
    end

    # Closes it.  The peer gets all that was put, then the end of the stream.
    #
    # @param timeout [Numeric, nil] seconds to wait until what is queued is sent;
    #   nil, or negative: indefinitely
    # @return [nil]
    # @raise [Timeout] if the rest was not sent in time: it is discarded, and the
    #   handle is closed
    # @raise [Locked] if a fiber or thread is using it
    # @raise [Closed] if it was closed before
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

    # Closes it without waiting: what is queued and cannot leave at once is lost,
    # which the peer is told ({Truncated}) if a part of a message has left.
    #
    # @return [nil]
    # @raise [Locked] if a fiber or thread is using it
    def abort
      check_unused
      forget_descriptors
      Native.release(@native)
    end

    # Ends the writing direction only.
    #
    # @return [nil]
    # @raise (see #close)
    def close_write
      stop_flushing
      raise Locked, "another fiber or thread is using it" if @out.locked?

      finish_writing(nil) do
        @out.forget
        Native.shutdown(@native)
      end
      nil
    end

    # Whether it is closed here: by {#close}, or as it has moved to a child.
    def closed?
      Native.directions(@native)
      false
    rescue Closed, WrongProcess
      true
    end

    # Whether it is open for gets.
    def readable?
      open_for?(Native::READ)
    end

    # Whether it is open for puts.
    def writable?
      open_for?(Native::WRITE)
    end

    # What to wait for in a loop of one's own (IO.select, EventMachine, nio4r):
    # of a duplex handle, what it reads from.  It may be quiet while a message is
    # here already, so take with {#get_nonblock} until there is none, then wait.
    #
    # @return [IO] which does not own its descriptor
    def to_io
      return @in.io(Native.fd(@native, Native::READ)) if readable?

      @out.io(Native.fd(@native, Native::WRITE))
    end

    # What {#to_io} is to be waited for: :r or :w, as nio4r calls them.
    #
    # @return [:r, :w]
    def events
      readable? ? :r : :w
    end

    # The largest message, in bytes, that it gets or puts.
    #
    # @return [Integer] {DEFAULT_LIMIT} at first
    def limit
      @limit || DEFAULT_LIMIT
    end

    # Sets the limit.  What a peer claims costs memory only as it arrives.
    #
    # @param bytes [Integer]
    # @raise [TypeError] if it is not a number of bytes
    def limit=(bytes)
      Native.set_limit(@native, Options.count(:limit, bytes))
      @limit = bytes
    end

    # How many bytes are received and kept while a put waits; 64 MiB at first, and
    # 0 turns it off.  Beyond it the peer waits.
    def read_limit=(bytes)
      Native.set_read_limit(@native, Options.count(:read_limit, bytes))
    end

    # Sets the water marks of what may be queued to be sent: puts are taken while
    # less than +high+ bytes are queued, 256 KiB at first.
    #
    # @param low [Integer] bytes; 64 KiB at first
    # @param high [Integer] bytes
    # @return [self]
    # @raise [Errno::EINVAL] if low is not below high
    def set_marks(low, high)
      Native.set_marks(@native, Options.count(:low, low), Options.count(:high, high))
      self
    end

    # How many bytes it holds, with headers: received and not yet taken, and queued
    # and not yet sent.
    #
    # @return [Hash{Symbol => Integer}] read and write, where it is open for it
    def pending
      directions = {read: readable? && Native::READ, write: writable? && Native::WRITE}
      directions.filter_map { |name, one| [name, Native.pending(@native, one)] if one }.to_h
    end

    # What it has done so far.
    #
    # @return [Hash{Symbol => Integer}] messages_in, messages_out, bytes_in,
    #   bytes_out, reads and writes (system calls)
    def stats
      stats = Native.handle_stats(@native)
      %i[messages_in messages_out bytes_in bytes_out reads writes]
        .to_h { |name| [name, stats.public_send(name)] }
    end

    # With the directions that it is open for.
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
      raise TypeError, "there is only one of each end of a pipe"
    end

    # ---- Making: for this library only

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

    # @private
    def self.adopt(reader, writer, codec)
      fds = {reader: reader, writer: writer}.map { |name, stream| descriptor_of(name, stream) }
      if writer.equal?(reader)
        flags = IO.for_fd(fds.first, autoclose: false).fcntl(Fcntl::F_GETFL)
        fds[0] = -1 if flags & Fcntl::O_ACCMODE == Fcntl::O_WRONLY
        fds[1] = -1 if flags & Fcntl::O_ACCMODE == Fcntl::O_RDONLY
      end
      native = Native.open(*fds)
      [reader, writer].grep(IO).uniq.each do |stream|
        stream.autoclose = false
        stream.close
      end
      new(native, codec)
    end

    def self.descriptor_of(name, stream)
      return stream || -1 if stream.nil? || stream.is_a?(Integer)
      raise TypeError, "#{name} is an IO or a descriptor, not #{stream.inspect}" unless stream.is_a?(IO)

      stream.fileno
    end
    private_class_method :descriptor_of

    # An exception that leaves the block goes on, also if another thread is in a get.
    # @private
    def abort_unless_locked
      abort
    rescue Locked
      nil
    end

    # What {Gipc.wait} looks at: it, and its descriptor for reading, or for writing.
    # @private
    def watched
      return [@native] if closed?
      return [@native, Native.fd(@native, Native::READ)] if readable?

      [@native, nil, Native.fd(@native, Native::WRITE)]
    end

    # ---- The way to a child: for this library only

    # @private
    def pass(options, name)
      check_unused
      forget_descriptors
      Native.options_pass(options, name, @native)
    end

    # It has moved: nothing of it is left here.
    # @private
    def depart
      Native.release(@native)
    end

    # It has come to this process.
    # @private
    def arrive
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
      raise Locked, "another fiber or thread is using it"
    end
  end
end
