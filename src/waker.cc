// Wakes another thread from poll(2), from any thread or signal handler.
#include "waker.h"

#include "sys.h"

namespace gipc {

int Waker::open() noexcept { return registry::socket_pair(reader_, writer_); }

// Not left to the byte of another wake(), which may fail.
int Waker::wake() noexcept {
  ssize_t sent = sys::send(writer_.get(), "", 1, MSG_DONTWAIT);
  // Without space for it, the unread bytes are those of other wakes.
  if (sent < 0 && sent != -EAGAIN)
    return static_cast<int>(sent);
  due_.store(true);
  return 0;
}

bool Waker::consume() noexcept {
  // The flag is lowered first: that of a wake() meanwhile stays raised, also
  // if its byte is read here.
  due_.store(false);
  bool woken = false;
  char bytes[16];
  ssize_t size;
  do {
    size = sys::recv(reader_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    woken |= size > 0;
  } while (size == sizeof bytes);
  return woken;
}

void Waker::forget() noexcept {
  reader_.forget();
  writer_.forget();
}

} // namespace gipc
