// The messages of a handle: the step tier and the blocking tier.
#include "handle.h"

#include "push.h"
#include "sys.h"

#include <algorithm>

namespace gipc {

namespace {

// A message up to this size is cheaper to copy than to scatter.
constexpr size_t small = 4 * 1024;
// From this size a message goes straight from the caller's memory.
constexpr size_t large = 32 * 1024;
// What one call of the step tier moves at most, so that a fast peer cannot
// keep it busy; the descriptor stays ready, and the caller comes again.
constexpr size_t per_call = 1024 * 1024;

} // namespace

// ---- Receiving --------------------------------------------------------------

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

// ---- Sending ----------------------------------------------------------------

// While this thread uses the writing direction.  The end of the process, which
// may come in another thread at any moment, sends what is queued; it must not
// see a message half queued, nor send bytes twice.
class Handle::Sending {
public:
  explicit Sending(Handle &handle) noexcept : handle_(handle) {
    pthread_t none{};
    mine_ = handle.sender_.compare_exchange_strong(none, pthread_self(),
                                                   std::memory_order_acquire);
  }
  ~Sending() {
    if (mine_)
      handle_.sender_.store(pthread_t{}, std::memory_order_release);
  }
  Sending(const Sending &) = delete;
  Sending &operator=(const Sending &) = delete;
  explicit operator bool() const noexcept { return mine_; }

private:
  Handle &handle_;
  bool mine_;
};

inline int Handle::put_error(const void *data, size_t size) const noexcept {
  if (int error = usable(put_gate_))
    return error;
  if (size > limit_)
    return GIPC_ETOOBIG;
  return size > PTRDIFF_MAX || (data == nullptr && size > 0) ? -EINVAL : 0;
}

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

// ---- Blocking ---------------------------------------------------------------

// Another thread that uses the handle meanwhile is told so.
class Handle::Waiting {
public:
  explicit Waiting(Handle &handle) noexcept : handle_(handle) {
    handle_.waiting_ = true;
    handle_.update_gates();
  }
  ~Waiting() {
    handle_.waiting_ = false;
    handle_.update_gates();
  }

private:
  Handle &handle_;
};

// -ECANCELED when an interruption was due before the call, which answers it.
int Handle::interrupted(const std::atomic<int> &gate) noexcept {
  bool due = waker_ != nullptr && usable(gate) == 0 && waker_->due();
  return due && waker_->take() ? -ECANCELED : 0;
}

// Returns when the direction may go on, or at the deadline.  Two peers that put
// at once would wait for each other for ever, so a put goes on receiving, until
// as many bytes are held as the read limit allows.
int Handle::wait(int direction, Deadline &deadline) {
  // With all the time there is, and nothing to do meanwhile, one call that
  // waits and moves in the kernel does for three.
  bool reading = direction == GIPC_READ;
  if (deadline.never() && (reading || !read_) && waker_ == nullptr) {
    Waiting busy(*this);
    ssize_t result = reading ? receive_waiting() : send_waiting();
    if (result == -ENOMEM)
      return static_cast<int>(result);
    if (result != -EAGAIN)
      return 0; // the caller finds out which
  }
  pollfd fds[3];
  nfds_t count = 0;
  fds[count++] = {reading ? read_.get() : write_.get(),
                  static_cast<short>(reading ? POLLIN : POLLOUT), 0};
  size_t ahead = reading ? 0 : wants_ahead();
  if (ahead > 0)
    fds[count++] = {read_.get(), POLLIN, 0};
  if (waker_ != nullptr)
    fds[count++] = {waker_->fd(), POLLIN, 0};
  int result = 0;
  {
    Waiting busy(*this);
    while (result == 0 || result == -EINTR) {
      // When the time is over nothing goes on, however ready the peer is.
      int milliseconds = deadline.milliseconds();
      result = milliseconds == 0
                   ? -ETIMEDOUT
                   : sys::poll_cancellable(fds, count, milliseconds);
    }
  }
  if (result < 0)
    return result;
  if (waker_ != nullptr && fds[count - 1].revents != 0 && waker_->take())
    return -ECANCELED;
  // A failure shows at the next get.
  if (ahead > 0 && fds[1].revents != 0) {
    (void)receive(ahead);
    if (push_ != nullptr)
      push_->received_ahead();
  }
  return 0;
}

int Handle::get(Deadline deadline, View &out) {
  if (int error = usable(get_gate_))
    return error;
  if (int error = interrupted(get_gate_))
    return error;
  // The read that waits finds what is there just as well.
  bool waits = deadline.never() && in_.read_waits() && waker_ == nullptr;
  for (;;) {
    int result = waits ? next_received(out) : take(out);
    if (result != -EAGAIN)
      return result;
    if (int error = wait(GIPC_READ, deadline))
      return error;
  }
}

int Handle::put(const void *data, size_t size, Deadline &deadline) {
  if (int error = put_error(data, size))
    return error;
  if (int error = interrupted(put_gate_))
    return error;
  Sending mine(*this);
  return mine ? put_waiting(data, size, deadline) : GIPC_ELOCKED;
}

// Ends a put that waits, however it ends: by the cancellation of this thread,
// too.
class Handle::Borrowing {
public:
  explicit Borrowing(Handle &handle) noexcept : handle_(handle) {}
  ~Borrowing() {
    if (handle_.put_borrowed_ && handle_.cancel_put() < 0)
      (void)handle_.break_off(-ENOMEM);
  }

private:
  Handle &handle_;
};

int Handle::put_waiting(const void *data, size_t size, Deadline &deadline) {
  int result = begin_put(data, size);
  if (result != -EAGAIN)
    return result;
  Borrowing until_end(*this);
  // A message that this handle lent, put again, would be overwritten by what
  // arrives while it waits.
  if (inbox_.lends(data))
    if (int error = copy_borrowed(data))
      return error;
  while (result == -EAGAIN) {
    if (int error = wait(GIPC_WRITE, deadline)) {
      int left = cancel_put();
      if (left == 1)
        return error == -ETIMEDOUT || error == -ECANCELED ? -EINPROGRESS
                                                          : error;
      return left < 0 ? break_off(left) : error;
    }
    result = step_put();
  }
  return result;
}

int Handle::send_all(Deadline &deadline) {
  for (;;) {
    int result = send_some();
    if (result != -EAGAIN)
      return result;
    if (int error = wait(GIPC_WRITE, deadline))
      return error;
  }
}

int Handle::flush(Deadline deadline) {
  if (int error = usable(put_gate_))
    return error;
  if (int error = interrupted(put_gate_))
    return error;
  return flush_waiting(deadline);
}

int Handle::flush_waiting(Deadline &deadline) {
  Sending mine(*this);
  return mine ? send_all(deadline) : GIPC_ELOCKED;
}

int Handle::put_many(const gipc_message *messages, size_t count,
                     Deadline deadline, size_t &taken) {
  taken = 0;
  if (int error = usable(put_gate_))
    return error;
  if (int error = interrupted(put_gate_))
    return error;
  Sending mine(*this);
  return mine ? queue_many(messages, count, deadline, taken) : GIPC_ELOCKED;
}

int Handle::queue_many(const gipc_message *messages, size_t count,
                       Deadline &deadline, size_t &taken) {
  constexpr size_t batch = 4 * flush_step_size;
  for (; taken < count; ++taken) {
    const gipc_message &message = messages[taken];
    if (int error = put_error(message.data, message.size))
      return error;
    if (message.size >= large) {
      int result = put_waiting(message.data, message.size, deadline);
      if (result == -EINPROGRESS) {
        ++taken;
        return deadline.milliseconds() == 0 ? -ETIMEDOUT : -ECANCELED;
      }
      if (result != 0)
        return result;
      continue;
    }
    if (outbox_.queued() >= batch)
      if (int error = send_all(deadline))
        return error;
    if (int error = outbox_.put(message.data, message.size))
      return error;
  }
  return send_all(deadline);
}

} // namespace gipc
