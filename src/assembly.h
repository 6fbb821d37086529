// One message that is assembled outside the read-ahead buffer, in a buffer of
// its own or in the caller's, to which the kernel copies directly.
#pragma once

#include "buffer.h"
#include "relaxed.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <sys/uio.h>

namespace gipc {

class Assembly {
public:
  // Whether it holds a message, whole or in part.
  bool active() const noexcept { return active_; }
  bool complete() const noexcept { return filled_ == size_; }
  size_t size() const noexcept { return size_; }
  size_t filled() const noexcept { return active_ ? size_t{filled_} : 0; }
  size_t seen_filled() const noexcept {
    return active_.seen() ? filled_.seen() : 0;
  }
  size_t missing() const noexcept { return size_ - filled_; }
  const unsigned char *data() const noexcept {
    return into_ != nullptr ? into_ : own_.data();
  }

  // Begins a message of this size with the bytes received of it.  The memory
  // grows with the received bytes, by up to step, and not at once to the size
  // in the header, which a faulty peer may have made up.
  int begin(size_t size, const unsigned char *received, size_t count,
            size_t step) noexcept {
    if (int error = own_.reserve(std::max(count, std::min(size, step))))
      return error;
    // If count is 0, received may be NULL, which memcpy() does not accept.
    if (count > 0)
      std::memcpy(own_.data(), received, count);
    size_ = size;
    filled_ = count;
    active_ = used_ = true;
    return 0;
  }
  // The message was returned; its bytes stay until the next one begins.
  void end() noexcept {
    into_ = nullptr;
    active_ = false;
  }

  // Stores the area for the next bytes, of no more than most bytes.
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
  // Of size received bytes, returns the number that follow this message.
  size_t commit(size_t size) noexcept {
    size_t of_message = active_ ? std::min(size, missing()) : 0;
    filled_ += of_message;
    return size - of_message;
  }

  // ---- The memory of the caller
  const void *borrowed() const noexcept { return into_; }
  void borrow(void *buffer) noexcept {
    if (filled_ > 0)
      std::memcpy(buffer, own_.data(), filled_);
    into_ = static_cast<unsigned char *>(buffer);
  }
  // Copies the received part to its own memory.  -ENOMEM: still borrowed.
  int end_borrow() noexcept {
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
  // The reader is idle: keeps the memory only if it is used again and again.
  void note_idle() noexcept {
    if (!habit_.keeps(used_))
      own_.release();
  }
  void forget_use() noexcept { used_ = false; }

private:
  Buffer own_;
  size_t size_ = 0;
  Published<size_t> filled_ = 0;
  unsigned char *into_ = nullptr; // the caller's memory, or nullptr
  Published<bool> active_ = false;
  bool used_ = false; // true if a message began since the last idle time
  Habit habit_;
};

} // namespace gipc
