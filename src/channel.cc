// One direction of a handle: owns a descriptor, and reads or writes it.
#include "channel.h"

#include "os.h"
#include "sys.h"

#include <algorithm>
#include <climits>
#include <fcntl.h>

namespace gipc {

namespace {

// The parts of one transfer, limited to 1 MiB: a peer that is as fast as this
// process would keep a single call busy for all of a large message, past the
// deadline (H68).
class Bounded {
public:
  Bounded(const iovec *all, int all_count) noexcept
      : parts(all), count(all_count) {
    if (all_count == 1 && all->iov_len <= at_once)
      return;
    size_t left = at_once;
    for (int i = 0; i < all_count && i < max_parts; ++i) {
      cut_[i] = all[i];
      if (all[i].iov_len > left) {
        cut_[i].iov_len = left;
        parts = cut_;
        count = i + 1;
        return;
      }
      left -= all[i].iov_len;
    }
  }

  const iovec *parts;
  int count;

private:
  static constexpr size_t at_once = 1024 * 1024;
  static constexpr int max_parts = 3;
  iovec cut_[max_parts];
};

// Whether the kernel or the file lacks a call, or a sandbox refuses it.
bool is_lacking(ssize_t error) noexcept {
  return error == -EOPNOTSUPP || error == -EINVAL || error == -ENOSYS ||
         error == -EPERM;
}

// 0 if a transfer will not block, -EAGAIN, or an error.
int ready(int fd, short events) noexcept {
  pollfd one{fd, events, 0};
  int result;
  do
    result = sys::poll(&one, 1, 0);
  while (result == -EINTR);
  return result > 0 ? 0 : result == 0 ? -EAGAIN : result;
}

} // namespace

int Channel::identify(int fd) noexcept {
  int type = sys::socket_type(fd);
  if (type >= 0) {
    local_ = sys::socket_family(fd) == AF_UNIX;
    return type == SOCK_STREAM ? 0 : -EINVAL;
  }
  int flags = sys::status_flags(fd);
  if (flags < 0)
    return flags;
  local_ = true;
  way_ = (flags & O_NONBLOCK) != 0 ? Way::flags : Way::now;
  return 0;
}

ssize_t Channel::read(const iovec *all, int all_count) noexcept {
  Bounded bounded(all, all_count);
  const iovec *parts = bounded.parts;
  int count = bounded.count;
  if (way_ == Way::socket) {
    ssize_t size = receive(parts, count);
    return size == 0 ? early_error_ : size;
  }
  if (way_ == Way::now) {
    ssize_t size = os::read_now(fd(), parts, count);
    if (!is_lacking(size))
      return size;
    way_ = Way::polled;
  }
  if (way_ == Way::polled)
    if (int error = ready(fd(), POLLIN))
      return error;
  return sys::readv(fd(), parts, count);
}

bool Channel::read_waits() const noexcept {
  return way_ == Way::socket && os::has_waiting_transfers;
}

int Channel::read_waiting(const iovec *parts, int count,
                          volatile ssize_t *moved) {
  if (way_ != Way::socket)
    return -EAGAIN;
  bool done;
  int error = read_ring_waiting(parts, count, moved, done);
  if (done)
    return error;
  error = receive_waiting(parts, count, moved);
  if (error == 0 && *moved == 0)
    error = early_error_;
  if (error == 0 || error == -EAGAIN)
    return error;
  // recvmmsg(2) reports an error of the socket, once, before the bytes that
  // were received earlier are read (Linux 6.18).  A sandbox may not allow it.
  if (error != -ENOSYS && error != -EPERM && error != -ENOMEM &&
      error != -ENOBUFS)
    early_error_ = error;
  ssize_t size = read(parts, count);
  if (size < 0)
    return static_cast<int>(size);
  *moved = size;
  return 0;
}

int Channel::write_waiting(const iovec *parts, int count,
                           volatile ssize_t *moved) {
  if (way_ != Way::socket)
    return -EAGAIN;
  if (out_ != nullptr) {
    ssize_t size = send(parts, count);
    if (size >= 0)
      *moved = size;
    return size < 0 ? static_cast<int>(size) : 0;
  }
  int error = os::send_waiting(fd(), parts, count, moved);
  at_message_ = at_message_ && error != 0;
  // A sandbox may not allow sendmmsg(2).
  return error == -ENOSYS || error == -EPERM ? -EAGAIN : error;
}

ssize_t Channel::write_with(const iovec *all, int all_count, const int *fds,
                            size_t fd_count) noexcept {
  Bounded bounded(all, all_count);
  if (int error = leave_for_descriptors())
    return error;
  ssize_t size = os::send_descriptors_now(fd(), bounded.parts, bounded.count,
                                          fds, fd_count);
  at_message_ = at_message_ && size <= 0;
  return size;
}

ssize_t Channel::write(const iovec *all, int all_count) noexcept {
  Bounded bounded(all, all_count);
  const iovec *parts = bounded.parts;
  int count = bounded.count;
  if (way_ == Way::socket)
    return send(parts, count);
  if (way_ == Way::now) {
    ssize_t size = os::write_now(fd(), parts, count);
    if (!is_lacking(size))
      return size;
    way_ = Way::polled;
  }
  iovec promised;
  if (way_ == Way::polled) {
    if (int error = ready(fd(), POLLOUT))
      return error;
    // POLLOUT guarantees PIPE_BUF bytes for a pipe, 256 for a Linux tty.
    struct stat info;
    bool pipe = sys::fstat(fd(), &info) == 0 && S_ISFIFO(info.st_mode);
    promised = {parts->iov_base,
                std::min<size_t>(parts->iov_len, pipe ? PIPE_BUF : 256)};
    parts = &promised;
    count = 1;
  }
  return os::write_quietly(fd(), parts, count);
}

// The reading direction of a duplex socket has a descriptor of its own, so
// closing this one would not end the stream.  Other files do not support
// shutdown(2), and need none.
void Channel::end_writing() noexcept { (void)sys::shutdown(fd(), SHUT_WR); }

void Channel::close() noexcept {
  if (in_ != nullptr)
    in_->close();
  hand_over_ring();
  came_.reset();
  fd_.reset();
}

void Channel::forget() noexcept {
  if (in_ != nullptr)
    in_->forget();
  if (out_ != nullptr)
    out_->forget();
  if (came_ != nullptr)
    came_->forget();
  fd_.forget();
}

void Channel::arrive_in_child(registry::Held &moved,
                              bool kept_memory) noexcept {
  if (moved) {
    fd_.forget(); // a standard stream has that number now
    fd_ = std::move(moved);
  }
  fd_.keep_in_child();
  end_use();
  if (came_ != nullptr)
    came_->forget(); // closed with all that was not passed
  came_.reset();
  if (in_ != nullptr)
    in_->arrive_in_child(kept_memory);
  if (out_ != nullptr)
    out_->arrive_in_child();
}

void Channel::close_in_child() noexcept {
  if (fd() > 2)
    fd_.reset();
  else
    fd_.forget();
}

} // namespace gipc
