// The portable fallback: what POSIX and every BSD have.  Built and tested on
// Linux, too (make check OS=posix).
//
// The ends of children: os_posix_kqueue.cc, or os_posix_look.cc.
// What it lacks beside os_linux.cc: starts in the parent's memory, and
// close-on-exec in one step with the creation of a descriptor, so that a fork
// in another thread may leak one.
#include "os_common.h"

#include "sys.h"

#include <algorithm>
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

extern "C" char **environ;

namespace gipc::os {

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

} // namespace

int socket_pair(Fd &a, Fd &b) noexcept {
  int ends[2];
  int error = sys::retry_int("socketpair", [&] {
    return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  });
  return error != 0 ? error : adopt_pair(ends, a, b);
}

int pipe_pair(Fd &reader, Fd &writer) noexcept {
  int ends[2];
  int error = sys::retry_int("pipe", [&] { return ::pipe(ends); });
  return error != 0 ? error : adopt_pair(ends, reader, writer);
}

ssize_t read_now(int, const iovec *, int) noexcept { return -EOPNOTSUPP; }

ssize_t write_now(int, const iovec *, int) noexcept { return -EOPNOTSUPP; }

ssize_t receive_now(int fd, const iovec *parts, int count) noexcept {
  return receive_by_library(fd, parts, count);
}

ssize_t send_now(int fd, const iovec *parts, int count) noexcept {
  return send_by_library(fd, parts, count);
}

const bool has_waiting_transfers = false;

int receive_waiting(int, const iovec *, int, volatile ssize_t *) {
  return -EAGAIN;
}

int send_waiting(int, const iovec *, int, volatile ssize_t *) {
  return -EAGAIN;
}

ssize_t receive_descriptors_now(int fd, const iovec *parts, int count,
                                Received &) noexcept {
  return receive_now(fd, parts, count);
}

int receive_descriptors_waiting(int, const iovec *, int, volatile ssize_t *,
                                Received &) {
  return -EAGAIN;
}

const bool sends_descriptors = false;

ssize_t send_descriptors_now(int, const iovec *, int, const int *,
                             size_t) noexcept {
  return -EOPNOTSUPP;
}

// There is shm_open(3), but a peer could make that memory smaller, and then an
// access ends the process.
const bool has_shared_memory = false;

int make_shared_memory(size_t, Fd &) noexcept { return -ENOSYS; }

int map_shared_memory(int, size_t, void *&, size_t &) noexcept {
  return -EOPNOTSUPP;
}

int keep_at_fork(void *, size_t, bool) noexcept { return -ENOSYS; }

int announce_reader(int, Knows) noexcept { return -ENOSYS; }

Knows announced_by_peer(int) noexcept { return Knows::nothing; }

const char descriptor_folder[] = "/dev/fd";

int close_at_once(unsigned, unsigned) noexcept { return -ENOSYS; }

// readdir(3) allocates: in a forked child every C library in use can do that,
// though POSIX does not promise it.
int list_descriptors(void (*visit)(int, void *) noexcept,
                     void *context) noexcept {
  int own = sys::retry_int("open", [] {
    return ::open(descriptor_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  });
  if (own < 0)
    return own;
  CancelGuard cancel;
  DIR *directory = nullptr;
  int error = sys::retry_int("fdopendir", [&] {
    directory = ::fdopendir(own);
    return directory != nullptr ? 0 : -1;
  });
  if (error != 0) {
    ::close(own);
    return error;
  }
  bool complete = false;
  for (;;) {
    const dirent *entry = nullptr;
    error = sys::retry_int("readdir", [&] {
      errno = 0; // nullptr may be the end
      entry = ::readdir(directory);
      return entry == nullptr && errno != 0 ? -1 : 0;
    });
    if (error != 0 || entry == nullptr)
      break;
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
      continue;
    int fd = std::atoi(entry->d_name);
    if (fd == own)
      complete = true;
    else
      visit(fd, context);
  }
  ::closedir(directory);
  // Some systems have only 0 to 2 there unless another file system is mounted:
  // a folder without the descriptor of itself is not the whole list.
  return error != 0 ? error : complete ? 0 : -ENOENT;
}

// ---- Processes --------------------------------------------------------------

bool wipe_on_fork(void *, size_t) noexcept { return false; }

int signal_by_exit_fd(int, int) noexcept { return -ENOSYS; }

int reap(int, int *, rusage *) noexcept { return -ENOSYS; }

bool spawn_forks() noexcept { return true; }
bool is_emulated() noexcept { return false; }

int spawn(const Spawn &child, pid_t *pid, Fd *, int *detail) noexcept {
  return spawn_by_fork(child, pid, detail);
}

int set_groups(const gid_t *groups, size_t count) noexcept {
  auto size = static_cast<int>(count);
  return sys::retry_int("setgroups", [&] { return ::setgroups(size, groups); });
}

int set_gid(gid_t gid) noexcept {
  return sys::retry_int("setgid", [&] { return ::setgid(gid); });
}

int set_uid(uid_t uid) noexcept {
  return sys::retry_int("setuid", [&] { return ::setuid(uid); });
}

int get_groups(gid_t *groups, size_t room) noexcept {
  auto size = static_cast<int>(room);
  return sys::retry_int("getgroups", [&] { return ::getgroups(size, groups); });
}

// POSIX has no way to ask for the saved ones.
int get_gids(gid_t (&ids)[3]) noexcept {
  ids[0] = ::getgid();
  ids[1] = ids[2] = ::getegid();
  return 0;
}

int get_uids(uid_t (&ids)[3]) noexcept {
  ids[0] = ::getuid();
  ids[1] = ids[2] = ::geteuid();
  return 0;
}

int set_no_new_privileges() noexcept { return -EOPNOTSUPP; }

#ifdef F_SETSIG

int choose_hangup_signal(int fd, int signal) noexcept {
  return sys::retry_int("fcntl", [&] { return ::fcntl(fd, F_SETSIG, signal); });
}

#else

// SIGIO is what these systems send; an exec forgets its handler, so that there
// only function children can be daemons.
static volatile sig_atomic_t death_signal;

int choose_hangup_signal(int, int signal) noexcept {
  death_signal = signal;
  struct sigaction action {};
  action.sa_handler = [](int) { ::kill(::getpid(), death_signal); };
  return sys::retry_int("sigaction",
                        [&] { return ::sigaction(SIGIO, &action, nullptr); });
}

#endif

// ---- Trees ------------------------------------------------------------------

// A tree is a session here.
int make_cgroup(char *, size_t, Fd &) noexcept { return -EOPNOTSUPP; }

int lock_cgroup(const char *, Fd &) noexcept { return -EOPNOTSUPP; }

int fork_into_cgroup(int) noexcept { return -EOPNOTSUPP; }

int enter_cgroup(const char *) noexcept { return -EOPNOTSUPP; }

int kill_cgroup(const char *) noexcept { return -EOPNOTSUPP; }

int remove_cgroup(const char *) noexcept { return -EOPNOTSUPP; }

int become_subreaper() noexcept { return -EOPNOTSUPP; }

int list_children(pid_t *, size_t) noexcept { return -EOPNOTSUPP; }

int signal_descendants(pid_t, int) noexcept { return -EOPNOTSUPP; }

bool is_child_of(pid_t, pid_t) noexcept { return true; }

bool has_one_thread() noexcept { return true; }

// ppoll(2) is not everywhere: looks again and again.
int wait_for_child(int socket, int milliseconds) noexcept {
  constexpr int interval = 20;
  pollfd peer{socket, 0, 0};
  int left = milliseconds < 0 ? interval : std::min(milliseconds, interval);
  return sys::poll(&peer, 1, left) > 0 ? 1 : 0;
}

void die_with_parent(pid_t) noexcept {}

void continue_without_parent() noexcept {}

// ---- Templates --------------------------------------------------------------

int packet_pair(Fd &, Fd &) noexcept { return -EOPNOTSUPP; }

int send_packet(int, const iovec *, int, const int *, int) noexcept {
  return -EOPNOTSUPP;
}

ssize_t receive_packet(int, void *, size_t, int (&)[most_sent],
                       int &) noexcept {
  return -EOPNOTSUPP;
}

int fork_sibling() noexcept { return -EOPNOTSUPP; }

// ---- C library --------------------------------------------------------------

const char *error_text(int error) noexcept { return std::strerror(error); }

const char *secure_getenv(const char *name) noexcept {
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) ||       \
    defined(__OpenBSD__) || defined(__DragonFly__)
  bool secure = ::issetugid() != 0;
#else
  bool secure = ::getuid() != ::geteuid() || ::getgid() != ::getegid();
#endif
  return secure ? nullptr : std::getenv(name);
}

int clear_environment() noexcept {
  static char *nothing[] = {nullptr};
  environ = nothing;
  return 0;
}

void take_pending(int signal) noexcept {
  // sigtimedwait(2) is not everywhere.
  CancelGuard cancel;
  sigset_t set;
  sigpending(&set);
  if (sigismember(&set, signal) != 1)
    return;
  sigemptyset(&set);
  sigaddset(&set, signal);
  int got;
  (void)sigwait(&set, &got);
}

// ---- What is live -----------------------------------------------------------

int features(void (*)(int) noexcept) noexcept { return 0; }

int resident_memory(pid_t, uint64_t &) noexcept { return -EOPNOTSUPP; }

} // namespace gipc::os
