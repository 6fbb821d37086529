// One message that is put together apart from the read-ahead, in memory of its
// own or of the caller, into which the kernel copies directly.
#pragma once

#include "buffer.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <sys/uio.h>

namespace gipc {

class Assembly {
public:
  // A message is in it, whole or not.
  bool active() const noexcept { return active_; }
  bool complete() const noexcept { return filled_ == size_; }
  size_t size() const noexcept { return size_; }
  size_t filled() const noexcept { return active_ ? filled_ : 0; }
  size_t missing() const noexcept { return size_ - filled_; }
  const unsigned char *data() const noexcept {
    return into_ != nullptr ? into_ : own_.data();
  }

  // Begins a message of this size with what has arrived of it.  The memory
  // grows with the bytes that arrive, by up to step, never to the size that a
  // header claims, which may be a lie.
  int begin(size_t size, const unsigned char *arrived, size_t count,
            size_t step) noexcept {
    if (int error = own_.reserve(std::max(count, std::min(size, step))))
      return error;
    // There may be none, and then no memory either.
    if (count > 0)
      std::memcpy(own_.data(), arrived, count);
    size_ = size;
    filled_ = count;
    active_ = used_ = true;
    return 0;
  }
  // The message was taken; its bytes stay until the next one begins.
  void end() noexcept {
    into_ = nullptr;
    active_ = false;
  }

  // Where the next bytes go, no more than most of them.
  int prepare(iovec &area, size_t most, size_t step) noexcept {
    size_t room = into_ != nullptr ? size_ : own_.capacity();
    if (room <= filled_) {
      room = std::min(size_, 2 * filled_ + step);
      if (int error = own_.reserve(room))
        return error;
    }
    area = {const_cast<unsigned char *>(data()) + filled_,
            std::min(std::min(room, size_) - filled_, most)};
    return 0;
  }
  // Of this many received bytes, those that are not of this message.
  size_t commit(size_t size) noexcept {
    size_t mine = active_ ? std::min(size, missing()) : 0;
    filled_ += mine;
    return size - mine;
  }

  // ---- The memory of the caller
  const void *borrowed() const noexcept { return into_; }
  void borrow(void *buffer) noexcept {
    if (filled_ > 0)
      std::memcpy(buffer, own_.data(), filled_);
    into_ = static_cast<unsigned char *>(buffer);
  }
  // Keeps the received part.  -ENOMEM: still borrowed.
  int give_back() noexcept {
    if (into_ == nullptr)
      return 0;
    if (int error = own_.reserve(filled_))
      return error;
    if (filled_ > 0)
      std::memcpy(own_.data(), into_, filled_);
    into_ = nullptr;
    return 0;
  }
  void forget_borrowed() noexcept { into_ = nullptr; }

  // ---- Its own memory
  const Buffer &own() const noexcept { return own_; }
  void release() noexcept { own_.release(); }
  // An idle time begins.
  void rest() noexcept {
    if (!habit_.keeps(used_))
      own_.release();
  }
  void forget_use() noexcept { used_ = false; }

private:
  Buffer own_;
  size_t size_ = 0, filled_ = 0;
  unsigned char *into_ = nullptr; // of the caller
  bool active_ = false;
  bool used_ = false; // since the last idle time
  Habit habit_;
};

} // namespace gipc
