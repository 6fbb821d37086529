// The reading end of a local socket that may change to a ring, and back.
#include "incoming.h"

#include "frame.h"
#include "gipc.h"
#include "os.h"
#include "transfer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace gipc {

// ---- The socket -------------------------------------------------------------

bool Incoming::accept(registry::Held memory) noexcept {
  // An earlier offer is withdrawn if there is a second one.
  end_ring();
  if (memory_.open(memory.get()) != 0)
    return false;
  uint32_t was = RingPage::offered;
  if (!memory_.page().offer.compare_exchange_strong(was, RingPage::accepted)) {
    memory_.unmap();
    return false;
  }
  descriptor_of_memory_ = std::move(memory);
  state_ = State::accepted;
  return true;
}

int Incoming::resume(int memory) noexcept {
  if (int error = memory_.open(memory))
    return error;
  reader_.resume();
  state_ = State::ring;
  raised_ = true;
  return 0;
}

int Incoming::enter(const unsigned char *data, size_t size) noexcept {
  if (state() != State::accepted || size > sizeof door_)
    return GIPC_EPROTOCOL;
  state_ = State::ring;
  raised_ = true;
  std::copy(data, data + size, door_);
  parse(size);
  return broken_;
}

// Bells and fillers, maybe a mark, and bytes of the stream behind it.
void Incoming::parse(size_t size) noexcept {
  for (size_t i = 0; i < size; ++i) {
    if (door_[i] == frame::door_bell)
      continue;
    marked_ = door_[i] == frame::door_mark;
    broken_ = marked_ ? 0 : GIPC_EPROTOCOL;
    door_begin_ = i + 1;
    door_end_ = size;
    return;
  }
}

// Handles the result of a transfer from the socket.
void Incoming::drained(ssize_t size) noexcept {
  armed_ = false;
  if (size > 0) {
    parse(static_cast<size_t>(size));
  } else if (!is_temporary(size)) {
    // What was written to the ring before is still read.
    ended_ = true;
    error_ = static_cast<int>(size);
  }
}

void Incoming::drain(int fd) noexcept {
  if (marked_ || ended_ || broken_ != 0)
    return;
  // Descriptors may come behind the mark, so each transfer has room for them.
  iovec part = door();
  os::Received came;
  ssize_t size = os::receive_descriptors_now(fd, &part, 1, came);
  if (came.count > 0 || came.lost)
    descriptors_ = Descriptors::own(came);
  drained(size);
}

// Without room for descriptors, which come with the first bytes of a message:
// behind the mark.  That is 3 % of a round trip of 64 B.
void Incoming::take_byte(int fd) noexcept {
  if (marked_ || ended_ || broken_ != 0)
    return;
  iovec part{door_, 1};
  drained(os::receive_now(fd, &part, 1));
}

void Incoming::end_ring(State next) noexcept {
  memory_.unmap();
  descriptor_of_memory_.reset();
  state_ = next;
}

// ---- The ring ---------------------------------------------------------------

ssize_t Incoming::take(const iovec *parts, int count, int fd) noexcept {
  bool frees = false;
  size_t size = reader_.read(parts, count, frees);
  if (frees)
    drain(fd);
  return static_cast<ssize_t>(size);
}

ssize_t Incoming::take_behind(const iovec *parts, int count) noexcept {
  size_t before = door_begin_;
  for (int i = 0; i < count && behind() > 0; ++i) {
    size_t part = std::min(parts[i].iov_len, behind());
    if (part == 0) // its memory may be a null pointer
      continue;
    std::memcpy(parts[i].iov_base, door_ + door_begin_, part);
    door_begin_ += part;
  }
  return static_cast<ssize_t>(door_begin_ - before);
}

// The number of bytes to read from the ring, -EAGAIN after the flag was raised,
// or an error.  0: nothing is left in the ring, which has ended.
//
// Never -EAGAIN unless, since the last drain, the flag was raised and the ring
// was looked at after that: FAULT_SELECT, FAULT_NO_DRAIN.
ssize_t Incoming::look(int fd) noexcept {
  ssize_t size = reader_.available();
  // If the wait received the bell, the socket is empty: FAULT_WAITS_AGAIN.
  if (woken_) {
    woken_ = false;
    raised_ = size == 0;
  }
  if (size != 0)
    return size;
  if (raised_) {
    raised_ = false;
    // A writer that lowers the flag sends one byte.  Others are drained after
    // the flag is raised again.
    if (armed_ && !reader_.is_asleep())
      take_byte(fd);
    else
      drain(fd);
  }
  // What was written before the end, or before the mark: FAULT_NO_LAST_LOOK.
  if (ended_ || marked_ || broken_ != 0) {
    size = reader_.available();
    return size != 0 ? size : broken_;
  }
  ++sleeps_;
  raised_ = true;
  size = reader_.sleep();
  armed_ = size == 0;
  if (armed_)
    return -EAGAIN;
  // Without a byte on its way there is nothing to drain.
  if (size > 0)
    raised_ = reader_.wake();
  return size;
}

ssize_t Incoming::read(int fd, const iovec *parts, int count) noexcept {
  if (state() == State::ring) {
    ssize_t size = look(fd);
    if (size > 0)
      return take(parts, count, fd);
    if (size < 0)
      return size;
    if (!marked_)
      return error_;
    end_ring();
  }
  if (state() == State::left) {
    drain(fd);
    if (!marked_)
      return broken_ != 0 ? broken_ : ended_ ? error_ : -EAGAIN;
    end_ring();
  }
  return behind() > 0 ? take_behind(parts, count) : -EAGAIN;
}

// As take_byte(), but waits.
int Incoming::wait(int fd) {
  iovec part{door_, 1};
  // A destructor, because the thread may be cancelled after the transfer.
  struct Received {
    ~Received() {
      if (size >= 0)
        self.drained(size);
    }
    Incoming &self;
    volatile ssize_t size;
  };
  int error;
  {
    Received received{*this, -1};
    error = os::receive_waiting(fd, &part, 1, &received.size);
  }
  if (is_temporary(error) || error == -ENOSYS || error == -EPERM)
    return -EAGAIN;
  // recvmmsg(2) reports an error of the socket, once, before the bytes that
  // were received earlier are read (Linux 6.18): these are drained next.
  woken_ = error == 0;
  return 0;
}

bool Incoming::is_ready(int fd) noexcept {
  if (state() == State::ring) {
    // Without a drain since the last look, the next bytes wake this side.
    if (armed_ && reader_.is_asleep())
      return reader_.available() != 0;
    return look(fd) != -EAGAIN;
  }
  return state() == State::plain && behind() > 0;
}

size_t Incoming::held() const noexcept {
  return behind() + (in_ring() ? reader_.seen() : 0);
}

// ---- Leaving ----------------------------------------------------------------

void Incoming::close() noexcept {
  if (memory_.is_mapped() && state() != State::plain)
    reader_.close();
}

// False: the control frame is on its way.
bool Incoming::take_back() noexcept {
  uint32_t was = RingPage::accepted;
  if (!memory_.page().offer.compare_exchange_strong(was, RingPage::withdrawn))
    return false;
  end_ring();
  return true;
}

void Incoming::arrive_in_child(bool kept) noexcept {
  memory_.arrive_in_child();
  if (descriptors_ != nullptr)
    descriptors_->forget(); // closed with all that was not passed
  descriptors_.reset();
  if (kept)
    descriptor_of_memory_.keep_in_child();
  else
    descriptor_of_memory_.forget();
}

int Incoming::prepare_exec(int &memory) noexcept {
  memory = -1;
  if (state() == State::accepted)
    return take_back() ? 0 : -EBUSY;
  if (state() == State::plain)
    return behind() > 0 ? -EBUSY : 0;
  // The mark was read here, so the program would wait for it forever.
  if (state() == State::left || marked_ || !descriptor_of_memory_)
    return -EBUSY;
  memory = descriptor_of_memory_.get();
  passed_on_ = true; // which holds for a start that fails, too
  return 0;
}

int Incoming::leave(int fd) noexcept {
  if (state() == State::accepted) {
    if (!take_back())
      return -EBUSY;
  } else if (state() == State::ring) {
    ssize_t size = look(fd);
    if (size > 0 || (size == -EAGAIN && !reader_.leave()))
      return -EBUSY;
    end_ring(State::left);
  }
  if (state() == State::left) {
    drain(fd);
    if (!marked_ && !ended_)
      return -EBUSY;
    state_ = State::plain;
  }
  return behind() > 0 ? -EBUSY : 0;
}

bool Incoming::leave_idle() noexcept {
  if (state() == State::accepted) {
    // As if it had never been accepted: the writer makes another offer later.
    // Not a store: FAULT_BACK_BY_STORE of tests/model/offer.pml.
    uint32_t was = RingPage::accepted;
    if (!memory_.page().offer.compare_exchange_strong(was, RingPage::offered) &&
        was != RingPage::withdrawn)
      return false; // the control frame is on its way
    end_ring();
    return true;
  }
  if (!in_ring() || passed_on_)
    return false;
  raised_ = true; // a byte may come for the flag, though nobody waits
  if (!reader_.leave_idle())
    return false;
  end_ring(State::left);
  return true;
}

} // namespace gipc
