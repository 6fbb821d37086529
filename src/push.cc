// A started handle: its loop delivers the messages and writes the queue.
#include "push.h"

#include "handle.h"

#include <algorithm>
#include <cstring>

namespace gipc {

// Exists while a callback runs: keeps the handle until the callback returns,
// and notes whether the callback ended the Push.
struct Push::Scope {
  explicit Scope(Push &owner)
      : push(&owner), handle(owner.handle_), outer(owner.scope_) {
    owner.scope_ = this;
    handle.begin_callback();
  }
  ~Scope() {
    if (!gone)
      push->scope_ = outer;
    else if (outer != nullptr)
      outer->gone = outer->interrupted = true;
    if (handle.end_callback() && handle.driver() != nullptr)
      static_cast<Push *>(handle.driver())->callbacks_returned();
    handle.delete_if_done();
  }
  Push *push;
  Handle &handle;
  Scope *outer;
  bool gone = false;        // true after the Push was deleted
  bool interrupted = false; // true after it was deleted, paused or closed
};

const HandleWatch::Events Push::watch_events = {
    [](void *self) noexcept { static_cast<Push *>(self)->deliver(true); },
    [](void *self) noexcept { static_cast<Push *>(self)->send(); },
    [](void *self) noexcept { static_cast<Push *>(self)->send(); },
    [](void *self) noexcept { static_cast<Push *>(self)->deliver(false); },
    [](void *self) noexcept { static_cast<Push *>(self)->loop_gone(); },
};

Push::Push(Handle &handle, struct ev_loop *loop, const gipc_events &events,
           void *user)
    : handle_(handle), loop_(loop), events_(events), user_(user),
      watch_(loop, handle.receiver().channel().fd(),
             handle.sender().channel().fd(), watch_events, this) {}

Push::~Push() {
  if (scope_ != nullptr)
    scope_->gone = scope_->interrupted = true;
}

// Sets the watchers according to what there is to read.  Messages that are
// buffered already do not make a descriptor readable, so they have a watcher of
// their own.
void Push::apply_reading() noexcept {
  Receiver &receiver = handle_.receiver();
  bool reading = receiver.is_open() && !paused_ && !ended_ && !held_ &&
                 !handle_.is_closing();
  watch_.want_read(reading && receiver.end() == 0);
  watch_.want_backlog(reading && receiver.is_ready());
}

void Push::changed() noexcept {
  if (handle_.is_closing())
    interrupt();
  apply_reading();
  // The queue of a closed handle or direction is written as soon as the
  // descriptor is writable.
  Sender::State state = handle_.sender().state();
  if (handle_.is_closing() || state == Sender::State::shutting)
    watch_.want_write(true);
  else if (state == Sender::State::closed)
    watch_.want_write(false);
}

// The backlog watcher and the read watcher may both run in one iteration, and
// share its budget.
void Push::renew_budget() noexcept {
  if (iteration_ == watch_.iteration())
    return;
  iteration_ = watch_.iteration();
  messages_left_ = handle_.budget_messages();
  bytes_left_ = handle_.budget_bytes();
}

// Called when no whole message is buffered.  0: bytes were received.  -EAGAIN,
// or the reason why there are no more messages.
int Push::read_more(bool &may_read, size_t &received) noexcept {
  if (!may_read || received >= handle_.budget_bytes())
    return -EAGAIN;
  ssize_t got = handle_.receiver().receive();
  if (got < 0)
    return static_cast<int>(got);
  received += static_cast<size_t>(got);
  // A read of fewer bytes than there was room for emptied the descriptor.
  if (!handle_.receiver().may_have_more(static_cast<size_t>(got)))
    may_read = false;
  return 0;
}

void Push::deliver(bool may_read) noexcept {
  if (!handle_.is_owned())
    return;
  if (handle_.in_callback()) {
    // A callback runs this loop: the view of its message must stay valid.
    held_ = true;
    apply_reading();
    return;
  }
  if (paused_ || handle_.is_closing())
    return;
  Scope scope(*this);
  Handle &handle = handle_;
  may_read |= handle.receiver().channel().reads_memory();
  renew_budget();
  size_t messages = messages_left_;
  size_t bytes = bytes_left_;
  size_t received = 0;
  while (messages > 0 && bytes > 0) {
    View view;
    int result = handle.receiver().next_received(view);
    if (__builtin_expect(result == 0, 1)) {
      if (trace::is_on())
        handle.note_get(0, view.size);
      events_.on_message(reinterpret_cast<gipc_handle *>(&handle), view.data,
                         view.size, user_);
      if (__builtin_expect(scope.interrupted, 0))
        break;
      --messages;
      bytes -= std::min(bytes, view.size);
      continue;
    }
    if (result == -EAGAIN)
      result = read_more(may_read, received);
    if (result == 0)
      continue;
    if (result == -EAGAIN)
      break;
    finish(result);
    return;
  }
  if (!scope.gone) {
    messages_left_ = messages;
    bytes_left_ = bytes;
    handle.receiver().note_idle();
    apply_reading();
  }
}

void Push::interrupt() noexcept {
  if (scope_ != nullptr)
    scope_->interrupted = true;
}

// Called when the outermost callback has returned.
void Push::callbacks_returned() noexcept {
  if (!held_)
    return;
  held_ = false;
  apply_reading();
}

void Push::finish(int why) noexcept {
  if (ended_)
    return;
  ended_ = true;
  apply_reading();
  if (events_.on_end != nullptr)
    events_.on_end(reinterpret_cast<gipc_handle *>(&handle_), why, user_);
}

// Called at the end of a loop iteration, and when the descriptor is writable.
void Push::send() noexcept {
  if (!handle_.is_owned())
    return;
  Scope scope(*this);
  Sender &sender = handle_.sender();
  int result = sender.flush_step();
  if (result == GIPC_ELOCKED)
    return; // this process ends
  watch_.want_write(result == -EAGAIN);
  if (result != -EAGAIN) {
    if (handle_.finish_closing())
      return;
    // A handle that also reads reports the end after its last message.
    if (result < 0 && !handle_.receiver().is_open()) {
      finish(result);
      return;
    }
  }
  if (sender.is_drained()) {
    sender.forget_refusal();
    if (events_.on_drain != nullptr)
      events_.on_drain(reinterpret_cast<gipc_handle *>(&handle_), user_);
  }
}

void Push::detach() noexcept {
  handle_.set_driver(nullptr);
  registry::leave_loop(loop_);
  delete this;
}

void Push::forget() noexcept {
  watch_.forget();
  scope_ = nullptr;
  delete this;
}

void Push::loop_gone() noexcept {
  Handle &handle = handle_;
  if (!handle.is_closing()) {
    detach();
    return;
  }
  (void)handle.finish_closing();
  handle.delete_if_done();
}

// ---- Starting and stopping --------------------------------------------------

int Push::start(Handle &handle, struct ev_loop *loop, const gipc_events &events,
                void *user) {
  if (int error = handle.check_open())
    return error;
  if (handle.is_started() || handle.operation_in_progress() ||
      handle.sender().state() == Sender::State::shutting)
    return GIPC_ELOCKED;
  if (handle.receiver().is_open() && events.on_message == nullptr)
    return -EINVAL;
  auto *push = new Push(handle, loop, events, user);
  registry::enter_loop(loop);
  handle.set_driver(push);
  push->apply_reading();
  if (!handle.sender().is_empty())
    push->send_later();
  return 0;
}

// Returns the Push of an open handle, or nullptr and an error.
Push *Push::of(Handle &handle, int &error) noexcept {
  error = handle.check_open();
  if (error == 0 && !handle.is_started())
    error = -EINVAL;
  return error == 0 ? static_cast<Push *>(handle.driver()) : nullptr;
}

int Push::stop(Handle &handle) noexcept {
  int error;
  if (Push *push = of(handle, error))
    push->detach();
  return error;
}

int Push::pause(Handle &handle) noexcept {
  int error;
  if (Push *push = of(handle, error)) {
    push->paused_ = true;
    push->interrupt();
    push->apply_reading();
  }
  return error;
}

int Push::resume(Handle &handle) noexcept {
  int error;
  if (Push *push = of(handle, error)) {
    push->paused_ = false;
    push->apply_reading();
  }
  return error;
}

} // namespace gipc
