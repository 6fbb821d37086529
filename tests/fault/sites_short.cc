// Transfers of streams that move less than was asked for, as a kernel may: the
// C library's calls stand here in front of the real ones.
#include "sites.h"

#include <algorithm>
#include <cstdarg>
#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

namespace {

long (*real)(long number,
             ...) = reinterpret_cast<long (*)(long, ...)>(dlsym(RTLD_NEXT,
                                                                "syscall"));

// A packet is never cut.
bool is_stream(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  int saved = errno;
  bool is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  errno = saved;
  return !is_socket || type == SOCK_STREAM;
}

// How many of these bytes are moved.  A socket has room for some hundred sends
// of any size, so that large ones are halved.
size_t cut(const char *name, int fd, size_t size) {
  const sites::Shared *shared = sites::shared;
  if (shared == nullptr || !shared->on || shared->kind != sites::a_transfer ||
      size < 2 || !is_stream(fd))
    return size;
  if (shared->cut != 0) {
    bool sends = *name == 's' || *name == 'w' || name[1] == 'w';
    return !sends                ? std::min(size, shared->cut)
           : !shared->cuts_sends ? size
           : size > 64           ? size / 2
                                 : std::min(size, shared->cut);
  }
  int which = sites::failure_of(sites::a_transfer, name);
  return which == 0 ? size : which == 1 ? 1 : size / 2;
}

struct Parts {
  static constexpr int most = 64;
  iovec parts[most];
  int count = 0;

  Parts(const char *name, int fd, const iovec *from, size_t number) {
    size_t left = 0;
    for (size_t i = 0; i < number; ++i)
      left += from[i].iov_len;
    left = cut(name, fd, left);
    for (size_t i = 0; i < number && count < most && (left > 0 || i == 0);
         ++i) {
      parts[count] = from[i];
      parts[count].iov_len = std::min(from[i].iov_len, left);
      left -= parts[count++].iov_len;
    }
  }
};

struct Header {
  Header(const char *name, int fd, const msghdr *from)
      : parts(name, fd, from->msg_iov, from->msg_iovlen), to(*from) {
    to.msg_iov = parts.parts;
    to.msg_iovlen = static_cast<decltype(to.msg_iovlen)>(parts.count);
  }
  Parts parts;
  msghdr to;
};

ssize_t receive(int fd, msghdr *header, int flags) {
  Header cut("recvmsg", fd, header);
  ssize_t result = real(SYS_recvmsg, fd, &cut.to, flags);
  header->msg_namelen = cut.to.msg_namelen;
  header->msg_controllen = cut.to.msg_controllen;
  header->msg_flags = cut.to.msg_flags;
  return result;
}

ssize_t send_parts(int fd, const msghdr *header, int flags) {
  Header cut("sendmsg", fd, header);
  return real(SYS_sendmsg, fd, &cut.to, flags);
}

} // namespace

extern "C" {

ssize_t recv(int fd, void *data, size_t size, int flags) {
  return real(SYS_recvfrom, fd, data, cut("recv", fd, size), flags, nullptr,
              nullptr);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  return real(SYS_sendto, fd, data, cut("send", fd, size), flags, nullptr, 0);
}

ssize_t recvmsg(int fd, msghdr *header, int flags) {
  return receive(fd, header, flags);
}

ssize_t sendmsg(int fd, const msghdr *header, int flags) {
  return send_parts(fd, header, flags);
}

int recvmmsg(int fd, mmsghdr *header, unsigned, int flags, timespec *) {
  ssize_t size = receive(fd, &header->msg_hdr, flags);
  if (size < 0)
    return -1;
  header->msg_len = static_cast<unsigned>(size);
  return 1;
}

int sendmmsg(int fd, mmsghdr *header, unsigned, int flags) {
  ssize_t size = send_parts(fd, &header->msg_hdr, flags);
  if (size < 0)
    return -1;
  header->msg_len = static_cast<unsigned>(size);
  return 1;
}

ssize_t readv(int fd, const iovec *parts, int count) {
  Parts cut("readv", fd, parts, static_cast<size_t>(count));
  return real(SYS_readv, fd, cut.parts, cut.count);
}

ssize_t writev(int fd, const iovec *parts, int count) {
  Parts cut("writev", fd, parts, static_cast<size_t>(count));
  return real(SYS_writev, fd, cut.parts, cut.count);
}

ssize_t preadv64v2(int fd, const iovec *parts, int count, off64_t, int flags) {
  Parts cut("preadv2", fd, parts, static_cast<size_t>(count));
  return real(SYS_preadv2, fd, cut.parts, cut.count, -1l, -1l, flags);
}

ssize_t pwritev64v2(int fd, const iovec *parts, int count, off64_t, int flags) {
  Parts cut("pwritev2", fd, parts, static_cast<size_t>(count));
  return real(SYS_pwritev2, fd, cut.parts, cut.count, -1l, -1l, flags);
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long &argument : a)
    argument = va_arg(list, long);
  va_end(list);
  int fd = static_cast<int>(a[0]), flags = static_cast<int>(a[2]);
  if (number == SYS_recvfrom)
    a[2] = static_cast<long>(cut("recv", fd, static_cast<size_t>(a[2])));
  else if (number == SYS_sendto)
    a[2] = static_cast<long>(cut("send", fd, static_cast<size_t>(a[2])));
  else if (number == SYS_recvmsg)
    return receive(fd, reinterpret_cast<msghdr *>(a[1]), flags);
  else if (number == SYS_sendmsg)
    return send_parts(fd, reinterpret_cast<const msghdr *>(a[1]), flags);
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

} // extern "C"
