// Received bytes and the messages in them: read-ahead, partial frames, limits.
// Knows no descriptor.
//
// Small messages are parsed in place in the read-ahead.  A message that is too
// big for it is assembled in memory of its own, or the caller's, into which the
// kernel copies directly.
#pragma once

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
  static constexpr size_t read_ahead = 256 * 1024;

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
  const void *borrowed() const noexcept { return into_; }
  // Keeps the received part.  -ENOMEM: still borrowed.
  int give_back() noexcept;
  // The stream is over; the memory is not ours any more.
  void forget_borrowed() noexcept { into_ = nullptr; }

  // Bytes layer: where received bytes go (one or two areas), then how many.
  int prepare(iovec (&areas)[2]) noexcept; // the number of areas, or -ENOMEM
  void commit(size_t size) noexcept;

  bool at_boundary() const noexcept { return begin_ == end_ && !assembling_; }
  // Whether next() would return something else than -EAGAIN.
  bool ready(size_t limit) noexcept;
  // Whether there is room and need for more bytes before next().
  bool wants_more(size_t limit) noexcept;
  // Whether this is a message, or a part of one, that next() told of.
  bool lends(const void *data) const noexcept;
  size_t bytes() const noexcept;
  uint64_t messages() const noexcept { return messages_; }

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
  size_t past_now() const noexcept { return direct_ ? past_direct : past; }

  int next_slow(size_t limit, View &out) noexcept;
  int open_frame(size_t limit, uint64_t &size) noexcept;
  void settle() noexcept { visible_ = assembling_ ? begin_ : end_; }
  int assemble(size_t size) noexcept;
  unsigned char *target() const noexcept {
    return into_ != nullptr ? into_ : apart_.data();
  }

  Buffer ahead_;
  size_t begin_ = 0, end_ = 0;
  size_t visible_ = 0; // end_, or begin_ while another message comes first
  Buffer apart_;
  size_t size_ = 0, filled_ = 0; // of the message that is assembled
  unsigned char *into_ = nullptr;
  bool assembling_ = false;
  int broken_ = 0;
  unsigned small_reads_ = 0; // since apart_ was last of use
  bool direct_ = false;      // messages are wanted in the caller's memory
  bool after_large_ = false; // the last message was one that was assembled
  uint64_t messages_ = 0;
};

} // namespace gipc
