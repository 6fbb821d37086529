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
      @flushing = false
    end

    # Takes the next object.
    #
    # @param timeout [Numeric, nil] nil, or negative: waits indefinitely; 0: takes
    #   what is there
    # @return [Object] of a raw pipe a binary String
    # @raise [EOFError] at the end of the stream, and at every get after it
    # @raise [Timeout]
    # @raise [Truncated] if the stream ended inside a message
    # @raise [Protocol, TooBig] if the peer breaks the format or the limit
    # @raise [WrongDirection] on a writer
    def get(timeout: nil)
      deadline = timeout && Deadline.after(timeout)
      message = Native.take(@native) unless @in.taken?
      message = receive(message, deadline) unless message.is_a?(String)
      @codec.load(message)
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
    # @param timeout [Numeric, nil] nil, or negative: waits indefinitely
    # @return [self]
    # @raise [Timeout] see {Timeout#in_progress?}
    # @raise [Errno::EPIPE] if the peer has closed its end, or is gone
    # @raise [TooBig] if it is over the limit
    # @raise [WrongDirection] on a reader
    # @raise [TypeError] if the codec cannot take it
    def put(object, timeout: nil)
      message = @codec.dump(object)
      deadline = timeout && Deadline.after(timeout)
      result = Native.put(@native, message) unless @out.taken?
      finish_put(message, result, deadline) unless result == true
      self
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
    # sent or queued.
    #
    # @param objects [Enumerable]
    # @param timeout [Numeric, nil] for all of them (see #put)
    # @return [self]
    # @raise (see #put)
    def put_many(objects, timeout: nil)
      messages = objects.map { |object| @codec.dump(object) }
      deadline = Deadline.after(timeout)
      writing(deadline) do |fd|
        taken = 0
        while (taken = Native.queue(@native, messages, taken)) < messages.size
          messages.map! { |message| unchanging(message) }
          send_queued(fd, deadline)
          Gipc.let_others_run
        end
        send_queued(fd, deadline)
      end
      self
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
    # @return [nil]
    # @raise [Locked] if a fiber or thread is using it
    # @raise [Closed] if it was closed before
    def close
      check_unused
      finish_writing do
        forget_descriptors
        Native.close(@native)
      end
      Native.release(@native)
    end

    # Ends the writing direction only.
    #
    # @return [nil]
    # @raise (see #close)
    def close_write
      stop_flushing
      raise Locked, "another fiber or thread is using it" if @out.taken?

      finish_writing do
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

    # The largest message, in bytes, that it gets or puts; 1 GiB at first.  What
    # a peer claims costs memory only as it arrives.
    def limit=(bytes)
      Native.set_limit(@native, bytes)
    end

    # How many bytes are received and kept while a put waits; 64 MiB at first, and
    # 0 turns it off.  Beyond it the peer waits.
    def read_limit=(bytes)
      Native.set_read_limit(@native, bytes)
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
        open.each { |handle| completed ? handle.close : handle.abandon }
      end
    end

    # @private
    def self.adopt(reader, writer, codec)
      fds = [reader, writer].map { |stream| stream.is_a?(IO) ? stream.fileno : stream || -1 }
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

    # Closes it without waiting: what is queued and cannot leave at once is lost,
    # which the peer is told (Truncated) if a part of a message has left.
    # @private
    def abandon
      check_unused
      forget_descriptors
      Native.release(@native)
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
      return unless @in.taken? || @out.taken?
      return if closed?

      flush_in_background unless @out.taken?
      raise Locked, "another fiber or thread is using it"
    end

    # ---- Getting

    # A get that could not be done at once, with what it has come to so far.
    def receive(result, deadline)
      Gipc.let_others_run if result == false
      fd = Native.fd(@native, Native::READ)
      @in.exclusively(deadline) do
        # Saves a look into the kernel, which has just had nothing.
        @in.wait(fd, deadline) if result.nil? && Native.pending(@native, Native::READ).zero?
        loop do
          case message = Native.take(@native)
          when String then return message
          when Integer then return receive_large(message, fd, deadline)
          when nil then @in.wait(fd, deadline)
          else Gipc.let_others_run
          end
        end
      end
    end

    # Straight into a String, which nobody else sees before it is whole.
    def receive_large(size, fd, deadline)
      @borrowed = Native.new_buffer(size)
      until (done = Native.receive(@native, @borrowed, size))
        done.nil? ? @in.wait(fd, deadline) : Gipc.let_others_run
      end
      @borrowed
    ensure
      Native.get_cancel(@native) unless done
      @borrowed = nil
    end

    # ---- Putting

    # Waits for its turn, then yields the descriptor.
    def writing(deadline)
      fd = Native.fd(@native, Native::WRITE)
      @out.exclusively(deadline) do
        yield fd
      ensure
        flush_in_background
      end
    end

    # A put that could not be done at once, with what it has come to so far.
    def finish_put(message, result, deadline)
      message = unchanging(message)
      writing(deadline) do |fd|
        return put_large(message, fd, deadline) if Native.is_large(message)

        until result
          result.nil? ? wait_writable(fd, deadline) : Gipc.let_others_run
          result = Native.put(@native, message)
        end
        send_queued(fd, deadline) if result == :queued
      end
    rescue Timeout => e
      e.in_progress = true if result == :queued
      raise
    end

    # What the caller does with the String while it waits here changes nothing.
    # Both share their bytes until then.
    def unchanging(message)
      message.frozen? ? message : message.dup.freeze
    end

    # Straight from the String, which is kept until the library lets go of it.
    def put_large(message, fd, deadline)
      @lent = message
      done = Native.lend(@native, message)
      until done
        wait_writable(fd, deadline)
        done = Native.put_step(@native)
      end
    rescue Timeout => e
      e.in_progress = Native.take_back(@native)
      raise
    ensure
      Native.take_back(@native) unless done
      @lent = nil
    end

    def send_queued(fd, deadline)
      wait_writable(fd, deadline) until Native.flush_step(@native)
    end

    # What a put that was broken off has left in the queue leaves meanwhile.
    def flush_in_background
      return if @flushing || Native.pending(@native, Native::WRITE).zero?

      @flushing = true
      @flusher = Thread.new do
        @out.exclusively(nil) do
          send_queued(Native.fd(@native, Native::WRITE), nil)
          @flushing = false
        end
      rescue Error, SystemCallError
        nil # which the next put tells
      end
    rescue Error
      nil # it is closed
    end

    def stop_flushing
      return unless @flushing

      @flusher.kill.join
      @flushing = false
    end

    # Two peers that put at once, and only put, would wait for each other: what the
    # other one puts is received meanwhile, by whoever gets or else here, so that
    # the wait is for both directions.
    def wait_writable(fd, deadline)
      if receives_ahead?
        @out.wait_either(fd, Native.fd(@native, Native::READ), deadline)
      else
        @out.wait(fd, deadline)
      end
    end

    def receives_ahead?
      return false unless @duplex && readable?

      @in.if_free { Native.read_ahead(@native) }
      true
    rescue Error, SystemCallError
      false # the limit, or the end, which the next get tells
    end

    # Repeats what cannot be done while bytes are queued.
    def finish_writing
      until yield
        writing(nil) { |fd| send_queued(fd, nil) }
      end
    end
  end
end
