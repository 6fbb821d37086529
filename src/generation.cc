// Which process this is, as a number that a fork changes.
#include "generation.h"

#include "os.h"

#include <unistd.h>

namespace gipc::generation {

Page page;

namespace {

// The newest number given in this process or one that it descends from by
// forks; unlike the page, a child inherits it.
std::atomic<uint32_t> newest;
// The kernel has agreed to wipe the page; a child's copy of the page goes on
// so.
std::atomic<bool> wiped;
// Where pages cannot be wiped: the process that newest was given in.
std::atomic<pid_t> owner;

// The page stays zero for ever, and each question asks the kernel.
uint32_t by_pid() noexcept {
  pid_t self = ::getpid();
  if (owner.load(std::memory_order_acquire) != self) {
    newest.fetch_add(1, std::memory_order_relaxed);
    owner.store(self, std::memory_order_release);
  }
  return newest.load(std::memory_order_relaxed);
}

} // namespace

uint32_t renew() noexcept {
  if (!wiped.load(std::memory_order_relaxed)) {
    if (!os::wipe_on_fork(&page, sizeof page))
      return by_pid();
    wiped.store(true, std::memory_order_relaxed);
  }
  uint32_t next = newest.load(std::memory_order_relaxed) + 1;
  uint32_t none = 0;
  if (page.value.compare_exchange_strong(none, next))
    newest.store(next, std::memory_order_relaxed);
  else
    next = none; // another thread was first
  return next;
}

} // namespace gipc::generation
