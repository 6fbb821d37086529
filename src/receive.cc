// The received messages of a handle: the step tier.
#include "handle.h"

namespace gipc {

// One read.  The number of bytes, -EAGAIN, or why the direction is over.
ssize_t Handle::receive(size_t most) noexcept {
  if (read_end_ != 0)
    return read_end_;
  iovec areas[2];
  int count = inbox_.prepare(areas, most);
  return count < 0 ? count : received(in_.read(read_.get(), areas, count));
}

// The same, but waits in the kernel.
ssize_t Handle::receive_waiting() {
  if (read_end_ != 0)
    return read_end_;
  iovec areas[2];
  int count = inbox_.prepare(areas);
  if (count < 0)
    return count;
  volatile ssize_t moved = -1;
  int error;
  try {
    error = in_.read_waiting(read_.get(), areas, count, &moved);
  } catch (...) { // the thread is cancelled
    if (moved >= 0)
      (void)received(moved);
    throw;
  }
  return received(error != 0 ? error : moved);
}

// What a read has moved, or failed with.
ssize_t Handle::received(ssize_t size) noexcept {
  ++reads_;
  if (size > 0) {
    inbox_.commit(static_cast<size_t>(size));
    bytes_in_ += static_cast<uint64_t>(size);
    return size;
  }
  if (size == -EAGAIN || size == -ENOBUFS || size == -ENOMEM) {
    inbox_.rest();
    return -EAGAIN;
  }
  // A local peer that closed with our messages unread resets the connection,
  // after all that it sent.  On a network a reset may have eaten something.
  if (size == -ECONNRESET && in_.local())
    size = 0;
  if (size == 0)
    size = inbox_.whole() ? GIPC_EOF : GIPC_ETRUNCATED;
  read_end_ = static_cast<int>(size);
  return size;
}

// A stream that broke the format, or its limit, is over for good.
int Handle::note_broken(int result) noexcept {
  if (result == GIPC_EPROTOCOL || result == GIPC_ETOOBIG)
    read_end_ = result;
  return result;
}

// The next message of those received; why there will be none; or -EAGAIN.
int Handle::next_received(View &out) noexcept {
  int result = note_broken(inbox_.next(limit_, out));
  return result == -EAGAIN && read_end_ != 0 ? read_end_ : result;
}

// The next message was not there yet, or never will be.
int Handle::take_slow(int result, View &out) noexcept {
  for (size_t moved = 0; result == -EAGAIN;) {
    if (moved >= per_call)
      return -EAGAIN;
    ssize_t got = receive();
    if (got < 0)
      return static_cast<int>(got);
    moved += static_cast<size_t>(got);
    result = inbox_.next(limit_, out);
  }
  return note_broken(result);
}

int Handle::next_size(size_t &size) noexcept {
  if (int error = usable(get_gate_))
    return error;
  for (;;) {
    size_t next = 0;
    int result = inbox_.next_size(limit_, next);
    // Of a message that was cut off there may be the header.
    if (result == 0 && read_end_ != 0 && !inbox_.ready(limit_))
      return read_end_;
    if (result == 0)
      size = next;
    if (result != -EAGAIN)
      return note_broken(result);
    ssize_t got = receive();
    if (got < 0)
      return static_cast<int>(got);
  }
}

int Handle::get_into(void *buffer, size_t capacity, size_t &size) noexcept {
  int error = usable(get_gate_);
  bool goes_on = error == GIPC_ELOCKED && buffer == inbox_.borrowed() &&
                 buffer != nullptr && !waiting_;
  if (error != 0 && !goes_on)
    return error;
  int result;
  for (size_t moved = 0;;) {
    result = inbox_.next_into(limit_, buffer, capacity, size);
    if (result != -EAGAIN || moved >= per_call)
      break;
    ssize_t got = receive();
    if (got < 0) {
      result = static_cast<int>(got);
      break;
    }
    moved += static_cast<size_t>(got);
  }
  if (result == GIPC_EPROTOCOL)
    read_end_ = result;
  // Over the limit is for good, over the capacity is not.
  if (result == GIPC_ETOOBIG && inbox_.next_size(limit_, capacity) < 0)
    read_end_ = result;
  if (result < 0 && result != -EAGAIN && inbox_.give_back() != 0) {
    inbox_.forget_borrowed();
    read_end_ = -ENOMEM;
  }
  update_gates();
  return result;
}

int Handle::get_cancel() noexcept {
  if (int error = open_somewhere())
    return error;
  if (waiting_)
    return GIPC_ELOCKED;
  int error = inbox_.give_back();
  update_gates();
  return error;
}

// How many bytes to receive while nothing gets them; 0: none.  What a callback
// was given must stay where it is.
size_t Handle::wants_ahead() noexcept {
  bool may = read_limit_ > 0 && read_ && callbacks_ == 0 && read_end_ == 0 &&
             inbox_.borrowed() == nullptr;
  return may ? inbox_.wanted(limit_, read_limit_) : 0;
}

int Handle::read_ahead() noexcept {
  if (int error = usable(get_gate_))
    return error;
  int result = 0;
  size_t moved = 0;
  while (result == 0 && moved < per_call) {
    size_t most = wants_ahead();
    ssize_t got = most > 0         ? receive(most)
                  : read_end_ != 0 ? read_end_
                                   : -ENOBUFS;
    if (got < 0) // an end is told by the next get, too
      result = static_cast<int>(got);
    else
      moved += static_cast<size_t>(got);
  }
  return moved > 0 ? 0 : result;
}

} // namespace gipc
