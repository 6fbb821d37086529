// The frame of test_sites: each system call, each allocation and each transfer
// of a scenario fails once, by the path of calls that leads to it.
#pragma once

#include "support_process.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sites {

// ---- Scenarios --------------------------------------------------------------

// What a program does with the library, from nothing to nothing.  Returns the
// first error of the library, or 0 if all was done and is as it was asked for,
// which it CHECKs.  It is run in a process of its own, twice.
struct Scenario {
  const char *name;
  int (*run)();
};
struct Scenarios {
  const Scenario *first;
  size_t count;
};
extern const Scenarios pipe_scenarios, ring_scenarios, push_scenarios,
    start_scenarios, end_scenarios, program_scenarios, tree_scenarios,
    template_scenarios, pool_scenarios, other_scenarios, closed_scenarios,
    state_scenarios;

// Results beside the library's: the child ended itself before its target, or a
// call in the target failed there.
constexpr int ended_before_start = -20127, failed_in_child = -20128;

#define TRY(call)                                                              \
  do {                                                                         \
    if (int error_ = (call))                                                   \
      return error_;                                                           \
  } while (0)

// The ends of a pipe.
struct Ends {
  gipc_handle *r = nullptr, *w = nullptr;
  ~Ends();
  // Of descriptors that something else has made; also after an error they are
  // its own.
  int adopt(const int (&fds)[2]);
};
// Numbers 0 and 1 are free meanwhile.
struct FreeLow {
  FreeLow();
  ~FreeLow();
  int copies[2];
};

// ---- Paths ------------------------------------------------------------------

enum Kind : int { a_call = 1, an_allocation = 2, a_transfer = 3 };

// A chain of return addresses, from the hook to main(), in one process or
// another.  Addresses are offsets in this program.
struct Path {
  static constexpr int most = 28;
  std::atomic<uint64_t> hash;
  uint64_t place; // the same for paths with the same innermost frames
  char name[20];
  Kind kind;
  bool in_child; // of the process that runs the scenario
  int depth;
  std::atomic<int> hits;
  // What had to fail to get here, or 0: the path and its error.
  uint64_t origin;
  int origin_error;
  uint32_t frames[most];
};

// In memory that all processes of a run share.
struct Shared {
  static constexpr size_t room = 1 << 13, plans = 2;
  Path paths[room];
  std::atomic<size_t> count;
  uint16_t order[room];
  struct Plan {
    std::atomic<uint64_t> hash; // 0: nothing fails, any more
    int error;
  } plan[plans];
  std::atomic<int> delivered;
  std::atomic<bool> on;
  bool only_counts;
  Kind kind; // what is noted
  // Each transfer is cut to so many bytes, or only what is received.  0: none.
  size_t cut;
  bool cuts_sends;
  pid_t runner;
  // As it is after a run in which nothing failed.
  int fds;
  long allocations;
};
extern Shared *shared;
extern int shared_fd;

void make_shared();
// In a program that a scenario has run.
void open_shared(int fd);
void munmap_shared();
// Of the stack of this process: frames above it are the frame's own.
extern uintptr_t top;
// Of the calling place.  Its entry, which is new the first time.
Path &path_of(Kind kind, const char *name) noexcept;
Path *find_path(uint64_t hash) noexcept;
// What shall fail here: its error, or 0.
int failure_of(Kind kind, const char *name) noexcept;

// ---- Runs -------------------------------------------------------------------

void each_call_fails(const Scenario &scenario);
void each_allocation_fails(const Scenario &scenario);
void each_transfer_is_short(const Scenario &scenario);
// How many failures all of these have made, and on which kernel.
void print_total();
// What this program does when a scenario runs it, by the name of its argument.
const Scenario *program_of(const char *name);
int run_program(const Scenario &program);
// For strace: writes how often each call is made to a file.
void count_calls(const Scenario &scenario, const char *file);

// In a child: from here on nothing fails.
void stop_failing();

// ---- Errors -----------------------------------------------------------------

// Those that a call can have, by its manual page, with what the library passes
// to it: a list that ends with 0.  nullptr: there is no such call.
const int *errors_of(const char *call);
// Whether a call of this scenario cannot have this error: what it says is not
// so there.
bool is_impossible(const char *scenario, const char *call, int error);
// Whether two processes write to one socket: in one send each, which a local
// socket of its size never cuts.
bool shares_socket(const char *scenario);
// Whether a result tells of this failure.
bool tells(int result, const char *call, int error);

} // namespace sites
