// Memory from malloc with one owner, grown in place where possible.
//
// realloc() moves the pages of a large block instead of copying them (mremap),
// and does not touch new pages.  std::vector does neither.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace gipc {

class Buffer {
public:
  Buffer() = default;
  Buffer(Buffer &&other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  unsigned char *data() const { return data_; }
  size_t capacity() const { return capacity_; }

  // At least this much; the contents stay.  0, or -ENOMEM and no change.
  int reserve(size_t capacity) noexcept {
    if (capacity <= capacity_)
      return 0;
    int saved = errno;
    void *grown = std::realloc(data_, capacity);
    errno = saved;
    if (grown == nullptr)
      return -ENOMEM;
    data_ = static_cast<unsigned char *>(grown);
    capacity_ = capacity;
    return 0;
  }

  void release() noexcept {
    std::free(std::exchange(data_, nullptr));
    capacity_ = 0;
  }

private:
  unsigned char *data_ = nullptr;
  size_t capacity_ = 0;
};

// Decides whether an idle owner keeps a large buffer.  A buffer that was used
// once is released at once.  One that is used again and again is kept, because
// new page faults would cost as much as copying the bytes, until it is no
// longer used.
class Habit {
public:
  // Called at the beginning of an idle time.  used: whether the buffer was used
  // since the last one.
  bool keeps(bool used) noexcept {
    if (used)
      level_ = level_ + use < most ? level_ + use : most;
    else if (level_ > 0)
      --level_;
    return level_ >= enough;
  }

private:
  static constexpr unsigned char use = 4, enough = 8, most = 64;
  unsigned char level_ = 0;
};

} // namespace gipc
