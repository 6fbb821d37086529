// Linux: pidfd, close_range, RWF_NOWAIT, clone.  Each newer call is probed by
// using it, and has its fallback for an older kernel.
#include "os.h"

#include "gipc.h"
#include "sys.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sched.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// Names that older kernel and C library headers lack.
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100 // Linux 6.18
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 // Linux 4.14
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef F_SETSIG
#define F_SETSIG 10
#endif

namespace gipc::os {

namespace {

// struct pidfd_info of <linux/pidfd.h>, which came with Linux 6.13; the exit
// status with 6.15.
struct PidfdInfo {
  uint64_t mask;
  uint64_t cgroup_id;
  uint32_t pid, tgid, ppid;
  uint32_t ids[8];
  int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64, "PIDFD_INFO_SIZE_VER0");
constexpr uint64_t pidfd_info_exit = 1u << 3;
constexpr unsigned long pidfd_get_info = _IOWR(0xFF, 11, PidfdInfo);

template <typename... Arguments>
long raw(const char *name, long number, Arguments... arguments) noexcept {
  return sys::retry(name, [&] { return ::syscall(number, arguments...); });
}

} // namespace

const char *error_text(int error) noexcept {
  // strerror() may share one buffer between threads; this table does not.
  const char *text = strerrordesc_np(error);
  return text != nullptr ? text : "unknown system error";
}

int socket_pair(Fd &a, Fd &b) noexcept {
  int ends[2];
  if (int error = static_cast<int>(sys::retry("socketpair", [&] {
        return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
      })))
    return error;
  a.reset(ends[0]);
  b.reset(ends[1]);
  int error = sys::above_stdio(a);
  return error != 0 ? error : sys::above_stdio(b);
}

int pipe_pair(Fd &reader, Fd &writer) noexcept {
  int ends[2];
  if (int error = static_cast<int>(
          sys::retry("pipe", [&] { return ::pipe2(ends, O_CLOEXEC); })))
    return error;
  reader.reset(ends[0]);
  writer.reset(ends[1]);
  int error = sys::above_stdio(reader);
  return error != 0 ? error : sys::above_stdio(writer);
}

ssize_t read_now(int fd, const iovec *parts, int count) noexcept {
  return sys::retry(
      "preadv2", [&] { return ::preadv2(fd, parts, count, -1, RWF_NOWAIT); });
}

ssize_t write_now(int fd, const iovec *parts, int count) noexcept {
  return sys::retry("pwritev2", [&] {
    return ::pwritev2(fd, parts, count, -1, RWF_NOWAIT | RWF_NOSIGNAL);
  });
}

namespace {

struct DirectoryEntry { // linux_dirent64
  uint64_t inode;
  int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[1];
};

// Calls visit(fd) for each open descriptor.  readdir(3) allocates, so it must
// not be used between vfork and exec; getdents64(2) can.
template <typename Visit> void each_descriptor(Visit &&visit) noexcept {
  int directory = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return;
  alignas(DirectoryEntry) char buffer[2048];
  long size;
  while ((size = ::syscall(SYS_getdents64, directory, buffer, sizeof buffer)) >
         0)
    for (long at = 0; at < size;) {
      auto *entry = reinterpret_cast<DirectoryEntry *>(buffer + at);
      at += entry->size;
      int fd = 0;
      const char *digit = entry->name;
      for (; *digit >= '0' && *digit <= '9'; ++digit)
        fd = fd * 10 + (*digit - '0');
      if (*digit == '\0' && fd != directory)
        visit(fd);
    }
  ::close(directory);
}

} // namespace

void close_range(unsigned first, unsigned last) noexcept {
  if (first > last || raw("close_range", SYS_close_range, first, last, 0u) >= 0)
    return;
  // Before Linux 5.9.  Descriptors that close under the scan may make it miss
  // some, so scan until there is nothing left.
  for (bool again = true; again;) {
    again = false;
    each_descriptor([&](int fd) {
      auto number = static_cast<unsigned>(fd);
      if (number >= first && number <= last && ::close(fd) == 0)
        again = true;
    });
  }
}

void detach_signalfds() noexcept {
  sys::ErrnoGuard guard;
  Fd null;
  each_descriptor([&](int fd) {
    char path[32], target[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t size = ::readlink(path, target, sizeof target - 1);
    if (size <= 0)
      return;
    target[size] = '\0';
    if (std::strcmp(target, "anon_inode:[signalfd]") != 0)
      return;
    if (null || sys::open_null(null) == 0)
      (void)::dup3(null.get(), fd, O_CLOEXEC);
  });
}

bool wipe_on_fork(void *page, size_t size) noexcept {
  return ::sysconf(_SC_PAGESIZE) == static_cast<long>(size) &&
         sys::retry("madvise", [&] {
           return ::madvise(page, size, MADV_WIPEONFORK);
         }) == 0;
}

int open_pidfd(pid_t pid, Fd &out) noexcept {
  long fd = raw("pidfd_open", SYS_pidfd_open, pid, 0);
  if (fd < 0)
    return static_cast<int>(fd);
  out.reset(static_cast<int>(fd));
  return sys::above_stdio(out);
}

int signal_pidfd(int pidfd, int signal) noexcept {
  return static_cast<int>(raw("pidfd_send_signal", SYS_pidfd_send_signal, pidfd,
                              signal, nullptr, 0));
}

int wait_pidfd(int pidfd, bool wait, int *status, rusage *usage) noexcept {
  siginfo_t info{};
  // The system call has a fifth argument, which waitid(3) hides.
  long result = raw("waitid", SYS_waitid, P_PIDFD, pidfd, &info,
                    WEXITED | __WALL | (wait ? 0 : WNOHANG), usage);
  if (result < 0)
    return static_cast<int>(result);
  if (info.si_pid == 0)
    return 0;
  *status = info.si_code == CLD_EXITED
                ? (info.si_status & 0xff) << 8
                : info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
  return 1;
}

int kept_status(int pidfd, int *status) noexcept {
  PidfdInfo info{};
  info.mask = pidfd_info_exit;
  long result = raw("ioctl", SYS_ioctl, pidfd, pidfd_get_info, &info);
  if (result < 0)
    return static_cast<int>(result);
  if ((info.mask & pidfd_info_exit) == 0)
    return 0;
  *status = info.exit_code;
  return 1;
}

namespace {

constexpr size_t stack_size = 256 * 1024;

struct Spawn {
  int (*body)(void *) noexcept;
  void *argument;
  int error; // the child's errno; 0 after an exec
};

int spawned(void *pointer) {
  auto *spawn = static_cast<Spawn *>(pointer);
  spawn->error = spawn->body(spawn->argument);
  _exit(127);
}

} // namespace

int spawn(int (*body)(void *) noexcept, void *argument, bool shared, pid_t *pid,
          Fd *pidfd) noexcept {
  // The child's stack, with the result at its lower end.  MAP_SHARED, so that
  // the result comes back from a child that has a copy of all other memory.
  void *memory = ::mmap(nullptr, stack_size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return -ENOMEM;
  auto *spawn = new (memory) Spawn{body, argument, 0};
  // CLONE_VFORK: the parent sleeps until the exec or exit, so there is no
  // status pipe, which a fork in another thread could hold open.
  int flags = SIGCHLD | CLONE_VFORK | (shared ? CLONE_VM : 0);
  int fd = -1;
  auto clone_child = [&](int extra) {
    return static_cast<int>(sys::retry("clone", [&] {
      return ::clone(spawned, static_cast<char *>(memory) + stack_size,
                     flags | extra, spawn, &fd);
    }));
  };
  int child = clone_child(CLONE_PIDFD);
  // Before Linux 5.2, in a sandbox that knows no such flag, or without room.
  if (child < 0 && child != -EAGAIN && child != -ENOMEM)
    child = clone_child(0);
  Fd child_fd(child >= 0 ? fd : -1);
  int error = child < 0 ? child : spawn->error;
  ::munmap(memory, stack_size);
  if (child >= 0 && error != 0) {
    int status;
    (void)sys::waitpid(child, &status, __WALL, nullptr); // or a thief did
  }
  if (error != 0)
    return error;
  if (child_fd)
    (void)sys::above_stdio(child_fd); // at worst it stays where it is
  *pid = child;
  *pidfd = std::move(child_fd);
  return 0;
}

int set_user(uid_t uid, gid_t gid, const gid_t *groups, size_t count) noexcept {
  // The C library's wrappers signal every thread of the process, which in a
  // raw clone are the parent's.
  long error = raw("setgroups", SYS_setgroups, count, groups);
  if (error == 0)
    error = raw("setgid", SYS_setgid, gid);
  if (error == 0)
    error = raw("setuid", SYS_setuid, uid);
  return static_cast<int>(error);
}

int set_no_new_privileges() noexcept {
  return static_cast<int>(sys::retry(
      "prctl", [] { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }));
}

int signal_on_hangup(int fd, int signal) noexcept {
  // The kernel sends the signal when the peer's end goes, whatever the process
  // is doing; PR_SET_PDEATHSIG would fire when the starting *thread* exits.
  auto set = [&](int command, int value) {
    return static_cast<int>(
        sys::retry("fcntl", [&] { return ::fcntl(fd, command, value); }));
  };
  int error = set(F_SETOWN, ::getpid());
  if (error == 0)
    error = set(F_SETSIG, signal);
  int flags = error == 0 ? sys::status_flags(fd) : error;
  error = flags < 0 ? flags : set(F_SETFL, flags | O_ASYNC);
  // It may have gone before it was watched.
  pollfd peer{fd, 0, 0};
  if (error == 0 && sys::poll(&peer, 1, 0) > 0)
    return -EOWNERDEAD;
  return error;
}

void stop_signal_on_hangup(int fd) noexcept {
  int flags = sys::status_flags(fd);
  if (flags >= 0)
    (void)::fcntl(fd, F_SETFL, flags & ~O_ASYNC);
}

void discard_stdio() noexcept {
  ::__fpurge(stdout);
  ::__fpurge(stderr);
}

void on_exit(void (*handler)(int, void *)) noexcept {
  (void)::on_exit(handler, nullptr); // fails for want of memory only
}

// ---- What is live -----------------------------------------------------------

namespace {

struct Probe {
  int ran; // set by the child
};

// Not the kernel's fault: it may do it another time.
bool is_shortage(int error) noexcept {
  return error == -EAGAIN || error == -ENOMEM || error == -EMFILE ||
         error == -ENFILE;
}

// A child that shares our memory, runs before clone(2) returns here, and ends.
// Its end raises no signal and is invisible to a plain wait(2), so that nobody
// else in the program hears of it.
int start_probe(void *stack, Probe *probe, Fd &pidfd) noexcept {
  auto body = [](void *pointer) -> int {
    static_cast<Probe *>(pointer)->ran = 1;
    _exit(0);
  };
  int fd = -1;
  auto clone_child = [&](int extra) {
    return static_cast<int>(sys::retry("clone", [&] {
      return ::clone(body, static_cast<char *>(stack) + stack_size,
                     CLONE_VM | CLONE_VFORK | extra, probe, &fd);
    }));
  };
  int child = clone_child(CLONE_PIDFD);
  if (child < 0 && !is_shortage(child))
    child = clone_child(0);
  pidfd.reset(child >= 0 ? fd : -1);
  return child;
}

// How children are started here, and what is known of their ends.
int process_features() noexcept {
  void *stack = ::mmap(nullptr, stack_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED)
    return -ENOMEM;
  // A handler of ours must not run in the child, in our memory.
  sigset_t all, before;
  sigfillset(&all);
  (void)sys::signal_mask(SIG_SETMASK, &all, &before);
  auto *probe = new (stack) Probe{0};
  Fd pidfd;
  int child = start_probe(stack, probe, pidfd);
  (void)sys::signal_mask(SIG_SETMASK, &before, nullptr);
  // Emulators take such a clone for a fork, of which nothing shows here.
  int found = child > 0 && probe->ran != 0 ? GIPC_FEATURE_SHARED_START : 0;
  ::munmap(stack, stack_size);
  if (child <= 0)
    return is_shortage(child) ? child : 0;
  if (!pidfd)
    (void)open_pidfd(child, pidfd);
  int status = 0;
  if (pidfd && wait_pidfd(pidfd.get(), true, &status, nullptr) == 1) {
    found |= GIPC_FEATURE_PIDFD;
    if (kept_status(pidfd.get(), &status) == 1)
      found |= GIPC_FEATURE_KEPT_STATUS;
  } else {
    (void)sys::waitpid(child, &status, __WALL, nullptr);
  }
  return found;
}

// Transfers on a pipe that do not wait.
int transfer_features() noexcept {
  Fd reader, writer;
  if (int error = pipe_pair(reader, writer))
    return error;
  char byte = 0;
  iovec part{&byte, 1};
  int found = 0;
  if (read_now(reader.get(), &part, 1) == -EAGAIN)
    found |= GIPC_FEATURE_PIPE_READ;
  if (write_now(writer.get(), &part, 1) == 1)
    found |= GIPC_FEATURE_PIPE_WRITE;
  return found;
}

int memory_features() noexcept {
  auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  void *page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return -ENOMEM;
  int found = wipe_on_fork(page, size) ? GIPC_FEATURE_WIPE_ON_FORK : 0;
  ::munmap(page, size);
  return found;
}

} // namespace

int features() noexcept {
  int found = 0;
  // Beyond every descriptor that there can be: nothing is closed.
  if (raw("close_range", SYS_close_range, ~0u, ~0u, 0u) >= 0)
    found |= GIPC_FEATURE_CLOSE_RANGE;
  for (int (*probe)() noexcept :
       {process_features, transfer_features, memory_features}) {
    int result = probe();
    if (result < 0)
      return result;
    found |= result;
  }
  return found;
}

} // namespace gipc::os
