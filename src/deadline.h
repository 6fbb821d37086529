// A moment on the monotonic clock, made from a timeout in seconds.
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
    // The clock is asked only once there is something to wait for.
    out.timeout_ = timeout;
    out.at_ = -1;
    return 0;
  }

  bool never() const noexcept { return timeout_ < 0; }

  // For poll(2): milliseconds that are left, rounded up, -1 for ever.  The
  // first call starts the time.
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
    // A wait that poll cannot express ends early; its caller looks again.
    return left > 1e9 ? 1000000000 : static_cast<int>(std::ceil(left));
  }

private:
  double timeout_ = -1;
  double at_ = -1;
};

} // namespace gipc
