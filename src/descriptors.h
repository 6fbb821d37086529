// Descriptors that belong to messages: those of messages that wait to be
// written, and those that were received and wait to be taken.
#pragma once

#include "frame.h"
#include "os.h"
#include "this_process.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace gipc {

// The descriptors of one message.
class Descriptors {
public:
  // These two return nullptr if there is no memory.  The first one takes
  // ownership in any case.
  static std::unique_ptr<Descriptors> own(const os::Received &came) noexcept;
  // The caller's, until keep() or the end of its call.
  static std::unique_ptr<Descriptors> borrow(const int *fds,
                                             size_t count) noexcept;
  Descriptors(const Descriptors &) = delete;
  Descriptors &operator=(const Descriptors &) = delete;

  size_t count() const noexcept { return count_; }
  // Whether some of them could not be received.
  bool lost() const noexcept { return lost_; }
  bool is_borrowed() const noexcept { return borrowed_ != nullptr; }
  // Replaces those of the caller by duplicates.
  int keep() noexcept;
  const int *numbers(int (&room)[os::most_sent]) const noexcept;
  // Received ones: what they are; see frame.h.
  void set_handles(uint32_t attached) noexcept { handles_ = attached >> 8; }
  // The number of those that are not of handles.
  size_t loose() const noexcept { return count_ - handles_end(); }
  // The caller owns them from now on.
  void release_loose(int *out) noexcept;
  // The same for those of the next handle, which must be there.
  frame::Kind next_handle() const noexcept {
    return static_cast<frame::Kind>(handles_ & 7);
  }
  void release_handle(int *out) noexcept;
  // The only one, if there is one only.
  registry::Held release_one() noexcept;
  // In a process where the numbers may mean other files.
  void forget() noexcept;

private:
  friend class DescriptorQueue;
  Descriptors() = default;
  // The number of the first one that is not of a handle.
  size_t handles_end() const noexcept;

  const int *borrowed_ = nullptr;
  std::unique_ptr<registry::Held[]> own_;
  size_t count_ = 0;
  size_t next_ = 0;      // number of those that were released with handles
  uint32_t handles_ = 0; // 3 bits for each one that was not released
  bool lost_ = false;
  // Of a queue: number of bytes from the message before it to this one.
  size_t distance_ = 0;
  std::unique_ptr<Descriptors> behind_;
};

// Duplicates for a message that is put later, or several times.
class KeptDescriptors {
public:
  // 0 or an error.
  static int make(const int *fds, size_t count,
                  std::unique_ptr<KeptDescriptors> &out) noexcept;
  ~KeptDescriptors();
  KeptDescriptors(const KeptDescriptors &) = delete;
  KeptDescriptors &operator=(const KeptDescriptors &) = delete;

  // Only there do the numbers mean these files.
  bool is_owned() const noexcept { return owner_ == generation::current(); }
  size_t count() const noexcept { return all_->count(); }
  const int *numbers(int (&room)[os::most_sent]) const noexcept {
    return all_->numbers(room);
  }

private:
  explicit KeptDescriptors(std::unique_ptr<Descriptors> all) noexcept
      : all_(std::move(all)) {}

  const std::unique_ptr<Descriptors> all_;
  const uint32_t owner_ = generation::current();
};

// In the order of their messages.
class DescriptorQueue {
public:
  DescriptorQueue() = default;
  DescriptorQueue(const DescriptorQueue &) = delete;
  DescriptorQueue &operator=(const DescriptorQueue &) = delete;
  ~DescriptorQueue() { clear(); }

  bool empty() const noexcept { return first_ == nullptr; }
  // Number of messages, and of their descriptors.
  size_t size() const noexcept { return size_; }
  size_t count() const noexcept { return count_; }
  // distance: of messages to be written, the number of bytes before this one.
  void push(std::unique_ptr<Descriptors> last, size_t distance = 0) noexcept;
  std::unique_ptr<Descriptors> pop() noexcept;
  void drop_last() noexcept;
  Descriptors &first() noexcept { return *first_; }
  Descriptors &last() noexcept { return *last_; }
  void clear() noexcept {
    while (first_ != nullptr)
      (void)pop();
  }
  void forget() noexcept;

  // ---- Of messages to be written
  // Number of bytes before the first one, and from there to the next one.
  size_t before() const noexcept { return first_->distance_; }
  size_t after() const noexcept {
    return first_->behind_ != nullptr ? first_->behind_->distance_ : SIZE_MAX;
  }
  // Bytes were written: no more than before(), or of the first one and no more
  // than after().
  void written(size_t bytes) noexcept;

private:
  std::unique_ptr<Descriptors> first_;
  Descriptors *last_ = nullptr;
  size_t size_ = 0, count_ = 0;
  size_t distance_ = 0; // sum of all
};

} // namespace gipc
