// The reading end of a local socket that may change to a ring, and back:
// outgoing.h says how.
#pragma once

#include "descriptors.h"
#include "fd.h"
#include "relaxed.h"
#include "ring.h"
#include "this_process.h"

#include <atomic>
#include <cstddef>
#include <memory>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc {

class Incoming {
public:
  enum class State {
    accepted, // the control frame is due, as the last of the stream's bytes
    ring,
    left, // this end left the ring; the mark is due
    plain // on the socket
  };

  explicit Incoming(RingUser *user = nullptr) noexcept : memory_(user) {}
  // Accepts an offer.  False: it is not one, or it is withdrawn.
  bool accept(registry::Held memory) noexcept;
  // In a program that the ring was passed to: reads on where the parent ended.
  // 0, and keep() follows; or an error.
  int resume(int memory) noexcept;
  void keep(Fd memory) noexcept { descriptor_of_memory_ = std::move(memory); }
  // The descriptor that such a program needs, or -1.  0; -EBUSY: messages must
  // be got first.
  int prepare_exec(int &memory) noexcept;
  State state() const noexcept {
    return state_.load(std::memory_order_relaxed);
  }
  bool in_ring() const noexcept { return state() == State::ring; }
  // Of an accepted offer: the writer was passed on, and sends no control frame.
  bool is_withdrawn() const noexcept {
    return memory_.page().offer.load(std::memory_order_relaxed) ==
           RingPage::withdrawn;
  }
  bool has_bytes_in_ring() noexcept {
    return in_ring() && reader_.available() != 0;
  }
  // After the control frame, with the bytes received behind it.  0 or an error.
  static constexpr size_t most_behind = 4096;
  int enter(const unsigned char *data, size_t size) noexcept;
  // The number of bytes moved, -EAGAIN or another error, 0 at the end.  After
  // -EAGAIN the socket is readable as soon as there are more bytes.
  ssize_t read(int fd, const iovec *parts, int count) noexcept;
  // After -EAGAIN: waits in the kernel, where the thread may be cancelled, for
  // bytes on the socket.  0: read() again; -EAGAIN: that is not supported.
  // Meanwhile leave_idle() may be called.
  int wait(int fd);
  // Whether read() would return something other than -EAGAIN.
  bool is_ready(int fd) noexcept;
  // Whether the next bytes are those of the socket alone.
  bool is_done() const noexcept {
    return state() == State::plain && behind() == 0;
  }
  // Number of bytes that can be read without the socket.
  size_t held() const noexcept;
  // The same, and what it has not seen yet.  For any thread, under the
  // registry's lock.
  size_t unread() const noexcept {
    return behind() + (memory_.is_mapped() ? memory_.unread() : 0);
  }
  // Goes back to the socket.  0: there is no ring any more.  -EBUSY: bytes are
  // in it, or the socket has to be read up to the mark, which comes with the
  // writer's next message.
  int leave(int fd) noexcept;
  // For another ring, between two calls: as leave(), and a later offer may be
  // accepted.  False: there are bytes to read, or another process reads on.
  bool leave_idle() noexcept;
  // The reader is closed, so the writer's next write fails.
  void close() noexcept;
  // Descriptors that came with bytes behind the mark.
  bool has_descriptors() const noexcept { return descriptors_ != nullptr; }
  std::unique_ptr<Descriptors> take_descriptors() noexcept {
    return std::move(descriptors_);
  }

  uint64_t sleeps() const noexcept { return sleeps_; }

  int keep_at_fork(bool on) noexcept { return memory_.keep_at_fork(on); }
  int descriptor_of_memory() const noexcept {
    return descriptor_of_memory_.get();
  }
  // kept: whether the child has the descriptor of the memory.
  void arrive_in_child(bool kept) noexcept;
  void forget() noexcept {
    memory_.forget();
    if (descriptors_ != nullptr)
      descriptors_->forget();
    descriptor_of_memory_.forget();
  }

private:
  ssize_t take(const iovec *parts, int count, int fd) noexcept;
  ssize_t take_behind(const iovec *parts, int count) noexcept;
  ssize_t look(int fd) noexcept;
  void drain(int fd) noexcept;
  void take_byte(int fd) noexcept;
  void drained(ssize_t size) noexcept;
  void parse(size_t size) noexcept;
  size_t behind() const noexcept { return door_end_ - door_begin_; }
  void end_ring(State next = State::plain) noexcept;
  bool take_back() noexcept;
  iovec door() noexcept { return {door_, sizeof door_}; }

  // Another thread may leave the ring.
  std::atomic<State> state_{State::plain};
  RingMemory memory_;
  RingReader reader_{memory_};
  bool raised_ = false; // true if the socket may have bytes to drain
  bool woken_ = false;  // true after a wait that received bytes
  bool armed_ = false;  // true from a look that found nothing to the next drain
  bool ended_ = false;  // true after the end of the socket
  bool marked_ = false; // true after the mark
  int error_ = 0;       // with which the socket ended; 0: with its end
  int broken_ = 0;      // GIPC_EPROTOCOL after other bytes than those
  std::unique_ptr<Descriptors> descriptors_; // came with bytes behind the mark
  registry::Held descriptor_of_memory_;
  bool passed_on_ = false; // true if a program may read on
  uint64_t sleeps_ = 0;
  // Bytes of the stream that were received together with the mark.
  Relaxed<size_t> door_begin_ = 0, door_end_ = 0;
  unsigned char door_[most_behind];
};

} // namespace gipc
