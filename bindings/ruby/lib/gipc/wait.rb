# frozen_string_literal: true

# Waiting for several handles and processes at once.

module Gipc
  # How long a look takes at the most where the kernel has no descriptor of a process.
  LONGEST_LOOK = 0.05
  private_constant :LONGEST_LOOK

  class << self
    # Waits until one of these is ready: a handle to get from, when it has a message,
    # perhaps only a part of one, or is at its end; a writer, when there is room; a
    # closed handle, always; a process, when it has ended.  Other fibers run
    # meanwhile where there is a Fiber::Scheduler, and other threads in any case.
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
        return objects.values_at(*ready.sort) if !ready.empty? || deadline&.over?

        await_one(watched, deadline)
      end
    end

    private

    def await_one(watched, deadline)
      _, readable, writable = watched.map { |one| one.fill(nil, one.size...3) }.transpose
      blind = watched.any? { |_, *descriptors| descriptors.none? }
      look = blind ? Deadline.after([LONGEST_LOOK, deadline&.left].compact.min) : deadline
      Descriptor.wait_any((readable || []).compact.uniq, (writable || []).compact.uniq, look)
    rescue Timeout
      nil # of which the caller looks at the rest
    end
  end
end
