// Received bytes and the messages in them: read-ahead, partial frames, limits.
// Uses no descriptor.
//
// Small messages are parsed in place in the read-ahead buffer.  A message that
// is too big for it is assembled in a buffer of its own, or in the caller's, to
// which the kernel copies directly.
#pragma once

#include "assembly.h"
#include "buffer.h"
#include "frame.h"
#include "relaxed.h"

#include <cstddef>
#include <cstdint>
#include <sys/uio.h>

namespace gipc {

struct View {
  const void *data;
  size_t size;
};

class Inbox {
public:
  // The largest read-ahead buffer of a reader whose messages are got; only
  // receiving ahead makes it larger.
  static constexpr size_t read_ahead = 256 * 1024;
  // The size of a new read-ahead buffer, and of that of an idle reader.
  static constexpr size_t least = 4 * 1024;

  // Message layer: stores the next whole message, valid until the next call,
  // and returns 0; or with_descriptors, and then, with the next call, nothing
  // but after_descriptors until end_descriptors() is called.  -EAGAIN: more
  // bytes are needed.  GIPC_EPROTOCOL and GIPC_ETOOBIG are permanent.
  static constexpr int with_descriptors = 1, after_descriptors = 2;
  int next(size_t limit, View &out) noexcept {
    if (__builtin_expect(visible_ - begin_ >= 4, 1)) {
      const unsigned char *at = ahead_.data() + begin_;
      // The position of a header depends on the one before, so the processor
      // does not prefetch by itself.  This saves 8 % at 64 bytes.
      __builtin_prefetch(at + 384);
      uint32_t size = frame::load32(at);
      if (size <= visible_ - begin_ - 4 && size <= limit) {
        out = {at + 4, size};
        begin_ += 4 + size;
        ++messages_;
        return 0;
      }
    }
    return next_slow(limit, out);
  }
  // What the descriptors of the message that was returned last are: see
  // frame.h.
  uint32_t descriptors() const noexcept { return descriptors_; }
  void end_descriptors() noexcept {
    descriptors_ = 0;
    settle();
  }
  // Number of messages with descriptors that begin in the received bytes, and
  // were not returned.
  size_t count_with_descriptors() const noexcept;
  // Every later call of next() returns this error.
  void fail_with(int why) noexcept;
  // Stores the size of the next message once its header is received.  Errors as
  // for next().
  int next_size(size_t limit, size_t &size) noexcept;
  // The same as next(), into the caller's memory.  After -EAGAIN borrowed() may
  // be that memory, which prepare() then returns to be written to.
  // GIPC_ETOOBIG: the message exceeds the capacity; nothing changes.
  int next_into(size_t limit, void *buffer, size_t capacity,
                size_t &size) noexcept;
  const void *borrowed() const noexcept { return assembly_.borrowed(); }
  // Copies the received part of the message out of the borrowed memory.
  // -ENOMEM: the memory is still borrowed.
  int end_borrow() noexcept { return assembly_.end_borrow(); }
  // Stops using the borrowed memory, and loses the part of the message in it.
  void forget_borrowed() noexcept { assembly_.forget_borrowed(); }

  // Bytes layer: prepare() returns the number of areas, of at most this many
  // bytes, to receive into, or -ENOMEM; commit() is called with the number of
  // bytes received.
  int prepare(iovec (&areas)[2], size_t most = SIZE_MAX) noexcept;
  void commit(size_t size) noexcept;
  // Whether the last read filled its areas, so that there is probably more to
  // read.
  bool full() const noexcept { return growth_.filled; }
  // A read would have blocked: an empty inbox releases the memory that a burst
  // made it allocate.
  void note_idle() noexcept {
    if (at_boundary() && ahead_.capacity() > 0 &&
        (growth_.room > least || memory() > ahead_.capacity()))
      release_memory();
  }

  // ---- A control frame may come, as the last bytes of the stream
  void expect_control(bool on) noexcept { expects_control_ = on; }
  // Called after each commit() meanwhile.  1: the control frame came, and it
  // and the bytes behind it, which stay valid until the next call, are removed.
  // 0: not yet.  GIPC_EPROTOCOL: one of an unknown type.
  int cut_control(const unsigned char *&behind, size_t &size) noexcept;
  // The number of bytes that can be received first without one in front of
  // them.
  size_t before_control() const noexcept {
    return assembly_.active() ? assembly_.missing() : 0;
  }

  bool at_boundary() const noexcept {
    return begin_ == end_ && !assembly_.active();
  }
  // Whether the received bytes end with the end of a message.
  bool whole() const noexcept;
  // Whether next() would return something other than -EAGAIN.
  bool ready(size_t limit) noexcept;
  // The number of bytes that may be received before next() is called: until
  // bound bytes are buffered, and in any case until the next message is whole.
  // 0: none.
  size_t wanted(size_t limit, size_t bound) noexcept;
  // Whether data points into this inbox, that is, into memory that next()
  // returned.
  bool contains(const void *data) const noexcept;
  size_t bytes() const noexcept;
  // The same for any thread: of two moments, if it changes meanwhile.
  size_t seen_bytes() const noexcept;
  uint64_t messages() const noexcept { return messages_; }
  // Bytes of memory allocated, whether in use or not.
  size_t memory() const noexcept {
    return ahead_.capacity() + assembly_.own().capacity();
  }

private:
  // A message over `apart` bytes is assembled outside the read-ahead buffer.  A
  // message for the caller's memory would have to be copied there, so its
  // threshold is lower.
  static constexpr size_t apart = 64 * 1024;
  static constexpr size_t apart_direct = 16 * 1024;
  // Number of bytes to read past the end of an assembled message, and in the
  // first read after one: enough for the header of the next message and for
  // small messages, but little of a large one, which would have to be copied.
  static constexpr size_t past = 4096;
  static constexpr size_t past_direct = 64;
  // A partial frame that is not assembled apart, moved to the front, leaves
  // half of the buffer free, so that such frames never make the buffer larger.
  static_assert(apart + frame::longest_header <= read_ahead / 2,
                "a frame that is not apart does not fit the read-ahead buffer");
  static_assert(apart_direct <= apart && past_direct <= past && past <= least,
                "the smallest read-ahead buffer is smaller than past");
  static_assert(frame::longest_header <= past_direct,
                "a header does not fit past_direct");
  size_t past_now() const noexcept { return direct_ ? past_direct : past; }

  int next_slow(size_t limit, View &out) noexcept;
  int parse(size_t limit, View &out) noexcept;
  int returned(uint32_t descriptors) noexcept;
  int open_frame(size_t limit, uint64_t &size) noexcept;
  bool is_part_of_control(size_t at) const noexcept;
  void settle() noexcept {
    visible_ = assembly_.active() || descriptors_ != 0 ? begin_ : end_;
  }
  int assemble(size_t size) noexcept;
  int make_room() noexcept;
  void release_memory() noexcept;
  void shrink(size_t kept) noexcept;

  // The size of the read-ahead buffer, adapted to the traffic.
  struct Growth {
    size_t room = least;
    size_t offered = 0;    // bytes of the areas of the last prepare()
    size_t since_idle = 0; // bytes received since the last note_idle()
    unsigned small = 0;    // number of small reads in a row
    bool grows = false;    // true if filling the areas makes the buffer grow
    bool filled = false;   // true if the last read filled the areas
  };

  Buffer ahead_;
  Published<size_t> begin_ = 0, end_ = 0;
  size_t visible_ = 0; // end_, or begin_ while next_slow() is to be called
  Growth growth_;
  Assembly assembly_;
  uint32_t assembled_with_ = 0; // what the descriptors of that message are
  uint32_t descriptors_ = 0;    // the same of the one that was returned last
  int broken_ = 0;
  bool starved_ = false; // true if the last prepare() failed
  bool expects_control_ = false;
  bool direct_ = false;      // true after a next_into()
  bool after_large_ = false; // true if the last message was assembled
  Relaxed<uint64_t> messages_ = 0;
};

} // namespace gipc
