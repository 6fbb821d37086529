// What this process knows of itself and a start writes, in one page.  Included
// by this_process.cc and this_process_number.cc.
#pragma once

#include "this_process.h"

#include <pthread.h>

namespace gipc::generation {

// What a child inherits, unlike the page.
struct Numbers {
  // The newest number given in this process or one that it descends from by
  // forks.
  std::atomic<uint32_t> newest;
  // Whether the kernel wipes the page, which holds in a child's copy of it,
  // too. Decided once: two ways would give one process two numbers.
  std::atomic<int> way;
  // Where pages cannot be wiped: a process and its number, in one word, so that
  // of two threads that ask first only one counts up.
  std::atomic<uint64_t> owner;
};

} // namespace gipc::generation

namespace gipc::registry {

// The descriptors that are being made without the lock: when each was begun, as
// a number; 0: a free place.  One beyond is not waited for.
constexpr unsigned most_makings = 64;

struct Lists {
  Entry *first[kinds];
  uint64_t newest_id; // of the entries
  uint64_t makings[most_makings];
  uint64_t newest_making;
  // The changes while forks are under way, from those that the oldest of them
  // needs; they have numbers that go up.
  Change *changes;
  size_t changes_room;
  uint64_t changes_first, changes_end;
  bool changes_lost;   // for want of memory
  ForkWindow *windows; // of the forks that are under way
};

// What a function child reports its end to.
struct Control {
  int fd;
  bool has_lifeline;
};

// The loops that objects are on.  A program has a few; one beyond is not known
// to its children.
constexpr int most_loops = 64;
struct LoopUse {
  struct ev_loop *loop;
  std::atomic<unsigned> objects;
};

// The descriptors as bits, because a child of a process with ten thousand of
// them should read a kilobyte, not ten thousand objects.  Untouched pages of it
// cost nothing.  This is as far as Linux numbers descriptors (fs.nr_open)
// unless it is told otherwise; one beyond stays open in function children.
constexpr unsigned most = 1u << 20;
constexpr unsigned word_bits = 64;

// All that a start writes, in one page with the first descriptors: each page
// that the parent or the child writes after the fork is copied (2 us).
struct alignas(4096) State {
  pthread_mutex_t mutex;
  std::atomic<uint64_t> mutex_generation;
  // Guarded by the mutex.
  PerProcess<Lists> lists;
  // A child reads these before it makes the lists anew.  A fork may copy them
  // while another thread changes them, so they are written in an order in which
  // each state makes sense.
  PerProcess<Control> control;
  generation::Numbers numbers;
  LoopUse loop_uses[most_loops];
  std::atomic<unsigned> words; // of those that may have a bit set
  std::atomic<uint64_t> held[most / word_bits];
};
extern State state;

} // namespace gipc::registry
