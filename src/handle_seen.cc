// One end of a pipe: what others see of it.
#include "handle.h"

#include "os.h"

#include <algorithm>

namespace gipc {

void Handle::note_get(int result, size_t size) noexcept {
  if (result != 0)
    return;
  used_at_ = os::coarse_now();
  trace::got(id(), size);
}

void Handle::note_put(int result, size_t size) noexcept {
  if (result == -EAGAIN) {
    trace::stalled(id(), size, sender_.queued());
  } else if (result == 0) {
    used_at_ = os::coarse_now();
    trace::put(id(), size, sender_.queued());
  }
}

void Handle::describe(gipc_handle_entry &out) const noexcept {
  double now = os::coarse_now();
  const Channel &in = receiver_.channel();
  const Channel &out_channel = sender_.channel();
  out.handle = reinterpret_cast<const gipc_handle *>(this);
  out.id = id();
  out.pair = pair_;
  out.read_fd = in.fd();
  out.write_fd = out_channel.fd();
  out.directions =
      (in.is_open() ? GIPC_READ : 0) | (out_channel.is_open() ? GIPC_WRITE : 0);
  out.end_in = receiver_.end();
  out.end_out = sender_.end();
  out.state = life_ == Life::closed                        ? GIPC_HANDLE_CLOSED
              : life_ == Life::lingering                   ? GIPC_HANDLE_CLOSING
              : sender_.state() == Sender::State::shutting ? GIPC_HANDLE_CLOSING
              : out.end_in != 0 || out.end_out != 0        ? GIPC_HANDLE_ENDED
                                                           : GIPC_HANDLE_OPEN;
  out.on_loop = is_started();
  out.busy = operation_in_progress();
  out.transport_in = in.medium();
  out.transport_out = out_channel.medium();
  // Where numbers have more digits in registers, now may seem to be earlier.
  out.age = std::max(0.0, now - since());
  double used_at = used_at_;
  out.idle = used_at >= 0 ? std::max(0.0, now - used_at) : -1;
  out.messages_in = receiver_.messages();
  out.messages_out = sender_.messages();
  out.bytes_in = in.bytes();
  out.bytes_out = out_channel.bytes();
  out.queued = sender_.seen_queued();
  out.unread = receiver_.seen_held() + in.unread();
}

} // namespace gipc
