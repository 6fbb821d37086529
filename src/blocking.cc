// The blocking tier of a handle: the step tier, and waits.
#include "handle.h"

#include "push.h"
#include "sys.h"

namespace gipc {

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
  int why;
  return mine ? put_waiting(data, size, deadline, why) : GIPC_ELOCKED;
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

// -EINPROGRESS: the message is put, but not all of it has left; why is what
// ended the wait.
int Handle::put_waiting(const void *data, size_t size, Deadline &deadline,
                        int &why) {
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
    why = wait(GIPC_WRITE, deadline);
    if (why != 0) {
      int left = cancel_put();
      return left == 1 ? -EINPROGRESS : left < 0 ? break_off(left) : why;
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
      int why;
      int result = put_waiting(message.data, message.size, deadline, why);
      if (result == -EINPROGRESS) {
        ++taken;
        return why;
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
