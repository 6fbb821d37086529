// Linux: single transfers, with and without waiting.
#include "os_common.h"

#include "sys.h"

#include <cerrno>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// Names that older kernel and C library headers lack.
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100 // Linux 6.18
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8 // Linux 4.14
#endif

namespace gipc::os {

// Other C libraries have the calls only lately, or not at all.
#ifndef __GLIBC__
namespace {

// At the position of the file, -1, in two halves.
ssize_t preadv2(int fd, const iovec *parts, int count, off_t,
                int flags) noexcept {
  return ::syscall(SYS_preadv2, fd, parts, count, -1l, -1l, flags);
}

ssize_t pwritev2(int fd, const iovec *parts, int count, off_t,
                 int flags) noexcept {
  return ::syscall(SYS_pwritev2, fd, parts, count, -1l, -1l, flags);
}

} // namespace
#endif

ssize_t read_now(int fd, const iovec *parts, int count) noexcept {
  return sys::retry("preadv2",
                    [&] { return preadv2(fd, parts, count, -1, RWF_NOWAIT); });
}

ssize_t write_now(int fd, const iovec *parts, int count) noexcept {
  return sys::retry("pwritev2", [&] {
    return pwritev2(fd, parts, count, -1, RWF_NOWAIT | RWF_NOSIGNAL);
  });
}

namespace {

msghdr to_header(const iovec *parts, int count) noexcept {
  msghdr header{};
  header.msg_iov = const_cast<iovec *>(parts);
  header.msg_iovlen = static_cast<decltype(header.msg_iovlen)>(count);
  return header;
}

// The kernel stores the number of bytes before these two calls return, which a
// cancelled thread does not see.
struct OneMessage {
  OneMessage(const iovec *parts, int count, volatile ssize_t *out)
      : moved(out) {
    header.msg_hdr = to_header(parts, count);
    header.msg_len = none;
  }
  ~OneMessage() {
    if (header.msg_len != none)
      *moved = static_cast<ssize_t>(header.msg_len);
  }
  static constexpr unsigned none = ~0u; // more than one call moves
  mmsghdr header{};
  volatile ssize_t *moved;
};

} // namespace

// Not by the C library's calls, in which a thread may be cancelled: holding
// that off costs 40 instructions a call.  On 32-bit systems these have no
// system call of their own before Linux 4.3.
constexpr bool own_calls = sizeof(long) == 8;

ssize_t receive_now(int fd, const iovec *parts, int count) noexcept {
  if constexpr (!own_calls)
    return receive_by_library(fd, parts, count);
  if (count == 1)
    return sys::retry_cancellable("recv", [&] {
      return ::syscall(SYS_recvfrom, fd, parts->iov_base, parts->iov_len,
                       MSG_DONTWAIT, nullptr, nullptr);
    });
  msghdr header = to_header(parts, count);
  return sys::retry_cancellable("recvmsg", [&] {
    return ::syscall(SYS_recvmsg, fd, &header, MSG_DONTWAIT);
  });
}

ssize_t send_now(int fd, const iovec *parts, int count) noexcept {
  constexpr int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if constexpr (!own_calls)
    return send_by_library(fd, parts, count);
  if (count == 1)
    return sys::retry_cancellable("send", [&] {
      return ::syscall(SYS_sendto, fd, parts->iov_base, parts->iov_len, flags,
                       nullptr, 0);
    });
  msghdr header = to_header(parts, count);
  return sys::retry_cancellable(
      "sendmsg", [&] { return ::syscall(SYS_sendmsg, fd, &header, flags); });
}

const bool has_waiting_transfers = true;

int receive_waiting(int fd, const iovec *parts, int count,
                    volatile ssize_t *moved) {
  OneMessage message(parts, count, moved);
  ssize_t result = sys::retry_cancellable("recvmmsg", [&] {
    return ::recvmmsg(fd, &message.header, 1, 0, nullptr);
  });
  return result < 0 ? static_cast<int>(result) : 0;
}

int send_waiting(int fd, const iovec *parts, int count,
                 volatile ssize_t *moved) {
  OneMessage message(parts, count, moved);
  ssize_t result = sys::retry_cancellable("sendmmsg", [&] {
    return ::sendmmsg(fd, &message.header, 1, MSG_NOSIGNAL);
  });
  return result < 0 ? static_cast<int>(result) : 0;
}

} // namespace gipc::os
