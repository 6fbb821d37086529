// The receiving direction of a handle.
#include "receiver.h"

#include "transfer.h"

#include <algorithm>

namespace gipc {

// ---- State ------------------------------------------------------------------

int Receiver::state_error() const noexcept {
  switch (state()) {
  case State::idle:
    return 0;
  case State::absent:
    return GIPC_EDIRECTION;
  case State::closed:
    return GIPC_ECLOSED;
  case State::into:
  case State::waiting:
  case State::pushed:
    break;
  }
  return GIPC_ELOCKED;
}

void Receiver::open(Fd fd) noexcept {
  if (!fd)
    return;
  channel_.open(std::move(fd));
  set(State::idle);
}

void Receiver::close() noexcept {
  channel_.close();
  waiting_.clear();
  current_.reset();
  set(State::closed);
}

void Receiver::forget() noexcept {
  channel_.forget();
  waiting_.forget();
  if (current_ != nullptr)
    current_->forget();
}

// Of the message that was returned last, descriptors are closed with all that
// was not passed; others keep a handle from being passed.
void Receiver::arrive_in_child(registry::Held &moved,
                               bool kept_memory) noexcept {
  channel_.arrive_in_child(moved, kept_memory);
  if (current_ != nullptr)
    current_->forget();
  end_taking();
}

void Receiver::settle() noexcept {
  set(inbox_.borrowed() != nullptr ? State::into : State::idle);
}

void Receiver::begin_wait() noexcept {
  if (state() == State::idle || state() == State::into)
    set(State::waiting);
}

void Receiver::end_wait() noexcept {
  if (state() == State::waiting)
    settle();
}

void Receiver::push(bool on) noexcept {
  if (state() == (on ? State::idle : State::pushed))
    set(on ? State::pushed : State::idle);
}

// ---- Bytes ------------------------------------------------------------------

int Receiver::prepare(iovec (&areas)[2], size_t most) noexcept {
  if (channel_.awaits_control())
    most = std::min(most, inbox_.before_control() + Channel::most_behind);
  return inbox_.prepare(areas, most);
}

ssize_t Receiver::receive(size_t most) noexcept {
  if (end_ != 0)
    return end_;
  iovec areas[2];
  int count = prepare(areas, most);
  return count < 0 ? count : received(channel_.read(areas, count));
}

ssize_t Receiver::receive_waiting() {
  if (end_ != 0)
    return end_;
  iovec areas[2];
  int count = prepare(areas, SIZE_MAX);
  if (count < 0)
    return count;
  volatile ssize_t moved = -1;
  int error;
  try {
    error = channel_.read_waiting(areas, count, &moved);
  } catch (...) { // the thread is cancelled
    if (moved >= 0)
      (void)received(moved);
    throw;
  }
  return received(error != 0 ? error : moved);
}

// Handles the result of a read: a number of bytes, or an error.
ssize_t Receiver::received(ssize_t size) noexcept {
  channel_.count(size);
  if (size > 0) {
    inbox_.commit(static_cast<size_t>(size));
    look_for_ring();
    return size;
  }
  if (is_temporary(size)) {
    inbox_.note_idle();
    return -EAGAIN;
  }
  // A local peer that closes with unread messages resets the connection, and
  // the reset is reported after all that the peer sent.  On a network
  // connection, data may be lost after a reset.
  if (size == -ECONNRESET && channel_.is_local())
    size = 0;
  if (size == 0)
    size = inbox_.whole() ? GIPC_EOF : GIPC_ETRUNCATED;
  end_ = static_cast<int>(size);
  return size;
}

// After each read: if the stream goes on in a ring, or one is offered.
void Receiver::look_for_ring() noexcept {
  if (channel_.awaits_control()) {
    const unsigned char *behind = nullptr;
    size_t size = 0;
    int result = inbox_.cut_control(behind, size);
    if (result > 0)
      result = channel_.enter_ring(behind, size);
    // The messages before it are returned first.
    if (result < 0)
      end_ = result;
  }
  if (channel_.has_descriptors())
    look_for_descriptors();
  inbox_.expect_control(channel_.awaits_control());
}

size_t Receiver::wanted_ahead(bool view_in_use) noexcept {
  // So that a peer does not fill the table of descriptors.
  bool may = ahead_limit_ > 0 && is_open() && !view_in_use && end_ == 0 &&
             inbox_.borrowed() == nullptr && waiting_.count() < os::most_sent;
  return may ? inbox_.wanted(limit_, ahead_limit_) : 0;
}

bool Receiver::is_enough(size_t moved) const noexcept {
  return moved >= per_call && !channel_.reads_memory();
}

int Receiver::read_ahead(bool view_in_use) noexcept {
  int result = 0;
  size_t moved = 0;
  while (result == 0 && !is_enough(moved)) {
    size_t most = wanted_ahead(view_in_use);
    ssize_t got = most > 0 ? receive(most) : end_ != 0 ? end() : -ENOBUFS;
    if (got < 0) // the next get returns an end as well
      result = static_cast<int>(got);
    else
      moved += static_cast<size_t>(got);
  }
  return moved > 0 ? 0 : result;
}

// ---- Messages ---------------------------------------------------------------

int Receiver::end_with(int error) noexcept {
  end_ = error;
  waiting_.clear();
  return error;
}

// No whole message is buffered, and result is that of a read.
int Receiver::note_end(ssize_t result) noexcept {
  if (end_ != 0)
    waiting_.clear();
  return static_cast<int>(result);
}

int Receiver::no_message(int result, View &out) noexcept {
  if (result > 0)
    result = next_with(result, out);
  if (is_broken(result))
    return end_with(result);
  return result == -EAGAIN && end_ != 0 ? note_end(end_) : result;
}

// Called when no whole message is buffered: reads, unless result is permanent.
int Receiver::next_slow(int result, View &out) noexcept {
  for (size_t moved = 0;;) {
    if (result > 0)
      result = next_with(result, out);
    if (result != -EAGAIN)
      return note_broken(result);
    if (is_enough(moved))
      return -EAGAIN;
    ssize_t got = receive();
    if (got < 0)
      return note_end(got);
    moved += static_cast<size_t>(got);
    result = inbox_.next(limit_, out);
  }
}

// ---- Descriptors ------------------------------------------------------------

// Called after a read with which descriptors came.  They are those of a message
// if one with descriptors has begun, and has none yet.
void Receiver::look_for_descriptors() noexcept {
  if (inbox_.count_with_descriptors() <= waiting_.size()) {
    channel_.look_at_offer();
    return;
  }
  if (std::unique_ptr<Descriptors> came = channel_.take_descriptors())
    waiting_.push(std::move(came));
  else
    end_ = -ENOMEM; // the messages before it are returned first
}

// Called when next() of the inbox returned > 0.
int Receiver::next_with(int result, View &out) noexcept {
  if (result == Inbox::after_descriptors) {
    end_taking();
    result = inbox_.next(limit_, out);
  }
  return result == Inbox::with_descriptors ? begin_taking() : result;
}

// A message with descriptors is returned.
int Receiver::begin_taking() noexcept {
  size_t count = frame::count_of(inbox_.descriptors());
  std::unique_ptr<Descriptors> came;
  if (!waiting_.empty())
    came = waiting_.pop();
  if (came != nullptr &&
      (came->count() == count || (came->lost() && came->count() < count))) {
    came->set_handles(inbox_.descriptors());
    current_ = std::move(came);
    return 0;
  }
  // One whose descriptors no memory was found for is not returned.
  end_ = end_ == -ENOMEM && came == nullptr ? end() : GIPC_EPROTOCOL;
  inbox_.fail_with(end_);
  return note_end(end_);
}

void Receiver::end_taking() noexcept {
  current_.reset();
  if (inbox_.descriptors() != 0)
    inbox_.end_descriptors();
}

int Receiver::take_descriptors(int *out, size_t room) noexcept {
  if (current_ == nullptr)
    return 0;
  if (current_->lost())
    return -EMFILE;
  size_t count = current_->loose();
  if (count > room)
    return -EMSGSIZE;
  current_->release_loose(out);
  return static_cast<int>(count);
}

int Receiver::take_handle(int (&out)[3], frame::Kind &kind) noexcept {
  if (current_ == nullptr || current_->next_handle() == frame::no_handle)
    return -ENOENT;
  if (current_->lost())
    return -EMFILE;
  kind = current_->next_handle();
  current_->release_handle(out);
  return 0;
}

// ---- Sizes, and memory of the caller ----------------------------------------

int Receiver::next_size(size_t &size) noexcept {
  for (;;) {
    size_t next = 0;
    int result = inbox_.next_size(limit_, next);
    // After a truncated stream, the header of the last message may be in the
    // buffer.
    if (result == 0 && end_ != 0 && !inbox_.ready(limit_))
      return end_;
    if (result == 0)
      size = next;
    if (result != -EAGAIN)
      return note_broken(result);
    ssize_t got = receive();
    if (got < 0)
      return static_cast<int>(got);
  }
}

int Receiver::next_into(void *buffer, size_t capacity, size_t &size) noexcept {
  end_taking();
  for (size_t moved = 0;;) {
    int result = inbox_.next_into(limit_, buffer, capacity, size);
    if (result == Inbox::with_descriptors)
      return begin_taking();
    if (result != -EAGAIN || is_enough(moved))
      return result;
    ssize_t got = receive();
    if (got < 0)
      return note_end(got);
    moved += static_cast<size_t>(got);
  }
}

int Receiver::get_into(void *buffer, size_t capacity, size_t &size) noexcept {
  bool continues = state() == State::into && buffer != nullptr &&
                   buffer == inbox_.borrowed();
  if (!continues)
    if (int error = gate())
      return error;
  int result = next_into(buffer, capacity, size);
  // Exceeding the message limit is a permanent error; exceeding the capacity of
  // the caller's buffer is not.
  if (result != GIPC_ETOOBIG || inbox_.next_size(limit_, capacity) < 0)
    (void)note_broken(result);
  if (result < 0 && result != -EAGAIN && inbox_.end_borrow() != 0) {
    inbox_.forget_borrowed();
    end_ = -ENOMEM;
  }
  settle();
  return result;
}

int Receiver::cancel_into() noexcept {
  if (state() == State::waiting)
    return GIPC_ELOCKED;
  int error = inbox_.end_borrow();
  if (error == 0 && state() == State::into)
    set(State::idle);
  return error;
}

void Receiver::forget_into() noexcept {
  inbox_.forget_borrowed();
  if (state() == State::into)
    set(State::idle);
}

} // namespace gipc
