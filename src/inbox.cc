// Received bytes and the messages in them.
#include "inbox.h"

#include "frame.h"
#include "gipc.h"

#include <algorithm>
#include <cstring>

namespace gipc {

// The header at begin_: its size and *size.
int Inbox::open_frame(size_t limit, uint64_t &size) noexcept {
  if (broken_ != 0)
    return broken_;
  int header = frame::decode(ahead_.data() + begin_, end_ - begin_, &size);
  if (header == -EAGAIN)
    return header;
  if (header > 0 && size > limit)
    header = GIPC_ETOOBIG;
  if (header < 0) {
    // What follows means nothing any more.
    broken_ = header;
    begin_ = end_ = 0;
    settle();
  }
  return header;
}

// A whole message in the read-ahead, or the beginning of one apart from it.
int Inbox::next_slow(size_t limit, View &out) noexcept {
  if (!assembling_) {
    uint64_t size = 0;
    int header = open_frame(limit, size);
    if (header < 0)
      return header;
    size_t there = end_ - begin_ - static_cast<size_t>(header);
    if (size <= there) {
      out = {ahead_.data() + begin_ + header, static_cast<size_t>(size)};
      begin_ += static_cast<size_t>(header) + out.size;
      ++messages_;
      return 0;
    }
    if (size <= (direct_ ? apart_direct : apart))
      return -EAGAIN;
    begin_ += static_cast<size_t>(header);
    if (int error = assemble(static_cast<size_t>(size))) {
      begin_ -= static_cast<size_t>(header);
      return error;
    }
  }
  if (filled_ < size_)
    return -EAGAIN;
  out = {target(), size_};
  into_ = nullptr;
  assembling_ = false;
  after_large_ = true;
  settle();
  ++messages_;
  return 0;
}

// Begins a message of this size apart, with what has arrived of it.
int Inbox::assemble(size_t size) noexcept {
  size_t there = end_ - begin_;
  if (int error = apart_.reserve(std::max(there, std::min(size, read_ahead))))
    return error;
  // There may be none, and then no memory either.
  if (there > 0)
    std::memcpy(apart_.data(), ahead_.data() + begin_, there);
  begin_ = end_ = 0;
  size_ = size;
  filled_ = there;
  assembling_ = true;
  settle();
  apart_used_ = true;
  return 0;
}

int Inbox::next_size(size_t limit, size_t &size) noexcept {
  if (assembling_) {
    size = size_;
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
  if (error == 0) {
    if (view.data != buffer && view.size > 0)
      std::memcpy(buffer, view.data, view.size);
    size = view.size;
    return 0;
  }
  if (error == -EAGAIN && assembling_ && into_ == nullptr) {
    if (filled_ > 0)
      std::memcpy(buffer, apart_.data(), filled_);
    into_ = static_cast<unsigned char *>(buffer);
  }
  return error;
}

int Inbox::give_back() noexcept {
  if (into_ == nullptr)
    return 0;
  if (int error = apart_.reserve(filled_))
    return error;
  if (filled_ > 0)
    std::memcpy(apart_.data(), into_, filled_);
  into_ = nullptr;
  return 0;
}

// What receiving ahead needed is over, but for the little that is kept.
void Inbox::shrink(size_t kept) noexcept {
  Buffer smaller;
  if (smaller.reserve(read_ahead) != 0)
    return; // then it stays as it is
  std::memcpy(smaller.data(), ahead_.data() + begin_, kept);
  ahead_ = std::move(smaller);
  begin_ = 0;
  end_ = kept;
}

// Room behind end_ for the next read, in a buffer that fits the traffic.
int Inbox::make_room() noexcept {
  size_t kept = end_ - begin_;
  if (kept == 0) {
    begin_ = end_ = 0;
    // Nothing has to be copied.
    if (ahead_.capacity() != room_)
      ahead_.release();
    return ahead_.reserve(room_);
  }
  if (ahead_.capacity() > read_ahead && kept <= read_ahead / 2)
    shrink(kept);
  size_t capacity = ahead_.capacity();
  if (capacity - end_ >= room_ / 2)
    return 0;
  // Moving costs at most as much as the bytes that were taken have cost.
  if (begin_ >= kept) {
    std::memmove(ahead_.data(), ahead_.data() + begin_, kept);
    begin_ = 0;
    end_ = kept;
    if (capacity - end_ >= room_ / 2)
      return 0;
  }
  // A full buffer only: a read that fills it comes first.
  bool full = end_ == capacity;
  if (!full && capacity >= room_)
    return 0;
  size_t wanted =
      end_ + room_ / 2 <= room_ ? room_ : end_ + std::max(room_, kept / 2);
  int error = ahead_.reserve(wanted);
  return full ? error : 0;
}

int Inbox::prepare(iovec (&areas)[2], size_t most) noexcept {
  starved_ = true;
  if (begin_ == end_ && ahead_.capacity() == room_)
    begin_ = end_ = 0;
  else if (int error = make_room())
    return error;
  settle();
  if (assembling_ && filled_ < size_) {
    // The memory grows with the bytes that arrive, never to the size that the
    // header claims, which may be a lie.
    size_t room = into_ != nullptr ? size_ : apart_.capacity();
    if (room <= filled_) {
      room = std::min(size_, 2 * filled_ + read_ahead);
      if (int error = apart_.reserve(room))
        return error;
    }
    size_t rest = std::min(std::min(room, size_) - filled_, most);
    areas[0] = {target() + filled_, rest};
    size_t behind =
        filled_ + rest == size_ ? std::min(past_now(), most - rest) : 0;
    areas[1] = {ahead_.data(), behind};
    offered_ = rest + behind;
    grows_ = starved_ = false;
    return behind > 0 ? 2 : 1;
  }
  grows_ = !after_large_ || end_ > 0;
  size_t room = grows_ ? ahead_.capacity() - end_ : past_now();
  offered_ = std::min(room, most);
  grows_ = grows_ && offered_ == room;
  areas[0] = {ahead_.data() + end_, offered_};
  after_large_ = starved_ = false;
  return 1;
}

void Inbox::commit(size_t size) noexcept {
  full_ = size == offered_;
  since_rest_ += size;
  if (full_ && grows_)
    room_ = std::min(4 * room_, read_ahead);
  // A reader that waits in the kernel never learns that it is idle.
  if (assembling_ || size > room_ / 4) {
    small_reads_ = 0;
  } else if (++small_reads_ > 64) {
    small_reads_ = 0;
    room_ = std::max(least, room_ / 4);
    apart_.release();
  }
  if (assembling_ && filled_ < size_) {
    size_t mine = std::min(size, size_ - filled_);
    filled_ += mine;
    size -= mine;
  }
  end_ += size;
  settle();
}

void Inbox::give_back_memory() noexcept {
  if (since_rest_ <= room_ / 4)
    room_ = std::max(least, room_ / 4);
  begin_ = end_ = 0;
  settle();
  if (ahead_.capacity() > least)
    ahead_.release();
  // A read that found nothing once more is no new idle time.
  if (since_rest_ > 0 && !apart_habit_.keeps(apart_used_))
    apart_.release();
  apart_used_ = false;
  since_rest_ = 0;
}

bool Inbox::whole() const noexcept {
  if (assembling_ && filled_ < size_)
    return false;
  for (size_t at = begin_; at < end_;) {
    uint64_t size = 0;
    int header = frame::decode(ahead_.data() + at, end_ - at, &size);
    if (header < 0 || size > end_ - at - static_cast<size_t>(header))
      return false;
    at += static_cast<size_t>(header) + static_cast<size_t>(size);
  }
  return true;
}

bool Inbox::ready(size_t limit) noexcept {
  if (assembling_)
    return filled_ == size_;
  uint64_t size = 0;
  int header = open_frame(limit, size);
  return header != -EAGAIN &&
         (header < 0 || size <= end_ - begin_ - static_cast<size_t>(header));
}

size_t Inbox::wanted(size_t limit, size_t bound) noexcept {
  // Who waits would be told of what arrives again and again.
  if (starved_)
    return 0;
  size_t held = bytes();
  size_t left = bound > held ? bound - held : 0;
  if (!assembling_) {
    uint64_t size = 0;
    int header = open_frame(limit, size);
    if (header == -EAGAIN)
      return std::max(left, frame::long_header - held);
    if (header < 0)
      return 0;
    size_t there = held - static_cast<size_t>(header);
    if (size <= there)
      return left;
    // This takes nothing; but a long message is apart from here on, and there
    // is room for more of it.
    View none;
    if (next_slow(limit, none) != -EAGAIN)
      return 0;
    if (!assembling_)
      return std::max(left, static_cast<size_t>(size) - there);
  }
  return std::max(left, size_ - filled_);
}

bool Inbox::lends(const void *data) const noexcept {
  auto within = [&](const Buffer &buffer) {
    auto *byte = static_cast<const unsigned char *>(data);
    return buffer.capacity() > 0 && byte >= buffer.data() &&
           byte < buffer.data() + buffer.capacity();
  };
  return within(ahead_) || within(apart_);
}

size_t Inbox::bytes() const noexcept {
  return end_ - begin_ + (assembling_ ? filled_ : 0);
}

} // namespace gipc
