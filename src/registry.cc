// What this process holds through this library, for the rules of fork.
#include "registry.h"

#include "generation.h"
#include "os.h"

#include <algorithm>
#include <atomic>
#include <pthread.h>
#include <sched.h>

namespace gipc::registry {

namespace {

std::atomic<uint32_t> holder; // its generation, 0 when the lock is free
std::atomic<pthread_t> holding_thread;
unsigned depth;

// Guarded by the lock, and void in another generation.
uint32_t list_generation;
Entry *first;

// The descriptors as bits, because a child of a process with ten thousand of
// them should read a kilobyte, not ten thousand objects.  Untouched pages of it
// cost nothing.  This is as far as Linux numbers descriptors (fs.nr_open)
// unless it is told otherwise; one beyond stays open in function children.
constexpr unsigned most = 1u << 20;
constexpr unsigned word_bits = 64;
uint64_t held[most / word_bits];
unsigned words; // of it that may have a bit set

// The loops that objects are on.  A program has a few; one beyond is not known
// to its children.
struct LoopUse {
  struct ev_loop *loop;
  unsigned objects;
};
constexpr unsigned most_loops = 64;
LoopUse loops[most_loops];

int control = -1;
uint32_t control_generation;

void set_bit(int fd, bool on) noexcept {
  auto number = static_cast<unsigned>(fd);
  if (number >= most)
    return;
  uint64_t bit = uint64_t{1} << number % word_bits;
  uint64_t &word = held[number / word_bits];
  word = on ? word | bit : word & ~bit;
  words = std::max(words, number / word_bits + 1);
}

void forget_all(uint32_t now) noexcept {
  first = nullptr;
  std::fill(held, held + words, 0);
  words = 0;
  std::fill(loops, loops + most_loops, LoopUse{});
  list_generation = now;
}

} // namespace

void lock() noexcept {
  uint32_t now = generation::current();
  uint32_t seen = holder.load(std::memory_order_relaxed);
  if (seen == now &&
      pthread_equal(holding_thread.load(std::memory_order_relaxed),
                    pthread_self()) != 0) {
    ++depth;
    return;
  }
  for (;;) {
    if (seen == now) {
      // It is held for the time of a list operation, or of a fork.
      sched_yield();
      seen = holder.load(std::memory_order_relaxed);
    } else if (holder.compare_exchange_weak(seen, now,
                                            std::memory_order_acquire)) {
      break;
    }
  }
  holding_thread.store(pthread_self(), std::memory_order_relaxed);
  depth = 1;
  if (list_generation != now)
    forget_all(now);
}

void unlock() noexcept {
  if (--depth > 0)
    return;
  holding_thread.store(pthread_t{}, std::memory_order_relaxed);
  holder.store(0, std::memory_order_release);
}

// The links of the entries, which are nobody else's business.
struct List {
  static void link(Entry *entry) noexcept {
    entry->generation_ = list_generation;
    entry->previous_ = nullptr;
    entry->next_ = first;
    if (first != nullptr)
      first->previous_ = entry;
    first = entry;
  }

  static void unlink(Entry *entry) noexcept {
    // An object of another generation is in no list of this process.
    if (entry->generation_ != list_generation)
      return;
    if (entry->previous_ != nullptr)
      entry->previous_->next_ = entry->next_;
    else
      first = entry->next_;
    if (entry->next_ != nullptr)
      entry->next_->previous_ = entry->previous_;
  }

  static Entry *next(const Entry *entry) noexcept { return entry->next_; }
};

Held &Held::operator=(Fd &&fd) noexcept {
  Lock hold;
  reset();
  fd_ = std::move(fd);
  if (fd_)
    set_bit(fd_.get(), true);
  return *this;
}

void Held::reset() noexcept {
  if (!fd_)
    return;
  Lock hold;
  set_bit(fd_.get(), false);
  fd_.reset();
}

int Held::release() noexcept {
  Lock hold;
  if (fd_)
    set_bit(fd_.get(), false);
  return fd_.release();
}

void Held::keep_in_child() noexcept {
  Lock hold;
  if (fd_)
    set_bit(fd_.get(), true);
}

void Entry::enter() noexcept {
  Lock hold;
  List::link(this);
}

void Entry::leave() noexcept {
  Lock hold;
  List::unlink(this);
}

void enter_loop(struct ev_loop *loop) noexcept {
  Lock hold;
  LoopUse *free = nullptr;
  for (LoopUse &use : loops) {
    if (use.objects == 0)
      free = free != nullptr ? free : &use;
    else if (use.loop == loop) {
      ++use.objects;
      return;
    }
  }
  if (free != nullptr)
    *free = {loop, 1};
}

void leave_loop(struct ev_loop *loop) noexcept {
  Lock hold;
  for (LoopUse &use : loops)
    if (use.objects > 0 && use.loop == loop) {
      --use.objects;
      return;
    }
}

void forget_in_child(void (*visit)(struct ev_loop *) noexcept,
                     const std::vector<int> &keep) noexcept {
  for (const LoopUse &use : loops)
    if (use.objects > 0)
      visit(use.loop);
  for (int fd : keep)
    set_bit(fd, false);
  // Handles have neighbouring numbers: one call closes a run of them.
  auto is_held = [](unsigned fd) {
    return (held[fd / word_bits] >> fd % word_bits & 1) != 0;
  };
  unsigned end = words * word_bits;
  for (unsigned fd = 0; fd < end;) {
    if (held[fd / word_bits] == 0) {
      fd = (fd / word_bits + 1) * word_bits;
    } else if (!is_held(fd)) {
      ++fd;
    } else {
      unsigned from = fd;
      while (fd < end && is_held(fd))
        ++fd;
      os::close_range(from, fd - 1);
    }
  }
  forget_all(generation::current());
  depth = 1;
  unlock();
}

void flush_all() noexcept {
  Lock hold;
  for (Entry *entry = first; entry != nullptr; entry = List::next(entry))
    entry->flush_before_exit();
}

int child_control() noexcept {
  return control_generation == generation::current() ? control : -1;
}

void set_child_control(int fd) noexcept {
  control = fd;
  control_generation = generation::current();
}

} // namespace gipc::registry
