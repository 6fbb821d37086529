// One direction of a handle: owns a descriptor, and reads or writes it.
#include "channel.h"

#include "frame.h"
#include "gipc.h"
#include "os.h"
#include "sys.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <fcntl.h>
#include <new>

namespace gipc {

namespace {

// The parts of one transfer, limited to 1 MiB: a peer that is as fast as this
// process would keep a single call busy for all of a large message, past the
// deadline (H68).
class Bounded {
public:
  Bounded(const iovec *all, int all_count) noexcept
      : parts(all), count(all_count) {
    if (all_count == 1 && all->iov_len <= at_once)
      return;
    size_t left = at_once;
    for (int i = 0; i < all_count && i < max_parts; ++i) {
      cut_[i] = all[i];
      if (all[i].iov_len > left) {
        cut_[i].iov_len = left;
        parts = cut_;
        count = i + 1;
        return;
      }
      left -= all[i].iov_len;
    }
  }

  const iovec *parts;
  int count;

private:
  static constexpr size_t at_once = 1024 * 1024;
  static constexpr int max_parts = 3;
  iovec cut_[max_parts];
};

// 0 if a transfer will not block, -EAGAIN, or an error.
int ready(int fd, short events) noexcept {
  pollfd one{fd, events, 0};
  int result;
  do
    result = sys::poll(&one, 1, 0);
  while (result == -EINTR);
  return result > 0 ? 0 : result == 0 ? -EAGAIN : result;
}

} // namespace

int Channel::identify(int fd) noexcept {
  int type = sys::socket_type(fd);
  if (type >= 0) {
    local_ = sys::socket_family(fd) == AF_UNIX;
    return type == SOCK_STREAM ? 0 : -EINVAL;
  }
  int flags = sys::status_flags(fd);
  if (flags < 0)
    return flags;
  local_ = true;
  way_ = (flags & O_NONBLOCK) != 0 ? Way::flags : Way::now;
  return 0;
}

ssize_t Channel::read(const iovec *all, int all_count) noexcept {
  Bounded bounded(all, all_count);
  const iovec *parts = bounded.parts;
  int count = bounded.count;
  if (way_ == Way::socket) {
    ssize_t size = receive(parts, count);
    return size == 0 ? early_error_ : size;
  }
  if (way_ == Way::now) {
    ssize_t size = os::read_now(fd(), parts, count);
    if (size != -EOPNOTSUPP && size != -EINVAL && size != -ENOSYS)
      return size;
    way_ = Way::polled;
  }
  if (way_ == Way::polled)
    if (int error = ready(fd(), POLLIN))
      return error;
  return sys::readv(fd(), parts, count);
}

bool Channel::read_waits() const noexcept {
  return way_ == Way::socket && os::has_waiting_transfers;
}

int Channel::read_waiting(const iovec *parts, int count,
                          volatile ssize_t *moved) {
  if (way_ != Way::socket)
    return -EAGAIN;
  bool done;
  int error = read_ring_waiting(parts, count, moved, done);
  if (done)
    return error;
  error = receive_waiting(parts, count, moved);
  if (error == 0 && *moved == 0)
    error = early_error_;
  if (error == 0 || error == -EAGAIN)
    return error;
  // recvmmsg(2) reports an error of the socket, once, before the bytes that
  // were received earlier are read (Linux 6.18).  A sandbox may not allow it.
  if (error != -ENOSYS && error != -EPERM && error != -ENOMEM &&
      error != -ENOBUFS)
    early_error_ = error;
  ssize_t size = read(parts, count);
  if (size < 0)
    return static_cast<int>(size);
  *moved = size;
  return 0;
}

int Channel::write_waiting(const iovec *parts, int count,
                           volatile ssize_t *moved) {
  if (way_ != Way::socket)
    return -EAGAIN;
  if (out_ != nullptr) {
    ssize_t size = send(parts, count);
    if (size >= 0)
      *moved = size;
    return size < 0 ? static_cast<int>(size) : 0;
  }
  int error = os::send_waiting(fd(), parts, count, moved);
  at_message_ = at_message_ && error != 0;
  // A sandbox may not allow sendmmsg(2).
  return error == -ENOSYS || error == -EPERM ? -EAGAIN : error;
}

ssize_t Channel::write(const iovec *all, int all_count) noexcept {
  Bounded bounded(all, all_count);
  const iovec *parts = bounded.parts;
  int count = bounded.count;
  if (way_ == Way::socket)
    return send(parts, count);
  if (way_ == Way::now) {
    ssize_t size = os::write_now(fd(), parts, count);
    if (size != -EOPNOTSUPP && size != -EINVAL && size != -ENOSYS)
      return size;
    way_ = Way::polled;
  }
  iovec promised;
  if (way_ == Way::polled) {
    if (int error = ready(fd(), POLLOUT))
      return error;
    // POLLOUT guarantees PIPE_BUF bytes for a pipe, 256 for a Linux tty.
    struct stat info;
    bool pipe = sys::fstat(fd(), &info) == 0 && S_ISFIFO(info.st_mode);
    promised = {parts->iov_base,
                std::min<size_t>(parts->iov_len, pipe ? PIPE_BUF : 256)};
    parts = &promised;
    count = 1;
  }
  return os::write_quietly(fd(), parts, count);
}

// The reading direction of a duplex socket has a descriptor of its own, so
// closing this one would not end the stream.  Other files do not support
// shutdown(2), and need none.
void Channel::end_writing() noexcept { (void)sys::shutdown(fd(), SHUT_WR); }

void Channel::close() noexcept {
  if (in_ != nullptr)
    in_->close();
  hand_over_ring();
  offer_.reset();
  fd_.reset();
}

void Channel::forget() noexcept {
  if (in_ != nullptr)
    in_->forget();
  if (out_ != nullptr)
    out_->forget();
  offer_.forget();
  fd_.forget();
}

void Channel::arrive_in_child(registry::Held &moved,
                              bool kept_memory) noexcept {
  if (moved) {
    fd_.forget(); // a standard stream has that number now
    fd_ = std::move(moved);
  }
  fd_.keep_in_child();
  offer_.forget(); // closed with all that was not passed
  if (in_ != nullptr)
    in_->arrive_in_child(kept_memory);
  if (out_ != nullptr)
    out_->arrive_in_child();
}

void Channel::close_in_child() noexcept {
  if (fd() > 2)
    fd_.reset();
  else
    fd_.forget();
}

// ---- The ring ---------------------------------------------------------------

namespace {

// Number of reads after which a reader says that it knows rings.
constexpr uint64_t reads_before = 8;
// Number of writes after which a writer asks.  Until the peer has said so, it
// asks again after as many writes as there were, at most so many.
constexpr uint64_t writes_before = 16, longest_pause = 1024;
// Number of writes from an offer that came to nothing to the next.
constexpr uint64_t rest = 16 * 1024;
// The size of a write from which the ring is a large one.
constexpr size_t large = 32 * 1024;
// The smaller ring holds as much as a socket does.
constexpr size_t small_ring = 256 * 1024, large_ring = 1024 * 1024;

// For all handles of the program: GIPC_TRANSPORT when the first one is made.
int usual_transport() noexcept {
  static std::atomic<int> known{-1};
  int transport = known.load(std::memory_order_relaxed);
  if (transport >= 0)
    return transport;
  const char *value = os::secure_getenv("GIPC_TRANSPORT");
  transport = value == nullptr                   ? GIPC_TRANSPORT_AUTO
              : std::strcmp(value, "plain") == 0 ? GIPC_TRANSPORT_PLAIN
              : std::strcmp(value, "ring") == 0  ? GIPC_TRANSPORT_RING
                                                 : GIPC_TRANSPORT_AUTO;
  known.store(transport, std::memory_order_relaxed);
  return transport;
}

} // namespace

Channel::Channel() noexcept { want(usual_transport()); }

void Channel::want(int transport) noexcept {
  wanted_ = transport;
  next_look_ = transport == GIPC_TRANSPORT_RING ? 0 : calls_ + writes_before;
}

ssize_t Channel::receive(const iovec *parts, int count) noexcept {
  if (__builtin_expect(in_ == nullptr, 1))
    return receive_plain(parts, count);
  if (awaits_control()) {
    if (in_->is_withdrawn())
      end_in();
    return receive_plain(parts, count);
  }
  ssize_t size = in_->read(fd(), parts, count);
  if (!in_->is_done())
    return size;
  end_in();
  return size == -EAGAIN ? receive_plain(parts, count) : size;
}

ssize_t Channel::receive_plain(const iovec *parts, int count) noexcept {
  if (!local_ || wanted_ == GIPC_TRANSPORT_PLAIN)
    return os::receive_now(fd(), parts, count);
  announce();
  volatile int descriptor = -1;
  ssize_t size = os::receive_descriptor_now(fd(), parts, count, &descriptor);
  take_descriptor(descriptor);
  return size;
}

// done: the result is that of the read; else the next bytes are on the socket.
int Channel::read_ring_waiting(const iovec *parts, int count,
                               volatile ssize_t *moved, bool &done) {
  done = false;
  if (in_ == nullptr || awaits_control())
    return 0;
  int error = in_->read_waiting(fd(), parts, count, moved);
  bool ends = in_->is_done();
  if (ends)
    end_in();
  done = !ends || error != -EAGAIN;
  return error;
}

int Channel::receive_waiting(const iovec *parts, int count,
                             volatile ssize_t *moved) {
  if (!local_ || wanted_ == GIPC_TRANSPORT_PLAIN)
    return os::receive_waiting(fd(), parts, count, moved);
  announce();
  // A destructor, because the thread may be cancelled after the transfer.
  struct Taking {
    ~Taking() { self.take_descriptor(descriptor); }
    Channel &self;
    volatile int descriptor;
  } taking{*this, -1};
  return os::receive_descriptor_waiting(fd(), parts, count, moved,
                                        &taking.descriptor);
}

// A handle that is read a few times and closed is not worth a name.
void Channel::announce() noexcept {
  if (announced_ || calls_ < reads_before)
    return;
  announced_ = true;
  // If this fails, the writer stays plain.
  (void)os::announce_reader(fd());
}

void Channel::take_descriptor(int descriptor) noexcept {
  if (descriptor >= 0)
    offer_ = Fd(descriptor);
}

void Channel::look_at_offer() noexcept {
  if (!offer_ || (in_ != nullptr && !awaits_control()))
    return;
  registry::Held offer = std::move(offer_);
  if (in_ == nullptr)
    in_.reset(new (std::nothrow) Incoming);
  if (in_ != nullptr && !in_->accept(std::move(offer)))
    end_in();
}

int Channel::enter_ring(const unsigned char *behind, size_t size) noexcept {
  // Bytes behind the mark are counted when they are returned; the others are of
  // no message.
  bytes_.store(bytes() - frame::control_size - size, std::memory_order_relaxed);
  return awaits_control() ? in_->enter(behind, size) : GIPC_EPROTOCOL;
}

void Channel::end_in() noexcept {
  if (registry::Held offer = in_->take_descriptor())
    offer_ = std::move(offer);
  bells_ += in_->sleeps();
  in_.reset();
}

void Channel::end_out() noexcept {
  bells_ += out_->bells();
  stalls_ += out_->stalls();
  out_.reset();
}

// A peer that does not know rings never gets a descriptor, at which
// MSG_WAITALL would end a read early, and which recvmsg(2) would return.
bool Channel::offers(const iovec *parts, int count, size_t &capacity) noexcept {
  if (wanted_ == GIPC_TRANSPORT_PLAIN || !at_message_ || !local_ ||
      !os::has_shared_memory)
    return false;
  if (calls_ < next_look_)
    return false;
  size_t size = 0;
  for (int i = 0; i < count; ++i)
    size += parts[i].iov_len;
  capacity = size >= large ? large_ring : small_ring;
  if (wanted_ == GIPC_TRANSPORT_RING)
    return true;
  next_look_ = calls_ + std::clamp(calls_, writes_before, longest_pause);
  return os::has_announced_peer(fd());
}

ssize_t Channel::send(const iovec *parts, int count) noexcept {
  ssize_t size;
  size_t capacity;
  if (out_ != nullptr) {
    size = out_->write(fd(), parts, count, at_message_);
  } else if (offers(parts, count, capacity)) {
    out_.reset(new (std::nothrow) Outgoing);
    if (out_ == nullptr)
      return os::send_now(fd(), parts, count);
    if (wanted_ == GIPC_TRANSPORT_RING)
      out_->insist();
    size = out_->offer(fd(), parts, count, capacity);
  } else {
    size = os::send_now(fd(), parts, count);
  }
  if (out_ != nullptr && out_->may_offer_again()) {
    end_out();
    next_look_ = calls_ + rest;
  }
  at_message_ = at_message_ && size <= 0;
  return size;
}

int Channel::set_transport(int transport) noexcept {
  if (transport == GIPC_TRANSPORT_RING &&
      (way_ != Way::socket || !local_ || !os::has_shared_memory))
    return -EOPNOTSUPP;
  if (transport == GIPC_TRANSPORT_PLAIN)
    if (int error = leave_ring())
      return error;
  if (out_ != nullptr && out_->state() == Outgoing::State::plain)
    end_out();
  if (transport == GIPC_TRANSPORT_RING && out_ != nullptr)
    out_->insist();
  want(transport);
  return 0;
}

int Channel::transport() const noexcept {
  return in_ring() ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN;
}

uint64_t Channel::bells() const noexcept {
  return bells_ + (in_ != nullptr ? in_->sleeps() : 0) +
         (out_ != nullptr ? out_->bells() : 0);
}

uint64_t Channel::stalls() const noexcept {
  return stalls_ + (out_ != nullptr ? out_->stalls() : 0);
}

int Channel::leave_ring() noexcept {
  if (out_ != nullptr) {
    if (out_->leave(fd()) != 0)
      return -EBUSY;
    end_out();
  }
  if (in_ != nullptr) {
    if (in_->leave(fd()) != 0)
      return -EBUSY;
    end_in();
  }
  offer_.reset();
  return 0;
}

int Channel::prepare_exec(int &memory) noexcept {
  memory = -1;
  if (out_ != nullptr) {
    if (out_->leave(fd()) != 0)
      return -EBUSY;
    end_out();
  }
  int error = in_ != nullptr ? in_->prepare_exec(memory) : 0;
  if (error == 0)
    offer_.reset(); // of a ring that the program will not know
  return error;
}

int Channel::resume_ring(int memory) {
  in_.reset(new Incoming);
  int error = in_->resume(memory);
  if (error == 0)
    in_->keep(Fd(memory));
  else
    in_.reset();
  return error;
}

int Channel::keep_at_fork(bool on) noexcept {
  int error = in_ != nullptr ? in_->keep_at_fork(on) : 0;
  if (error == 0 && out_ != nullptr)
    error = out_->keep_at_fork(on);
  return error;
}

void Channel::hand_over_ring() noexcept {
  if (in_ != nullptr)
    end_in();
  if (out_ != nullptr)
    end_out();
}

} // namespace gipc
