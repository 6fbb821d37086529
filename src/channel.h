// One direction of a handle: a descriptor, and how bytes move through it.
//
// O_NONBLOCK belongs to the open file description, which other processes may
// share, so it is never set.  Sockets take MSG_DONTWAIT per call; for pipes and
// files RWF_NOWAIT does the same; where the kernel or a tty knows neither, a
// call moves no more than poll(2) promises.
#pragma once

#include "this_process.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <poll.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc {

// Without a descriptor, it is that of a local socket.
class Channel {
public:
  // What fd is.  -EBADF, or -EINVAL for a socket that keeps message boundaries.
  int identify(int fd) noexcept;
  // Owns it from now on.
  void open(Fd fd) noexcept { fd_ = std::move(fd); }
  bool is_open() const noexcept { return static_cast<bool>(fd_); }
  int fd() const noexcept { return fd_.get(); }

  // Bytes moved; 0 from read is the end of the stream; -EAGAIN.
  ssize_t read(const iovec *parts, int count) noexcept;
  ssize_t write(const iovec *parts, int count) noexcept;
  // The same, but waits in the kernel, where the thread may be cancelled;
  // -EAGAIN where that cannot be.  *moved as in os.h.
  int write_waiting(const iovec *parts, int count, volatile ssize_t *moved);
  int read_waiting(const iovec *parts, int count, volatile ssize_t *moved);
  // Whether that waits.
  bool read_waits() const noexcept;
  // What to poll for when read() or write() returned -EAGAIN.
  pollfd to_read() const noexcept { return {fd(), POLLIN, 0}; }
  pollfd to_write() const noexcept { return {fd(), POLLOUT, 0}; }
  // A reset by a closing AF_UNIX peer comes after all that it sent.
  bool is_local() const noexcept { return local_; }

  // The peer reads the end of the stream, whoever else has the descriptor.
  void end_writing() noexcept;
  void close() noexcept { fd_.reset(); }
  // The number may mean another file in this process.
  void forget() noexcept { fd_.forget(); }
  // In a child that it was passed to, under another number where that is one.
  void arrive_in_child(registry::Held &moved) noexcept;
  // In a child that cannot begin.
  void close_in_child() noexcept;

  // Of read() or write(), whichever this is for; other threads may ask.
  uint64_t calls() const noexcept { return calls_; }
  uint64_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed);
  }
  void count(ssize_t moved) noexcept {
    ++calls_;
    if (moved > 0)
      bytes_.store(bytes() + static_cast<uint64_t>(moved),
                   std::memory_order_relaxed);
  }

private:
  enum class Way { socket, flags, now, polled };

  registry::Held fd_;
  Way way_ = Way::socket;
  bool local_ = true;
  int told_early_ = 0; // why the stream ends, after the bytes in it
  uint64_t calls_ = 0;
  std::atomic<uint64_t> bytes_{0};
};

} // namespace gipc
