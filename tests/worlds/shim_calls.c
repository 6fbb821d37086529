/* Calls as a hostile world makes them: short transfers, small buffers, and for
 * the tests themselves no interruption and no lost status. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Short transfers ---------------------------------------------------- */

static uint64_t next_random(void) {
  static atomic_ulong state = 0x9e3779b97f4a7c15u;
  uint64_t x = atomic_fetch_add(&state, 0x9e3779b97f4a7c15u);
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

/* Of a datagram the remaining bytes would be lost. */
static bool is_stream(int fd) {
  int type = 0, saved = errno;
  socklen_t size = sizeof type;
  bool is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  errno = saved;
  return !is_socket || type == SOCK_STREAM;
}

/* How many of size bytes this transfer may move. */
static size_t part_of(int fd, size_t size) {
  if ((world != world_bytes && world != world_pieces) || size < 2 ||
      !is_stream(fd))
    return size;
  uint64_t random = next_random();
  size_t part = 1;
  /* A quarter as asked for, so that what is large arrives some day. */
  if (world == world_pieces && random % 4 == 0)
    return size;
  if (world == world_pieces && random % 4 == 1)
    part = 1 + random / 4 % size;
  atomic_fetch_add(&acted, 1);
  return part;
}

enum { most_parts = 1024 };

static size_t total(const struct iovec *parts, size_t count) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++)
    size += parts[i].iov_len;
  return size;
}

/* Copies parts up to size bytes, and returns their number. */
static size_t cut(const struct iovec *parts, size_t count, size_t size,
                  struct iovec *out) {
  size_t used = 0;
  while (used < count && used < most_parts && size > 0) {
    out[used] = parts[used];
    if (out[used].iov_len > size)
      out[used].iov_len = size;
    size -= out[used].iov_len;
    used++;
  }
  return used;
}

static long raw(long number, long a, long b, long c, long d, long e, long f) {
  return NEXT(syscall)(number, a, b, c, d, e, f);
}

/* recvmsg(2) or sendmsg(2) of a part. */
static long message(long number, int fd, const struct msghdr *header,
                    int flags) {
  struct iovec parts[most_parts];
  struct msghdr *caller = (struct msghdr *)(uintptr_t)header, own = *header;
  size_t size = total(header->msg_iov, header->msg_iovlen);
  size_t part = part_of(fd, size);
  /* What goes with descriptors is in one buffer of the kernel, of 4 KiB or
   * more: none of it is sent, or that. */
  if (number == SYS_sendmsg && header->msg_controllen > 0 && part < 4096)
    part = size < 4096 ? size : 4096;
  if (part == size)
    return raw(number, fd, (long)caller, flags, 0, 0, 0);
  own.msg_iovlen = cut(header->msg_iov, header->msg_iovlen, part, parts);
  own.msg_iov = parts;
  long result = raw(number, fd, (long)&own, flags, 0, 0, 0);
  if (number == SYS_recvmsg) {
    caller->msg_controllen = own.msg_controllen;
    caller->msg_namelen = own.msg_namelen;
    caller->msg_flags = own.msg_flags;
  }
  return result;
}

static long vector(long number, int fd, const struct iovec *parts, int count,
                   int flags) {
  struct iovec own[most_parts];
  size_t size = total(parts, (size_t)count), part = part_of(fd, size);
  if (part < size) {
    count = (int)cut(parts, (size_t)count, part, own);
    parts = own;
  }
  bool has_flags = number == SYS_preadv2 || number == SYS_pwritev2;
  return raw(number, fd, (long)parts, count, has_flags ? -1 : 0,
             has_flags ? -1 : 0, has_flags ? flags : 0);
}

long syscall(long number, ...) {
  va_list list;
  long v[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++)
    v[i] = va_arg(list, long);
  va_end(list);
  if (FROM_LIBRARY) {
    if (number == SYS_recvfrom || number == SYS_sendto)
      v[2] = (long)part_of((int)v[0], (size_t)v[2]);
    else if (number == SYS_recvmsg || number == SYS_sendmsg)
      return message(number, (int)v[0], (struct msghdr *)v[1], (int)v[2]);
    else if (number == SYS_preadv2 || number == SYS_pwritev2)
      return vector(number, (int)v[0], (struct iovec *)v[1], (int)v[2],
                    (int)v[5]);
  }
  return raw(number, v[0], v[1], v[2], v[3], v[4], v[5]);
}

/* For the test itself, a call that a signal interrupts is repeated; those of
 * the library are not, which has to do that by itself. */
#define CALL(call)                                                             \
  bool again = world == world_storm && !FROM_LIBRARY;                          \
  __typeof__(call) result;                                                     \
  do                                                                           \
    result = (call);                                                           \
  while (again && result < 0 && errno == EINTR);                               \
  return result

ssize_t recv(int fd, void *data, size_t size, int flags) {
  size_t part = FROM_LIBRARY ? part_of(fd, size) : size;
  CALL(NEXT(recv)(fd, data, part, flags));
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  size_t part = FROM_LIBRARY ? part_of(fd, size) : size;
  CALL(NEXT(send)(fd, data, part, flags));
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags) {
  if (FROM_LIBRARY)
    return message(SYS_recvmsg, fd, header, flags);
  CALL(NEXT(recvmsg)(fd, header, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *header, int flags) {
  if (FROM_LIBRARY)
    return message(SYS_sendmsg, fd, header, flags);
  CALL(NEXT(sendmsg)(fd, header, flags));
}

ssize_t readv(int fd, const struct iovec *parts, int count) {
  if (FROM_LIBRARY)
    return vector(SYS_readv, fd, parts, count, 0);
  CALL(NEXT(readv)(fd, parts, count));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (FROM_LIBRARY)
    return vector(SYS_writev, fd, parts, count, 0);
  CALL(NEXT(writev)(fd, parts, count));
}

ssize_t read(int fd, void *data, size_t size) {
  CALL(NEXT(read)(fd, data, size));
}

ssize_t write(int fd, const void *data, size_t size) {
  CALL(NEXT(write)(fd, data, size));
}

/* A wait for some time would start anew. */
int poll(struct pollfd *fds, nfds_t count, int timeout) {
  if (timeout >= 0)
    return NEXT(poll)(fds, count, timeout);
  CALL(NEXT(poll)(fds, count, timeout));
}

/* ---- Statuses ----------------------------------------------------------- */

pid_t waitpid(pid_t pid, int *status, int flags) {
  bool again = world == world_storm && !FROM_LIBRARY;
  pid_t result;
  do
    result = NEXT(waitpid)(pid, status, flags);
  while (again && result < 0 && errno == EINTR);
  if (result < 0 && errno == ECHILD && world == world_reaper && !FROM_LIBRARY &&
      stolen_status(pid, status))
    return pid;
  return result;
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int flags) {
  CALL(NEXT(waitid)(type, id, info, flags));
}

/* ---- Small buffers ------------------------------------------------------ */

static void narrow(int fd) {
  int least = 1;
  if (world != world_narrow)
    return;
  if (NEXT(setsockopt)(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0)
    (void)NEXT(setsockopt)(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
  else if (fcntl(fd, F_SETPIPE_SZ, 4096) != 4096)
    abort();
  atomic_fetch_add(&acted, 1);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
  if (world == world_narrow && level == SOL_SOCKET && name == SO_SNDBUF)
    return 0; /* and it stays small */
  return NEXT(setsockopt)(fd, level, name, value, size);
}

int socketpair(int domain, int type, int protocol, int fds[2]) {
  int result = NEXT(socketpair)(domain, type, protocol, fds);
  for (int i = 0; result == 0 && i < 2 && (type & 15) == SOCK_STREAM; i++)
    narrow(fds[i]);
  return result;
}

int pipe(int fds[2]) {
  int result = NEXT(pipe)(fds);
  if (result == 0)
    narrow(fds[1]);
  return result;
}

int pipe2(int fds[2], int flags) {
  int result = NEXT(pipe2)(fds, flags);
  if (result == 0)
    narrow(fds[1]);
  return result;
}

void show_narrow(void) {
  int fds[2], size = 0;
  socklen_t bytes = sizeof size;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
      getsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, &bytes) < 0 ||
      size > 8192)
    abort();
  close(fds[0]);
  close(fds[1]);
  if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_GETPIPE_SZ) != 4096)
    abort();
  close(fds[0]);
  close(fds[1]);
}
