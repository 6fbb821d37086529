// extern "C": readiness.  Check, guard, forward.
#include "capi.h"

#include "notify.h"

using namespace gipc;

namespace {

notify::Socket *unwrap(gipc_notify_socket *s) {
  return reinterpret_cast<notify::Socket *>(s);
}
const notify::Socket *unwrap(const gipc_notify_socket *s) {
  return reinterpret_cast<const notify::Socket *>(s);
}

} // namespace

int gipc_ready(void) {
  return guard([] { return notify::ready(); });
}

int gipc_alive(void) {
  return guard([] { return notify::alive(); });
}

int gipc_notify_socket_new(gipc_notify_socket **s) {
  if (s == nullptr)
    return -EINVAL;
  return guard([&] {
    std::unique_ptr<notify::Socket> made;
    int error = notify::Socket::create(made);
    if (error == 0)
      *s = reinterpret_cast<gipc_notify_socket *>(made.release());
    return error;
  });
}

const char *gipc_notify_socket_address(const gipc_notify_socket *s) {
  return s == nullptr ? nullptr : unwrap(s)->address();
}

int gipc_notify_socket_fd(const gipc_notify_socket *s) {
  return s == nullptr ? -EINVAL : unwrap(s)->fd();
}

int gipc_notify_socket_receive(gipc_notify_socket *s, pid_t process) {
  if (s == nullptr || process < 0)
    return -EINVAL;
  return guard([&] { return unwrap(s)->receive(process); });
}

void gipc_notify_socket_free(gipc_notify_socket *s) {
  (void)guard([&] {
    delete unwrap(s);
    return 0;
  });
}
