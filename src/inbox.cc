// Received bytes and the messages in them.
#include "inbox.h"

#include "frame.h"
#include "gipc.h"

#include <algorithm>
#include <cstring>

namespace gipc {

bool Inbox::is_part_of_control(size_t at) const noexcept {
  if (!expects_control_)
    return false;
  unsigned char whole[frame::control_size];
  frame::encode_ring(whole);
  size_t size = end_ - at;
  return size > 0 && size < sizeof whole &&
         std::memcmp(ahead_.data() + at, whole, size) == 0;
}

int Inbox::cut_control(const unsigned char *&behind, size_t &size) noexcept {
  if (broken_ != 0 || (assembly_.active() && !assembly_.complete()))
    return 0;
  size_t at = begin_;
  uint64_t payload = 0;
  for (;;) {
    int header = frame::decode(ahead_.data() + at, end_ - at, &payload);
    if (header < 0)
      break;
    if (payload > end_ - at - static_cast<size_t>(header))
      return 0;
    at += static_cast<size_t>(header) + static_cast<size_t>(payload);
  }
  const unsigned char *data = ahead_.data() + at;
  if (end_ - at < frame::control_size || frame::load32(data) != frame::control)
    return 0;
  if (frame::load32(data + 4) != frame::control_ring ||
      frame::load32(data + 8) != 0)
    return GIPC_EPROTOCOL;
  behind = data + frame::control_size;
  size = end_ - at - frame::control_size;
  end_ = at;
  settle();
  return 1;
}

// Decodes the header at begin_: returns its size and stores the payload's.
int Inbox::open_frame(size_t limit, uint64_t &size) noexcept {
  if (broken_ != 0)
    return broken_;
  int header = frame::decode(ahead_.data() + begin_, end_ - begin_, &size);
  if (header == -EAGAIN || is_part_of_control(begin_))
    return -EAGAIN;
  if (header > 0 && size > limit)
    header = GIPC_ETOOBIG;
  // Without a valid header the following bytes cannot be interpreted.
  if (header < 0)
    fail_with(header);
  return header;
}

void Inbox::fail_with(int why) noexcept {
  broken_ = why;
  begin_ = end_ = 0;
  end_descriptors();
}

size_t Inbox::count_with_descriptors() const noexcept {
  size_t count = assembly_.active() && assembled_with_ != 0 ? 1 : 0;
  for (size_t at = begin_; at < end_ && broken_ == 0;) {
    count += frame::has_descriptors(ahead_.data() + at) ? 1 : 0;
    uint64_t size = 0;
    int header = frame::decode(ahead_.data() + at, end_ - at, &size);
    if (header < 0 || size > end_ - at - static_cast<size_t>(header))
      break;
    at += static_cast<size_t>(header) + static_cast<size_t>(size);
  }
  return count;
}

int Inbox::next_slow(size_t limit, View &out) noexcept {
  return descriptors_ != 0 ? after_descriptors : parse(limit, out);
}

// The result for a message that is returned.
int Inbox::returned(uint32_t descriptors) noexcept {
  ++messages_;
  descriptors_ = descriptors;
  settle();
  return descriptors != 0 ? with_descriptors : 0;
}

// Returns a whole message, or begins to assemble one apart.
int Inbox::parse(size_t limit, View &out) noexcept {
  if (!assembly_.active()) {
    uint64_t size = 0;
    int header = open_frame(limit, size);
    if (header < 0)
      return header;
    size_t there = end_ - begin_ - static_cast<size_t>(header);
    uint32_t descriptors = frame::attached(ahead_.data() + begin_);
    if (size <= there) {
      out = {ahead_.data() + begin_ + header, static_cast<size_t>(size)};
      begin_ += static_cast<size_t>(header) + out.size;
      return returned(descriptors);
    }
    if (size <= (direct_ ? apart_direct : apart))
      return -EAGAIN;
    assembled_with_ = descriptors;
    begin_ += static_cast<size_t>(header);
    if (int error = assemble(static_cast<size_t>(size))) {
      begin_ -= static_cast<size_t>(header);
      return error;
    }
  }
  if (!assembly_.complete())
    return -EAGAIN;
  out = {assembly_.data(), assembly_.size()};
  assembly_.end();
  after_large_ = true;
  return returned(assembled_with_);
}

// Begins to assemble a message of this size, with the bytes received of it.
int Inbox::assemble(size_t size) noexcept {
  if (int error = assembly_.begin(size, ahead_.data() + begin_, end_ - begin_,
                                  read_ahead))
    return error;
  begin_ = end_ = 0;
  settle();
  return 0;
}

int Inbox::next_size(size_t limit, size_t &size) noexcept {
  if (assembly_.active()) {
    size = assembly_.size();
    return 0;
  }
  uint64_t wire = 0;
  int header = open_frame(limit, wire);
  if (header < 0)
    return header;
  size = static_cast<size_t>(wire);
  return 0;
}

int Inbox::next_into(size_t limit, void *buffer, size_t capacity,
                     size_t &size) noexcept {
  direct_ = true;
  size_t needed = 0;
  if (int error = next_size(limit, needed))
    return error;
  if (needed > capacity)
    return GIPC_ETOOBIG;
  View view;
  int error = next(limit, view);
  if (error == 0 || error == with_descriptors) {
    if (view.data != buffer && view.size > 0)
      std::memcpy(buffer, view.data, view.size);
    size = view.size;
    return error;
  }
  if (error == -EAGAIN && assembly_.active() && borrowed() == nullptr)
    assembly_.borrow(buffer);
  return error;
}

// Replaces a buffer that receiving ahead made large by one of the usual size.
void Inbox::shrink(size_t kept) noexcept {
  Buffer smaller;
  if (smaller.reserve(read_ahead) != 0)
    return; // the large buffer stays
  std::memcpy(smaller.data(), ahead_.data() + begin_, kept);
  ahead_ = std::move(smaller);
  begin_ = 0;
  end_ = kept;
}

// Makes room behind end_ for the next read, in a buffer that fits the traffic.
int Inbox::make_room() noexcept {
  const size_t room = growth_.room;
  size_t kept = end_ - begin_;
  if (kept == 0) {
    begin_ = end_ = 0;
    // Nothing has to be copied.
    if (ahead_.capacity() != room)
      ahead_.release();
    return ahead_.reserve(room);
  }
  if (ahead_.capacity() > read_ahead && kept <= read_ahead / 2)
    shrink(kept);
  size_t capacity = ahead_.capacity();
  if (capacity - end_ >= room / 2)
    return 0;
  // Move only if at least as many bytes were returned to the caller as are
  // moved, so that moving adds a constant cost per byte.
  if (begin_ >= kept) {
    std::memmove(ahead_.data(), ahead_.data() + begin_, kept);
    begin_ = 0;
    end_ = kept;
    if (capacity - end_ >= room / 2)
      return 0;
  }
  // A buffer that is not full is filled by the next read before it grows.
  bool full = end_ == capacity;
  if (!full && capacity >= room)
    return 0;
  size_t wanted =
      end_ + room / 2 <= room ? room : end_ + std::max(room, kept / 2);
  int error = ahead_.reserve(wanted);
  return full ? error : 0;
}

int Inbox::prepare(iovec (&areas)[2], size_t most) noexcept {
  starved_ = true;
  if (begin_ == end_ && ahead_.capacity() == growth_.room)
    begin_ = end_ = 0;
  else if (int error = make_room())
    return error;
  settle();
  if (assembly_.active() && !assembly_.complete()) {
    if (int error = assembly_.prepare(areas[0], most, read_ahead))
      return error;
    size_t in_message = areas[0].iov_len;
    size_t behind = in_message == assembly_.missing()
                        ? std::min(past_now(), most - in_message)
                        : 0;
    areas[1] = {ahead_.data(), behind};
    growth_.offered = in_message + behind;
    growth_.grows = starved_ = false;
    return behind > 0 ? 2 : 1;
  }
  bool grows = !after_large_ || end_ > 0;
  size_t room = grows ? ahead_.capacity() - end_ : past_now();
  growth_.offered = std::min(room, most);
  growth_.grows = grows && growth_.offered == room;
  areas[0] = {ahead_.data() + end_, growth_.offered};
  after_large_ = starved_ = false;
  return 1;
}

void Inbox::commit(size_t size) noexcept {
  growth_.filled = size == growth_.offered;
  growth_.since_idle += size;
  if (growth_.filled && growth_.grows)
    growth_.room = std::min(4 * growth_.room, read_ahead);
  // A reader that waits in the kernel never calls note_idle(), so small reads
  // in a row shrink the buffer, too.
  if (assembly_.active() || size > growth_.room / 4) {
    growth_.small = 0;
  } else if (++growth_.small > 64) {
    growth_.small = 0;
    growth_.room = std::max(least, growth_.room / 4);
    assembly_.release();
  }
  end_ += assembly_.commit(size);
  settle();
}

void Inbox::release_memory() noexcept {
  if (growth_.since_idle <= growth_.room / 4)
    growth_.room = std::max(least, growth_.room / 4);
  begin_ = end_ = 0;
  settle();
  if (ahead_.capacity() > least)
    ahead_.release();
  // A second read in a row that would block does not begin a new idle time.
  if (growth_.since_idle > 0)
    assembly_.note_idle();
  assembly_.forget_use();
  growth_.since_idle = 0;
}

bool Inbox::whole() const noexcept {
  if (assembly_.active() && !assembly_.complete())
    return false;
  for (size_t at = begin_; at < end_;) {
    uint64_t size = 0;
    int header = frame::decode(ahead_.data() + at, end_ - at, &size);
    // Without the rest of the control frame, the stream has ended before it.
    if (header < 0 && is_part_of_control(at))
      return true;
    if (header < 0 || size > end_ - at - static_cast<size_t>(header))
      return false;
    at += static_cast<size_t>(header) + static_cast<size_t>(size);
  }
  return true;
}

bool Inbox::ready(size_t limit) noexcept {
  if (assembly_.active())
    return assembly_.complete();
  uint64_t size = 0;
  int header = open_frame(limit, size);
  return header != -EAGAIN &&
         (header < 0 || size <= end_ - begin_ - static_cast<size_t>(header));
}

size_t Inbox::wanted(size_t limit, size_t bound) noexcept {
  // Without memory nothing can be received, and a caller that waited for
  // readability would be woken again and again.
  if (starved_)
    return 0;
  size_t held = bytes();
  size_t left = bound > held ? bound - held : 0;
  if (!assembly_.active()) {
    uint64_t size = 0;
    int header = open_frame(limit, size);
    if (header == -EAGAIN)
      return std::max(left, frame::longest_header - held);
    if (header < 0)
      return 0;
    size_t there = held - static_cast<size_t>(header);
    if (size <= there)
      return left;
    // The message is not whole, so this does not remove it.  A long one is
    // assembled apart from now on, which makes room for more of it.
    View none;
    if (parse(limit, none) != -EAGAIN)
      return 0;
    if (!assembly_.active())
      return std::max(left, static_cast<size_t>(size) - there);
  }
  return std::max(left, assembly_.missing());
}

bool Inbox::contains(const void *data) const noexcept {
  auto within = [&](const Buffer &buffer) {
    auto *byte = static_cast<const unsigned char *>(data);
    return buffer.capacity() > 0 && byte >= buffer.data() &&
           byte < buffer.data() + buffer.capacity();
  };
  return within(ahead_) || within(assembly_.own());
}

size_t Inbox::bytes() const noexcept {
  return end_ - begin_ + assembly_.filled();
}

size_t Inbox::seen_bytes() const noexcept {
  size_t begin = begin_.seen(), end = end_.seen();
  return (end > begin ? end - begin : 0) + assembly_.seen_filled();
}

} // namespace gipc
