// When a process that ended is started again: a delay that grows with each
// failure, and a limit of restarts in a window of time.
#pragma once

#include "policy.h"

#include <vector>

namespace gipc::policy {

struct RestartRules {
  double first_delay = 0.1; // seconds before the first restart
  double longest_delay = 30;
  double growth = 2;   // of the delay, with each failure
  double jitter = 0.5; // the part of a delay that is random, 0 to 1
  double healthy = 10; // seconds after which a process counts as healthy
  unsigned limit = 0;  // the most restarts in a window; 0: unlimited
  double window = 60;
};

// The name of a wrong member, or NULL.
const char *wrong(const RestartRules &rules) noexcept;

class Restarts {
public:
  // Throws bad_alloc.  The same seed makes the same delays.
  Restarts(const RestartRules &rules, uint64_t seed);

  // A restart is needed at this time: false if it exceeds the limit, which then
  // does not count it.
  bool allowed(double now) noexcept;
  // A process failed after it had been ready for that long.  Returns how long
  // to wait before the next start.
  double failed(double was_ready) noexcept;
  void succeeded() noexcept { failures_ = 0; }
  bool failing() const noexcept { return failures_ > 0; }

private:
  double random() noexcept;

  RestartRules rules_;
  uint64_t seed_;
  unsigned failures_ = 0;     // since the last success
  std::vector<double> times_; // of the last restarts, a ring
  size_t oldest_ = 0;
};

} // namespace gipc::policy
