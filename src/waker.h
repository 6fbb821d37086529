// What ends another thread's poll(2), from any thread or signal handler.
#pragma once

#include "this_process.h"

#include <atomic>

namespace gipc {

class Waker {
public:
  int open() noexcept;
  // Async-signal-safe.  Any number of calls before a take() are one.
  int wake() noexcept;
  // Whether take() would say yes, for the price of a load.
  bool due() const noexcept { return due_.load(std::memory_order_relaxed); }
  // Whether there was a wake() since the last time.
  bool take() noexcept;
  // Readable when it is time to take(), and sometimes for nothing.
  int fd() const noexcept { return reader_.get(); }
  // In a process that a fork has made, where the numbers may mean other files.
  void forget() noexcept;

private:
  registry::Held reader_, writer_;
  // This is what counts; the byte in the socket only ends the poll.
  std::atomic<bool> due_{false};
};

} // namespace gipc
