// One direction of a handle whose bytes may go through a ring.
#include "channel.h"

#include "frame.h"
#include "gipc.h"
#include "os.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace gipc {

namespace {

// Number of reads after which a reader says that it knows rings.
constexpr uint64_t reads_before = 8;
// Number of writes after which a writer asks.  Until the peer has said so, it
// asks again after as many writes as there were, at most so many.
constexpr uint64_t writes_before = 16, longest_pause = 1024;
// Number of writes from an offer that came to nothing to the next, and if the
// program demands a ring.
constexpr uint64_t rest = 16 * 1024, short_rest = 256;
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
  Use use(*this);
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
  if (!local_)
    return os::receive_now(fd(), parts, count);
  announce();
  os::Received came;
  ssize_t size = os::receive_descriptors_now(fd(), parts, count, came);
  keep(came);
  return size;
}

// done: the result is that of the read; else the next bytes are on the socket.
int Channel::read_ring_waiting(const iovec *parts, int count,
                               volatile ssize_t *moved, bool &done) {
  done = false;
  while (in_ != nullptr && !awaits_control()) {
    {
      Use use(*this);
      ssize_t size = in_->read(fd(), parts, count);
      if (in_->is_done())
        end_in();
      done = size != -EAGAIN;
      if (size >= 0)
        *moved = size;
      if (done)
        return size >= 0 ? 0 : static_cast<int>(size);
    }
    int error = in_ != nullptr ? in_->wait(fd()) : 0;
    done = error != 0;
    if (done)
      return error;
  }
  return 0;
}

int Channel::receive_waiting(const iovec *parts, int count,
                             volatile ssize_t *moved) {
  if (!local_)
    return os::receive_waiting(fd(), parts, count, moved);
  announce();
  // A destructor, because the thread may be cancelled after the transfer.
  struct Taking {
    explicit Taking(Channel &channel) noexcept : self(channel) {}
    ~Taking() { self.keep(came); }
    Channel &self;
    os::Received came;
  } taking(*this);
  return os::receive_descriptors_waiting(fd(), parts, count, moved,
                                         taking.came);
}

// A handle that is read a few times and closed is not worth a name.
void Channel::announce() noexcept {
  if (announced_ || calls_ < reads_before || wanted_ == GIPC_TRANSPORT_PLAIN)
    return;
  announce_now();
}

void Channel::announce_now() noexcept {
  if (way_ != Way::socket || !local_ || announced_)
    return;
  announced_ = true;
  // If this fails, the writer stays plain, and sends no descriptors.
  (void)os::announce_reader(fd(), wanted_ == GIPC_TRANSPORT_PLAIN
                                      ? os::Knows::descriptors
                                      : os::Knows::descriptors_and_rings);
}

void Channel::keep(const os::Received &came) noexcept {
  if (__builtin_expect(came.count == 0 && !came.lost, 1))
    return;
  came_ = Descriptors::own(came);
  starved_ = came_ == nullptr;
}

bool Channel::carries_descriptors(bool is_ours) const noexcept {
  return way_ == Way::socket && local_ && os::sends_descriptors &&
         (is_ours || wanted_ == GIPC_TRANSPORT_RING ||
          os::announced_by_peer(fd()) != os::Knows::nothing);
}

std::unique_ptr<Descriptors> Channel::take_descriptors() noexcept {
  starved_ = false;
  if (came_ == nullptr && in_ != nullptr)
    return in_->take_descriptors();
  return std::move(came_);
}

void Channel::look_at_offer() noexcept {
  if (!has_descriptors() || (in_ != nullptr && !awaits_control()))
    return;
  std::unique_ptr<Descriptors> came = take_descriptors();
  registry::Held offer;
  if (came != nullptr && wanted_ != GIPC_TRANSPORT_PLAIN)
    offer = came->release_one();
  if (!offer)
    return;
  if (in_ == nullptr) {
    registry::Lock hold;
    in_.reset(new (std::nothrow) Incoming(this));
  }
  Use use(*this);
  if (in_ != nullptr && !in_->accept(std::move(offer)))
    end_in();
}

int Channel::enter_ring(const unsigned char *behind, size_t size) noexcept {
  // Bytes behind the mark are counted when they are returned; the others are of
  // no message.
  bytes_.store(bytes() - frame::control_size - size, std::memory_order_relaxed);
  Use use(*this);
  return awaits_control() ? in_->enter(behind, size) : GIPC_EPROTOCOL;
}

// These two, and the making of what they end, under the lock, because another
// thread may be leaving the ring, or looks at it.
void Channel::end_in() noexcept {
  registry::Lock hold;
  if (in_->has_descriptors())
    came_ = in_->take_descriptors();
  bells_ += in_->sleeps();
  in_.reset();
}

void Channel::end_out() noexcept {
  registry::Lock hold;
  bells_ += out_->bells();
  stalls_ += out_->stalls();
  out_.reset();
}

// The reader may accept another offer.
void Channel::end_offer() noexcept {
  end_out();
  next_look_ = calls_ + (wanted_ == GIPC_TRANSPORT_RING ? short_rest : rest);
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
  return os::announced_by_peer(fd()) == os::Knows::descriptors_and_rings;
}

ssize_t Channel::send(const iovec *parts, int count) noexcept {
  ssize_t size;
  size_t capacity;
  if (out_ != nullptr) {
    size = out_->write(fd(), parts, count, at_message_);
  } else if (offers(parts, count, capacity)) {
    {
      registry::Lock hold;
      out_.reset(new (std::nothrow) Outgoing(this));
    }
    if (out_ == nullptr)
      return os::send_now(fd(), parts, count);
    size = out_->offer(fd(), parts, count, capacity);
  } else {
    size = os::send_now(fd(), parts, count);
  }
  if (out_ != nullptr && out_->may_offer_again())
    end_offer();
  at_message_ = at_message_ && size <= 0;
  return size;
}

// A message with descriptors begins.  0, or an error.
int Channel::leave_for_descriptors() noexcept {
  if (out_ == nullptr || out_->state() == Outgoing::State::offered)
    return 0;
  if (int error = out_->leave(fd()))
    return error;
  if (out_->may_offer_again())
    end_offer();
  return 0;
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
  want(transport);
  return 0;
}

int Channel::transport() const noexcept {
  return in_ring() ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN;
}

int Channel::medium() const noexcept {
  return !is_open()            ? 0
         : in_ring()           ? GIPC_TRANSPORT_RING
         : way_ != Way::socket ? GIPC_TRANSPORT_PIPE
         : local_              ? GIPC_TRANSPORT_SOCKET
                               : GIPC_TRANSPORT_NETWORK;
}

size_t Channel::unread() const noexcept {
  size_t bytes = in_ != nullptr ? in_->unread() : 0;
  // The socket has no bytes of messages then.
  return in_ring() || !is_open() ? bytes : bytes + os::readable(fd());
}

uint64_t Channel::bells() const noexcept {
  return bells_ + (in_ != nullptr ? in_->sleeps() : 0) +
         (out_ != nullptr ? out_->bells() : 0);
}

uint64_t Channel::stalls() const noexcept {
  return stalls_ + (out_ != nullptr ? out_->stalls() : 0);
}

// Only a thread that leaves the ring has the channel for a moment, and it has
// the registry's lock, too.
bool Channel::begin_use_after_leaving() noexcept {
  registry::Lock hold;
  return try_use();
}

bool Channel::leave_idle() noexcept {
  if (!try_use())
    return false;
  bool left = out_ != nullptr  ? out_->leave_idle(fd())
              : in_ != nullptr ? in_->leave_idle()
                               : false;
  end_use();
  return left;
}

int Channel::leave_ring() noexcept {
  if (out_ != nullptr) {
    if (out_->leave(fd()) != 0)
      return -EBUSY;
    end_out();
  }
  if (in_ != nullptr) {
    Use use(*this);
    if (in_->leave(fd()) != 0)
      return -EBUSY;
    end_in();
  }
  came_.reset();
  return 0;
}

int Channel::prepare_exec(int &memory) noexcept {
  memory = -1;
  if (out_ != nullptr) {
    if (out_->leave(fd()) != 0)
      return -EBUSY;
    end_out();
  }
  if (in_ != nullptr) {
    Use use(*this);
    if (int error = in_->prepare_exec(memory))
      return error;
  }
  came_.reset(); // the offer of a ring that the program will not know
  return 0;
}

int Channel::resume_ring(int memory) {
  in_.reset(new Incoming(this));
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
