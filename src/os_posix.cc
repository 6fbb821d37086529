// The portable fallback: what POSIX and every BSD have.  Built and tested on
// Linux, too (make check OS=posix).
//
// What it lacks beside os_linux.cc: descriptors of processes (a join looks
// again and again), the status of a child that another reaper took, starts in
// the parent's memory, and close-on-exec in one step with the creation of a
// descriptor, so that a fork in another thread may leak one.
#include "os.h"

#include "sys.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <new>
#include <sys/mman.h>
#include <sys/wait.h>
#if __has_include(<stdio_ext.h>)
#include <stdio_ext.h>
#endif

namespace gipc::os {

const char *error_text(int error) noexcept { return std::strerror(error); }

// ---- Descriptors ------------------------------------------------------------

namespace {

int adopt_pair(int (&ends)[2], Fd &a, Fd &b) noexcept {
  a.reset(ends[0]);
  b.reset(ends[1]);
  for (Fd *fd : {&a, &b}) {
    int error = sys::set_cloexec(fd->get(), true);
    error = error != 0 ? error : sys::above_stdio(*fd);
    if (error != 0)
      return error;
  }
  return 0;
}

// Calls visit(fd) for each open descriptor; false when they cannot be listed.
template <typename Visit> bool each_descriptor(Visit &&visit) noexcept {
  DIR *directory = ::opendir("/dev/fd");
  if (directory == nullptr)
    return false;
  int own = ::dirfd(directory);
  while (const dirent *entry = ::readdir(directory))
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
      if (int fd = std::atoi(entry->d_name); fd != own)
        visit(fd);
  ::closedir(directory);
  return true;
}

// In a child between fork and exec: what it tells its failure through.
int status_fd = -1;

} // namespace

int socket_pair(Fd &a, Fd &b) noexcept {
  int ends[2];
  int error = static_cast<int>(sys::retry("socketpair", [&] {
    return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  }));
  return error != 0 ? error : adopt_pair(ends, a, b);
}

int pipe_pair(Fd &reader, Fd &writer) noexcept {
  int ends[2];
  int error =
      static_cast<int>(sys::retry("pipe", [&] { return ::pipe(ends); }));
  return error != 0 ? error : adopt_pair(ends, reader, writer);
}

ssize_t read_now(int, const iovec *, int) noexcept { return -EOPNOTSUPP; }

ssize_t write_now(int, const iovec *, int) noexcept { return -EOPNOTSUPP; }

void close_range(unsigned first, unsigned last) noexcept {
  auto close_one = [&](int fd) {
    auto number = static_cast<unsigned>(fd);
    if (number >= first && number <= last && fd != status_fd)
      ::close(fd);
  };
  if (last - first < 16) {
    for (unsigned fd = first; fd <= last; ++fd)
      close_one(static_cast<int>(fd));
    return;
  }
  if (each_descriptor(close_one))
    return;
  long limit = ::sysconf(_SC_OPEN_MAX);
  for (int fd = static_cast<int>(first); fd < limit; ++fd)
    close_one(fd);
}

void detach_signalfds() noexcept {
  // Where /dev/fd holds symbolic links, they tell what a file is; elsewhere
  // there is no signalfd.
  Fd null;
  each_descriptor([&](int fd) {
    char path[32], target[32];
    std::snprintf(path, sizeof path, "/dev/fd/%d", fd);
    ssize_t size = ::readlink(path, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = '\0';
    if (std::strcmp(target, "anon_inode:[signalfd]") == 0 &&
        (null || sys::open_null(null) == 0))
      (void)::dup2(null.get(), fd);
  });
}

// ---- Processes --------------------------------------------------------------

bool wipe_on_fork(void *, size_t) noexcept { return false; }

int open_pidfd(pid_t, Fd &) noexcept { return -ENOSYS; }

int signal_pidfd(int, int) noexcept { return -ENOSYS; }

int wait_pidfd(int, bool, int *, rusage *) noexcept { return -ENOSYS; }

int kept_status(int, int *) noexcept { return -ENOSYS; }

int spawn(int (*body)(void *) noexcept, void *argument, bool, pid_t *pid,
          Fd *) noexcept {
  // How long an exec may take, in milliseconds, when a fork in another thread
  // holds the pipe open that should tell of it.
  constexpr int patience = 400, step = 10;
  Fd reader, writer;
  if (int error = pipe_pair(reader, writer))
    return error;
  void *memory = ::mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANON, -1, 0);
  if (memory == MAP_FAILED)
    return -ENOMEM;
  auto *failure = new (memory) volatile int(0);
  int child = sys::fork_process();
  if (child == 0) {
    status_fd = writer.get();
    *failure = body(argument);
    _exit(127);
  }
  writer.reset();
  int error = child < 0 ? child : 0;
  for (int waited = 0; error == 0 && waited < patience; waited += step) {
    pollfd end_of_it{reader.get(), POLLIN, 0};
    bool closed = sys::poll(&end_of_it, 1, step) > 0;
    error = *failure;
    if (closed)
      break;
  }
  ::munmap(memory, sizeof(int));
  if (child >= 0 && error != 0) {
    int status;
    (void)sys::waitpid(child, &status, 0, nullptr);
  }
  if (error == 0)
    *pid = child;
  return error;
}

int set_user(uid_t uid, gid_t gid, const gid_t *groups, size_t count) noexcept {
  auto size = static_cast<int>(count);
  auto set = [](const char *name, auto &&call) {
    return static_cast<int>(sys::retry(name, call));
  };
  int error = set("setgroups", [&] { return ::setgroups(size, groups); });
  if (error == 0)
    error = set("setgid", [&] { return ::setgid(gid); });
  if (error == 0)
    error = set("setuid", [&] { return ::setuid(uid); });
  return error;
}

int set_no_new_privileges() noexcept { return -EOPNOTSUPP; }

#ifdef F_SETSIG

static int choose_signal(int fd, int signal) noexcept {
  return ::fcntl(fd, F_SETSIG, signal);
}

#else

// SIGIO is what these systems send; an exec forgets its handler, so that there
// only function children can be daemons.
static volatile sig_atomic_t death_signal;

static int choose_signal(int, int signal) noexcept {
  death_signal = signal;
  struct sigaction action {};
  action.sa_handler = [](int) { ::kill(::getpid(), death_signal); };
  return ::sigaction(SIGIO, &action, nullptr);
}

#endif

int signal_on_hangup(int fd, int signal) noexcept {
  int flags = sys::status_flags(fd);
  int error = flags < 0 ? flags : static_cast<int>(sys::retry("fcntl", [&] {
    return ::fcntl(fd, F_SETOWN, ::getpid()) == 0 &&
                   choose_signal(fd, signal) == 0
               ? ::fcntl(fd, F_SETFL, flags | O_ASYNC)
               : -1;
  }));
  // It may have gone before it was watched.
  pollfd peer{fd, 0, 0};
  if (error == 0 && sys::poll(&peer, 1, 0) > 0)
    return -ESRCH;
  return error;
}

void stop_signal_on_hangup(int fd) noexcept {
  int flags = sys::status_flags(fd);
  if (flags >= 0)
    (void)::fcntl(fd, F_SETFL, flags & ~O_ASYNC);
}

// ---- C library --------------------------------------------------------------

void discard_stdio() noexcept {
#if __has_include(<stdio_ext.h>)
  ::__fpurge(stdout);
  ::__fpurge(stderr);
#else
  ::fpurge(stdout);
  ::fpurge(stderr);
#endif
}

void on_exit(void (*handler)(int, void *)) noexcept {
#ifdef __GLIBC__
  (void)::on_exit(handler, nullptr);
#else
  (void)handler; // atexit(3) does not tell the status
#endif
}

// ---- What is live -----------------------------------------------------------

int features() noexcept { return 0; }

} // namespace gipc::os
