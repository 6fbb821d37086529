# frozen_string_literal: true

# The entry points of the workers of a pool.

module Gipc
  class << self
    # In a program that a pool runs as its worker, in whatever language the pool is: calls
    # the block with each task, and puts its value as the result.  Returns when the pool
    # wants no more of this worker.  Behind a launcher, where no handle was passed, the
    # worker uses {stdio}.
    #
    #   Gipc.serve(codec: :msgpack) { |job| job.upcase }
    #
    # An exception of the block fails the task alone; SystemExit and signals end the
    # worker.
    #
    # @param codec (see Gipc.pipe) that of the pool
    # @param prepare [#call, nil] is called before the first task
    # @param dump_signal [Symbol, nil] prints the stacks of all threads
    # @yield [job]
    # @return [nil]
    # @raise [Errno::ENOENT] if no pool started this program
    def serve(codec: :marshal, prepare: nil, dump_signal: nil, &work)
      raise ArgumentError, "a block is needed, which does a task" unless work

      codec = Codec.of(codec)
      Child.dump_on(dump_signal) if dump_signal
      Worker.serve(handle_of_worker, codec, prepare, &work)
      nil
    end

    # In a task of a pool: takes the descriptors that came with it, see {Pool#call}.  Those
    # that a task does not take are closed after it.
    #
    #   pool = Gipc::Pool.open { Socket.for_fd(Gipc.take_fds.first).puts("hello") }
    #
    # @return [Array<Integer>] which the task closes
    # @raise [Errno::EMFILE] if they were lost, because this process had no descriptors left
    #   when they came
    # @raise [Error] in a process that is not a worker
    def take_fds
      worker = Worker.current or raise Error, "this process is not a worker of a pool"
      worker.take_fds
    end

    private

    def handle_of_worker
      inherit("worker", codec: :raw)
    rescue Errno::ENOENT
      begin
        stdio(codec: :raw)
      rescue Closed
        raise Errno::ENOENT, "no pool started this program"
      end
    end
  end
end
