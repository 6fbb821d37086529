// Messages to be written: the write queue, partial writes, and one borrowed
// message.
#include "outbox.h"

#include <algorithm>

namespace gipc {

namespace {

// The memory that an empty queue keeps, and the most that it reserves at once
// because the queue was as long before.
constexpr size_t least = 4 * 1024;
constexpr size_t most = 2 * 1024 * 1024;
// An empty message has no memory of its own to borrow.
constexpr unsigned char nothing = 0;

} // namespace

int Outbox::make_room(size_t needed) noexcept {
  close_quick();
  size_t used = tail() - head_;
  // Move only if at least as many bytes were written as are moved, so that
  // moving adds a constant cost per byte.
  if (head_ >= used && queue_.capacity() - used >= needed) {
    if (used > 0)
      std::memmove(queue_.data(), queue_.data() + head_, used);
    head_ = 0;
    change(used);
    return 0;
  }
  size_t wanted =
      std::max({least, 2 * queue_.capacity(), tail() + needed, last_used_});
  int error = queue_.reserve(wanted);
  return error == 0 ? 0 : queue_.reserve(tail() + needed);
}

int Outbox::put_with(const void *data, size_t size,
                     uint32_t descriptors) noexcept {
  size_t header = frame::header_size(size, descriptors);
  if (queue_.capacity() - tail() < header + size)
    if (int error = make_room(header + size))
      return error;
  size_t at = tail();
  (void)frame::encode(size, descriptors, queue_.data() + at);
  if (size > 0)
    std::memcpy(queue_.data() + at + header, data, size);
  change(at + header + size);
  ++messages_;
  return 0;
}

void Outbox::borrow(const void *data, size_t size,
                    uint32_t descriptors) noexcept {
  close_quick(); // a message appended now would be written before it
  header_size_ = frame::encode(size, descriptors, header_);
  payload_ = size > 0 ? static_cast<const unsigned char *>(data) : &nothing;
  payload_size_ = size;
  payload_sent_ = 0;
  ++messages_;
}

int Outbox::withdraw() noexcept {
  if (!borrowing())
    return 0;
  close_quick();
  if (payload_sent_ == 0) {
    payload_ = nullptr;
    --messages_;
    return 0;
  }
  // A byte of the message was written, so the whole queue was written before.
  size_t header_left = header_size_ - std::min(header_size_, payload_sent_);
  size_t sent = payload_sent_ + header_left - header_size_;
  size_t left = header_left + payload_size_ - sent;
  head_ = 0;
  change(0);
  if (int error = queue_.reserve(left))
    return error;
  std::memcpy(queue_.data(), header_ + header_size_ - header_left, header_left);
  if (payload_size_ > sent)
    std::memcpy(queue_.data() + header_left, payload_ + sent,
                payload_size_ - sent);
  change(left);
  payload_ = nullptr;
  return 1;
}

int Outbox::areas(iovec (&out)[max_areas]) const noexcept {
  int count = 0;
  auto add = [&](const unsigned char *data, size_t size) {
    if (size > 0)
      out[count++] = {const_cast<unsigned char *>(data), size};
  };
  add(queue_.data() + head_, tail() - head_);
  if (borrowing()) {
    size_t header = std::min(header_size_, payload_sent_);
    size_t payload = payload_sent_ - header;
    add(header_ + header, header_size_ - header);
    add(payload_ + payload, payload_size_ - payload);
  }
  return count;
}

void Outbox::sent(size_t size) noexcept {
  close_quick();
  size_t of_queue = std::min(size, tail() - head_);
  head_ += of_queue;
  if (head_ == tail()) {
    if (queue_.capacity() > least) {
      last_used_ = std::min(tail(), most);
      queue_.release();
    }
    head_ = 0;
    change(0);
  }
  payload_sent_ += size - of_queue;
  if (borrowing() && payload_sent_ == header_size_ + payload_size_)
    payload_ = nullptr;
}

void Outbox::clear() noexcept {
  queue_.release();
  head_ = 0;
  change(0);
  payload_ = nullptr;
}

} // namespace gipc
