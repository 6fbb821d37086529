// What a process still sends at its end, while its other threads may go on.
#include "handle.h"

#include "os.h"
#include "sys.h"

#include <cmath>

namespace gipc {

std::atomic<uint32_t> Handle::ending_{0};

// Whether the other end of this pipe is a handle of this process.  Nothing is
// going to be read there any more.
bool Handle::read_here() const noexcept {
  for (auto *entry = registry::first_entry(); entry != nullptr && pair_ != 0;
       entry = registry::next_entry(entry)) {
    auto *other = static_cast<const Handle *>(entry);
    if (other != this && other->pair_ == pair_ && other->read_)
      return true;
  }
  return false;
}

// One write.  A put of another thread that is in progress goes on to its end,
// so that the peer gets whole messages; another one does not begin.
Handle::Exit Handle::flush_at_exit() noexcept {
  if (!is_ours() || !write_)
    return Exit::done;
  if (!exiting_) {
    put_gate_.store(GIPC_ELOCKED, std::memory_order_relaxed);
    pthread_t sender{};
    if (!sender_.compare_exchange_strong(sender, pthread_self())) {
      // The process may end inside a put of this thread, from the handler of a
      // signal.  What has left of that message cannot be known.
      if (pthread_equal(sender, pthread_self()) != 0)
        return Exit::lost;
      return read_here() ? Exit::done : Exit::busy;
    }
    exiting_ = true;
    outbox_.begin_exit();
  }
  iovec area = outbox_.exit_area();
  if (write_end_ != 0)
    return Exit::done;
  if (area.iov_len == 0)
    return outbox_.borrowing() && !read_here() ? Exit::lost : Exit::done;
  if (read_here())
    return Exit::done;
  ssize_t size = out_.write(write_.get(), &area, 1);
  if (size == -EAGAIN || size == -ENOBUFS || size == -ENOMEM)
    return Exit::blocked;
  if (size < 0) {
    write_end_ = static_cast<int>(size);
    return Exit::done;
  }
  outbox_.sent_at_exit(static_cast<size_t>(size));
  return Exit::moved;
}

bool Handle::flush_all(double patience) noexcept {
  constexpr nfds_t most = 64; // descriptors to wait for
  constexpr int again = 2;    // ms, where there is something else to wait for
  double progress = monotonic_now();
  uint64_t sent_by_others = 0;
  ending_.store(generation::current(), std::memory_order_relaxed);
  for (;;) {
    pollfd fds[most];
    nfds_t count = 0;
    bool left = false, lost = false, moved = false, more = false;
    uint64_t others = 0;
    {
      registry::Lock hold;
      for (auto *entry = registry::first_entry(); entry != nullptr;
           entry = registry::next_entry(entry)) {
        auto *handle = static_cast<Handle *>(entry);
        Exit result = handle->flush_at_exit();
        lost |= result == Exit::lost;
        left |= result != Exit::done && result != Exit::lost;
        moved |= result == Exit::moved;
        more |=
            result == Exit::busy || (result == Exit::blocked && count == most);
        if (result == Exit::busy)
          others += handle->bytes_out_.load(std::memory_order_relaxed) +
                    os::unread_by_peer(handle->write_.get());
        if (result == Exit::blocked && count < most)
          fds[count++] = {handle->write_.get(), POLLOUT, 0};
      }
    }
    if (!left)
      return !lost;
    double now = monotonic_now();
    if (moved || others != sent_by_others)
      progress = now;
    sent_by_others = others;
    double rest = progress + patience - now;
    if (patience >= 0 && rest <= 0)
      return false;
    int wait = patience < 0 || rest > 1000
                   ? 1000
                   : static_cast<int>(std::ceil(rest * 1e3));
    (void)sys::poll(fds, count, moved ? 0 : more ? again : wait);
  }
}

} // namespace gipc
