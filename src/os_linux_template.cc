// Linux: a process that forks children for its parent, and what it is asked
// through.
#include "os.h"

#include "sys.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40 // Linux 3.5
#endif

namespace gipc::os {

// ---- Packets ----------------------------------------------------------------

int packet_pair(Fd &a, Fd &b) noexcept {
  int ends[2];
  if (int error = sys::retry_int("socketpair", [&] {
        return ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
      }))
    return error;
  a.reset(ends[0]);
  b.reset(ends[1]);
  int error = sys::above_stdio(a);
  return error != 0 ? error : sys::above_stdio(b);
}

namespace {

union Rights {
  cmsghdr header;
  char bytes[CMSG_SPACE(most_sent * sizeof(int))];
};

} // namespace

int send_packet(int socket, const iovec *parts, int count, const int *fds,
                int fd_count) noexcept {
  if (fd_count > most_sent)
    return -E2BIG;
  Rights rights{};
  msghdr header{};
  header.msg_iov = const_cast<iovec *>(parts);
  header.msg_iovlen = static_cast<decltype(header.msg_iovlen)>(count);
  size_t size = static_cast<size_t>(fd_count) * sizeof(int);
  if (fd_count > 0) {
    header.msg_control = rights.bytes;
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr *first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(first), fds, size);
  }
  ssize_t sent = sys::retry(
      "sendmsg", [&] { return ::sendmsg(socket, &header, MSG_NOSIGNAL); });
  return sent < 0 ? static_cast<int>(sent) : 0;
}

ssize_t receive_packet(int socket, void *data, size_t size,
                       int (&fds)[most_sent], int &fd_count) noexcept {
  Rights rights{};
  iovec part{data, size};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = rights.bytes;
  header.msg_controllen = sizeof rights.bytes;
  fd_count = 0;
  ssize_t got = sys::retry(
      "recvmsg", [&] { return ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC); });
  if (got < 0)
    return got;
  for (cmsghdr *one = CMSG_FIRSTHDR(&header); one != nullptr;
       one = CMSG_NXTHDR(&header, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS)
      continue;
    size_t bytes = one->cmsg_len - CMSG_LEN(0);
    std::memcpy(fds, CMSG_DATA(one), bytes);
    fd_count = static_cast<int>(bytes / sizeof(int));
  }
  return (header.msg_flags & MSG_CTRUNC) != 0 ? -EMFILE : got;
}

// ---- Forks ------------------------------------------------------------------

namespace {

// What the C library has told the kernel of the calling thread, which a
// clone(2) that bypasses the library must tell it again.
struct Thread {
  int *cleared; // what the kernel clears at the end of the thread
  int *tid;     // where the C library keeps the thread's number
  void *robust_list;
  size_t robust_size;
};

template <typename... Arguments>
long call(const char *name, long number, Arguments... arguments) noexcept {
  return sys::retry(name, [&] { return ::syscall(number, arguments...); });
}

// The number of the calling thread, as the C library has it; it makes a clock
// of it (clock_getcpuclockid(3), and CPUCLOCK_PID of the kernel).
int number_in_library() noexcept {
  clockid_t clock;
  return ::pthread_getcpuclockid(::pthread_self(), &clock) == 0 ? ~(clock >> 3)
                                                                : 0;
}

// Whether the number is there: then the clock changes with it.
[[maybe_unused]] bool keeps_number(volatile int *place) noexcept {
  int number = *place, other = number + 1;
  *place = other;
  bool follows = number_in_library() == other;
  *place = number;
  return follows;
}

// glibc's locks use the number.  Until glibc 2.42 it is what the kernel clears;
// since 2.43 that is a state, behind the number in the structure of the thread.
// What else other C libraries would need is not known here.
int *find_number(int *cleared, int number) noexcept {
#ifdef __GLIBC__
  constexpr uintptr_t most = 4096; // the structure has some 2,400 bytes
  auto begin = static_cast<uintptr_t>(::pthread_self());
  auto end = reinterpret_cast<uintptr_t>(cleared);
  if (end < begin || end - begin > most)
    return nullptr;
  for (int *place = cleared; reinterpret_cast<uintptr_t>(place) >= begin;
       --place)
    if (*place == number && keeps_number(place))
      return place;
#endif
  (void)cleared, (void)number;
  return nullptr;
}

// -EOPNOTSUPP with a C library that keeps the number somewhere else.
int look_at_thread(Thread &out) noexcept {
  auto own = static_cast<int>(::syscall(SYS_gettid));
  int error = sys::retry_int(
      "prctl", [&] { return ::prctl(PR_GET_TID_ADDRESS, &out.cleared); });
  if (error < 0)
    return -EOPNOTSUPP;
  // A handler of a signal may use a lock.
  sigset_t all, before;
  sigfillset(&all);
  (void)sys::signal_mask(SIG_SETMASK, &all, &before);
  out.tid = find_number(out.cleared, own);
  (void)sys::signal_mask(SIG_SETMASK, &before, nullptr);
  if (out.tid == nullptr)
    return -EOPNOTSUPP;
  (void)call("get_robust_list", SYS_get_robust_list, 0, &out.robust_list,
             &out.robust_size);
  return 0;
}

} // namespace

bool has_one_thread() noexcept {
  if (is_emulated())
    return true; // an emulator, whose own threads are among those listed
  struct stat info;
  int error =
      sys::retry_int("stat", [&] { return ::stat("/proc/self/task", &info); });
  constexpr nlink_t folders = 2; // "." and "..", beside one of each thread
  return error != 0 || info.st_nlink <= folders + 1;
}

namespace {

// clone_args of <linux/sched.h> with its first field of Linux 5.7 at the end.
struct CloneArguments {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal;
  uint64_t stack, stack_size, tls, set_tid, set_tid_size;
  uint64_t cgroup;
};
constexpr uint64_t clone_into_cgroup = uint64_t{1} << 33;

// A fork by this call, which gets nothing but flags.
template <typename Clone> int fork_by(Clone &&clone) noexcept {
  Thread thread{};
  if (!has_one_thread())
    return -EBUSY;
  if (int error = look_at_thread(thread))
    return error;
  long child = clone();
  if (child != 0)
    return child == -EINVAL || child == -ENOSYS ? -EOPNOTSUPP
                                                : static_cast<int>(child);
  // These cannot fail.
  *thread.tid =
      static_cast<int>(::syscall(SYS_set_tid_address, thread.cleared));
  if (thread.robust_list != nullptr)
    (void)::syscall(SYS_set_robust_list, thread.robust_list,
                    thread.robust_size);
  return 0;
}

} // namespace

int fork_sibling() noexcept {
  return fork_by([] {
    // All arguments but the flags are 0, so only this machine's order matters.
    auto flags = static_cast<long>(CLONE_PARENT);
#ifdef __s390__
    return call("clone", SYS_clone, 0L, flags, 0L, 0L, 0L);
#else
    return call("clone", SYS_clone, flags, 0L, 0L, 0L, 0L);
#endif
  });
}

int fork_into_cgroup(int folder) noexcept {
#ifdef SYS_clone3
  return fork_by([folder] {
    CloneArguments arguments{};
    arguments.flags = clone_into_cgroup;
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<uint64_t>(folder);
    return call("clone3", SYS_clone3, &arguments, sizeof arguments);
  });
#else
  (void)folder;
  return -EOPNOTSUPP;
#endif
}

} // namespace gipc::os
