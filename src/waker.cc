// Wakes another thread from poll(2), from any thread or signal handler.
#include "waker.h"

#include "os.h"
#include "sys.h"

namespace gipc {

int Waker::open() noexcept {
  registry::Lock hold;
  Fd reader, writer;
  int error = os::socket_pair(reader, writer);
  if (error == 0) {
    reader_ = std::move(reader);
    writer_ = std::move(writer);
  }
  return error;
}

int Waker::wake() noexcept {
  if (due_.exchange(true))
    return 0;
  ssize_t sent = sys::send(writer_.get(), "", 1, MSG_DONTWAIT);
  if (sent > 0)
    return 0;
  due_.store(false); // the next wake() tries again
  return static_cast<int>(sent);
}

bool Waker::consume() noexcept {
  // The bytes are read first: a wake() after that still finds the flag set, and
  // this call reports it.  A wake() that has set the flag and not yet sent adds
  // a byte later, which ends the next poll once spuriously.
  char bytes[16];
  while (sys::recv(reader_.get(), bytes, sizeof bytes, MSG_DONTWAIT) ==
         sizeof bytes) {
  }
  return due_.exchange(false);
}

void Waker::forget() noexcept {
  reader_.forget();
  writer_.forget();
}

} // namespace gipc
