// One direction of a handle: owns a descriptor, and reads or writes it.
//
// O_NONBLOCK belongs to the open file description, which other processes may
// share, so it is never set.  Sockets support MSG_DONTWAIT per call; for pipes
// and files RWF_NOWAIT does the same; where the kernel or a tty supports
// neither, a call moves no more bytes than poll(2) guarantees.
#pragma once

#include "this_process.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <poll.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc {

// Until identify() is called, a channel is treated as a local socket.
class Channel {
public:
  // Finds out how to read or write fd.  -EBADF, or -EINVAL for a socket that
  // keeps message boundaries.
  int identify(int fd) noexcept;
  // Takes ownership of fd.
  void open(Fd fd) noexcept { fd_ = std::move(fd); }
  bool is_open() const noexcept { return static_cast<bool>(fd_); }
  int fd() const noexcept { return fd_.get(); }

  // Returns the number of bytes moved, -EAGAIN or another error.  0 from read()
  // is the end of the stream.
  ssize_t read(const iovec *parts, int count) noexcept;
  ssize_t write(const iovec *parts, int count) noexcept;
  // The same, but waits in the kernel, where the thread may be cancelled.
  // -EAGAIN: this descriptor or system does not support that.  *moved as in
  // os.h.
  int write_waiting(const iovec *parts, int count, volatile ssize_t *moved);
  int read_waiting(const iovec *parts, int count, volatile ssize_t *moved);
  // Whether read_waiting() is supported.
  bool read_waits() const noexcept;
  // What to poll for when read() or write() returned -EAGAIN.
  pollfd to_read() const noexcept { return {fd(), POLLIN, 0}; }
  pollfd to_write() const noexcept { return {fd(), POLLOUT, 0}; }
  // An AF_UNIX socket, pipe or file.  A reset by a closing AF_UNIX peer is
  // reported after all that the peer sent.
  bool is_local() const noexcept { return local_; }

  // Makes the peer read the end of the stream, even if other processes have
  // copies of the descriptor.
  void end_writing() noexcept;
  void close() noexcept { fd_.reset(); }
  // Does not close the number, which may mean another file in this process.
  void forget() noexcept { fd_.forget(); }
  // In a child that the channel was passed to.  moved is the descriptor to use
  // instead, if it is open.
  void arrive_in_child(registry::Held &moved) noexcept;
  // In a child whose setup failed.
  void close_in_child() noexcept;

  // Counters of this direction.  bytes() may be called in any thread.
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
  // The error that read() returns when no more bytes are there.
  int early_error_ = 0;
  uint64_t calls_ = 0;
  std::atomic<uint64_t> bytes_{0};
};

} // namespace gipc
