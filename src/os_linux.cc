// Linux: pidfd, close_range, RWF_NOWAIT, clone.  Each newer call is probed by
// using it, and has its fallback for an older kernel.
#include "os_common.h"

#include "sys.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/posix_types.h>
#include <new>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// Names that older kernel and C library headers lack.
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

int socket_pair(Fd &a, Fd &b) noexcept {
  int ends[2];
  if (int error = sys::retry_int("socketpair", [&] {
        return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
      }))
    return error;
  a.reset(ends[0]);
  b.reset(ends[1]);
  int error = sys::above_stdio(a);
  return error != 0 ? error : sys::above_stdio(b);
}

int pipe_pair(Fd &reader, Fd &writer) noexcept {
  int ends[2];
  if (int error =
          sys::retry_int("pipe", [&] { return ::pipe2(ends, O_CLOEXEC); }))
    return error;
  reader.reset(ends[0]);
  writer.reset(ends[1]);
  int error = sys::above_stdio(reader);
  return error != 0 ? error : sys::above_stdio(writer);
}

namespace {

struct DirectoryEntry { // linux_dirent64
  uint64_t inode;
  int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[1];
};

} // namespace

const char descriptor_folder[] = "/proc/self/fd";

int check_proc() noexcept {
  char number[16];
  int size = sys::read_link("/proc/self", number, sizeof number - 1);
  if (size < 0)
    return size;
  number[size] = '\0';
  return std::atoi(number) == ::getpid() ? 0 : -ENOENT;
}

int close_at_once(unsigned first, unsigned last) noexcept {
  // Linux 5.9; a sandbox may refuse it.
  long result = raw("close_range", SYS_close_range, first, last, 0u);
  return result < 0 ? static_cast<int>(result) : 0;
}

// readdir(3) allocates, so it must not be used between vfork and exec;
// getdents64(2) can.
int list_descriptors(void (*visit)(int, void *) noexcept,
                     void *context) noexcept {
  CancelGuard guard;
  int directory = sys::retry_int("open", [] {
    return ::open(descriptor_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  });
  if (directory < 0)
    return directory;
  bool complete = false;
  alignas(DirectoryEntry) char buffer[2048];
  long size;
  while ((size = raw("getdents64", SYS_getdents64, directory, buffer,
                     sizeof buffer)) > 0)
    for (long at = 0; at < size;) {
      auto *entry = reinterpret_cast<DirectoryEntry *>(buffer + at);
      at += entry->size;
      int fd = 0;
      const char *digit = entry->name;
      for (; *digit >= '0' && *digit <= '9'; ++digit)
        fd = fd * 10 + (*digit - '0');
      if (*digit != '\0')
        continue;
      if (fd == directory)
        complete = true;
      else
        visit(fd, context);
    }
  ::close(directory);
  // A folder without the descriptor of itself is not the kernel's list.
  return size < 0 ? static_cast<int>(size) : complete ? 0 : -ENOENT;
}

namespace {

int advise(void *page, size_t size, int advice) noexcept {
  return sys::retry_int("madvise",
                        [&] { return ::madvise(page, size, advice); });
}

} // namespace

// An emulator such as qemu-user answers 0 to any advice, and does nothing.  It
// also makes a fork of CLONE_VFORK.  Asked once, about a page of its own.
bool is_emulated() noexcept {
  enum { unknown, kernel, emulator };
  static std::atomic<int> answer{unknown};
  constexpr int impossible = 0x7777;
  constexpr size_t size = 4096;
  int known = answer.load(std::memory_order_relaxed);
  if (known == unknown) {
    void *page;
    if (sys::map_memory(size, MAP_PRIVATE, page) != 0)
      return true; // the careful ways are right everywhere
    known = advise(page, size, impossible) == 0 ? emulator : kernel;
    ::munmap(page, size);
    answer.store(known, std::memory_order_relaxed);
  }
  return known == emulator;
}

bool wipe_on_fork(void *page, size_t size) noexcept {
  return ::sysconf(_SC_PAGESIZE) == static_cast<long>(size) && !is_emulated() &&
         advise(page, size, MADV_WIPEONFORK) == 0;
}

int open_exit_fd(pid_t pid, Fd &out) noexcept {
  long fd = raw("pidfd_open", SYS_pidfd_open, pid, 0);
  if (fd < 0)
    return static_cast<int>(fd);
  out.reset(static_cast<int>(fd));
  return sys::above_stdio(out);
}

int signal_by_exit_fd(int exit_fd, int signal) noexcept {
  return static_cast<int>(raw("pidfd_send_signal", SYS_pidfd_send_signal,
                              exit_fd, signal, nullptr, 0));
}

namespace {

// struct rusage as the kernel has it.  That of the C library is another one on
// 32-bit systems with 64-bit time.
struct KernelUsage {
  struct Time {
    __kernel_long_t seconds, microseconds;
  } user, system;
  __kernel_long_t max_rss, rest[13];
};

timeval to_timeval(const KernelUsage::Time &time) noexcept {
  timeval result{};
  result.tv_sec = static_cast<decltype(result.tv_sec)>(time.seconds);
  result.tv_usec = static_cast<decltype(result.tv_usec)>(time.microseconds);
  return result;
}

} // namespace

int reap(int exit_fd, int *status, rusage *usage) noexcept {
  siginfo_t info{};
  KernelUsage used{};
  // The system call has a fifth argument, which waitid(3) hides.
  long result = raw("waitid", SYS_waitid, P_PIDFD, exit_fd, &info,
                    WEXITED | __WALL | WNOHANG, &used);
  if (result < 0)
    return static_cast<int>(result);
  if (info.si_pid == 0)
    return 0;
  *usage = {};
  usage->ru_utime = to_timeval(used.user);
  usage->ru_stime = to_timeval(used.system);
  usage->ru_maxrss = static_cast<long>(used.max_rss);
  *status = info.si_code == CLD_EXITED
                ? (info.si_status & 0xff) << 8
                : info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
  return 1;
}

int kept_status(int exit_fd, int *status) noexcept {
  PidfdInfo info{};
  info.mask = pidfd_info_exit;
  long result = raw("ioctl", SYS_ioctl, exit_fd, pidfd_get_info, &info);
  if (result < 0)
    return static_cast<int>(result);
  if ((info.mask & pidfd_info_exit) == 0)
    return 0;
  *status = info.exit_code;
  return 1;
}

int open_exit_set(Fd &out) noexcept {
  int set = sys::retry_int("epoll_create1",
                           [] { return ::epoll_create1(EPOLL_CLOEXEC); });
  if (set < 0)
    return set;
  out.reset(set);
  return sys::above_stdio(out);
}

int enter_exit_set(int set, int exit_fd, void *owner) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = owner;
  return sys::retry_int("epoll_ctl", [&] {
    return ::epoll_ctl(set, EPOLL_CTL_ADD, exit_fd, &event);
  });
}

void leave_exit_set(int set, int exit_fd) noexcept {
  // Closing the descriptor is not enough: a forked child may have a copy.  It
  // fails for what is not in the set.
  (void)sys::retry_int("epoll_ctl", [&] {
    return ::epoll_ctl(set, EPOLL_CTL_DEL, exit_fd, nullptr);
  });
}

void *ended_of_exit_set(int set) noexcept {
  epoll_event event{};
  ssize_t count =
      sys::retry("epoll_wait", [&] { return ::epoll_wait(set, &event, 1, 0); });
  return count > 0 ? event.data.ptr : nullptr;
}

namespace {

constexpr size_t stack_size = 256 * 1024;

struct Result {
  const Spawn *spawn;
  int error; // the child's errno; 0 after an exec
  int detail;
};

int spawned(void *pointer) {
  auto *result = static_cast<Result *>(pointer);
  result->error = result->spawn->body(result->spawn->argument, &result->detail);
  _exit(127);
}

} // namespace

bool spawn_forks() noexcept { return is_emulated(); }

int spawn(const Spawn &what, pid_t *pid, Fd *exit_fd, int *detail) noexcept {
  if (spawn_forks())
    return spawn_by_fork(what, pid, detail);
  // The child's stack, with the result at its lower end.  MAP_SHARED, so that
  // the result comes back from a child that has a copy of all other memory.
  void *memory;
  if (int error =
          sys::map_memory(stack_size, MAP_SHARED | MAP_NORESERVE, memory))
    return error;
  auto *result = new (memory) Result{&what, 0, 0};
  // CLONE_VFORK: the parent sleeps until the exec or exit, so there is no
  // status pipe, which a fork in another thread could hold open.
  int flags = SIGCHLD | CLONE_VFORK | (what.shared ? CLONE_VM : 0);
  int fd = -1;
  auto clone_child = [&](int extra) {
    return sys::retry_int("clone", [&] {
      return ::clone(spawned, static_cast<char *>(memory) + stack_size,
                     flags | extra, result, &fd);
    });
  };
  int child = clone_child(CLONE_PIDFD);
  // Before Linux 5.2, in a sandbox that knows no such flag, or without room.
  if (child < 0 && child != -EAGAIN && child != -ENOMEM)
    child = clone_child(0);
  Fd child_fd(child >= 0 ? fd : -1);
  int error = child < 0 ? child : result->error;
  *detail = result->detail;
  ::munmap(memory, stack_size);
  if (child >= 0 && error != 0) {
    int status;
    (void)sys::waitpid(child, &status, __WALL,
                       nullptr); // or another reaper did
  }
  if (child_fd)
    (void)sys::above_stdio(child_fd); // at worst there is none
  *exit_fd = std::move(child_fd);
  if (error == 0)
    *pid = child;
  return error;
}

int set_no_new_privileges() noexcept {
  return sys::retry_int(
      "prctl", [] { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
}

int choose_hangup_signal(int fd, int signal) noexcept {
  return sys::retry_int("fcntl", [&] { return ::fcntl(fd, F_SETSIG, signal); });
}

#ifdef __GLIBC__

const char *error_text(int error) noexcept {
  // strerror() may share one buffer between threads; this table does not.
#if __GLIBC_PREREQ(2, 32)
  const char *text = ::strerrordesc_np(error);
#else
  const char *text = std::strerror(error);
#endif
  return text != nullptr ? text : "unknown system error";
}

#else

// Other C libraries have constants only.
const char *error_text(int error) noexcept { return std::strerror(error); }

#endif

const char *secure_getenv(const char *name) noexcept {
  return ::secure_getenv(name);
}

int clear_environment() noexcept {
  return sys::retry_int("clearenv", [] {
    errno = ENOMEM; // which it need not set
    return ::clearenv() == 0 ? 0 : -1;
  });
}

void take_pending(int signal) noexcept {
  sys::ErrnoGuard guard;
  CancelGuard cancel;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  timespec now{};
  while (::sigtimedwait(&set, nullptr, &now) < 0 && errno == EINTR) {
  }
}

} // namespace gipc::os
