// Writes the queues at the end of a process, while its other threads may still
// run.
#include "handle.h"

#include "os.h"
#include "sys.h"

#include <cmath>

namespace gipc {

// Whether the other end of this pipe is a handle of this process, which will
// not read any more.
bool Handle::is_read_here() const noexcept {
  const Handle *other = other_end();
  return other != nullptr && other->receiver_.is_open();
}

Sender::Exit Handle::flush_at_exit() noexcept {
  using Exit = Sender::Exit;
  if (!is_owned())
    return Exit::done;
  Exit result = sender_.begin_exit();
  if (result == Exit::done || is_read_here())
    return Exit::done;
  return result == Exit::ready ? sender_.send_at_exit() : result;
}

bool Handle::flush_all(double patience) noexcept {
  using Exit = Sender::Exit;
  constexpr nfds_t most = 64; // number of descriptors to wait for
  constexpr int again = 2;    // ms between two checks of what cannot be polled
  double progress = monotonic_now();
  uint64_t sent_by_others = 0;
  Sender::begin_end_of_process();
  for (;;) {
    pollfd fds[most];
    nfds_t count = 0;
    bool left = false, lost = false, moved = false, more = false;
    uint64_t others = 0;
    {
      registry::Lock hold;
      for (auto *entry = registry::first_entry(registry::Kind::handle);
           entry != nullptr; entry = registry::next_entry(entry)) {
        auto *handle = static_cast<Handle *>(entry);
        Exit result = handle->flush_at_exit();
        const Channel &channel = handle->sender_.channel();
        lost |= result == Exit::lost;
        left |= result != Exit::done && result != Exit::lost;
        moved |= result == Exit::moved;
        more |=
            result == Exit::busy || (result == Exit::blocked && count == most);
        if (result == Exit::busy)
          others += channel.bytes() + os::unread_by_peer(channel.fd());
        if (result == Exit::blocked && count < most)
          fds[count++] = channel.to_write();
      }
    }
    if (!left)
      return !lost;
    double now = monotonic_now();
    if (moved || others != sent_by_others)
      progress = now;
    sent_by_others = others;
    double remaining = progress + patience - now;
    if (patience >= 0 && remaining <= 0)
      return false;
    int wait = patience < 0 || remaining > 1000
                   ? 1000
                   : static_cast<int>(std::ceil(remaining * 1e3));
    (void)sys::poll(fds, count, moved ? 0 : more ? again : wait);
  }
}

} // namespace gipc
