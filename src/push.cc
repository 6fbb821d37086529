// A handle that is started: its loop delivers its messages and sends its queue.
#include "push.h"

#include "handle.h"

#include <algorithm>
#include <cstring>

namespace gipc {

// While callbacks run: the handle outlives them, and they may end the Push.
struct Push::Scope {
  explicit Scope(Push &owner)
      : push(&owner), handle(owner.handle_), outer(owner.scope_) {
    owner.scope_ = this;
    ++handle.callbacks_;
  }
  ~Scope() {
    if (!gone)
      push->scope_ = outer;
    else if (outer != nullptr)
      outer->gone = outer->interrupted = true;
    if (--handle.callbacks_ == 0 && handle.push_ != nullptr)
      handle.push_->release();
    handle.delete_if_done();
  }
  Push *push;
  Handle &handle;
  Scope *outer;
  bool gone = false;        // the Push is
  bool interrupted = false; // gone, paused, or closed: look before going on
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
      watch_(loop, handle.read_.get(), handle.write_.get(), watch_events,
             this) {}

Push::~Push() {
  if (scope_ != nullptr)
    scope_->gone = scope_->interrupted = true;
}

void Push::begin() noexcept {
  apply_reading();
  if (!handle_.outbox_.empty())
    watch_.want_turn_end();
}

// Sets the watchers to what there is to read.  What the handle holds already
// makes no descriptor readable, so it has a watcher of its own.
void Push::apply_reading() noexcept {
  bool reading =
      handle_.read_ && !paused_ && !ended_ && !held_ && !handle_.closing_;
  watch_.want_read(reading && handle_.read_end_ == 0);
  watch_.want_backlog(reading && (handle_.read_end_ != 0 ||
                                  handle_.inbox_.ready(handle_.limit_)));
}

void Push::pause() noexcept {
  paused_ = true;
  interrupt();
  apply_reading();
}

void Push::resume() noexcept {
  paused_ = false;
  apply_reading();
}

// There may be a backlog and more to read in one iteration, with one budget.
void Push::renew_budget() noexcept {
  if (iteration_ == watch_.iteration())
    return;
  iteration_ = watch_.iteration();
  messages_left_ = handle_.budget_messages_;
  bytes_left_ = handle_.budget_bytes_;
}

// After next() had this result: 0 when bytes were received, -EAGAIN, or why
// there are no more messages.
int Push::read_more(int result, bool &may_read, size_t &received) noexcept {
  if (handle_.note_broken(result) != -EAGAIN || handle_.read_end_ != 0)
    return handle_.read_end_ != 0 ? handle_.read_end_ : result;
  if (!may_read || received >= handle_.budget_bytes_)
    return -EAGAIN;
  ssize_t got = handle_.receive();
  if (got < 0)
    return static_cast<int>(got);
  received += static_cast<size_t>(got);
  // A read that took less than there was room for emptied the descriptor.
  if (static_cast<size_t>(got) < Inbox::read_ahead / 2 &&
      !handle_.inbox_.full())
    may_read = false;
  return 0;
}

void Push::deliver(bool may_read) noexcept {
  if (!handle_.is_ours())
    return;
  if (handle_.callbacks_ > 0) {
    // A loop nested in a callback, whose message must stay where it is.
    held_ = true;
    apply_reading();
    return;
  }
  if (paused_ || handle_.closing_)
    return;
  Scope scope(*this);
  Handle &handle = handle_;
  renew_budget();
  size_t messages = messages_left_;
  size_t bytes = bytes_left_;
  size_t received = 0;
  while (messages > 0 && bytes > 0) {
    View view;
    int result = handle.inbox_.next(handle.limit_, view);
    if (result == 0) {
      events_.on_message(reinterpret_cast<gipc_handle *>(&handle), view.data,
                         view.size, user_);
      if (__builtin_expect(scope.interrupted, 0))
        break;
      --messages;
      bytes -= std::min(bytes, view.size);
      continue;
    }
    result = read_more(result, may_read, received);
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
    handle.inbox_.rest();
    apply_reading();
  }
}

void Push::interrupt() noexcept {
  if (scope_ != nullptr)
    scope_->interrupted = true;
}

// The last callback has returned.
void Push::release() noexcept {
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

// The turn ends, or the descriptor is writable.
void Push::send() noexcept {
  if (!handle_.is_ours())
    return;
  Scope scope(*this);
  int result = handle_.send_step();
  if (result == GIPC_ELOCKED)
    return; // this process ends
  watch_.want_write(result == -EAGAIN);
  if (result != -EAGAIN) {
    if (handle_.closing_) {
      handle_.close_now();
      return;
    }
    if (handle_.shutting_) {
      handle_.shutdown_now();
      return;
    }
    // A handle that reads learns it from the read side, after the messages.
    if (result < 0 && !handle_.read_) {
      finish(result);
      return;
    }
  }
  if (handle_.refused_ && !handle_.closing_ && !handle_.shutting_ &&
      handle_.write_end_ == 0 && handle_.outbox_.bytes() <= handle_.low_) {
    handle_.refused_ = false;
    if (events_.on_drain != nullptr)
      events_.on_drain(reinterpret_cast<gipc_handle *>(&handle_), user_);
  }
}

void Push::linger() noexcept {
  interrupt();
  apply_reading();
  watch_.want_write(true);
}

void Push::stop_writing() noexcept { watch_.want_write(false); }

void Push::detach() noexcept {
  handle_.push_ = nullptr;
  registry::leave_loop(loop_);
  // What was to happen on the loop is the program's to do again.
  handle_.shutting_ = false;
  handle_.flush_at_ = Handle::flush_step_size;
  handle_.update_gates();
  delete this;
}

void Push::forget() noexcept {
  watch_.forget();
  scope_ = nullptr;
  delete this;
}

void Push::loop_gone() noexcept {
  Handle &handle = handle_;
  if (!handle.closing_) {
    detach();
    return;
  }
  handle.close_now();
  handle.delete_if_done();
}

// ---- The handle's side ------------------------------------------------------

int Handle::start(struct ev_loop *loop, const gipc_events &events, void *user) {
  if (int error = open_somewhere())
    return error;
  if (push_ != nullptr || operation_in_progress() || shutting_)
    return GIPC_ELOCKED;
  if (read_ && events.on_message == nullptr)
    return -EINVAL;
  push_ = new Push(*this, loop, events, user);
  registry::enter_loop(loop);
  update_gates();
  push_->begin();
  return 0;
}

int Handle::stop() noexcept {
  if (int error = open_somewhere())
    return error;
  if (push_ == nullptr)
    return -EINVAL;
  push_->detach();
  return 0;
}

int Handle::pause() noexcept {
  if (int error = open_somewhere())
    return error;
  if (push_ == nullptr)
    return -EINVAL;
  push_->pause();
  return 0;
}

int Handle::resume() noexcept {
  if (int error = open_somewhere())
    return error;
  if (push_ == nullptr)
    return -EINVAL;
  push_->resume();
  return 0;
}

} // namespace gipc
