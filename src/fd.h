// A file descriptor with one owner.
#pragma once

#include <pthread.h>
#include <unistd.h>
#include <utility>

namespace gipc {

// Holds off the cancellation of this thread (pthread_cancel), which would end
// it inside a system call and leave half of what was to be done.
class CancelGuard {
public:
  CancelGuard() noexcept {
    (void)::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &saved_);
  }
  ~CancelGuard() { (void)::pthread_setcancelstate(saved_, nullptr); }
  CancelGuard(const CancelGuard &) = delete;
  CancelGuard &operator=(const CancelGuard &) = delete;

private:
  int saved_;
};

class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd &&other) noexcept : fd_(other.release()) {}
  Fd &operator=(Fd &&other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  // close() is never retried: on Linux the descriptor is gone even after EINTR.
  void reset(int fd = -1) {
    if (fd_ >= 0) {
      CancelGuard guard;
      ::close(fd_);
    }
    fd_ = fd;
  }

private:
  int fd_ = -1;
};

} // namespace gipc
