// The socket between a parent and its function child.
#include "control.h"

#include "sys.h"

namespace gipc::control {

int open_gate(int parent_end) noexcept {
  char byte = 0;
  ssize_t size = sys::send(parent_end, &byte, 1, MSG_NOSIGNAL);
  return size < 0 ? static_cast<int>(size) : 0;
}

bool pass_gate(int child_end) noexcept {
  char byte;
  return sys::recv(child_end, &byte, 1, 0) == 1;
}

void send(int child_end, const Record &record) noexcept {
  (void)sys::send(child_end, &record, sizeof record,
                  MSG_NOSIGNAL | MSG_DONTWAIT);
}

int receive(int parent_end, Record *out, int count) noexcept {
  // A record is written at once and far smaller than a socket's buffer, so it
  // is there whole or not at all.
  ssize_t size = sys::recv(
      parent_end, out, sizeof *out * static_cast<size_t>(count), MSG_DONTWAIT);
  if (size == -EAGAIN)
    return -EAGAIN;
  return size > 0 ? static_cast<int>(size / static_cast<ssize_t>(sizeof *out))
                  : -EPIPE;
}

} // namespace gipc::control
