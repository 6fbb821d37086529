// The notifications from a handle to the loop that it is started on: the only
// calls from the step tier to the push tier, which is above it.
#pragma once

namespace gipc {

class Driver {
public:
  // The queue has bytes to write, or a write failed and must be reported.
  virtual void send_later() noexcept = 0;
  // Whether the queue is written as soon as the descriptor is writable.
  virtual bool waits_to_write() const noexcept = 0;
  // The state of a direction has changed, or bytes were read from the
  // descriptor into the read-ahead buffer.
  virtual void changed() noexcept = 0;
  // Removes the handle from the loop, and deletes this object.
  virtual void detach() noexcept = 0;
  // As detach(), in a forked child, where the loop must not be touched.
  virtual void forget() noexcept = 0;

protected:
  ~Driver() = default;
};

} // namespace gipc
