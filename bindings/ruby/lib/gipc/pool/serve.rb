# frozen_string_literal: true

# The entry points of the workers of a pool.

module Gipc
  class << self
    # In a program that a pool runs as its worker, in whatever language the pool is: calls
    # the block with each task, and puts its value as the result.  Returns when the pool
    # wants no more of this worker.
    #
    #   Gipc.serve(codec: :msgpack) { |job| job.upcase }
    #
    # An exception of the block fails the task alone; SystemExit and signals end the
    # worker.
    #
    # @param codec (see Gipc.pipe) that of the pool
    # @param stdio [Boolean] standard input and output are the handle, as for {stdio}: for
    #   a pool with +stdio+
    # @param prepare [#call, nil] is called before the first task
    # @param dump_signal [Symbol, nil] prints the stacks of all threads
    # @yield [job]
    # @return [nil]
    # @raise [Errno::ENOENT] if no pool started this program
    def serve(codec: :marshal, stdio: false, prepare: nil, dump_signal: nil, &work)
      raise ArgumentError, "a block is needed, which does a task" unless work

      codec = Codec.of(codec)
      Child.dump_on(dump_signal) if dump_signal
      handle = stdio ? self.stdio(codec: :raw) : inherit("worker", codec: :raw)
      Worker.serve(handle, codec, prepare, &work)
      nil
    end
  end
end
