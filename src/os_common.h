// What os_common.cc needs of the system's own file, and gives to it.
#pragma once

#include "os.h"

// How os_posix learns of the ends of children: by kqueue(2)
// (os_posix_kqueue.cc), or by looking again and again (os_posix_look.cc).  By
// the system and not by <sys/event.h>, which a library on Linux has, too.
#if defined __APPLE__ || defined __DragonFly__ || defined __FreeBSD__ ||       \
    defined __NetBSD__ || defined __OpenBSD__
#define OS_HAS_KQUEUE 1
#else
#define OS_HAS_KQUEUE 0
#endif

namespace gipc::os {

// Of os_linux.cc or os_posix.cc: one system call that closes first..last, or
// an error where there is none.
int close_at_once(unsigned first, unsigned last) noexcept;
// receive_now() and send_now() by the C library's calls.
ssize_t receive_by_library(int fd, const iovec *parts, int count) noexcept;
ssize_t send_by_library(int fd, const iovec *parts, int count) noexcept;

// Where each open descriptor has a name that is its number.
extern const char descriptor_folder[];
// Of os_linux.cc: 0 if the numbers in /proc are those that this process knows.
// -ENOENT: it is missing, or that of another namespace of process IDs, as after
// `unshare --pid`, where a number is another process here.
int check_proc() noexcept;
// Calls visit(fd, context) for each open descriptor.  An error where they
// cannot be listed in full.
int list_descriptors(void (*visit)(int fd, void *context) noexcept,
                     void *context) noexcept;

// Of os_linux.cc or os_posix.cc, for set_identity(): setters and getters of the
// calling thread.  Three IDs: real, effective, saved.
int set_groups(const gid_t *groups, size_t count) noexcept;
int set_gid(gid_t gid) noexcept;
int set_uid(uid_t uid) noexcept;
int get_groups(gid_t *groups, size_t room) noexcept; // their number
int get_gids(gid_t (&ids)[3]) noexcept;
int get_uids(uid_t (&ids)[3]) noexcept;

// Which signal O_ASYNC sends, for signal_on_hangup().
int choose_hangup_signal(int fd, int signal) noexcept;
// Takes a signal that is pending and blocked, if it is.
void take_pending(int signal) noexcept;

// The address that a text such as NOTIFY_SOCKET names.
int local_address(const char *text, sockaddr_un &out, socklen_t &size) noexcept;

// spawn() of os.h by fork(2), for systems where nothing else tells when a child
// has executed its program.
int spawn_by_fork(const Spawn &child, pid_t *pid, int *detail) noexcept;

template <typename Visit> int each_descriptor(Visit &&visit) noexcept {
  return list_descriptors(
      [](int fd, void *context) noexcept {
        (*static_cast<decltype(&visit)>(context))(fd);
      },
      &visit);
}

} // namespace gipc::os
