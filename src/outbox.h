// Messages on their way out: the queue, partial writes, one borrowed message.
// Knows no descriptor.
#pragma once

#include "buffer.h"
#include "frame.h"

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/uio.h>

namespace gipc {

// A call of memcpy costs more than the copy of a short message.  Of 16 bytes
// and more, the last block overlaps the one before.
inline void copy_short(unsigned char *out, const void *data,
                       size_t size) noexcept {
  constexpr size_t block = 16;
  auto *in = static_cast<const unsigned char *>(data);
  if (size > 16 * block) {
    std::memcpy(out, in, size);
  } else if (size >= block) {
    for (size_t at = 0; at + block < size; at += block)
      std::memcpy(out + at, in + at, block);
    std::memcpy(out + size - block, in + size - block, block);
  } else {
    for (; size >= 4; out += 4, in += 4, size -= 4)
      std::memcpy(out, in, 4);
    for (; size > 0; --size)
      *out++ = *in++;
  }
}

class Outbox {
public:
  static constexpr int max_areas = 3;

  // Copies a message behind what is queued.  0 or -ENOMEM.
  int put(const void *data, size_t size) noexcept {
    size_t needed = frame::header_size(size) + size;
    if (__builtin_expect(queue_.capacity() - tail() < needed, 0))
      if (int error = make_room(needed))
        return error;
    size_t at = tail();
    unsigned char *out = queue_.data() + at;
    size_t header = frame::encode(size, out);
    if (size > 0)
      std::memcpy(out + header, data, size);
    change(at + needed);
    ++messages_;
    return 0;
  }

  // ---- The quick put: a copy, and nothing else that has to be looked at.
  // Opens it for messages of up to size bytes, until this many are queued or
  // the memory is full.  size is less than what a short header can tell.  Every
  // change of the queue but append() closes it again.
  void open_quick(size_t size, size_t queued) noexcept {
    assert(!borrowing()); // the message would leave before the borrowed one
    size_t room = queue_.capacity() - head_;
    quick_size_ = size;
    quick_tail_ = head_ + (queued < room ? queued : room);
  }
  void close_quick() noexcept { quick_tail_ = 0; }
  bool is_quick(const void *data, size_t size) const noexcept {
    return size <= quick_size_ && data != nullptr &&
           tail() + frame::short_header + size <= quick_tail_;
  }
  // Of a message that is_quick().
  void append(const void *data, size_t size) noexcept {
    size_t at = tail();
    unsigned char *out = queue_.data() + at;
    frame::store32(out, static_cast<uint32_t>(size));
    copy_short(out + frame::short_header, data, size);
    publish(at + frame::short_header + size);
    ++messages_;
  }

  // Takes a message without a copy; the caller's memory is borrowed until it
  // has been sent, or withdrawn.
  void borrow(const void *data, size_t size) noexcept;
  bool borrowing() const noexcept { return payload_ != nullptr; }
  // Ends the borrowing.  0: no byte had left and none will; 1: the rest was
  // copied to the queue; -ENOMEM: still borrowed.
  int withdraw() noexcept;
  // The stream is over; the memory is not ours any more.
  void forget_borrowed() noexcept { payload_ = nullptr; }

  // The bytes to send next.
  int areas(iovec (&out)[max_areas]) const noexcept;
  void sent(size_t size) noexcept;

  // A put whose queue got no byte out, taken back: the last message of the
  // queue, of this size.
  void take_back(size_t size) noexcept {
    change(tail() - frame::header_size(size) - size);
    --messages_;
  }

  bool empty() const noexcept { return head_ == tail() && !borrowing(); }
  size_t queued() const noexcept { return tail() - head_; }
  size_t bytes() const noexcept {
    return queued() +
           (borrowing() ? header_size_ + payload_size_ - payload_sent_ : 0);
  }
  uint64_t messages() const noexcept { return messages_; }
  size_t memory() const noexcept { return queue_.capacity(); }
  void clear() noexcept;

  // At the end of a child, whose other threads may go on: what was queued is
  // sent from where it lies, while append() may add to it.  Nothing of a
  // borrowed message is, whose memory may be gone.
  void begin_exit() noexcept {
    exit_at_ = head_;
    exit_end_ = tail_.load(std::memory_order_acquire);
  }
  iovec exit_area() const noexcept {
    return {queue_.data() + exit_at_, exit_end_ - exit_at_};
  }
  void sent_at_exit(size_t size) noexcept { exit_at_ += size; }

private:
  int make_room(size_t needed) noexcept;
  size_t tail() const noexcept { return tail_.load(std::memory_order_relaxed); }
  // After the bytes up to there.
  void publish(size_t tail) noexcept {
    tail_.store(tail, std::memory_order_release);
  }
  void change(size_t tail) noexcept {
    close_quick();
    publish(tail);
  }

  size_t quick_size_ = 0, quick_tail_ = 0;
  Buffer queue_;
  size_t head_ = 0;
  std::atomic<size_t> tail_{0};
  size_t exit_at_ = 0, exit_end_ = 0;
  size_t last_used_ = 0; // of the queue, before it was released
  const unsigned char *payload_ = nullptr;
  size_t payload_size_ = 0;
  size_t payload_sent_ = 0; // counts the header, too
  size_t header_size_ = 0;
  unsigned char header_[frame::long_header];
  uint64_t messages_ = 0;
};

} // namespace gipc
