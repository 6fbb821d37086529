// Received bytes and the messages in them: read-ahead, partial frames, limits.
// Knows no descriptor.
//
// Small messages are parsed in place in the read-ahead.  A message that is too
// big for it is assembled in memory of its own, or the caller's, into which the
// kernel copies directly.
#pragma once

#include "assembly.h"
#include "buffer.h"
#include "frame.h"

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
  // The most that the read-ahead buffer of a reader grows to by traffic; only
  // receiving ahead makes it larger.
  static constexpr size_t read_ahead = 256 * 1024;
  // What it begins with, and what an idle reader keeps.
  static constexpr size_t least = 4 * 1024;

  // Message layer: the next whole message, valid until the next call.  0;
  // -EAGAIN: more bytes are needed; GIPC_EPROTOCOL, GIPC_ETOOBIG: the stream is
  // ruined for good, and each later call says so.
  int next(size_t limit, View &out) noexcept {
    if (__builtin_expect(visible_ - begin_ >= 4, 1)) {
      const unsigned char *at = ahead_.data() + begin_;
      // Where a header is depends on the one before, so the processor cannot
      // run ahead by itself; this is worth 8 % at 64 bytes.
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
  // The size of the next message once its header is there; errors as next().
  int next_size(size_t limit, size_t &size) noexcept;
  // The same as next(), into the caller's memory.  While the message is on its
  // way (-EAGAIN) borrowed() may be that memory, which is then written to.
  // GIPC_ETOOBIG here: over capacity; nothing changes.
  int next_into(size_t limit, void *buffer, size_t capacity,
                size_t &size) noexcept;
  const void *borrowed() const noexcept { return assembly_.borrowed(); }
  // Keeps the received part.  -ENOMEM: still borrowed.
  int give_back() noexcept { return assembly_.give_back(); }
  // The stream is over; the memory is not ours any more.
  void forget_borrowed() noexcept { assembly_.forget_borrowed(); }

  // Bytes layer: where received bytes go (one or two areas, of no more than
  // this many bytes), then how many they are.
  // The number of areas, or -ENOMEM.
  int prepare(iovec (&areas)[2], size_t most = SIZE_MAX) noexcept;
  void commit(size_t size) noexcept;
  // Whether the last read took all that there was room for, so that there is
  // probably more.
  bool full() const noexcept { return growth_.filled; }
  // A read would block: an empty inbox gives back what a burst made it grow to.
  void rest() noexcept {
    if (at_boundary() && ahead_.capacity() > 0 &&
        (growth_.room > least || memory() > ahead_.capacity()))
      give_back_memory();
  }

  bool at_boundary() const noexcept {
    return begin_ == end_ && !assembly_.active();
  }
  // Whether what is held ends with the end of a message.
  bool whole() const noexcept;
  // Whether next() would return something else than -EAGAIN.
  bool ready(size_t limit) noexcept;
  // How many bytes may be received before next() is called: until bound bytes
  // are held, and the next message is whole in any case.  0: none.
  size_t wanted(size_t limit, size_t bound) noexcept;
  // Whether this is a message, or a part of one, that next() told of.
  bool lends(const void *data) const noexcept;
  size_t bytes() const noexcept;
  uint64_t messages() const noexcept { return messages_; }
  // Memory that it has, in use or not.
  size_t memory() const noexcept {
    return ahead_.capacity() + assembly_.own().capacity();
  }

private:
  // A message over this many bytes is assembled apart from the read-ahead; one
  // for the caller's memory, where a copy would come on top, over this many.
  static constexpr size_t apart = 64 * 1024;
  static constexpr size_t apart_direct = 16 * 1024;
  // How far to read past a message that is assembled, and at first after it:
  // the header of its successor and small messages, but no piece of a large one
  // worth copying.
  static constexpr size_t past = 4096;
  static constexpr size_t past_direct = 64;
  // A partial frame that is not apart, moved to the front, leaves half of the
  // buffer free, so that ordinary traffic never makes it larger.
  static_assert(apart + frame::long_header <= read_ahead / 2,
                "a frame that is not apart does not fit the read-ahead buffer");
  static_assert(apart_direct <= apart && past_direct <= past && past <= least,
                "the smallest read-ahead buffer has no room for what is past");
  static_assert(frame::long_header <= past_direct,
                "a header does not fit what is past a message");
  size_t past_now() const noexcept { return direct_ ? past_direct : past; }

  int next_slow(size_t limit, View &out) noexcept;
  int open_frame(size_t limit, uint64_t &size) noexcept;
  void settle() noexcept { visible_ = assembly_.active() ? begin_ : end_; }
  int assemble(size_t size) noexcept;
  int make_room() noexcept;
  void give_back_memory() noexcept;
  void shrink(size_t kept) noexcept;

  // How large a read-ahead buffer the traffic needs.
  struct Growth {
    size_t room = least;
    size_t offered = 0;    // bytes of the areas of the last prepare()
    size_t since_rest = 0; // bytes received
    unsigned small = 0;    // reads, in a row
    bool grows = false;    // when what was offered is filled
    bool filled = false;   // by the last read
  };

  Buffer ahead_;
  size_t begin_ = 0, end_ = 0;
  size_t visible_ = 0; // end_, or begin_ while another message comes first
  Growth growth_;
  Assembly assembly_;
  int broken_ = 0;
  bool starved_ = false;     // the last prepare() found no memory
  bool direct_ = false;      // messages are wanted in the caller's memory
  bool after_large_ = false; // the last message was one that was assembled
  uint64_t messages_ = 0;
};

} // namespace gipc
