// A ring of bytes in memory that two processes share: one writes, one reads.
// Knows no descriptor and no loop: its user has a socket to the peer, and sends
// or receives there what this file says is due.
//
// The peer may store anything at any time.  Each index is loaded once and
// checked before it is used; what a side has stored itself it keeps in private
// memory.
//
// A side that finds nothing to do raises its flag, and then looks again before
// it waits for the socket.  The other side stores its index, and then looks at
// the flag.  With a fence between the two steps on both sides, at least one
// side sees what the other has stored.  Tests on x86 do not find a missing
// fence: tests/model/ring.pml does, and each fence, flag and order below names
// the variant of the model (FAULT_...) that is found without it.
#pragma once

#include "fd.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc {

// The first page of the memory: one line of the cache for each writer of it.
struct RingPage {
  // Number of bytes written and read since the ring was made, modulo 2^32.
  alignas(64) std::atomic<uint32_t> head;
  alignas(64) std::atomic<uint32_t> tail;
  // left_idle: because another ring needed the place, so that a later offer may
  // be accepted.
  enum Reader : uint32_t { awake, asleep, left, left_idle };
  alignas(64) std::atomic<uint32_t> reader;
  alignas(64) std::atomic<uint32_t> writer_waits;
  // Whether the ring is used.  What both sides may change at once is changed by
  // a compare-and-swap.
  enum Offer : uint32_t { offered, accepted, withdrawn, switched };
  alignas(64) std::atomic<uint32_t> offer;
  std::atomic<uint32_t> closed; // 1: the reader was closed
};
// 32 bits, which every processor loads and stores at once.
static_assert(std::atomic<uint32_t>::is_always_lock_free,
              "the peer would not know of the lock");

// Who reads or writes a ring.
class RingUser {
public:
  // The ring has been idle, and another one needs its place.  Called under the
  // registry's lock, by any thread.  False: it is in use.
  virtual bool leave_idle() noexcept = 0;
  // The handle that reads or writes it.
  uint64_t handle_id = 0;

protected:
  ~RingUser() = default;
};

// A mapping of the memory, and one of the places for rings of this process.
class RingMemory {
public:
  static constexpr size_t header = 4096;
  static constexpr size_t least = 4096, most = 16 * 1024 * 1024;
  // A mapping costs memory, and time in each fork.
  static constexpr int most_rings = 128;
  // Seconds after which a ring is idle, and may be left for another one.  Less
  // in tests only.
  static double least_idle;

  // user may be nullptr: then the ring keeps its place.
  explicit RingMemory(RingUser *user = nullptr) noexcept : user_(user) {}
  RingMemory(const RingMemory &) = delete;
  RingMemory &operator=(const RingMemory &) = delete;
  ~RingMemory() { unmap(); }

  // Makes and maps memory for capacity bytes, a power of two; the peer maps
  // what fd refers to.  An error means that there is no ring, and nothing else.
  int create(size_t capacity, Fd &fd) noexcept;
  // Maps memory that the peer made.
  int open(int fd) noexcept;
  bool is_mapped() const noexcept { return memory_ != nullptr; }
  RingPage &page() const noexcept { return *static_cast<RingPage *>(memory_); }
  unsigned char *bytes() const noexcept {
    return static_cast<unsigned char *>(memory_) + header;
  }
  uint32_t capacity() const noexcept { return capacity_; }
  // The number of bytes in it, if the peer is right.
  uint32_t unread() const noexcept {
    uint32_t bytes = page().head.load(std::memory_order_relaxed) -
                     page().tail.load(std::memory_order_relaxed);
    return bytes <= capacity_ ? bytes : 0;
  }

  void unmap() noexcept;
  // In a process that does not have the mapping.
  void forget() noexcept { memory_ = nullptr; }
  // Around a fork that passes the ring to the child; and in the child.
  int keep_at_fork(bool on) noexcept;
  void arrive_in_child() noexcept;

private:
  friend struct RingPlaces;
  int map(int fd) noexcept;

  void *memory_ = nullptr;
  size_t size_ = 0;
  uint32_t capacity_ = 0;
  // The rest is guarded by the registry's lock.
  RingUser *user_;
  RingMemory *previous_ = nullptr, *next_ = nullptr;
  uint32_t seen_ = 0;     // the index of the writer, when it was looked at last
  double idle_since_ = 0; // when it was seen to have changed
};

class RingWriter {
public:
  // What is due after a write.
  enum class Due {
    nothing,
    bell,     // a byte on the socket: the reader waits for it
    left,     // the reader left the ring: nothing of this write will be read
    left_idle // the same, and it may accept another offer
  };
  // The most bytes of one write, so that a reader on another processor begins
  // while the next ones are copied.
  static constexpr size_t step = 64 * 1024;

  // at: the index of a ring of which nothing is unread.
  explicit RingWriter(RingMemory &memory, uint32_t at = 0) noexcept
      : memory_(memory), head_(at), tail_(at) {}
  // The reader was closed, so that nothing will be read any more.
  bool is_closed() const noexcept {
    return memory_.page().closed.load(std::memory_order_relaxed) != 0;
  }
  // The room that is waited for before this write.
  uint32_t needed(size_t size) const noexcept;
  // 0: there is that much room; -EAGAIN; GIPC_EPROTOCOL.
  int check_room(uint32_t needed) noexcept;
  // Copies as many bytes as there is room for, and publishes them.
  Due write(const iovec *parts, int count, size_t &size) noexcept;
  // Whether the reader, before it left the ring, had read all that was written
  // before the last write of this size.
  bool is_read_up_to(size_t last) const noexcept;
  // The writer waits for room: raise(), then bytes are sent that make the
  // socket unwritable, then look_again().  0: there is room.  -EAGAIN: the
  // reader will read those bytes when half of the ring is free.  -EINTR: it may
  // have read them before; begin again.
  void raise() noexcept;
  int look_again(uint32_t needed) noexcept;
  // Whether the writer waits for room, or did so last.
  bool waits() const noexcept {
    return memory_.page().writer_waits.load(std::memory_order_relaxed) != 0;
  }
  // The writer leaves.  False: so has the reader, which accepts no other offer.
  bool leave() noexcept;

private:
  uint32_t room() const noexcept {
    return memory_.capacity() - (head_ - tail_);
  }
  int look() noexcept;

  RingMemory &memory_;
  uint32_t head_; // own index
  uint32_t tail_; // the reader's, as seen last
};

class RingReader {
public:
  explicit RingReader(RingMemory &memory) noexcept : memory_(memory) {}
  // In a process that reads on: at the index where the one before ended.
  void resume() noexcept;
  // The number of bytes to read; GIPC_EPROTOCOL.
  ssize_t available() noexcept;
  // Number of bytes seen and not yet read.
  size_t seen() const noexcept { return head_ - tail_; }
  // Copies bytes that available() has seen.  frees: the writer waits, and half
  // of the ring is free: the socket is to be drained.
  size_t read(const iovec *parts, int count, bool &frees) noexcept;
  // Before waiting, and after the socket was drained: the number of bytes that
  // have come after all; 0: a byte will come on the socket with the next ones.
  ssize_t sleep() noexcept;
  // Whether no byte was sent since sleep().
  bool is_asleep() const noexcept {
    return memory_.page().reader.load(std::memory_order_relaxed) ==
           RingPage::asleep;
  }
  // After sleep() returned bytes: whether a byte comes on the socket.
  bool wake() noexcept;
  // After sleep() returned 0.  False: bytes have come since.
  bool leave() noexcept;
  // At any time between two calls, and while the user waits.  False: there are
  // bytes to read.
  bool leave_idle() noexcept;
  void close() noexcept;

private:
  RingMemory &memory_;
  uint32_t tail_ = 0; // own index
  uint32_t head_ = 0; // the writer's, as seen last
};

} // namespace gipc
