// What a handle tells the loop that it is on: the one way from the step tier to
// the push tier, which is above it.
#pragma once

namespace gipc {

class Driver {
public:
  // There is something to send, or to tell of a write that failed.
  virtual void send_later() noexcept = 0;
  // Whether it sends as soon as the descriptor is writable.
  virtual bool waits_to_write() const noexcept = 0;
  // The state of a direction has changed, or bytes were received that make no
  // descriptor readable any more.
  virtual void changed() noexcept = 0;
  // Ends; the handle is in the step tier again.
  virtual void detach() noexcept = 0;
  // The same in a forked child, where the loop must not be touched.
  virtual void forget() noexcept = 0;

protected:
  ~Driver() = default;
};

} // namespace gipc
