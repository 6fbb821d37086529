// The blocking tier of a handle: calls of the step tier, with waits between.
#include "handle.h"

#include "sys.h"
#include "transfer.h"

namespace gipc {

// Exists while a call waits, so that calls of other threads return
// GIPC_ELOCKED.
class Handle::Waiting {
public:
  explicit Waiting(Handle &handle) noexcept : handle_(handle) {
    handle_.receiver_.begin_wait();
    handle_.sender_.begin_wait();
  }
  ~Waiting() {
    handle_.receiver_.end_wait();
    handle_.sender_.end_wait();
  }
  Waiting(const Waiting &) = delete;
  Waiting &operator=(const Waiting &) = delete;

private:
  Handle &handle_;
};

// ---- Waiting ----------------------------------------------------------------

// -ECANCELED if gipc_interrupt() was called before this call.
int Handle::interrupted() noexcept {
  bool due = waker_ != nullptr && waker_->due();
  return due && waker_->consume() ? -ECANCELED : 0;
}

// Waits until one of the two is ready (0), for the deadline (-ETIMEDOUT) or for
// an interruption (-ECANCELED).  more may be nullptr.
int Handle::wait(const pollfd &what, pollfd *more, Deadline &deadline) {
  pollfd fds[3];
  nfds_t count = 0;
  fds[count++] = what;
  if (more != nullptr)
    fds[count++] = *more;
  if (waker_ != nullptr)
    fds[count++] = {waker_->fd(), POLLIN, 0};
  Waiting busy(*this);
  int result = 0;
  while (result == 0 || result == -EINTR) {
    // After the deadline the call ends, even if the peer is always ready.
    int milliseconds = deadline.milliseconds();
    result = milliseconds == 0
                 ? -ETIMEDOUT
                 : sys::poll_cancellable(fds, count, milliseconds);
  }
  if (result < 0)
    return result;
  if (waker_ != nullptr && fds[count - 1].revents != 0 && waker_->consume())
    return -ECANCELED;
  if (more != nullptr)
    more->revents = fds[1].revents;
  return 0;
}

// These two wait until the direction is ready.  Without a timeout, an
// interruption or bytes to read ahead, one blocking system call replaces try,
// poll and retry.
int Handle::wait_to_get(Deadline &deadline) {
  if (deadline.never() && waker_ == nullptr) {
    Waiting busy(*this);
    ssize_t result = receiver_.receive_waiting();
    if (result == -ENOMEM)
      return static_cast<int>(result);
    if (result != -EAGAIN)
      return 0; // the caller's next step returns the result
  }
  return wait(receiver_.channel().to_read(), nullptr, deadline);
}

// If two peers put at the same time and neither reads, both block.  So a put
// that waits receives ahead, up to the read limit.
int Handle::wait_to_put(Deadline &deadline) {
  if (deadline.never() && !receiver_.is_open() && waker_ == nullptr) {
    Waiting busy(*this);
    int result = sender_.send_waiting();
    if (result == -ENOMEM)
      return result;
    if (result != -EAGAIN)
      return 0; // the caller's next step returns the result
  }
  size_t ahead = receiver_.wanted_ahead(in_callback());
  pollfd incoming = receiver_.channel().to_read();
  bool ready = ahead > 0 && receiver_.channel().is_ready();
  if (!ready)
    if (int error = wait(sender_.channel().to_write(),
                         ahead > 0 ? &incoming : nullptr, deadline))
      return error;
  // The next get returns an error of this read.
  if (ahead > 0 && (ready || incoming.revents != 0)) {
    (void)receiver_.receive(ahead);
    if (driver() != nullptr)
      driver()->changed();
  }
  return 0;
}

// ---- Get --------------------------------------------------------------------

int Handle::get(Deadline deadline, View &out) {
  int error = check_get();
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  int received = receiver_.next_received(out);
  if (received != -EAGAIN)
    return received;
  // A blocking read returns available bytes at once, so a try first would only
  // cost a system call.
  bool waits =
      deadline.never() && receiver_.channel().read_waits() && waker_ == nullptr;
  for (size_t moved = 0;;) {
    bool in_ring = receiver_.channel().in_ring();
    int result =
        waits || in_ring ? receiver_.next_received(out) : receiver_.next(out);
    if (result != -EAGAIN)
      return result;
    bool receives =
        in_ring && (!waits || receiver_.channel().has_bytes_in_ring());
    ssize_t got = receives ? receiver_.receive() : -EAGAIN;
    if (got == -ENOMEM)
      return -ENOMEM;
    if (got == -EAGAIN) {
      if (int why = wait_to_get(deadline))
        return why;
    } else if (got > 0 && (moved += static_cast<size_t>(got)) >= per_call) {
      // The peer may be as fast as this process.
      moved = 0;
      error = deadline.milliseconds() == 0 ? -ETIMEDOUT : interrupted();
      if (error != 0)
        return error;
    }
  }
}

// ---- Put --------------------------------------------------------------------

// Ends a put that waits in every case, also if this thread is cancelled.
class Handle::Putting {
public:
  explicit Putting(Sender &sender) noexcept : sender_(sender) {}
  ~Putting() {
    if (sender_.state() == Sender::State::putting && sender_.cancel_put() < 0)
      (void)sender_.fail_with(-ENOMEM);
  }
  Putting(const Putting &) = delete;
  Putting &operator=(const Putting &) = delete;

private:
  Sender &sender_;
};

int Handle::put(const void *data, size_t size, Deadline &deadline) {
  int error = is_owned() ? sender_.check_put(data, size) : GIPC_EWRONGPROC;
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  Sender::TryLock lock(sender_);
  int why;
  return lock ? put_waiting(data, size, deadline, why) : GIPC_ELOCKED;
}

// -EINPROGRESS: a part of the message was written and the remaining bytes are
// queued; why is the result that ended the wait.
int Handle::put_waiting(const void *data, size_t size, Deadline &deadline,
                        int &why) {
  int result = sender_.begin_put(data, size);
  return result == -EAGAIN ? finish_put(data, deadline, why) : result;
}

// The same for a put that has begun.
int Handle::finish_put(const void *data, Deadline &deadline, int &why) {
  if (trace::is_on())
    note_put(-EAGAIN, sender_.put_size());
  Putting until_end(sender_);
  // If the message is a view of this handle, bytes received during the wait
  // would overwrite it.
  if (receiver_.contains(data))
    if (int error = sender_.copy_put(data))
      return error;
  int result = -EAGAIN;
  while (result == -EAGAIN) {
    why = wait_to_put(deadline);
    if (why != 0) {
      int left = sender_.cancel_put();
      return left == 1  ? -EINPROGRESS
             : left < 0 ? sender_.fail_with(left)
                        : why;
    }
    result = sender_.step_put();
  }
  return result;
}

int Handle::put_with(const void *data, size_t size, const int *fds,
                     size_t count, Deadline &deadline) {
  if (count == 0)
    return put(data, size, deadline);
  int error = is_owned() ? sender_.check_put(data, size) : GIPC_EWRONGPROC;
  error = error != 0 ? error : check_put_with(fds, count);
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  Sender::TryLock lock(sender_);
  if (!lock)
    return GIPC_ELOCKED;
  int result =
      sender_.begin_put_with(data, size, fds, static_cast<uint32_t>(count));
  int why;
  return result == -EAGAIN ? finish_put(data, deadline, why) : result;
}

int Handle::send_all(Deadline &deadline) {
  for (;;) {
    int result = sender_.send_some();
    if (result != -EAGAIN)
      return result;
    if (trace::is_on())
      note_put(-EAGAIN, 0);
    if (int error = wait_to_put(deadline))
      return error;
  }
}

int Handle::flush(Deadline deadline) {
  int error = check_put();
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  Sender::TryLock lock(sender_);
  return lock ? send_all(deadline) : GIPC_ELOCKED;
}

int Handle::put_many(const gipc_message *messages, size_t count,
                     Deadline deadline, size_t &accepted) {
  accepted = 0;
  int error = check_put();
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  Sender::TryLock lock(sender_);
  if (!lock)
    return GIPC_ELOCKED;
  int result = queue_many(messages, count, deadline, accepted);
  if (trace::is_on())
    for (size_t i = 0; i < accepted; ++i)
      note_put(0, messages[i].size);
  return result;
}

int Handle::queue_many(const gipc_message *messages, size_t count,
                       Deadline &deadline, size_t &accepted) {
  for (; accepted < count; ++accepted) {
    const gipc_message &message = messages[accepted];
    if (int error = sender_.check_put(message.data, message.size))
      return error;
    if (Sender::is_large(message.size)) {
      int why;
      int result = put_waiting(message.data, message.size, deadline, why);
      if (result == -EINPROGRESS) {
        ++accepted;
        return why;
      }
      if (result != 0)
        return result;
      continue;
    }
    if (sender_.queued() >= Sender::batch)
      if (int error = send_all(deadline))
        return error;
    if (int error = sender_.queue(message.data, message.size))
      return error;
  }
  return send_all(deadline);
}

} // namespace gipc
