// Datagrams between processes of one machine, as sd_notify(3) sends them.
#include "os_common.h"

#include "sys.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/socket.h>

namespace gipc::os {

ssize_t receive_datagram(int socket, void *data, size_t size,
                         Datagram &out) noexcept {
#ifdef MSG_CMSG_CLOEXEC
  constexpr int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
#else
  constexpr int flags = MSG_DONTWAIT;
#endif
  // Room for the sender, and for as many descriptors as can be sent.
  alignas(cmsghdr) char
      control[CMSG_SPACE(64) + CMSG_SPACE(most_sent * sizeof(int))];
  iovec part{data, size};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  out.has_sender = false;
  out.fd_count = 0;
  ssize_t got =
      sys::retry("recvmsg", [&] { return ::recvmsg(socket, &header, flags); });
  if (got < 0)
    return got;
  out.is_cut = (header.msg_flags & MSG_TRUNC) != 0;
  for (cmsghdr *one = CMSG_FIRSTHDR(&header); one != nullptr;
       one = CMSG_NXTHDR(&header, one)) {
    if (one->cmsg_level != SOL_SOCKET)
      continue;
    size_t bytes = one->cmsg_len - CMSG_LEN(0);
    if (one->cmsg_type == SCM_RIGHTS) {
      std::memcpy(out.fds, CMSG_DATA(one), bytes);
      out.fd_count = static_cast<int>(bytes / sizeof(int));
    }
#ifdef SCM_CREDENTIALS
    ucred sender;
    if (one->cmsg_type == SCM_CREDENTIALS && bytes == sizeof sender) {
      std::memcpy(&sender, CMSG_DATA(one), sizeof sender);
      out.has_sender = true;
      out.pid = sender.pid;
      out.uid = sender.uid;
    }
#endif
  }
  return got;
}

int local_address(const char *text, sockaddr_un &out,
                  socklen_t &size) noexcept {
  constexpr size_t start = offsetof(sockaddr_un, sun_path);
  size_t length = std::strlen(text);
  if (text[0] != '@' && text[0] != '/')
    return -EAFNOSUPPORT;
  // The end of a path is marked.
  if (length + (text[0] == '/') > sizeof out.sun_path)
    return -ENAMETOOLONG;
  out = sockaddr_un{};
  out.sun_family = AF_UNIX;
  std::memcpy(out.sun_path, text, length);
  if (text[0] == '@')
    out.sun_path[0] = '\0';
  size = static_cast<socklen_t>(start + length + (text[0] == '/'));
  return 0;
}

int send_datagram(int socket, const char *address, const void *data,
                  size_t size, bool waits) {
  sockaddr_un to;
  socklen_t to_size;
  if (int error = local_address(address, to, to_size))
    return error;
  const auto *to_address = reinterpret_cast<const sockaddr *>(&to);
  ssize_t sent =
      waits ? sys::retry_cancellable("sendto",
                                     [&] {
                                       return ::sendto(socket, data, size, 0,
                                                       to_address, to_size);
                                     })
            : sys::retry("sendto", [&] {
                return ::sendto(socket, data, size, MSG_DONTWAIT, to_address,
                                to_size);
              });
  return sent < 0 ? static_cast<int>(sent) : 0;
}

} // namespace gipc::os
