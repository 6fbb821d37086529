// Wakes another thread from poll(2), from any thread or signal handler.
#pragma once

#include "this_process.h"

#include <atomic>

namespace gipc {

class Waker {
public:
  int open() noexcept;
  // Async-signal-safe.  Several calls before a consume() count as one.
  int wake() noexcept;
  // False: no wake() that returned before needs a consume(); costs one load.
  bool due() const noexcept { return due_.load(std::memory_order_relaxed); }
  // Returns true, once, if wake() was called since the last consume().
  bool consume() noexcept;
  // Readable from a wake() to a consume().
  int fd() const noexcept { return reader_.get(); }
  // In a forked child, where the numbers may mean other files.
  void forget() noexcept;

private:
  registry::Held reader_, writer_;
  // True if bytes may be in the socket, which are the state.
  std::atomic<bool> due_{false};
};

} // namespace gipc
