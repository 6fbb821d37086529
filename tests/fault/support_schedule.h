// Other orders of the system calls of processes and threads: the hook of sys.h
// lets a thread yield, sleep, or wait for the others before a call.
//
// Nothing that a test expects may depend on it: a right program is right in
// every order.
#pragma once

#include "support.h"

#include <cstdint>

namespace schedule {

// ---- By chance --------------------------------------------------------------

// From now on the threads of this process and its children choose at each call,
// by a generator with this seed.  Programs that call resume() do so, too.
void begin(uint64_t seed, const char *scenario);
// In main() of a program: as its parent chose, which said so in the
// environment.
void resume();
// No thread of this process is held any more.
void end();

// ---- Each order -------------------------------------------------------------

// This thread is at its call number `mine` when a child is at its number
// `child's`, both counted from the fork (or from arm()); one goes first, and
// the other waits until that call has been made.
struct Pair {
  unsigned mine, childs;
  bool child_first;
};
void order(const Pair &pair, const char *scenario);
// Both count their calls from now on, and not from the next fork.
void arm();
// For a child: waits for arm().
void wait_until_armed();
// How many calls each has made since, and whether the two have met.
struct Made {
  unsigned mine, childs;
  bool met;
};
Made made();

// ---- Runs -------------------------------------------------------------------

// Seeds from 1 on: 200, 10,000 with GIPC_TEST_LONG, few when slow(), or SEED=n
// alone, 100 times.
struct Seeds {
  uint64_t first, last;
  unsigned times;
};
Seeds seeds();
// Runs a scenario with each of them, and prints how many there were.
void by_seeds(const char *name, void (*scenario)());
// Runs it in each order of each two calls, of many calls a part of them without
// GIPC_TEST_LONG, and prints how many met.
void in_each_order(const char *name, void (*scenario)(),
                   const char *from = "fork");
// Instead of test_end(): if a scenario did not end, prints how to repeat it.
int test_end(void **state);

} // namespace schedule

#define SCHEDULE_TEST(name)                                                    \
  cmocka_unit_test_setup_teardown(name, test_setup, schedule::test_end)
