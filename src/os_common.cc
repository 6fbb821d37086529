// What is the same on every system, made of what os_linux.cc or os_posix.cc
// has.
#include "os_common.h"

#include "sys.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <new>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#if __has_include(<stdio_ext.h>)
#include <stdio_ext.h>
#endif

namespace gipc::os {

#ifdef MAP_NORESERVE
const int map_sparse = MAP_NORESERVE;
#else
const int map_sparse = 0;
#endif

size_t unread_by_peer(int fd) noexcept {
#ifdef TIOCOUTQ
  int bytes = 0;
  int error =
      sys::retry_int("ioctl", [&] { return ::ioctl(fd, TIOCOUTQ, &bytes); });
  return error == 0 ? static_cast<size_t>(bytes) : 0;
#else
  (void)fd;
  return 0;
#endif
}

int send_buffer(int fd, int &size) noexcept {
  socklen_t length = sizeof size;
  return sys::retry_int("getsockopt", [&] {
    return ::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length);
  });
}

int set_send_buffer(int fd, int size) noexcept {
  return sys::retry_int("setsockopt", [&] {
    return ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  });
}

// ---- Transfers --------------------------------------------------------------

ssize_t receive_by_library(int fd, const iovec *parts, int count) noexcept {
  return count == 1
             ? sys::recv(fd, parts->iov_base, parts->iov_len, MSG_DONTWAIT)
             : sys::recvmsg(fd, parts, count, MSG_DONTWAIT);
}

ssize_t send_by_library(int fd, const iovec *parts, int count) noexcept {
  return count == 1
             ? sys::send(fd, parts->iov_base, parts->iov_len, MSG_DONTWAIT)
             : sys::sendmsg(fd, parts, count, MSG_DONTWAIT);
}

namespace {

// A write that raises SIGPIPE raises it in this thread.  It is taken back,
// unless one was pending before, which is then the application's.
class SigpipeGuard {
public:
  SigpipeGuard() noexcept {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    if (!was_pending_)
      (void)sys::signal_mask(SIG_BLOCK, &pipe_, &old_);
  }
  ~SigpipeGuard() {
    if (was_pending_)
      return;
    sys::ErrnoGuard guard;
    if (raised_)
      take_pending(SIGPIPE);
    (void)sys::signal_mask(SIG_SETMASK, &old_, nullptr);
  }
  void raised() noexcept { raised_ = true; }

private:
  sigset_t pipe_, old_;
  bool was_pending_, raised_ = false;
};

} // namespace

ssize_t write_quietly(int fd, const iovec *parts, int count) noexcept {
  SigpipeGuard guard;
  ssize_t size = sys::writev(fd, parts, count);
  if (size == -EPIPE)
    guard.raised();
  return size;
}

// ---- Closing ----------------------------------------------------------------

namespace {

// So many are closed one by one rather than looked for.
constexpr unsigned few = 1024;
// Descriptors have numbers below this or the hard limit, whichever is higher:
// the default of Linux's fs.nr_open, which bounds the limit.
constexpr rlim_t usual_end = 1u << 20;
// One by one, more would take longer than a second.
constexpr rlim_t last_end = 1u << 24;

void close_each(unsigned first, unsigned last) noexcept {
  // last may be the biggest number there is.
  for (unsigned fd = first;; ++fd) {
    (void)::close(static_cast<int>(fd)); // most are not open
    if (fd == last)
      return;
  }
}

int close_listed(unsigned first, unsigned last) noexcept {
  // Descriptors that close under the scan may make it miss some, so scan until
  // there is nothing left.
  for (bool again = true; again;) {
    again = false;
    int error = each_descriptor([&](int fd) {
      auto number = static_cast<unsigned>(fd);
      if (number >= first && number <= last && ::close(fd) == 0)
        again = true;
    });
    if (error != 0)
      return error;
  }
  return 0;
}

// The limit may have been lowered since a descriptor was opened, but rarely
// the hard one.
int close_up_to_limit(unsigned first, unsigned last) noexcept {
  rlimit limit;
  int error = sys::retry_int(
      "getrlimit", [&] { return ::getrlimit(RLIMIT_NOFILE, &limit); });
  if (error != 0)
    return error;
  rlim_t end = std::max(limit.rlim_max, usual_end);
  if (limit.rlim_max == RLIM_INFINITY || end > last_end)
    return -EMFILE;
  if (first < end)
    close_each(first, std::min(last, static_cast<unsigned>(end - 1)));
  return 0;
}

int close_run(unsigned first, unsigned last) noexcept {
  if (first > last)
    return 0;
  if (close_at_once(first, last) == 0)
    return 0;
  if (last - first < few) {
    close_each(first, last);
    return 0;
  }
  // Once more if it failed, maybe for want of memory for a moment: to close a
  // million numbers one by one takes a tenth of a second.
  for (int attempt = 0; attempt < 2; ++attempt)
    if (close_listed(first, last) == 0)
      return 0;
  return close_up_to_limit(first, last);
}

// In a child of spawn_by_fork() or of a guard: what it tells its progress
// through.
struct Progress {
  std::atomic<int> execs; // number of execve(2) calls begun
  int detail;             // of body, before its error
  std::atomic<int> error; // of body
};
Progress *progress;
int status_fd = -1;

} // namespace

int close_range(unsigned first, unsigned last) noexcept {
  CancelGuard guard; // close(2) is a place to be cancelled in
  auto kept = static_cast<unsigned>(status_fd);
  if (status_fd < 0 || kept < first || kept > last)
    return close_run(first, last);
  int error = kept > first ? close_run(first, kept - 1) : 0;
  return error != 0 || kept == last ? error : close_run(kept + 1, last);
}

void keep_open(int fd) noexcept { status_fd = fd; }

// ---- Descriptors of signals and processes -----------------------------------

namespace {

// 1, 0, or an error.
int has_name(int fd, const char *name) noexcept {
  char path[32], target[32];
  std::snprintf(path, sizeof path, "%s/%d", descriptor_folder, fd);
  int size = sys::read_link(path, target, sizeof target - 1);
  // Where these are no symbolic links, there are no such descriptors either;
  // nor is one that was closed meanwhile.
  if (size == -EINVAL || size == -ENOENT || size == -ENOTDIR)
    return 0;
  if (size < 0)
    return size;
  target[size] = '\0';
  return std::strcmp(target, name) == 0 ? 1 : 0;
}

} // namespace

bool is_exit_fd(int fd) noexcept {
  return has_name(fd, "anon_inode:[pidfd]") == 1;
}

int detach_signalfds() noexcept {
  sys::ErrnoGuard guard;
  constexpr int most = 64; // of one listing
  for (;;) {
    // The folder and /dev/null may have to share the last free descriptor.
    int found[most], count = 0, unknown = 0;
    int error = each_descriptor([&](int fd) {
      int is_one = has_name(fd, "anon_inode:[signalfd]");
      if (is_one < 0)
        unknown = is_one;
      if (is_one > 0 && count < most)
        found[count++] = fd;
    });
    error = error != 0 ? error : unknown;
    if (error != 0 || count == 0)
      return error;
    Fd null;
    error = sys::open_null(null);
    for (int i = 0; error >= 0 && i < count; ++i) {
      error = sys::dup2(null.get(), found[i]);
      if (error >= 0)
        error = sys::set_cloexec(found[i], true);
    }
    if (error < 0)
      return error;
    if (count < most)
      return 0;
  }
}

// ---- Starting ---------------------------------------------------------------

namespace {

// 0, and in info whether it has ended; or an error.
int look_at_child(pid_t child, siginfo_t &info) noexcept {
  return sys::retry_int("waitid", [&] {
    return ::waitid(P_PID, static_cast<id_t>(child), &info,
                    WEXITED | WNOHANG | WNOWAIT);
  });
}

} // namespace

bool has_ended(pid_t child) noexcept {
  siginfo_t info{};
  int result = look_at_child(child, info);
  return result == 0 ? info.si_pid == child : result == -ECHILD;
}

bool was_reaped(pid_t child) noexcept {
  siginfo_t info{};
  return look_at_child(child, info) == -ECHILD;
}

bool some_child_ended() noexcept {
  siginfo_t info{};
  ssize_t result = sys::retry("waitid", [&] {
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
  });
  return result < 0 || info.si_pid != 0;
}

namespace {

double seconds() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) * 1e-9;
}

// Until the child has executed its program or failed; its error.
int wait_for_exec(int reader, pid_t child, const Progress &shared) noexcept {
  // How long one execve(2) may take when a fork in another thread holds the
  // pipe open that should tell of it.  What comes before takes as long as it
  // takes: the child may not run at all on a busy machine.
  constexpr double patience = 0.4;
  int execs = 0;
  for (double since = seconds();;) {
    pollfd end_of_it{reader, POLLIN, 0};
    if (sys::poll(&end_of_it, 1, 10) > 0 || has_ended(child))
      break;
    int begun = shared.execs.load();
    if (begun != execs || begun == 0) {
      execs = begun;
      since = seconds();
    } else if (seconds() - since > patience) {
      break;
    }
  }
  // Only now: it may have failed since the last look.
  return shared.error.load();
}

} // namespace

void at_exec() noexcept {
  if (progress != nullptr)
    progress->execs.fetch_add(1);
}

int spawn_by_fork(const Spawn &what, pid_t *pid, int *detail) noexcept {
  void *memory;
  if (int error = sys::map_memory(sizeof(Progress), MAP_SHARED, memory))
    return error;
  auto *shared = new (memory) Progress{{0}, 0, {0}};
  int child = sys::fork_process();
  if (child == 0) {
    status_fd = what.status_writer;
    progress = shared;
    shared->error.store(what.body(what.argument, &shared->detail));
    _exit(127);
  }
  what.forked(what.argument);
  int error =
      child < 0 ? child : wait_for_exec(what.status_reader, child, *shared);
  *detail = shared->detail;
  ::munmap(memory, sizeof(Progress));
  if (child >= 0 && error != 0) {
    int status;
    (void)sys::waitpid(child, &status, 0, nullptr); // or another reaper did
  }
  if (error == 0)
    *pid = child;
  return error;
}

// ---- Rights -----------------------------------------------------------------

namespace {

// A setter may succeed and have done something else: with a number cut to 16
// bits, or as one who may not change the saved ID.
template <typename Id>
int check_ids(int (*get)(Id (&)[3]) noexcept, Id wanted) noexcept {
  Id ids[3];
  if (int error = get(ids))
    return error;
  return ids[0] == wanted && ids[1] == wanted && ids[2] == wanted ? 0 : -EPERM;
}

int check_groups(const Identity &wanted) noexcept {
  int count = get_groups(wanted.found, wanted.count + 1);
  if (count < 0)
    return count == -EINVAL ? -EPERM : count; // -EINVAL: there are more
  gid_t *found_end = wanted.found + count;
  const gid_t *end = wanted.groups + wanted.count;
  std::sort(wanted.found, found_end);
  // Some systems list the group ID as one of them.
  auto is_own = [&](gid_t group) {
    return wanted.gid != nullptr && group == *wanted.gid;
  };
  for (const gid_t *group = wanted.found; group < found_end; ++group)
    if (!is_own(*group) && !std::binary_search(wanted.groups, end, *group))
      return -EPERM;
  for (const gid_t *group = wanted.groups; group < end; ++group)
    if (!is_own(*group) && !std::binary_search(wanted.found, found_end, *group))
      return -EPERM;
  return 0;
}

} // namespace

int set_identity(const Identity &wanted) noexcept {
  int error = 0;
  if (wanted.set_groups)
    error = set_groups(wanted.groups, wanted.count);
  if (error == 0 && wanted.gid != nullptr)
    error = set_gid(*wanted.gid);
  if (error == 0 && wanted.uid != nullptr)
    error = set_uid(*wanted.uid);
  if (error == 0 && wanted.set_groups)
    error = check_groups(wanted);
  if (error == 0 && wanted.gid != nullptr)
    error = check_ids(get_gids, *wanted.gid);
  if (error == 0 && wanted.uid != nullptr)
    error = check_ids(get_uids, *wanted.uid);
  return error;
}

int set_terminal(int fd) noexcept {
#ifdef TIOCSCTTY
  return sys::retry_int("ioctl", [&] { return ::ioctl(fd, TIOCSCTTY, 0); });
#else
  (void)fd;
  return -EOPNOTSUPP;
#endif
}

// ---- The end of a parent ----------------------------------------------------

namespace {

int set_async(int fd, bool on) noexcept {
  int flags = sys::status_flags(fd);
  if (flags < 0)
    return flags;
  flags = on ? flags | O_ASYNC : flags & ~O_ASYNC;
  return sys::retry_int("fcntl", [&] { return ::fcntl(fd, F_SETFL, flags); });
}

} // namespace

int signal_on_hangup(int fd, int signal) noexcept {
  // The kernel sends the signal when the peer's end goes, whatever the process
  // is doing; PR_SET_PDEATHSIG would fire when the starting *thread* exits.
  int error = sys::retry_int("fcntl",
                             [&] { return ::fcntl(fd, F_SETOWN, ::getpid()); });
  if (error == 0)
    error = choose_hangup_signal(fd, signal);
  if (error == 0)
    error = set_async(fd, true);
  // It may have gone before it was watched.
  pollfd peer{fd, 0, 0};
  if (error == 0 && sys::poll(&peer, 1, 0) > 0)
    return -ESRCH;
  return error;
}

void stop_signal_on_hangup(int fd) noexcept {
  (void)set_async(fd, false); // at worst the signal comes
}

// ---- C library --------------------------------------------------------------

// Asking first: a stream that is written to is a page that is copied.
void discard_stdio() noexcept {
#if __has_include(<stdio_ext.h>)
  for (FILE *stream : {stdout, stderr})
    if (::__fpending(stream) > 0)
      ::__fpurge(stream);
#else
  ::fpurge(stdout);
  ::fpurge(stderr);
#endif
}

void flush_stdio() noexcept {
  for (FILE *stream : {stdout, stderr})
#if __has_include(<stdio_ext.h>)
    if (::__fpending(stream) > 0)
#endif
      (void)std::fflush(stream);
}

} // namespace gipc::os
