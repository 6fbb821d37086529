// Which errors each call can have, by its manual page; see sites.h.
#include "sites.h"

#include <cerrno>
#include <cstring>

namespace sites {

namespace {

// Left out: what only a wrong argument has (EBADF, EFAULT, ENOTSOCK), which the
// library does not pass, and EINTR where the call is repeated within the hook.
struct Errors {
  const char *calls;
  int numbers[8];
};

const Errors table[] = {
    // Transfers
    {"recv recvmsg recvmmsg", {EAGAIN, ECONNRESET, ENOMEM, ENOBUFS}},
    {"send sendmmsg", {EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM}},
    {"sendmsg",
     {EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM, ETOOMANYREFS, EPERM}},
    {"sendto", {EAGAIN, ECONNREFUSED, ENOBUFS, ENOENT, EPERM}},
    {"readv read", {EAGAIN, EIO, ENOMEM}},
    {"writev write", {EAGAIN, EPIPE, EIO, ENOSPC, EDQUOT}},
    {"preadv2", {EAGAIN, EIO, EOPNOTSUPP, ENOSYS, EPERM}},
    {"pwritev2", {EAGAIN, EPIPE, EIO, EOPNOTSUPP, ENOSYS, EINVAL}},
    {"shutdown", {ENOTCONN}},
    {"poll ppoll", {EINTR, ENOMEM, EINVAL}},
    // Descriptors
    {"fcntl", {EMFILE, EINVAL, EPERM, ENOMEM}},
    {"fstat stat fstatfs", {ENOMEM, EOVERFLOW, ENOSYS}},
    {"getsockopt getsockname", {ENOBUFS, ENOMEM, EPERM}},
    {"setsockopt", {ENOMEM, ENOPROTOOPT, EPERM}},
    {"getpeername", {ENOBUFS, ENOTCONN}},
    {"bind", {EADDRINUSE, EACCES, ENOMEM, ENOSPC}},
    {"socketpair pipe", {EMFILE, ENFILE, ENOMEM}},
    {"socket", {EMFILE, ENFILE, ENOBUFS, ENOMEM, EAFNOSUPPORT}},
    {"dup2", {EMFILE, EBUSY}},
    {"open", {EMFILE, ENFILE, ENOENT, EACCES, ENOMEM}},
    {"opendir fdopendir", {EMFILE, ENFILE, ENOENT, ENOMEM}},
    {"readdir getdents64", {ENOENT, EPERM}},
    {"access", {ENOENT, EACCES}},
    {"readlink", {ENOENT, EACCES, ENOMEM}},
    {"mkdir", {EACCES, EROFS, ENOSPC, EPERM}},
    {"mkdtemp", {EACCES, EROFS, ENOSPC}},
    {"rmdir unlink", {EBUSY, ENOENT, EPERM}},
    {"flock", {EWOULDBLOCK, ENOLCK}},
    {"ioctl", {ENOTTY, EPERM, EINVAL}},
    {"close_range", {ENOSYS, EPERM, EMFILE}},
    {"epoll_create1", {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    {"epoll_ctl", {ENOMEM, ENOSPC, EPERM}},
    {"epoll_wait", {EPERM}},
    // Memory
    {"mmap", {ENOMEM, EAGAIN, EPERM}},
    {"madvise", {EINVAL, ENOMEM}},
    {"memfd_create", {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    {"fallocate", {ENOSPC, ENOMEM, EOPNOTSUPP}},
    {"setenv clearenv", {ENOMEM}},
    // Processes
    {"fork", {EAGAIN, ENOMEM}},
    {"clone", {EAGAIN, ENOMEM, EINVAL, ENOSYS, EPERM}},
    {"clone3", {EAGAIN, ENOMEM, EOPNOTSUPP, ENOSYS, EPERM}},
    {"execve", {ENOENT, EACCES, ENOMEM, E2BIG, ETXTBSY}},
    {"wait4 waitid", {ECHILD}},
    {"pidfd_open", {EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM}},
    {"pidfd_send_signal", {ESRCH, EPERM, ENOSYS}},
    {"kill", {ESRCH, EPERM}},
    {"sigaction", {EINVAL}},
    {"chdir", {ENOENT, EACCES, ENOMEM}},
    {"setpgid", {EPERM, ESRCH}},
    {"setsid nice", {EPERM}},
    {"setrlimit", {EPERM, EINVAL}},
    {"getrlimit", {EPERM}},
    {"prctl", {EINVAL, EPERM}},
    {"setgroups", {EPERM, ENOMEM}},
    {"setgid setuid", {EPERM, EAGAIN}},
    {"getgroups getresgid getresuid", {EPERM}},
    {"get_robust_list", {ENOSYS, EPERM}},
    // Of the frame: by new or malloc
    {"allocation", {ENOMEM}},
};

// What a failure is turned into, where the result is another one.
struct Other {
  const char *calls;
  int error, result;
};

const Other others[] = {
    // The peer has gone, as an end of the stream tells, too.
    {"send sendmsg sendmmsg", ECONNRESET, -EPIPE},
    {"recv recvmsg recvmmsg", ECONNRESET, GIPC_EOF},
    {"recvmsg recvmmsg", ECONNRESET, GIPC_ETRUNCATED},
    // A template has gone.
    {"sendmsg", EPIPE, GIPC_EDEAD},
    {"sendmsg", ECONNRESET, GIPC_EDEAD},
    // The child has gone: another reaper took it.
    {"pidfd_send_signal kill", ESRCH, GIPC_EDEAD},
    {"wait4 waitid", ECHILD, GIPC_EDEAD},
    {"wait4 waitid", ECHILD, GIPC_ESTATUSLOST},
    // Nothing says how it ended.
    {"ioctl", ENOTTY, GIPC_ESTATUSLOST},
    {"ioctl", EINVAL, GIPC_ESTATUSLOST},
    // Without /proc nothing tells where signalfds are.
    {"open getdents64 readdir", ENOENT, -EOPNOTSUPP},
    // A kernel that makes no template.
    {"clone", EINVAL, -EOPNOTSUPP},
    {"clone", ENOSYS, -EOPNOTSUPP},
    {"prctl", EINVAL, -EOPNOTSUPP},
    {"prctl", EPERM, -EOPNOTSUPP},
};

struct Impossible {
  const char *scenario, *calls; // the beginning of its name
  int error;
};

const Impossible impossible[] = {
    // Of a bell it says that unread bytes are there, which wake the peer.
    {"ring_processes", "send", EAGAIN},
    {"start_live_ring", "send", EAGAIN},
    // So it is of a wake.
    {"wait_set", "send", EAGAIN},
    {"interrupt", "send", EAGAIN},
    // A worker that has gone ends its stream.
    {"pool", "send", EPIPE},
    {"pool", "send", ECONNRESET},
    // Of a child that is about to say that it is there.
    {"template", "recv", ECONNRESET},
    {"tree", "recv", ECONNRESET},
    // What a child has told is there when it has ended.
    {"start", "recv", EAGAIN},
    {"start", "recv", ECONNRESET},
    {"serve", "recv", ECONNRESET},
    // The child, whose end is waited for then, has not been reaped.
    {"stop_group", "waitid", ECHILD},
    {"stop_group", "pidfd_send_signal", ESRCH},
    {"tree_stop", "waitid", ECHILD},
    {"tree_stop", "pidfd_send_signal", ESRCH},
    {"push_watch_group", "waitid", ECHILD},
    {"push_watch_group", "pidfd_send_signal", ESRCH},
};

bool in_words(const char *words, const char *word) {
  size_t size = std::strlen(word);
  for (const char *at = words; (at = std::strstr(at, word)) != nullptr; ++at)
    if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == 0))
      return true;
  return false;
}

} // namespace

const int *errors_of(const char *call) {
  for (const Errors &one : table)
    if (in_words(one.calls, call))
      return one.numbers;
  return nullptr;
}

bool is_impossible(const char *scenario, const char *call, int error) {
  if (std::strncmp(scenario, "closed_", 7) == 0)
    return is_impossible(
        std::strcmp(scenario, "closed_template") == 0 ? "template" : "start",
        call, error);
  for (const Impossible &one : impossible)
    if (std::strncmp(one.scenario, scenario, std::strlen(one.scenario)) == 0 &&
        in_words(one.calls, call) && one.error == error)
      return true;
  return false;
}

bool shares_socket(const char *scenario) {
  return std::strncmp(scenario, "serve", 5) == 0 ||
         std::strstr(scenario, "template") != nullptr;
}

bool tells(int result, const char *call, int error) {
  if (result == -error)
    return true;
  for (const Other &other : others)
    if (in_words(other.calls, call) && result == other.result &&
        error == other.error)
      return true;
  return false;
}

} // namespace sites
