// Which process this is, as a number that a fork changes.
#include "this_process.h"

#include "os.h"

#include <unistd.h>

namespace gipc::generation {

Page page;

namespace {

// The newest number given in this process or one that it descends from by
// forks; unlike the page, a child inherits it.
std::atomic<uint32_t> newest;
// Whether the kernel wipes the page, which holds in a child's copy of it, too.
// Decided once: two ways would give one process two numbers.
enum Way { undecided, by_page, by_pid };
std::atomic<int> way;
// Where pages cannot be wiped: a process and its number, in one word, so that
// of two threads that ask first only one counts up.
std::atomic<uint64_t> owner;

// The page always stays zero, and each question asks the kernel.
uint32_t number_by_pid() noexcept {
  auto self = static_cast<uint32_t>(::getpid());
  uint64_t known = owner.load();
  while (known >> 32 != self) {
    uint64_t next = uint64_t{self} << 32 | static_cast<uint32_t>(known + 1);
    if (owner.compare_exchange_weak(known, next))
      known = next;
  }
  return static_cast<uint32_t>(known);
}

uint32_t number_by_page() noexcept {
  // Counted before it is given: a child that another thread forks between the
  // two never gets the same number.
  uint32_t next = newest.fetch_add(1) + 1;
  uint32_t none = 0;
  return page.value.compare_exchange_strong(none, next) ? next : none;
}

} // namespace

uint32_t renew() noexcept {
  int chosen = way.load();
  if (chosen == undecided) {
    int mine = os::wipe_on_fork(&page, sizeof page) ? by_page : by_pid;
    if (way.compare_exchange_strong(chosen, mine))
      chosen = mine;
  }
  return chosen == by_page ? number_by_page() : number_by_pid();
}

} // namespace gipc::generation
