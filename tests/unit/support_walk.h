// What the random walks of both policies share: checks that print the seed of
// the round, random numbers, and which actions were seen.
#pragma once

#include "support.h"

#include "policy.h"

#include <utility>
#include <vector>

inline uint64_t round_seed; // of the round that runs

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition))                                                          \
      fail_msg("GIPC_TEST_SEED=%llu: %s", (unsigned long long)round_seed,      \
               #condition);                                                    \
  } while (false)

// Whether a time is over.  In memory, as the library keeps it: in the longer
// registers of some processors the sum is another one.
inline bool is_over(double now, double begin, double duration) {
  volatile double end = begin + duration;
  return now >= end;
}

class Random {
public:
  explicit Random(uint64_t seed) : seed_(seed) {}
  uint64_t next() { return random_next(&seed_); }
  size_t pick(size_t count) { return next() % count; }
  bool chance(size_t one_in) { return pick(one_in) == 0; }
  // Above 0, at most `most`.
  double seconds(double most) {
    return most * static_cast<double>(1 + pick(1000)) / 1000;
  }

private:
  uint64_t seed_;
};

// How often each action was seen, by its reason.  A walk that stays in one
// corner proves nothing about the others.
class Seen {
public:
  void count(const gipc::policy::Action &action) {
    ++counts_[static_cast<size_t>(action.kind)]
             [static_cast<size_t>(action.why)];
  }
  void check(gipc::policy::Action::Kind kind,
             const std::vector<gipc::policy::Why> &reasons) const {
    for (gipc::policy::Why why : reasons) {
      size_t count =
          counts_[static_cast<size_t>(kind)][static_cast<size_t>(why)];
      if (std::getenv("GIPC_TEST_COUNTS") != nullptr)
        print_message("%s %s: %zu\n", name(kind), name(why), count);
      if (count == 0)
        fail_msg("the walk never saw %s %s", name(kind), name(why));
    }
  }

private:
  size_t counts_[static_cast<size_t>(gipc::policy::Action::Kind::stopped) + 1]
                [gipc::policy::whys] = {};
};
