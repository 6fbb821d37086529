// System calls as int; see sys.h.
#include "sys.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gipc::sys {

Fault fault = nullptr;

namespace {

msghdr message(const iovec *parts, int count) {
  msghdr header{};
  header.msg_iov = const_cast<iovec *>(parts);
  header.msg_iovlen = static_cast<decltype(header.msg_iovlen)>(count);
  return header;
}

// glibc makes the resource an enum in C++, other systems an int.
template <typename Resource>
int call_setrlimit(int (*set)(Resource, const rlimit *), int resource,
                   const rlimit *limit) {
  return set(static_cast<Resource>(resource), limit);
}

} // namespace

ssize_t recv(int fd, void *data, size_t size, int flags) noexcept {
  return retry("recv", [&] { return ::recv(fd, data, size, flags); });
}

ssize_t send(int fd, const void *data, size_t size, int flags) noexcept {
  return retry("send",
               [&] { return ::send(fd, data, size, flags | MSG_NOSIGNAL); });
}

ssize_t recvmsg(int fd, const iovec *parts, int count, int flags) noexcept {
  msghdr header = message(parts, count);
  return retry("recvmsg", [&] { return ::recvmsg(fd, &header, flags); });
}

ssize_t sendmsg(int fd, const iovec *parts, int count, int flags) noexcept {
  msghdr header = message(parts, count);
  return retry("sendmsg",
               [&] { return ::sendmsg(fd, &header, flags | MSG_NOSIGNAL); });
}

ssize_t readv(int fd, const iovec *parts, int count) noexcept {
  return retry("readv", [&] { return ::readv(fd, parts, count); });
}

ssize_t writev(int fd, const iovec *parts, int count) noexcept {
  return retry("writev", [&] { return ::writev(fd, parts, count); });
}

int shutdown(int fd, int how) noexcept {
  return retry_int("shutdown", [&] { return ::shutdown(fd, how); });
}

int fstat(int fd, struct stat *out) noexcept {
  return retry_int("fstat", [&] { return ::fstat(fd, out); });
}

int socket_type(int fd) noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  int result = retry_int("getsockopt", [&] {
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  });
  return result < 0 ? result : type;
}

int socket_family(int fd) noexcept {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  int result = retry_int("getsockname", [&] {
    return ::getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size);
  });
  return result < 0 ? result : address.ss_family;
}

int status_flags(int fd) noexcept {
  return retry_int("fcntl", [&] { return ::fcntl(fd, F_GETFL); });
}

int descriptor_flags(int fd) noexcept {
  return retry_int("fcntl", [&] { return ::fcntl(fd, F_GETFD); });
}

int set_cloexec(int fd, bool on) noexcept {
  return retry_int("fcntl",
                   [&] { return ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0); });
}

int duplicate(int fd, Fd &out, int least) noexcept {
  int copy =
      retry_int("fcntl", [&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, least); });
  if (copy < 0)
    return copy;
  out.reset(copy);
  return 0;
}

int above_stdio(Fd &fd) noexcept {
  if (fd.get() > 2)
    return 0;
  Fd copy;
  if (int error = duplicate(fd.get(), copy))
    return error;
  fd = std::move(copy);
  return 0;
}

namespace {

// A set of descriptors of any number: sets of select(2) that follow each other
// are one longer set.
template <int Count> class FdSets {
public:
  void add(int fd) noexcept {
    FD_SET(fd % FD_SETSIZE, &sets_[fd / FD_SETSIZE]);
  }
  bool has(int fd) const noexcept {
    return FD_ISSET(fd % FD_SETSIZE, &sets_[fd / FD_SETSIZE]) != 0;
  }
  fd_set *get() noexcept { return sets_; }

private:
  fd_set sets_[Count] = {};
};

// After an error of the whole call.
int find_closed(pollfd *fds, nfds_t count) {
  int closed = 0;
  for (nfds_t i = 0; i < count; ++i) {
    bool is_open = fds[i].fd < 0 || descriptor_flags(fds[i].fd) >= 0;
    fds[i].revents = is_open ? 0 : POLLNVAL;
    closed += is_open ? 0 : 1;
  }
  return closed > 0 ? closed : -EBADF;
}

// To select(2) a descriptor without a peer is one that can be read.
bool is_hung_up(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

// Not inlined: the sets are most of its stack.
template <int Count>
__attribute__((noinline)) int select_sets(pollfd *fds, nfds_t count,
                                          int milliseconds) {
  FdSets<Count> in, out;
  int end = 0;
  for (nfds_t i = 0; i < count; ++i) {
    if (fds[i].fd < 0)
      continue;
    if ((fds[i].events & POLLOUT) == 0)
      in.add(fds[i].fd);
    else {
      out.add(fds[i].fd);
      if ((fds[i].events & POLLIN) != 0)
        in.add(fds[i].fd);
    }
    end = std::max(end, fds[i].fd + 1);
  }
  timeval time{milliseconds / 1000, milliseconds % 1000 * 1000};
  int result = ::select(end, in.get(), out.get(), nullptr,
                        milliseconds < 0 ? nullptr : &time);
  if (result < 0)
    return errno == EBADF ? find_closed(fds, count) : -errno;
  int ready = 0;
  for (nfds_t i = 0; i < count; ++i) {
    int fd = fds[i].fd;
    short found = 0;
    if (fd >= 0 && in.has(fd)) {
      if ((fds[i].events & POLLIN) != 0)
        found |= POLLIN;
      else if ((fds[i].events & POLLOUT) == 0 && is_hung_up(fd))
        found |= POLLHUP;
    }
    if (fd >= 0 && out.has(fd))
      found |= POLLOUT;
    fds[i].revents = found;
    ready += found != 0 ? 1 : 0;
  }
  return ready;
}

// poll(2) refuses more entries than the limit of descriptors, even of
// descriptors that are open; select(2) waits for any that is.  The thread may
// be cancelled in it.
int poll_by_select(pollfd *fds, nfds_t count, int milliseconds) {
  constexpr int most = 65536;
  int highest = 0;
  for (nfds_t i = 0; i < count; ++i)
    highest = std::max(highest, fds[i].fd);
  if (highest < FD_SETSIZE)
    return select_sets<1>(fds, count, milliseconds);
  return highest < most
             ? select_sets<most / FD_SETSIZE>(fds, count, milliseconds)
             : -EMFILE;
}

} // namespace

int poll(pollfd *fds, nfds_t count, int milliseconds) noexcept {
  CancelGuard guard;
  return poll_cancellable(fds, count, milliseconds);
}

int poll_cancellable(pollfd *fds, nfds_t count, int milliseconds) {
  ErrnoGuard guard;
  int error = fault != nullptr ? fault("poll") : 0;
  if (error == 0) {
    int result = ::poll(fds, count, milliseconds);
    if (result >= 0)
      return result;
    error = errno;
  }
  return error == EINVAL ? poll_by_select(fds, count, milliseconds) : -error;
}

int fork_process() noexcept {
  return retry_int("fork", [] { return ::fork(); });
}

int waitpid(pid_t pid, int *status, int flags, rusage *usage) noexcept {
  return retry_int("wait4", [&] { return ::wait4(pid, status, flags, usage); });
}

int kill(pid_t pid, int signal) noexcept {
  return retry_int("kill", [&] { return ::kill(pid, signal); });
}

int chdir(const char *path) noexcept {
  return retry_int("chdir", [&] { return ::chdir(path); });
}

int setpgid(pid_t pid, pid_t group) noexcept {
  return retry_int("setpgid", [&] { return ::setpgid(pid, group); });
}

int setsid() noexcept {
  return retry_int("setsid", [] { return ::setsid(); });
}

int nice(int increment) noexcept {
  return retry_int("nice", [&] {
    errno = 0; // -1 may be the new value
    return ::nice(increment) == -1 && errno != 0 ? -1 : 0;
  });
}

int setrlimit(int resource, const rlimit *limit) noexcept {
  return retry_int("setrlimit", [&] {
    return call_setrlimit(&::setrlimit, resource, limit);
  });
}

int dup2(int from, int to) noexcept {
  return retry_int("dup2", [&] { return ::dup2(from, to); });
}

int open_null(Fd &out) noexcept {
  int fd =
      retry_int("open", [] { return ::open("/dev/null", O_RDWR | O_CLOEXEC); });
  if (fd < 0)
    return fd;
  out.reset(fd);
  return above_stdio(out);
}

int read_link(const char *path, char *target, size_t size) noexcept {
  return retry_int("readlink", [&] { return ::readlink(path, target, size); });
}

int map_memory(size_t size, int flags, void *&out) noexcept {
  return retry_int("mmap", [&] {
    void *memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED)
      return -1;
    out = memory;
    return 0;
  });
}

int set_variable(const char *name, const char *value) noexcept {
  return retry_int("setenv", [&] { return ::setenv(name, value, 1); });
}

int signal_mask(int how, const sigset_t *set, sigset_t *old) noexcept {
  return -::pthread_sigmask(how, set, old);
}

int execve(const char *path, char *const argv[], char *const envp[]) noexcept {
  return retry_int("execve", [&] { return ::execve(path, argv, envp); });
}

} // namespace gipc::sys
