// Messages to be written: the write queue, partial writes, and one borrowed
// message, whose bytes follow the queue.  Uses no descriptor.
#pragma once

#include "buffer.h"
#include "frame.h"
#include "relaxed.h"

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/uio.h>

namespace gipc {

// A call of memcpy() costs more than copying a short message.  From 16 bytes
// on, the last block may overlap the one before.
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

  // Appends a copy of a message to the queue.  0 or -ENOMEM.
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

  // ---- The quick put: copies a message after a single check
  // Opens it for messages of up to size bytes, until `queued` bytes are queued
  // or the memory is full.  size fits a short header.  Every change of the
  // queue except append() closes it again.
  void open_quick(size_t size, size_t queued) noexcept {
    assert(!borrowing()); // else it would be written before the borrowed one
    size_t room = queue_.capacity() - head_;
    quick_size_ = size;
    quick_tail_ = head_ + (queued < room ? queued : room);
  }
  void close_quick() noexcept { quick_tail_ = 0; }
  bool is_quick(const void *data, size_t size) const noexcept {
    return size <= quick_size_ && data != nullptr &&
           tail() + frame::short_header + size <= quick_tail_;
  }
  // Appends a message for which is_quick() is true.
  void append(const void *data, size_t size) noexcept {
    size_t at = tail();
    unsigned char *out = queue_.data() + at;
    frame::store32(out, static_cast<uint32_t>(size));
    copy_short(out + frame::short_header, data, size);
    publish(at + frame::short_header + size);
    ++messages_;
  }

  // The same for a message with such descriptors (see frame.h), which go with
  // its first byte.
  int put_with(const void *data, size_t size, uint32_t descriptors) noexcept;

  // Queues a message without a copy: the caller's memory is borrowed until the
  // message is written, or withdrawn.
  void borrow(const void *data, size_t size, uint32_t descriptors = 0) noexcept;
  bool borrowing() const noexcept { return payload_ != nullptr; }
  // Returns the memory to the caller.  0: no byte of the message was written,
  // and it is removed.  1: the remaining bytes were copied to the queue.
  // -ENOMEM: the memory is still borrowed.
  int withdraw() noexcept;
  // Stops using the borrowed memory, and loses the remaining bytes.
  void forget_borrowed() noexcept { payload_ = nullptr; }

  // areas() returns the bytes to write next; sent() is called with the number
  // of bytes written.
  int areas(iovec (&out)[max_areas]) const noexcept;
  void sent(size_t size) noexcept;

  // Removes the last message of the queue, of this size with its header, of
  // which no byte was written.
  void remove_last(size_t size) noexcept {
    change(tail() - size);
    --messages_;
  }

  bool empty() const noexcept { return head_ == tail() && !borrowing(); }
  size_t queued() const noexcept { return tail() - head_; }
  size_t bytes() const noexcept {
    return queued() +
           (borrowing() ? header_size_ + payload_size_ - payload_sent_ : 0);
  }
  // The same for any thread: of two moments, if it changes meanwhile.
  size_t seen_bytes() const noexcept {
    size_t head = head_.seen(), end = tail();
    size_t sent = payload_sent_.seen();
    size_t whole = header_size_.seen() + payload_size_.seen();
    size_t borrowed =
        payload_.seen() != nullptr && whole > sent ? whole - sent : 0;
    return (end > head ? end - head : 0) + borrowed;
  }
  uint64_t messages() const noexcept { return messages_; }
  // A message was written that was never queued.
  void note_written() noexcept { ++messages_; }
  size_t memory() const noexcept { return queue_.capacity(); }
  void clear() noexcept;

  // At the end of a child, whose other threads may still run: the bytes queued
  // by then are written, while append() may add more.  No byte of a borrowed
  // message is written, because its memory may have been freed.
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
  // Called after the bytes up to tail were stored.
  void publish(size_t tail) noexcept {
    tail_.store(tail, std::memory_order_release);
  }
  void change(size_t tail) noexcept {
    close_quick();
    publish(tail);
  }

  size_t quick_size_ = 0, quick_tail_ = 0;
  Buffer queue_;
  Published<size_t> head_ = 0;
  std::atomic<size_t> tail_{0};
  size_t exit_at_ = 0, exit_end_ = 0;
  size_t last_used_ = 0; // size of the queue when it was released
  Published<const unsigned char *> payload_ = nullptr;
  Published<size_t> payload_size_ = 0;
  // Number of bytes written, with the header.
  Published<size_t> payload_sent_ = 0;
  Published<size_t> header_size_ = 0;
  unsigned char header_[frame::longest_header];
  Relaxed<uint64_t> messages_ = 0;
};

} // namespace gipc
