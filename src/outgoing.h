// The writing end of a local socket that may change to a ring, and back.
//
// The writer offers: memory for a ring goes with the first bytes of a message.
// Only a reader whose socket has a name that asks for it gets an offer, unless
// the program demands a ring.  The reader accepts.  Then the writer sends one
// control frame, after which the bytes of the stream are in the ring, and the
// socket has only bells (to wake a reader) and fillers (which keep it
// unwritable while the ring is full), all bytes 0, until a mark, a byte 1, says
// that the stream continues on the socket.  gipc_frame(5) specifies it.
#pragma once

#include "fd.h"
#include "relaxed.h"
#include "ring.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc {

class Outgoing {
public:
  enum class State {
    offered, // the bytes are on the socket; the peer has not accepted yet
    ring,
    leaving, // the mark is due; the bytes behind it are on the socket again
    plain    // on the socket
  };

  explicit Outgoing(RingUser *user = nullptr) noexcept
      : user_(user), memory_(user) {}
  // Writes bytes, the first of which begin a message, and offers a ring of this
  // capacity with them.  A number of bytes or an error; state() is plain if no
  // ring could be offered.
  ssize_t offer(int fd, const iovec *parts, int count,
                size_t capacity) noexcept;
  // at_message: the first byte begins a message.
  ssize_t write(int fd, const iovec *parts, int count,
                bool at_message) noexcept;
  State state() const noexcept {
    return state_.load(std::memory_order_relaxed);
  }
  bool in_ring() const noexcept { return state() == State::ring; }
  // Whether a later offer may be accepted.  Not if the reader took the ring
  // back, or left it: then the descriptor may be that of another program.
  bool may_offer_again() const noexcept {
    return state() == State::plain && !refused_;
  }
  // Goes back to the socket.  0; -EAGAIN: the mark could not be sent.
  int leave(int fd) noexcept;
  // For another ring, between two calls.  False: the writer waits for room.
  bool leave_idle(int fd) noexcept;

  uint64_t bells() const noexcept { return bells_; }
  uint64_t stalls() const noexcept { return stalls_; }

  int keep_at_fork(bool on) noexcept { return memory_.keep_at_fork(on); }
  void arrive_in_child() noexcept { memory_.arrive_in_child(); }
  void forget() noexcept { memory_.forget(); }

private:
  ssize_t write_offered(int fd, const iovec *parts, int count,
                        bool at_message) noexcept;
  ssize_t write_ring(int fd, const iovec *parts, int count) noexcept;
  ssize_t write_marked(int fd, const iovec *parts, int count) noexcept;
  int change(int fd) noexcept;
  int ring_bell(int fd) noexcept;
  int stall(int fd, uint32_t needed) noexcept;
  int check_peer(int fd, size_t size) noexcept;
  void end_ring(int fd, State next) noexcept;

  // Number of writes that an offer stands, even if the program demands a ring:
  // a reader that has no place for another ring does not answer
  // (FAULT_INSISTS).
  static constexpr uint32_t patience = 1000;

  // Another thread may leave the ring.
  std::atomic<State> state_{State::plain};
  const RingUser *user_;
  RingMemory memory_;
  RingWriter writer_{memory_};
  uint32_t writes_ = 0; // since the offer, or since the peer was checked
  size_t unchecked_ = 0;
  int send_buffer_ = 0; // size to restore
  bool bell_due_ = false;
  bool refused_ = false; // true if the reader accepts no other offer
  Relaxed<uint64_t> bells_ = 0, stalls_ = 0;
};

} // namespace gipc
