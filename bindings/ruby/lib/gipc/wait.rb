# frozen_string_literal: true

# Waiting for several handles and processes at once.

module Gipc
  # The longest wait, in seconds, if the kernel has no pidfd.
  LONGEST_WAIT = 0.05
  private_constant :LONGEST_WAIT

  class << self
    # Waits until one of the objects is ready.  A handle that reads is ready at the end of
    # the stream, and if it has a message or a part of one; a writer if it is writable; a
    # closed handle always; a process when it has ended.  Other fibers run during the wait
    # if there is a Fiber::Scheduler, and other threads in any case.
    #
    #   Gipc.wait([reader, child], timeout: 5).each { |one| ... }
    #
    # @param objects [Array<Handle, Process>]
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely
    # @return [Array<Handle, Process>] those that are ready; empty after the timeout
    # @raise [TypeError] if one of them is something else
    def wait(objects, timeout: nil)
      deadline = Deadline.after(timeout)
      unless objects.is_a?(Array) && objects.all? { |one| one.is_a?(Handle) || one.is_a?(Process) }
        raise TypeError, "objects is an Array of handles and processes, not #{objects.inspect}"
      end
      while true
        watched = objects.map(&:watched)
        ready = Native.ready(watched.map(&:first))
        return objects.values_at(*ready.sort) if !ready.empty? || deadline&.expired?

        await_one(watched, deadline)
      end
    end

    private

    def await_one(watched, deadline)
      _, readable, writable = watched.map { |one| one.fill(nil, one.size...3) }.transpose
      blind = watched.any? { |_, *descriptors| descriptors.none? }
      look = blind ? Deadline.after([LONGEST_WAIT, deadline&.left].compact.min) : deadline
      Descriptor.wait_any((readable || []).compact.uniq, (writable || []).compact.uniq, look)
    rescue Timeout
      nil # the caller checks the deadline
    end
  end
end
