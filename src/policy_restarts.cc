// When a process that ended is started again.
#include "policy_restarts.h"

#include <algorithm>
#include <cmath>

namespace gipc::policy {

namespace {

// Keeps the memory for the times of restarts small.
constexpr unsigned most_limit = 100000;

} // namespace

const char *wrong(const RestartRules &rules) noexcept {
  // Written so that NaN is wrong.
  if (!(rules.first_delay >= 0))
    return "first_delay";
  if (!(rules.longest_delay >= rules.first_delay))
    return "longest_delay";
  if (!(rules.growth >= 1))
    return "growth";
  if (!(rules.jitter >= 0 && rules.jitter <= 1))
    return "jitter";
  if (!(rules.healthy >= 0))
    return "healthy";
  if (rules.limit > most_limit)
    return "limit";
  if (!(rules.window > 0))
    return "window";
  return nullptr;
}

Restarts::Restarts(const RestartRules &rules, uint64_t seed)
    : rules_(rules), seed_(seed), times_(rules.limit, -forever) {}

bool Restarts::allowed(double now) noexcept {
  if (rules_.limit == 0)
    return true;
  if (times_[oldest_] > now - rules_.window)
    return false;
  times_[oldest_] = now;
  oldest_ = (oldest_ + 1) % times_.size();
  return true;
}

double Restarts::failed(double was_ready) noexcept {
  if (was_ready >= rules_.healthy)
    failures_ = 0;
  double delay =
      std::min(rules_.longest_delay,
               rules_.first_delay * std::pow(rules_.growth, failures_));
  failures_ = std::min(failures_ + 1, 1000u); // so that it cannot wrap
  return delay * (1 - rules_.jitter * random());
}

// splitmix64 (Steele, Lea, Flood 2014); 0 to below 1.
double Restarts::random() noexcept {
  uint64_t x = seed_ += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return static_cast<double>((x ^ x >> 31) >> 11) / 9007199254740992.0; // 2^53
}

} // namespace gipc::policy
