// An absolute time on the monotonic clock, made from a timeout in seconds.
#pragma once

#include <cerrno>
#include <cmath>
#include <ctime>

namespace gipc {

inline double monotonic_now() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) / 1e9;
}

class Deadline {
public:
  // timeout < 0: never.
  static int create(double timeout, Deadline &out) noexcept {
    if (std::isnan(timeout))
      return -EINVAL;
    // The clock is read only when a call has to wait.
    out.timeout_ = timeout;
    out.at_ = -1;
    return 0;
  }

  bool never() const noexcept { return timeout_ < 0; }

  // The timeout for poll(2): the remaining milliseconds, rounded up, or -1 for
  // no timeout.  The first call starts the time.
  int milliseconds() noexcept {
    if (timeout_ < 0)
      return -1;
    if (timeout_ == 0)
      return 0;
    double now = monotonic_now();
    if (at_ < 0)
      at_ = now + timeout_;
    double left = (at_ - now) * 1e3;
    if (left <= 0)
      return 0;
    // A timeout that poll(2) cannot express ends early; the caller calls again.
    return left > 1e9 ? 1000000000 : static_cast<int>(std::ceil(left));
  }

private:
  double timeout_ = -1;
  double at_ = -1;
};

} // namespace gipc
