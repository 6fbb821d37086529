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
  small_reads_ = 0;
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

int Inbox::prepare(iovec (&areas)[2]) noexcept {
  if (int error = ahead_.reserve(read_ahead))
    return error;
  if (begin_ == end_)
    begin_ = end_ = 0;
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
    room = std::min(room, size_);
    areas[0] = {target() + filled_, room - filled_};
    areas[1] = {ahead_.data(), past_now()};
    return room == size_ ? 2 : 1;
  }
  // What is left of a partial frame moves to the front when the rest of the
  // frame, which is no longer than apart, might not fit behind it.
  if (begin_ > 0 && read_ahead - end_ < 2 * apart) {
    std::memmove(ahead_.data(), ahead_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    settle();
  }
  // A large buffer is kept while large messages come, because faulting fresh
  // pages in halves their rate, and given up when they have ceased.
  if (!assembling_ && apart_.capacity() > read_ahead && ++small_reads_ > 64)
    apart_.release();
  areas[0] = {ahead_.data() + end_,
              after_large_ && end_ == 0 ? past_now() : read_ahead - end_};
  after_large_ = false;
  return 1;
}

void Inbox::commit(size_t size) noexcept {
  if (assembling_ && filled_ < size_) {
    size_t mine = std::min(size, size_ - filled_);
    filled_ += mine;
    size -= mine;
  }
  end_ += size;
  settle();
}

bool Inbox::ready(size_t limit) noexcept {
  if (assembling_)
    return filled_ == size_;
  uint64_t size = 0;
  int header = open_frame(limit, size);
  return header != -EAGAIN &&
         (header < 0 || size <= end_ - begin_ - static_cast<size_t>(header));
}

bool Inbox::wants_more(size_t limit) noexcept {
  if (ready(limit))
    return false;
  // Not ready, so that this takes nothing; but a long message is apart from
  // here on, and there is room for more of it.
  View none;
  return assembling_ || next_slow(limit, none) == -EAGAIN;
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
