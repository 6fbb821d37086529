// The writing end of a local socket that may change to a ring, and back.
#include "outgoing.h"

#include "frame.h"
#include "gipc.h"
#include "os.h"
#include "sys.h"
#include "trace.h"
#include "transfer.h"

#include <algorithm>
#include <cerrno>
#include <poll.h>

namespace gipc {

namespace {

// With the smallest send buffer (Linux 6.18) one bell leaves the socket
// writable, and one filler of this size does not, so that poll(2) means what it
// means without a ring.
constexpr size_t filler_size = 1000;
constexpr int least_buffer = 1;
// A peer that lowers the flag without reading does not keep a call busy.
constexpr int most_looks = 16;
// Attempts to send a bell that the kernel had no memory for.
constexpr int most_bells = 16;

const unsigned char filler[filler_size] = {};
const unsigned char bell = frame::door_bell, mark = frame::door_mark;

ssize_t send_bytes(int fd, const unsigned char *data, size_t size) noexcept {
  iovec part{const_cast<unsigned char *>(data), size};
  return os::send_now(fd, &part, 1);
}

} // namespace

// ---- Offer ------------------------------------------------------------------

ssize_t Outgoing::offer(int fd, const iovec *parts, int count,
                        size_t capacity) noexcept {
  Fd memory;
  if (memory_.create(capacity, memory) != 0)
    return os::send_now(fd, parts, count);
  int number = memory.get();
  ssize_t size = os::send_descriptors_now(fd, parts, count, &number, 1);
  if (size > 0) {
    state_ = State::offered;
    return size;
  }
  memory_.unmap();
  // A sandbox may not allow descriptors, and the limit for those in flight
  // (ETOOMANYREFS) may be reached.
  return is_temporary(size) ? size : os::send_now(fd, parts, count);
}

ssize_t Outgoing::write_offered(int fd, const iovec *parts, int count,
                                bool at_message) noexcept {
  std::atomic<uint32_t> &offer = memory_.page().offer;
  uint32_t now = offer.load(std::memory_order_acquire);
  if (now == RingPage::accepted) {
    // Not a store, the reader may take it back: FAULT_SWITCHES_BY_STORE.
    if (at_message && offer.compare_exchange_strong(now, RingPage::switched)) {
      int error = change(fd);
      if (error == 0 && state() != State::offered)
        return write(fd, parts, count, true);
      if (error != 0 && error != -EAGAIN)
        return error;
    }
  } else if (now == RingPage::withdrawn) {
    refused_ = true; // the reader is passed on
    end_ring(fd, State::plain);
  } else if (++writes_ > patience) {
    now = RingPage::offered;
    if (offer.compare_exchange_strong(now, RingPage::withdrawn))
      end_ring(fd, State::plain);
  }
  return os::send_now(fd, parts, count);
}

// Sends the control frame, which is the last of the stream on the socket.
// -EAGAIN: not now.
int Outgoing::change(int fd) noexcept {
  std::atomic<uint32_t> &offer = memory_.page().offer;
  if (os::send_buffer(fd, send_buffer_) != 0) {
    send_buffer_ = 0;
  } else {
    unsigned char control[frame::control_size];
    frame::encode_ring(control);
    size_t sent = 0;
    ssize_t size;
    do
      size = send_bytes(fd, control + sent, sizeof control - sent);
    while (size > 0 && (sent += static_cast<size_t>(size)) < sizeof control);
    if (sent == sizeof control) {
      state_ = State::ring;
      writes_ = 0;
      // Without it, a full ring would keep the socket writable.
      if (os::set_send_buffer(fd, least_buffer) != 0)
        (void)leave(fd);
      return 0;
    }
    if (sent > 0)
      return -EIO; // there was room for a part: no local socket has that
    if (!is_temporary(size))
      return static_cast<int>(size);
  }
  // The reader may take it back again.
  offer.store(RingPage::accepted, std::memory_order_release);
  return -EAGAIN;
}

// ---- Ring -------------------------------------------------------------------

ssize_t Outgoing::write(int fd, const iovec *parts, int count,
                        bool at_message) noexcept {
  switch (state()) {
  case State::offered:
    return write_offered(fd, parts, count, at_message);
  case State::ring:
    return write_ring(fd, parts, count);
  case State::leaving:
    return write_marked(fd, parts, count);
  case State::plain:
    break;
  }
  return os::send_now(fd, parts, count);
}

ssize_t Outgoing::write_ring(int fd, const iovec *parts, int count) noexcept {
  size_t size = 0;
  for (int i = 0; i < count; ++i)
    size += parts[i].iov_len;
  if (int error = check_peer(fd, size))
    return error;
  int error = writer_.check_room(1);
  if (error == -EAGAIN)
    error = stall(fd, writer_.needed(size));
  if (error != 0)
    return error;
  switch (writer_.write(parts, count, size)) {
  case RingWriter::Due::nothing:
    break;
  case RingWriter::Due::bell:
    error = ring_bell(fd);
    // The reader found these bytes without it, read all, and ended: the next
    // write fails.
    if (error != 0 && writer_.is_read_up_to(0)) {
      bell_due_ = true;
      error = 0;
    }
    break;
  case RingWriter::Due::left:
    refused_ = true;
    [[fallthrough]];
  case RingWriter::Due::left_idle:
    // It left an empty ring, so these bytes, which are written to the socket
    // instead, are all that it has not read.
    if (!writer_.is_read_up_to(size))
      return GIPC_EPROTOCOL;
    end_ring(fd, State::leaving);
    return write_marked(fd, parts, count);
  }
  return error != 0 ? error : static_cast<ssize_t>(size);
}

// Unread bytes wake the reader as well as one that could not be sent.
int Outgoing::ring_bell(int fd) noexcept {
  ++bells_;
  if (trace::is_on())
    trace::rang(user_ != nullptr ? user_->handle_id : 0);
  ssize_t size = 0;
  for (int i = 0; i < most_bells; ++i) {
    size = send_bytes(fd, &bell, 1);
    if (size != -ENOBUFS && size != -ENOMEM)
      break;
  }
  // Then with the next write.
  bell_due_ = size == -ENOBUFS || size == -ENOMEM;
  return size >= 0 || is_temporary(size) ? 0 : static_cast<int>(size);
}

int Outgoing::stall(int fd, uint32_t needed) noexcept {
  ++stalls_;
  for (int i = 0; i < most_looks; ++i) {
    writer_.raise();
    ssize_t size = send_bytes(fd, filler, sizeof filler);
    if (size < 0 && !is_temporary(size))
      return static_cast<int>(size);
    int result = writer_.look_again(needed);
    if (result != -EINTR)
      return result;
  }
  // A slow reader lowers the flag as often.  Then it frees the writer when half
  // of the ring is free, and not only when it has read all.
  writer_.raise();
  return -EAGAIN;
}

// A write to a socket fails when the peer is gone.  A peer that closes the ring
// says so; one that was killed while it was awake is found here.
int Outgoing::check_peer(int fd, size_t size) noexcept {
  if (writer_.is_closed())
    return -EPIPE;
  if (bell_due_)
    if (int error = ring_bell(fd))
      return error;
  unchecked_ += std::min<size_t>(size, RingWriter::step);
  if (++writes_ < 256 && unchecked_ < RingWriter::step)
    return 0;
  writes_ = 0;
  unchecked_ = 0;
  pollfd peer{fd, 0, 0};
  return sys::poll(&peer, 1, 0) > 0 && (peer.revents & (POLLERR | POLLHUP)) != 0
             ? -EPIPE
             : 0;
}

// ---- Back to the socket -----------------------------------------------------

void Outgoing::end_ring(int fd, State next) noexcept {
  if (state() == State::ring) // the kernel doubles what is set
    (void)os::set_send_buffer(fd, send_buffer_ / 2);
  memory_.unmap();
  state_ = next;
}

ssize_t Outgoing::write_marked(int fd, const iovec *parts, int count) noexcept {
  constexpr int most_parts = 4;
  iovec marked[most_parts] = {{const_cast<unsigned char *>(&mark), 1}};
  int all = std::min(count, most_parts - 1);
  std::copy(parts, parts + all, marked + 1);
  ssize_t size = os::send_now(fd, marked, all + 1);
  if (size <= 0)
    return size;
  state_ = State::plain;
  return size > 1 || count == 0 ? size - 1 : os::send_now(fd, parts, count);
}

int Outgoing::leave(int fd) noexcept {
  if (state() == State::offered) {
    // Either way the peer reads on from the socket.
    memory_.page().offer.store(RingPage::withdrawn);
    end_ring(fd, State::plain);
  } else if (state() == State::ring) {
    refused_ = !writer_.leave();
    end_ring(fd, State::leaving);
  }
  if (state() != State::leaving)
    return 0;
  ssize_t size = write_marked(fd, nullptr, 0);
  return size < 0 ? static_cast<int>(size) : 0;
}

bool Outgoing::leave_idle(int fd) noexcept {
  if ((state() != State::ring && state() != State::offered) || writer_.waits())
    return false;
  (void)leave(fd); // a mark that cannot be sent now goes with the next bytes
  return true;
}

} // namespace gipc
