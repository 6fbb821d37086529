// What is asked for a look at handles and processes.
#include "os.h"

#include "sys.h"

#include <ctime>
#include <sys/ioctl.h>

namespace gipc::os {

size_t readable(int fd) noexcept {
  int bytes = 0;
  int error =
      sys::retry_int("ioctl", [&] { return ::ioctl(fd, FIONREAD, &bytes); });
  return error == 0 ? static_cast<size_t>(bytes) : 0;
}

double coarse_now() noexcept {
#ifdef CLOCK_MONOTONIC_COARSE
  constexpr clockid_t clock = CLOCK_MONOTONIC_COARSE;
#else
  constexpr clockid_t clock = CLOCK_MONOTONIC;
#endif
  timespec now;
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) / 1e9;
}

} // namespace gipc::os
