// Any datagrams on the socket of a keeper, with descriptors or without: what
// sd_notify(3) defines is understood, the rest is ignored, and no descriptor is
// left. (H58)
#include "gipc.h"
#include "notify.h"
#include "support.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

using namespace gipc;

namespace {

// What the lines of a datagram mean, by their text.
int expected(const std::string &text) {
  int mask = 0;
  std::string lines = "\n" + text + "\n";
  // An empty line separates, too.
  auto has = [&](const char *line) {
    return lines.find(std::string("\n") + line + "\n") != std::string::npos;
  };
  mask |= has("READY=1") ? GIPC_NOTIFY_READY : 0;
  mask |= has("WATCHDOG=1") ? GIPC_NOTIFY_ALIVE : 0;
  mask |= has("STOPPING=1") ? GIPC_NOTIFY_STOPPING : 0;
  return mask;
}

sockaddr_un address_of(const notify::Socket &socket, socklen_t &size) {
  sockaddr_un address{};
  size = sizeof address;
  require(getsockname(socket.fd(), reinterpret_cast<sockaddr *>(&address),
                      &size) == 0);
  return address;
}

// What is left after it was sent: 0, or an error.
int send(int from, const notify::Socket &to, const std::string &text,
         size_t fd_count) {
  socklen_t size;
  sockaddr_un address = address_of(to, size);
  std::vector<int> fds(fd_count, STDERR_FILENO);
  alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = {};
  iovec part{const_cast<char *>(text.data()), text.size()};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = size;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd_count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fd_count * sizeof(int));
  }
  return sendmsg(from, &header, MSG_DONTWAIT) >= 0 ? 0 : -errno;
}

std::string text_of(Input &input) {
  static const char *const words[] = {
      "READY=1", "WATCHDOG=1", "STOPPING=1", "\n",       "STATUS=x",
      "READY=",  "READY=1 ",   "=",          "BARRIER=1"};
  constexpr size_t most = 9;
  std::string text;
  for (size_t count = input.below(8); count > 0; --count) {
    size_t word = input.below(most + 3);
    Input bytes =
        word < most ? Input{nullptr, 0} : input.take(1 + input.below(9));
    if (word < most)
      text += words[word];
    else
      text.append(reinterpret_cast<const char *>(bytes.data), bytes.size);
    if (input.below(2) == 0)
      text += '\n';
  }
  // Around what is accepted.
  if (input.below(16) == 15)
    text.resize(4090 + input.below(12), '\n');
  return text;
}

} // namespace

extern "C" size_t cost_of_input() { return 8; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  constexpr size_t most = 4096; // of systemd
  size_t before = count_descriptors();
  {
    Input input{data, size};
    std::unique_ptr<notify::Socket> socket;
    require(notify::Socket::create(socket) == 0);
    int from = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(from >= 0);
    for (int count = 0; !input.at_end() && count < 20; ++count) {
      std::string text = text_of(input);
      size_t fds = input.below(4) == 0 ? input.below(254) : 0;
      if (send(from, *socket, text, fds) != 0)
        continue;
      int mask = socket->receive(getpid());
      require(mask == (text.size() <= most ? expected(text) : 0));
      require(socket->receive(getpid()) == -EAGAIN);
    }
    require(close(from) == 0);
  }
  require(count_descriptors() == before);
  return 0;
}
