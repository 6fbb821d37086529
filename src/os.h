// The few calls that kernels disagree on.  os_linux.cc or os_posix.cc.
#pragma once

#include "fd.h"

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc::os {

const char *error_text(int error) noexcept;

// ---- Descriptors -----------------------------------------------------------

// Both ends are close-on-exec from their birth (no fork of another thread can
// leak them) and at 3 or above.
int socket_pair(Fd &a, Fd &b) noexcept;
int pipe_pair(Fd &reader, Fd &writer) noexcept;
// For descriptors that are not sockets: one transfer that neither waits nor
// raises SIGPIPE, and leaves the status flags alone.  -EAGAIN, or
// -EOPNOTSUPP where the kernel or the file cannot.
ssize_t read_now(int fd, const iovec *parts, int count) noexcept;
ssize_t write_now(int fd, const iovec *parts, int count) noexcept;
// Closes every descriptor of first..last.  Async-signal-safe on Linux.
void close_range(unsigned first, unsigned last) noexcept;
// In a child: libev changes the signal set of an inherited signalfd, which is
// shared with the parent.  Puts /dev/null in the place of each.
void detach_signalfds() noexcept;

// ---- Fork detection --------------------------------------------------------

// Asks that the page at this address reads as zeroes in every forked child.
bool wipe_on_fork(void *page, size_t size) noexcept;

// ---- Processes -------------------------------------------------------------

// A descriptor of a child that has not been reaped.
int open_pidfd(pid_t pid, Fd &out) noexcept;
int signal_pidfd(int pidfd, int signal) noexcept;
// Takes the wait status of an ended child: 1 and *status, 0 while it runs
// (unless it is to wait for the end), -ECHILD when somebody else reaped it.
int wait_pidfd(int pidfd, bool wait, int *status, rusage *usage) noexcept;
// The wait status that the kernel keeps for an already reaped process:
// 1 and *status, 0 while the reaping is in progress, < 0 where it keeps none.
int kept_status(int pidfd, int *status) noexcept;

// Runs body(argument) in a child, which must exec or _exit, and returns when it
// has done either.  0 and *pid (and *pidfd, where there are any) after an exec;
// else the -errno that body returned, with the child reaped.  shared: the child
// runs in the parent's memory, so that its start does not cost what a copy of
// the page tables does.
int spawn(int (*body)(void *argument) noexcept, void *argument, bool shared,
          pid_t *pid, Fd *pidfd) noexcept;
// setgroups, setgid, setuid for the calling thread.  Async-signal-safe.
int set_user(uid_t uid, gid_t gid, const gid_t *groups, size_t count) noexcept;
int set_no_new_privileges() noexcept;
// The calling process gets signal when the other end of this socket is closed,
// be it by the death of its owner.
int signal_on_hangup(int fd, int signal) noexcept;
void stop_signal_on_hangup(int fd) noexcept;

// ---- C library -------------------------------------------------------------

// Drops what stdout and stderr have buffered.
void discard_stdio() noexcept;
// Calls handler with the status when the process calls exit(3), before every
// handler that is registered already.
void on_exit(void (*handler)(int status, void *)) noexcept;

// ---- What is live ----------------------------------------------------------

// A mask of GIPC_FEATURE_, each found out by using it, or -errno.
int features() noexcept;

} // namespace gipc::os
