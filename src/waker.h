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
  // Whether consume() would return true; costs one load.
  bool due() const noexcept { return due_.load(std::memory_order_relaxed); }
  // Returns true, once, if wake() was called since the last consume().
  bool consume() noexcept;
  // Readable after a wake(), and sometimes spuriously.
  int fd() const noexcept { return reader_.get(); }
  // In a forked child, where the numbers may mean other files.
  void forget() noexcept;

private:
  registry::Held reader_, writer_;
  // The state.  The byte in the socket only ends the poll.
  std::atomic<bool> due_{false};
};

} // namespace gipc
