// Non-blocking reads and writes on any descriptor, with its flags untouched.
//
// O_NONBLOCK belongs to the open file description, which other processes may
// share, so it is never set.  Sockets take MSG_DONTWAIT per call; for pipes and
// files RWF_NOWAIT does the same; where the kernel or a tty knows neither, a
// call moves no more than poll(2) promises.
#pragma once

#include <cstddef>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc {

class Stream {
public:
  // Learns what fd is.  -EBADF, or -EINVAL for a socket that keeps message
  // boundaries.
  int attach(int fd) noexcept;

  // Bytes moved; 0 from read is the end of the stream; -EAGAIN.
  ssize_t read(int fd, const iovec *parts, int count) noexcept;
  ssize_t write(int fd, const iovec *parts, int count) noexcept;
  // The same, but waits in the kernel, where the thread may be cancelled;
  // -EAGAIN where that cannot be.  *moved as in os.h.
  int write_waiting(int fd, const iovec *parts, int count,
                    volatile ssize_t *moved);
  int read_waiting(int fd, const iovec *parts, int count,
                   volatile ssize_t *moved);
  // Whether they do wait.
  bool read_waits() const noexcept;
  // A reset by a closing AF_UNIX peer comes after all that it sent.
  bool local() const noexcept { return local_; }

private:
  enum class Way { socket, flags, now, polled };
  Way read_way_ = Way::socket, write_way_ = Way::socket;
  bool local_ = true;
  int told_early_ = 0; // why the stream ends, after the bytes in it
};

} // namespace gipc
