// What ends another thread's poll(2), from any thread or signal handler.
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

bool Waker::take() noexcept {
  // The bytes go first: a wake() that comes after them still finds the flag
  // set, and this call answers it.  One that has set the flag and not yet sent
  // leaves a byte behind, for which the next poll ends once for nothing.
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
