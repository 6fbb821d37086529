// System calls as int: -errno on failure, EINTR retried, errno preserved.
//
// Every call that can fail goes through here or os.h, past one hook, so that a
// test can fail the Nth of them in-process (the way SQLite does).
// tests/lint/hook.sh holds it so, and lists what cannot fail.
#pragma once

#include "fd.h"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc::sys {

// Called before each system call with its name; tests set it to fail one with
// the errno it returns.  0 lets the call happen.
using Fault = int (*)(const char *call) noexcept;
extern Fault fault;

class ErrnoGuard {
public:
  ~ErrnoGuard() { errno = saved_; }

private:
  int saved_ = errno;
};

// The thread may be cancelled in the call, which is then left by unwinding.
template <typename Call>
ssize_t retry_cancellable(const char *name, Call &&call) {
  ErrnoGuard guard;
  if (fault != nullptr)
    if (int error = fault(name))
      return -error;
  for (;;) {
    auto result = call();
    if (result >= 0)
      return result;
    if (errno != EINTR)
      return -errno;
  }
}

template <typename Call> ssize_t retry(const char *name, Call &&call) noexcept {
  CancelGuard guard;
  return retry_cancellable(name, call);
}

template <typename Call> int retry_int(const char *name, Call &&call) noexcept {
  return static_cast<int>(retry(name, call));
}

ssize_t recv(int fd, void *data, size_t size, int flags) noexcept;
ssize_t recvmsg(int fd, const iovec *parts, int count, int flags) noexcept;
// These two never raise SIGPIPE.
ssize_t send(int fd, const void *data, size_t size, int flags) noexcept;
ssize_t sendmsg(int fd, const iovec *parts, int count, int flags) noexcept;
ssize_t readv(int fd, const iovec *parts, int count) noexcept;
ssize_t writev(int fd, const iovec *parts, int count) noexcept;
int shutdown(int fd, int how) noexcept;
int fstat(int fd, struct stat *out) noexcept;
// SOCK_STREAM ... of a socket; -ENOTSOCK for anything else.
int socket_type(int fd) noexcept;
// AF_UNIX ... of a socket.
int socket_family(int fd) noexcept;
int status_flags(int fd) noexcept;
// FD_CLOEXEC or 0.
int descriptor_flags(int fd) noexcept;
int set_cloexec(int fd, bool on) noexcept;
// A copy of fd at 3, so that it can never be taken for stdio, or above.
int duplicate(int fd, Fd &out, int least = 3) noexcept;
// Moves a descriptor that landed on 0 to 2 (closed stdio) out of the way, or
// closes it.
int above_stdio(Fd &fd) noexcept;
// Not retried: -EINTR lets the caller look at its deadline.  Works with a limit
// of descriptors below count, too, for descriptors below 65536 (else -EMFILE).
int poll(pollfd *fds, nfds_t count, int milliseconds) noexcept;
// The same for a wait in which the thread may be cancelled.
int poll_cancellable(pollfd *fds, nfds_t count, int milliseconds);
int fork_process() noexcept;
int waitpid(pid_t pid, int *status, int flags, rusage *usage) noexcept;
int kill(pid_t pid, int signal) noexcept;
int chdir(const char *path) noexcept;
int setpgid(pid_t pid, pid_t group) noexcept;
int setsid() noexcept;
int nice(int increment) noexcept;
int setrlimit(int resource, const rlimit *limit) noexcept;
int dup2(int from, int to) noexcept;
int open_null(Fd &out) noexcept;
// Of the target of a symbolic link, the first bytes: their number.
int read_link(const char *path, char *target, size_t size) noexcept;
// New memory; flags such as MAP_SHARED.
int map_memory(size_t size, int flags, void *&out) noexcept;
int set_variable(const char *name, const char *value) noexcept;
int signal_mask(int how, const sigset_t *set, sigset_t *old) noexcept;
int execve(const char *path, char *const argv[], char *const envp[]) noexcept;

} // namespace gipc::sys
