// Linux: single transfers, with and without waiting.
#include "os_common.h"

#include "sys.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// By version: some cross compilers have the header for older ones, too.
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
#endif
#endif

// Names that older kernel and C library headers lack.
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100 // Linux 6.18
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8 // Linux 4.14
#endif

namespace gipc::os {

namespace {

// Other C libraries have the calls only lately, or not at all.
ssize_t read_parts(int fd, const iovec *parts, int count, int flags) noexcept {
#ifdef __GLIBC__
  return ::preadv2(fd, parts, count, -1, flags);
#else
  // At the position of the file, -1, in two halves.
  return ::syscall(SYS_preadv2, fd, parts, count, -1l, -1l, flags);
#endif
}

ssize_t write_parts(int fd, const iovec *parts, int count, int flags) noexcept {
#ifdef __GLIBC__
  return ::pwritev2(fd, parts, count, -1, flags);
#else
  return ::syscall(SYS_pwritev2, fd, parts, count, -1l, -1l, flags);
#endif
}

} // namespace

ssize_t read_now(int fd, const iovec *parts, int count) noexcept {
  return sys::retry("preadv2",
                    [&] { return read_parts(fd, parts, count, RWF_NOWAIT); });
}

ssize_t write_now(int fd, const iovec *parts, int count) noexcept {
  return sys::retry("pwritev2", [&] {
    return write_parts(fd, parts, count, RWF_NOWAIT | RWF_NOSIGNAL);
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

// Room for descriptors beside the bytes, and for what else a program may have
// asked the socket for, such as SO_PASSCRED.
struct Control {
  static constexpr size_t others = 256;
  static constexpr size_t most = CMSG_SPACE(most_sent * sizeof(int));
  alignas(cmsghdr) unsigned char room[most + others];

  void attach(msghdr &header) noexcept {
    header.msg_control = room;
    header.msg_controllen = sizeof room;
  }
  void put(msghdr &header, const int *fds, size_t count) noexcept {
    size_t size = count * sizeof *fds;
    std::memset(room, 0, CMSG_SPACE(size));
    header.msg_control = room;
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr *entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(entry), fds, size);
  }
  // Called if the kernel has stored something.
  static void take(msghdr &header, Received &came) noexcept {
    // It closes those that it has no number for, or no room.
    came.lost = (header.msg_flags & MSG_CTRUNC) != 0;
    for (cmsghdr *entry = CMSG_FIRSTHDR(&header); entry != nullptr;
         entry = CMSG_NXTHDR(&header, entry)) {
      if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS)
        continue;
      size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int received;
        std::memcpy(&received, CMSG_DATA(entry) + i * sizeof received,
                    sizeof received);
        add(came, Fd(received));
      }
    }
  }

private:
  // The kernel chooses the lowest number, which is one of a closed standard
  // stream.
  static void add(Received &came, Fd fd) noexcept {
    if (came.count < most_sent && sys::above_stdio(fd) == 0)
      came.fds[came.count++] = fd.release();
    else
      came.lost = true;
  }
};

bool has_control(const msghdr &header) noexcept {
  return header.msg_controllen > 0 || (header.msg_flags & MSG_CTRUNC) != 0;
}

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

ssize_t receive_descriptors_now(int fd, const iovec *parts, int count,
                                Received &came) noexcept {
  constexpr int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
  msghdr header = to_header(parts, count);
  Control control;
  control.attach(header);
  ssize_t size;
  const char *name = count == 1 ? "recv" : "recvmsg";
  if constexpr (own_calls)
    size = sys::retry_cancellable(
        name, [&] { return ::syscall(SYS_recvmsg, fd, &header, flags); });
  else
    size = sys::retry(name, [&] { return ::recvmsg(fd, &header, flags); });
  if (size >= 0 && has_control(header))
    Control::take(header, came);
  return size;
}

const bool sends_descriptors = true;

ssize_t send_descriptors_now(int fd, const iovec *parts, int count,
                             const int *fds, size_t fd_count) noexcept {
  msghdr header = to_header(parts, count);
  Control control;
  control.put(header, fds, fd_count);
  return sys::retry("sendmsg", [&] {
    return ::sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  });
}

const bool has_waiting_transfers = true;

namespace {

// Whether this thread cannot be cancelled, because there is no other one.
bool is_only_thread() noexcept {
#ifdef _SYS_SINGLE_THREADED_H
  return own_calls && __libc_single_threaded != 0;
#else
  return false;
#endif
}

} // namespace

int receive_waiting(int fd, const iovec *parts, int count,
                    volatile ssize_t *moved) {
  // 4 % of a round trip of 64 B.
  if (count == 1 && is_only_thread()) {
    ssize_t size = sys::retry_cancellable("recvmmsg", [&] {
      return ::syscall(SYS_recvfrom, fd, parts->iov_base, parts->iov_len, 0,
                       nullptr, nullptr);
    });
    if (size < 0)
      return static_cast<int>(size);
    *moved = size;
    return 0;
  }
  OneMessage message(parts, count, moved);
  ssize_t result = sys::retry_cancellable("recvmmsg", [&] {
    return ::recvmmsg(fd, &message.header, 1, 0, nullptr);
  });
  return result < 0 ? static_cast<int>(result) : 0;
}

int receive_descriptors_waiting(int fd, const iovec *parts, int count,
                                volatile ssize_t *moved, Received &came) {
  OneMessage message(parts, count, moved);
  Control control;
  control.attach(message.header.msg_hdr);
  // A destructor, because the thread may be cancelled after the transfer.
  struct Taking {
    ~Taking() {
      if (message.header.msg_len != OneMessage::none &&
          has_control(message.header.msg_hdr))
        Control::take(message.header.msg_hdr, came);
    }
    OneMessage &message;
    Received &came;
  } taking{message, came};
  ssize_t result = sys::retry_cancellable("recvmmsg", [&] {
    return ::recvmmsg(fd, &message.header, 1, MSG_CMSG_CLOEXEC, nullptr);
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
