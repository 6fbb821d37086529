// Linux: the address of a socket for sd_notify(3) has no file.
#include "os.h"

#include "sys.h"

#include <cstddef>
#include <cstring>
#include <sys/socket.h>

namespace gipc::os {

int datagram_socket(Fd &out) noexcept {
  int fd = sys::retry_int(
      "socket", [] { return ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); });
  if (fd < 0)
    return fd;
  out.reset(fd);
  return sys::above_stdio(out);
}

// Every process of the machine can send to such a name: who did comes with each
// datagram.
int bind_notify(int socket, NotifyAddress &out) noexcept {
  int on = 1;
  int error = sys::retry_int("setsockopt", [&] {
    return ::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  });
  if (error != 0)
    return error;
  constexpr size_t start = offsetof(sockaddr_un, sun_path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto *general = reinterpret_cast<sockaddr *>(&address);
  // Without a name, the kernel chooses one (unix(7), autobind).
  error =
      sys::retry_int("bind", [&] { return ::bind(socket, general, start); });
  if (error != 0)
    return error;
  socklen_t size = sizeof address;
  error = sys::retry_int("getsockname",
                         [&] { return ::getsockname(socket, general, &size); });
  if (error != 0)
    return error;
  out = NotifyAddress{};
  std::memcpy(out.text, address.sun_path, size - start);
  out.text[0] = '@';
  return 0;
}

void unbind_notify(const NotifyAddress &) noexcept {}

} // namespace gipc::os
