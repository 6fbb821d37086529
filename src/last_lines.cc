// The last lines that a process of a pool or a keeper wrote to its stderr.
#include "last_lines.h"

#include "sys.h"

#include <algorithm>
#include <cstring>

namespace gipc {

namespace {

// As much as a pipe has by default.
constexpr size_t piece = 64 * 1024;
// The largest pipe that a process may make without privileges is 1 MiB.
constexpr int most_pieces = 16;

} // namespace

const HandleWatch::Events LastLines::watch_events = {
    [](void *self) noexcept { static_cast<LastLines *>(self)->read_some(); },
    nullptr,
    nullptr,
    nullptr,
    [](void *self) noexcept { static_cast<LastLines *>(self)->stop(); },
};

void LastLines::start(struct ev_loop *loop, Fd &&pipe) {
  watch_.emplace(loop, pipe.get(), -1, watch_events, this);
  pipe_ = std::move(pipe);
  watch_->want_read(true);
}

void LastLines::finish() noexcept {
  for (int left = most_pieces; pipe_ && left > 0; --left) {
    pollfd ready = {pipe_.get(), POLLIN, 0};
    if (sys::poll(&ready, 1, 0) <= 0)
      break;
    read_some();
  }
  stop();
}

void LastLines::stop() noexcept {
  watch_.reset();
  pipe_.reset();
}

void LastLines::forget() noexcept {
  if (watch_)
    watch_->forget();
  pipe_.forget(); // closed there, perhaps
}

// Called when the pipe is readable, so it does not block.
void LastLines::read_some() noexcept {
  char data[piece];
  const iovec part = {data, sizeof data};
  ssize_t size = sys::readv(pipe_.get(), &part, 1);
  if (size > 0)
    keep(data, static_cast<size_t>(size));
  else
    stop();
}

void LastLines::keep(const char *data, size_t size) noexcept {
  size_t old = std::min(size_, size < most_ ? most_ - size : 0);
  size_t added = std::min(size, most_);
  is_cut_ |= old < size_ || added < size;
  std::memmove(kept_, kept_ + size_ - old, old);
  std::memcpy(kept_ + old, data + size - added, added);
  size_ = old + added;
}

gipc_text LastLines::text() const noexcept {
  const char *begin = kept_, *end = kept_ + size_;
  if (is_cut_) {
    const char *line = std::find(begin, end, '\n');
    if (end - line > 1)
      begin = line + 1;
  }
  return {begin, static_cast<size_t>(end - begin)};
}

} // namespace gipc
