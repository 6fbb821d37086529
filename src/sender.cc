// The sending direction of a handle.
#include "sender.h"

#include "transfer.h"

#include <algorithm>

namespace gipc {

namespace {

// A message up to this size is cheaper to copy than to scatter.
constexpr size_t small = 4 * 1024;

} // namespace

// ---- State ------------------------------------------------------------------

int Sender::refusal() const noexcept {
  switch (state()) {
  case State::absent:
    return GIPC_EDIRECTION;
  case State::failed:
    return end_;
  case State::shutting:
  case State::closed:
    return GIPC_ECLOSED;
  case State::idle: // the process ends
  case State::putting:
  case State::waiting:
    break;
  }
  return GIPC_ELOCKED;
}

void Sender::open(Fd fd) noexcept {
  if (!fd)
    return;
  channel_.open(std::move(fd));
  set(State::idle);
}

void Sender::close() noexcept {
  channel_.close();
  outbox_.clear();
  descriptors_.reset();
  refused_ = false;
  set(State::closed);
}

void Sender::begin_wait() noexcept {
  if (state() == State::idle)
    set(State::waiting);
}

void Sender::end_wait() noexcept {
  if (state() == State::waiting)
    settle();
}

void Sender::set_driver(Driver *driver) noexcept {
  driver_ = driver;
  outbox_.close_quick(); // it was opened for the way that the queue was written
  if (driver != nullptr)
    return;
  flush_at_ = flush_step_size;
  // A shutdown that waited for the loop to write the queue is dropped: the
  // caller flushes and shuts down again.
  if (state() == State::shutting)
    settle();
}

void Sender::set_limit(size_t limit) noexcept {
  limit_ = limit;
  outbox_.close_quick();
}

void Sender::set_marks(size_t low, size_t high) noexcept {
  low_ = low;
  high_ = high;
  outbox_.close_quick();
}

// ---- Bytes ------------------------------------------------------------------

int Sender::send_some() noexcept {
  outbox_.close_quick();
  if (end_ != 0)
    return end_;
  for (size_t moved = 0; !outbox_.empty();) {
    if (moved >= per_call)
      return -EAGAIN;
    iovec areas[Outbox::max_areas];
    int count = outbox_.areas(areas);
    ssize_t size = write(areas, count);
    if (int error = sent(size))
      return error;
    moved += static_cast<size_t>(size);
  }
  flush_at_ = flush_step_size;
  return 0;
}

int Sender::send_waiting() {
  outbox_.close_quick();
  if (end_ != 0)
    return end_;
  while (!outbox_.empty()) {
    if (descriptors_ != nullptr)
      return -EAGAIN; // wait for writability
    iovec areas[Outbox::max_areas];
    int count = outbox_.areas(areas);
    volatile ssize_t moved = -1;
    int error;
    try {
      error = channel_.write_waiting(areas, count, &moved);
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

// Handles the result of a write: a number of bytes, or an error.  Returns 0,
// -EAGAIN, or end().
int Sender::sent(ssize_t size) noexcept {
  channel_.count(size);
  if (is_temporary(size)) {
    flush_at_ = outbox_.queued() + flush_step_size;
    return -EAGAIN;
  }
  if (size >= 0) {
    outbox_.sent(static_cast<size_t>(size));
    if (descriptors_ != nullptr)
      written(static_cast<size_t>(size));
    if (outbox_.empty())
      channel_.end_message();
    return 0;
  }
  if (descriptors_ != nullptr && is_refusal(size))
    return static_cast<int>(size);
  // The peer is gone, so the queue is dropped.
  end_ = size == -ECONNRESET ? -EPIPE : static_cast<int>(size);
  outbox_.clear();
  descriptors_.reset();
  if (state() == State::idle || state() == State::waiting)
    set(State::failed);
  if (driver_ != nullptr)
    driver_->send_later();
  return end_;
}

// Called after a put into the queue: writes the queue if it is long enough for
// a system call.  Otherwise it is written at the end of the loop iteration, or
// by the caller's flush.
int Sender::send_at_once() noexcept {
  if (driver_ != nullptr && driver_->waits_to_write()) {
    flush_at_ = SIZE_MAX; // the loop writes when possible, and resets this
    return 0;
  }
  int result = outbox_.queued() >= flush_at_ ? send_some() : -EAGAIN;
  if (result == -EAGAIN && driver_ != nullptr)
    driver_->send_later();
  return result == -EAGAIN ? 0 : result;
}

int Sender::flush_step() noexcept {
  TryLock lock(*this);
  return lock ? send_some() : GIPC_ELOCKED;
}

// ---- Messages ---------------------------------------------------------------

int Sender::fail_with(int why) noexcept {
  end_ = why;
  outbox_.clear();
  descriptors_.reset();
  settle();
  return why;
}

// Writes as many bytes as possible straight from the caller's memory, and
// copies only the remaining bytes.
int Sender::put_large(const void *data, size_t size) noexcept {
  outbox_.borrow(data, size);
  int result = send_some();
  if (result != -EAGAIN)
    return result;
  int left = outbox_.withdraw();
  if (left < 0)
    return fail_with(left);
  if (left == 0)
    if (int error = outbox_.put(data, size))
      return error;
  if (driver_ != nullptr)
    driver_->send_later();
  return 0;
}

int Sender::try_put(const void *data, size_t size) noexcept {
  if (int error = check_put(data, size))
    return error;
  TryLock lock(*this);
  return lock ? queue_or_send(data, size) : GIPC_ELOCKED;
}

int Sender::queue_or_send(const void *data, size_t size) noexcept {
  bool first = outbox_.queued() == 0;
  if (outbox_.queued() >= high_) {
    refused_ = true;
    return -EAGAIN;
  }
  if (is_large(size) && !(driver_ != nullptr && driver_->waits_to_write()))
    return put_large(data, size);
  if (int error = outbox_.put(data, size))
    return error;
  if (first || outbox_.queued() >= flush_at_)
    if (int error = send_at_once())
      return error;
  if (!outbox_.empty())
    outbox_.open_quick(std::min(limit_, large - 1), std::min(high_, flush_at_));
  return 0;
}

int Sender::put_start(const void *data, size_t size) noexcept {
  if (int error = check_put(data, size))
    return error;
  TryLock lock(*this);
  return lock ? begin_put(data, size) : GIPC_ELOCKED;
}

// A ring is as near as the queue: a small message is written without it.  What
// is left then waits in the queue, as after any other write.
int Sender::put_in_ring(const void *data, size_t size) noexcept {
  unsigned char header[frame::long_header];
  iovec parts[] = {{header, frame::encode(size, header)},
                   {const_cast<void *>(data), size}};
  ssize_t written = channel_.write_small(parts, 2);
  if (written == static_cast<ssize_t>(parts[0].iov_len + size)) {
    channel_.count(written);
    channel_.end_message();
    outbox_.note_written();
    return 0;
  }
  if (int error = outbox_.put(data, size))
    return written > 0 ? fail_with(error) : error;
  int result = sent(written);
  return result != 0 ? result : send_some();
}

int Sender::begin_put(const void *data, size_t size) noexcept {
  bool copy = size <= small;
  int result;
  if (copy && outbox_.empty() && channel_.writes_ring()) {
    result = put_in_ring(data, size);
  } else {
    if (!copy)
      outbox_.borrow(data, size);
    else if (int error = outbox_.put(data, size))
      return error;
    result = send_some();
  }
  if (result != -EAGAIN)
    return result;
  // If the whole copy is still queued, no byte of it was written, and the
  // caller's memory can be borrowed instead.
  size_t whole = frame::header_size(size) + size;
  if (copy && outbox_.queued() >= whole) {
    outbox_.remove_last(whole);
    outbox_.borrow(data, size);
  }
  put_size_ = size;
  put_with_ = 0;
  set(State::putting);
  if (driver_ != nullptr)
    driver_->send_later();
  return -EAGAIN;
}

int Sender::copy_put(const void *data) noexcept {
  if (!outbox_.borrowing())
    return 0;
  int left = outbox_.withdraw();
  if (left < 0)
    return fail_with(left);
  if (left == 0)
    left = outbox_.put_with(data, put_size_, put_with_);
  if (left < 0) {
    if (put_with_ > 0)
      drop_last();
    settle();
    return left;
  }
  return 0;
}

int Sender::put_step() noexcept {
  if (state() != State::putting)
    return -EINVAL;
  TryLock lock(*this);
  return lock ? step_put() : GIPC_ELOCKED;
}

int Sender::step_put() noexcept {
  int result = send_some();
  if (result != -EAGAIN)
    settle();
  return put_with_ > 0 ? end_refused(result) : result;
}

int Sender::put_cancel() noexcept {
  if (state() != State::putting)
    return -EINVAL;
  TryLock lock(*this);
  return lock ? cancel_put() : GIPC_ELOCKED;
}

int Sender::cancel_put() noexcept {
  int result = 1;
  if (end_ != 0) {
    result = end_; // and the queue was dropped
  } else if (outbox_.borrowing()) {
    result = outbox_.withdraw();
    if (result < 0)
      return result;
  } else {
    size_t whole = frame::header_size(put_size_, put_with_) + put_size_;
    if (outbox_.queued() >= whole) {
      outbox_.remove_last(whole);
      result = 0;
    }
  }
  if (result == 0 && put_with_ > 0)
    drop_last();
  settle();
  return result;
}

void Sender::forget_put() noexcept {
  outbox_.forget_borrowed();
  if (state() == State::putting)
    settle();
}

// ---- Passing to a child, and the end of this process ------------------------

void Sender::forget() noexcept {
  channel_.forget();
  if (descriptors_ != nullptr)
    descriptors_->forget();
}

void Sender::arrive_in_child(registry::Held &moved) noexcept {
  channel_.arrive_in_child(moved, false);
  set_driver(nullptr);
  exiting_ = false;
}

// A put that another thread has begun may finish, so that the peer gets whole
// messages; no other put can begin.
Sender::Exit Sender::begin_exit() noexcept {
  if (!is_open())
    return Exit::done;
  if (!exiting_) {
    // A signal handler may end the process inside a put of this thread.  Then
    // it is not known how much of that message was written.
    if (!channel_.begin_use())
      return channel_.is_used_by_this_thread() ? Exit::lost : Exit::busy;
    exiting_ = true;
    outbox_.begin_exit();
  }
  if (end_ != 0)
    return Exit::done;
  if (outbox_.exit_area().iov_len == 0)
    return outbox_.borrowing() ? Exit::lost : Exit::done;
  return Exit::ready;
}

Sender::Exit Sender::send_at_exit() noexcept {
  iovec area = outbox_.exit_area();
  ssize_t size = write(&area, 1);
  if (is_temporary(size))
    return Exit::blocked;
  if (size < 0) {
    end_ = static_cast<int>(size);
    return Exit::done;
  }
  outbox_.sent_at_exit(static_cast<size_t>(size));
  if (descriptors_ != nullptr)
    written(static_cast<size_t>(size));
  return Exit::moved;
}

} // namespace gipc
