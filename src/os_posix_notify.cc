// POSIX: the address of a socket for sd_notify(3) is a path that only this user
// can reach.
#include "os_common.h"

#include "sys.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

namespace gipc::os {

namespace {

constexpr char name[] = "/notify";

void remove_folder(const char *folder) noexcept {
  (void)sys::retry_int("rmdir", [&] { return ::rmdir(folder); });
}

// Makes a new folder, mode 0700.
int make_folder(NotifyAddress &out) noexcept {
  const char *parent = secure_getenv("TMPDIR");
  constexpr char pattern[] = "/gipc-XXXXXX";
  if (parent == nullptr || parent[0] != '/' ||
      std::strlen(parent) + sizeof pattern + sizeof name > sizeof out.text)
    parent = "/tmp";
  std::snprintf(out.text, sizeof out.text, "%s%s", parent, pattern);
  return sys::retry_int(
      "mkdtemp", [&] { return ::mkdtemp(out.text) != nullptr ? 0 : -1; });
}

} // namespace

int datagram_socket(Fd &out) noexcept {
  int fd =
      sys::retry_int("socket", [] { return ::socket(AF_UNIX, SOCK_DGRAM, 0); });
  if (fd < 0)
    return fd;
  out.reset(fd);
  int error = sys::set_cloexec(fd, true);
  return error != 0 ? error : sys::above_stdio(out);
}

int bind_notify(int socket, NotifyAddress &out) noexcept {
  NotifyAddress made{};
  if (int error = make_folder(made))
    return error;
  size_t folder = std::strlen(made.text);
  std::memcpy(made.text + folder, name, sizeof name);
  sockaddr_un address;
  socklen_t size;
  int error = local_address(made.text, address, size);
  if (error == 0)
    error = sys::retry_int("bind", [&] {
      return ::bind(socket, reinterpret_cast<sockaddr *>(&address), size);
    });
  if (error == 0) {
    out = made;
  } else {
    made.text[folder] = '\0';
    remove_folder(made.text);
  }
  return error;
}

void unbind_notify(const NotifyAddress &address) noexcept {
  NotifyAddress copy = address;
  (void)sys::retry_int("unlink", [&] { return ::unlink(copy.text); });
  *std::strrchr(copy.text, '/') = '\0';
  remove_folder(copy.text);
}

} // namespace gipc::os
