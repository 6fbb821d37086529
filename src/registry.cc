// The objects of this process that hold descriptors, for the rules of fork.
#include "registry.h"

#include "generation.h"
#include "os.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>
#include <pthread.h>
#include <sched.h>

namespace gipc::registry {

namespace {

std::atomic<uint32_t> holder; // its generation, 0 when the lock is free
std::atomic<pthread_t> holding_thread;
unsigned depth;

// Guarded by the lock, and void in another generation.
Entry *first;
size_t count;
uint32_t list_generation;

int control = -1;
uint32_t control_generation;

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
  if (list_generation != now) {
    first = nullptr;
    count = 0;
    list_generation = now;
  }
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
    ++count;
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
    --count;
  }

  static Entry *next(const Entry *entry) noexcept { return entry->next_; }
};

void Entry::enter() noexcept {
  Lock hold;
  List::link(this);
}

void Entry::leave() noexcept {
  Lock hold;
  List::unlink(this);
}

int reserve(std::vector<int> &out) noexcept {
  try {
    out.reserve(count * Entry::max_descriptors);
  } catch (const std::bad_alloc &) {
    return -ENOMEM;
  }
  return 0;
}

void forget_in_child(void (*visit)(struct ev_loop *) noexcept,
                     std::vector<int> &scratch,
                     const std::vector<int> &keep) noexcept {
  struct ev_loop *visited = nullptr;
  for (Entry *entry = first; entry != nullptr; entry = List::next(entry)) {
    // Most programs have one.
    if (struct ev_loop *loop = entry->loop(); loop != visited) {
      visited = loop;
      if (loop != nullptr)
        visit(loop);
    }
    int held[Entry::max_descriptors];
    int number = entry->descriptors(held);
    // reserve() made room, unless an at-fork hook of the runtime added some.
    for (int i = 0; i < number && scratch.size() < scratch.capacity(); ++i)
      scratch.push_back(held[i]);
  }
  std::sort(scratch.begin(), scratch.end());
  // Ten thousand handles have neighbouring numbers: one call closes a run.
  for (size_t i = 0; i < scratch.size();) {
    int from = scratch[i];
    if (std::binary_search(keep.begin(), keep.end(), from)) {
      ++i;
      continue;
    }
    int to = from;
    while (++i < scratch.size() && scratch[i] == to + 1 &&
           !std::binary_search(keep.begin(), keep.end(), to + 1))
      ++to;
    os::close_range(static_cast<unsigned>(from), static_cast<unsigned>(to));
  }
  first = nullptr;
  count = 0;
  list_generation = generation::current();
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
