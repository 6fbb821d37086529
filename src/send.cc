// The messages that a handle sends: the step tier.
#include "handle.h"

#include "push.h"

#include <algorithm>

namespace gipc {

namespace {

// A message up to this size is cheaper to copy than to scatter.
constexpr size_t small = 4 * 1024;

} // namespace

// Sends until everything has left (0) or no more can (-EAGAIN, an error).
int Handle::send_some() noexcept {
  easy_tail_ = 0;
  if (write_end_ != 0)
    return write_end_;
  for (size_t moved = 0; !outbox_.empty();) {
    if (moved >= per_call)
      return -EAGAIN;
    iovec areas[Outbox::max_areas];
    int count = outbox_.areas(areas);
    ssize_t size = out_.write(write_.get(), areas, count);
    if (int error = sent(size))
      return error;
    moved += static_cast<size_t>(size);
  }
  flush_at_ = flush_step_size;
  return 0;
}

// The same, but waits in the kernel.
int Handle::send_waiting() {
  easy_tail_ = 0;
  if (write_end_ != 0)
    return write_end_;
  while (!outbox_.empty()) {
    iovec areas[Outbox::max_areas];
    int count = outbox_.areas(areas);
    volatile ssize_t moved = -1;
    int error;
    try {
      error = out_.write_waiting(write_.get(), areas, count, &moved);
    } catch (...) { // the thread is cancelled
      if (moved >= 0)
        (void)sent(moved);
      throw;
    }
    if (int result = sent(error != 0 ? error : moved))
      return result;
  }
  flush_at_ = flush_step_size;
  return 0;
}

// What a write has moved, or failed with.  0, -EAGAIN, or why the direction is
// over.
int Handle::sent(ssize_t size) noexcept {
  ++writes_;
  if (size == -EAGAIN || size == -ENOBUFS || size == -ENOMEM) {
    flush_at_ = outbox_.queued() + flush_step_size;
    return -EAGAIN;
  }
  if (size < 0) {
    // The peer is gone: what was queued for it goes, too.
    write_end_ = size == -ECONNRESET ? -EPIPE : static_cast<int>(size);
    outbox_.clear();
    update_gates();
    if (push_ != nullptr)
      push_->send_later();
    return write_end_;
  }
  outbox_.sent(static_cast<size_t>(size));
  bytes_out_.store(bytes_out_.load(std::memory_order_relaxed) +
                       static_cast<uint64_t>(size),
                   std::memory_order_relaxed);
  return 0;
}

// After a put into the queue: sends when that is worth a system call, else
// leaves it to the end of the loop's turn, or to the caller's flush.
int Handle::send_at_once() noexcept {
  if (push_ != nullptr && push_->waits_to_write()) {
    flush_at_ = SIZE_MAX; // the loop tells when, which resets this
    return 0;
  }
  int result = outbox_.queued() >= flush_at_ ? send_some() : -EAGAIN;
  if (result == -EAGAIN && push_ != nullptr)
    push_->send_later();
  return result == -EAGAIN ? 0 : result;
}

// A part of a message has left and the rest cannot: the stream ends there.
int Handle::break_off(int why) noexcept {
  write_end_ = why;
  outbox_.clear();
  put_borrowed_ = false;
  update_gates();
  return why;
}

// Lets the kernel take what it can from the caller's memory, and copies only
// the rest.
int Handle::put_large(const void *data, size_t size) noexcept {
  outbox_.borrow(data, size);
  int result = send_some();
  if (result != -EAGAIN)
    return result;
  int left = outbox_.withdraw();
  if (left < 0)
    return break_off(left);
  if (left == 0)
    if (int error = outbox_.put(data, size))
      return error;
  if (push_ != nullptr)
    push_->send_later();
  return 0;
}

int Handle::try_put_slow(const void *data, size_t size) noexcept {
  if (int error = put_error(data, size))
    return error;
  Sending mine(*this);
  return mine ? queue_or_send(data, size) : GIPC_ELOCKED;
}

int Handle::queue_or_send(const void *data, size_t size) noexcept {
  bool first = outbox_.queued() == 0;
  if (outbox_.queued() >= high_) {
    refused_ = true;
    return -EAGAIN;
  }
  if (size >= large && !(push_ != nullptr && push_->waits_to_write()))
    return put_large(data, size);
  if (int error = outbox_.put(data, size))
    return error;
  if (first || outbox_.queued() >= flush_at_)
    if (int error = send_at_once())
      return error;
  if (!outbox_.empty()) {
    easy_size_ = std::min(limit_, large - 1);
    easy_tail_ = outbox_.tail_at(std::min(high_, flush_at_));
  }
  return 0;
}

int Handle::put_start(const void *data, size_t size) noexcept {
  if (int error = put_error(data, size))
    return error;
  Sending mine(*this);
  return mine ? begin_put(data, size) : GIPC_ELOCKED;
}

int Handle::begin_put(const void *data, size_t size) noexcept {
  bool copy = size <= small;
  if (!copy)
    outbox_.borrow(data, size);
  else if (int error = outbox_.put(data, size))
    return error;
  int result = send_some();
  if (result != -EAGAIN)
    return result;
  // No byte of the copy has left while all of it is still queued.
  if (copy && outbox_.queued() >= frame::header_size(size) + size) {
    outbox_.take_back(size);
    outbox_.borrow(data, size);
  }
  put_borrowed_ = true;
  put_size_ = size;
  update_gates();
  if (push_ != nullptr)
    push_->send_later();
  return -EAGAIN;
}

// The put goes on from a copy.
int Handle::copy_borrowed(const void *data) noexcept {
  if (!outbox_.borrowing())
    return 0;
  int left = outbox_.withdraw();
  if (left < 0)
    return break_off(left);
  if (left == 0)
    left = outbox_.put(data, put_size_);
  if (left < 0) {
    put_borrowed_ = false;
    update_gates();
    return left;
  }
  return 0;
}

int Handle::put_step() noexcept {
  if (int error = open_somewhere())
    return error;
  if (!put_borrowed_)
    return -EINVAL;
  Sending mine(*this);
  return mine ? step_put() : GIPC_ELOCKED;
}

int Handle::step_put() noexcept {
  int result = send_some();
  if (result != -EAGAIN) {
    put_borrowed_ = false;
    update_gates();
  }
  return result;
}

int Handle::put_cancel() noexcept {
  if (int error = open_somewhere())
    return error;
  if (!put_borrowed_)
    return -EINVAL;
  Sending mine(*this);
  return mine ? cancel_put() : GIPC_ELOCKED;
}

int Handle::cancel_put() noexcept {
  int result = 1;
  if (write_end_ != 0) {
    result = write_end_; // and what was queued is gone
  } else if (outbox_.borrowing()) {
    result = outbox_.withdraw();
    if (result < 0)
      return result;
  } else if (outbox_.queued() >= frame::header_size(put_size_) + put_size_) {
    outbox_.take_back(put_size_);
    result = 0;
  }
  put_borrowed_ = false;
  update_gates();
  return result;
}

int Handle::flush_step() noexcept {
  int error = usable(put_gate_);
  return error != 0 ? error : send_step();
}

// For those that have looked at the gate, or need not.
int Handle::send_step() noexcept {
  Sending mine(*this);
  return mine ? send_some() : GIPC_ELOCKED;
}

} // namespace gipc
