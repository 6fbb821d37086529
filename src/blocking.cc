// The blocking tier of a handle: the step tier, and waits.
#include "handle.h"

#include "sys.h"

namespace gipc {

// Another thread that uses the handle meanwhile is told so.
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

// -ECANCELED when an interruption was due before the call, which answers it.
int Handle::interrupted() noexcept {
  bool due = waker_ != nullptr && waker_->due();
  return due && waker_->take() ? -ECANCELED : 0;
}

// Until one of the two is ready (0), the deadline (-ETIMEDOUT) or an
// interruption (-ECANCELED).  more may be nullptr.
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
    // When the time is over nothing goes on, however ready the peer is.
    int milliseconds = deadline.milliseconds();
    result = milliseconds == 0
                 ? -ETIMEDOUT
                 : sys::poll_cancellable(fds, count, milliseconds);
  }
  if (result < 0)
    return result;
  if (waker_ != nullptr && fds[count - 1].revents != 0 && waker_->take())
    return -ECANCELED;
  if (more != nullptr)
    more->revents = fds[1].revents;
  return 0;
}

// These two return when the direction may go on.  With all the time there is,
// and nothing to do meanwhile, one call that waits and moves in the kernel does
// for three.
int Handle::wait_to_get(Deadline &deadline) {
  if (deadline.never() && waker_ == nullptr) {
    Waiting busy(*this);
    ssize_t result = receiver_.receive_waiting();
    if (result == -ENOMEM)
      return static_cast<int>(result);
    if (result != -EAGAIN)
      return 0; // the caller finds out which
  }
  return wait(receiver_.channel().to_read(), nullptr, deadline);
}

// Two peers that put at once would wait for each other for ever, so a put goes
// on receiving, until as many bytes are held as the read limit allows.
int Handle::wait_to_put(Deadline &deadline) {
  if (deadline.never() && !receiver_.is_open() && waker_ == nullptr) {
    Waiting busy(*this);
    int result = sender_.send_waiting();
    if (result == -ENOMEM)
      return result;
    if (result != -EAGAIN)
      return 0; // the caller finds out which
  }
  size_t ahead = receiver_.wanted_ahead(in_callback());
  pollfd incoming = receiver_.channel().to_read();
  if (int error = wait(sender_.channel().to_write(),
                       ahead > 0 ? &incoming : nullptr, deadline))
    return error;
  // A failure shows at the next get.
  if (ahead > 0 && incoming.revents != 0) {
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
  // The read that waits finds what is there just as well.
  bool waits =
      deadline.never() && receiver_.channel().read_waits() && waker_ == nullptr;
  for (;;) {
    int result = waits ? receiver_.next_received(out) : receiver_.next(out);
    if (result != -EAGAIN)
      return result;
    if (int why = wait_to_get(deadline))
      return why;
  }
}

// ---- Put --------------------------------------------------------------------

// Ends a put that waits, however it ends: by the cancellation of this thread,
// too.
class Handle::Putting {
public:
  explicit Putting(Sender &sender) noexcept : sender_(sender) {}
  ~Putting() {
    if (sender_.state() == Sender::State::putting && sender_.cancel_put() < 0)
      (void)sender_.break_off(-ENOMEM);
  }
  Putting(const Putting &) = delete;
  Putting &operator=(const Putting &) = delete;

private:
  Sender &sender_;
};

int Handle::put(const void *data, size_t size, Deadline &deadline) {
  int error = is_ours() ? sender_.check_put(data, size) : GIPC_EWRONGPROC;
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  Sender::Using mine(sender_);
  int why;
  return mine ? put_waiting(data, size, deadline, why) : GIPC_ELOCKED;
}

// -EINPROGRESS: the message is put, but not all of it has left; why is what
// ended the wait.
int Handle::put_waiting(const void *data, size_t size, Deadline &deadline,
                        int &why) {
  int result = sender_.begin_put(data, size);
  if (result != -EAGAIN)
    return result;
  Putting until_end(sender_);
  // A message that this handle lent, put again, would be overwritten by what
  // arrives while it waits.
  if (receiver_.lends(data))
    if (int error = sender_.copy_put(data))
      return error;
  while (result == -EAGAIN) {
    why = wait_to_put(deadline);
    if (why != 0) {
      int left = sender_.cancel_put();
      return left == 1  ? -EINPROGRESS
             : left < 0 ? sender_.break_off(left)
                        : why;
    }
    result = sender_.step_put();
  }
  return result;
}

int Handle::send_all(Deadline &deadline) {
  for (;;) {
    int result = sender_.send_some();
    if (result != -EAGAIN)
      return result;
    if (int error = wait_to_put(deadline))
      return error;
  }
}

int Handle::flush(Deadline deadline) {
  int error = check_put();
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  Sender::Using mine(sender_);
  return mine ? send_all(deadline) : GIPC_ELOCKED;
}

int Handle::put_many(const gipc_message *messages, size_t count,
                     Deadline deadline, size_t &taken) {
  taken = 0;
  int error = check_put();
  error = error != 0 ? error : interrupted();
  if (error != 0)
    return error;
  Sender::Using mine(sender_);
  return mine ? queue_many(messages, count, deadline, taken) : GIPC_ELOCKED;
}

int Handle::queue_many(const gipc_message *messages, size_t count,
                       Deadline &deadline, size_t &taken) {
  for (; taken < count; ++taken) {
    const gipc_message &message = messages[taken];
    if (int error = sender_.check_put(message.data, message.size))
      return error;
    if (Sender::is_large(message.size)) {
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
    if (sender_.queued() >= Sender::batch)
      if (int error = send_all(deadline))
        return error;
    if (int error = sender_.queue(message.data, message.size))
      return error;
  }
  return send_all(deadline);
}

} // namespace gipc
