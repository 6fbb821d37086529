// The few calls that kernels and C libraries disagree on.  os_linux.cc or
// os_posix.cc, and os_common.cc, which is made of either.
#pragma once

#include "fd.h"

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>

namespace gipc::os {

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
// For sockets: the same.
ssize_t receive_now(int fd, const iovec *parts, int count) noexcept;
ssize_t send_now(int fd, const iovec *parts, int count) noexcept;
// For sockets: one transfer that waits, and in which the thread may be
// cancelled.  *moved is the number of bytes as soon as the kernel has moved
// them, so that a cancellation right after loses none.  0, or an error.  Where
// there is no such call: always -EAGAIN.
extern const bool has_waiting_transfers;
int receive_waiting(int fd, const iovec *parts, int count,
                    volatile ssize_t *moved);
// Most descriptors of one transfer.
constexpr int most_sent = 253; // Linux's SCM_MAX_FD
// Descriptors that came with bytes, close-on-exec and at 3 or above, which are
// the caller's.
struct Received {
  int count = 0;
  bool lost = false; // true if more came, for which there was no room
  int fds[most_sent];
};
// As receive_now() and receive_waiting(), on a local socket, where descriptors
// may come with the bytes: those of one send, whose first byte is among these.
ssize_t receive_descriptors_now(int fd, const iovec *parts, int count,
                                Received &came) noexcept;
int receive_descriptors_waiting(int fd, const iovec *parts, int count,
                                volatile ssize_t *moved, Received &came);
extern const bool sends_descriptors;
// As send_now(); copies of the descriptors go with the first of the bytes.
ssize_t send_descriptors_now(int fd, const iovec *parts, int count,
                             const int *fds, size_t fd_count) noexcept;
int send_waiting(int fd, const iovec *parts, int count,
                 volatile ssize_t *moved);
// writev(2), which may wait, but does not raise SIGPIPE.
ssize_t write_quietly(int fd, const iovec *parts, int count) noexcept;
// How many bytes a socket holds that its peer has not read; 0 where that cannot
// be asked.
size_t unread_by_peer(int fd) noexcept;
// How many bytes can be read from a descriptor; 0 where that cannot be asked.
size_t readable(int fd) noexcept;
// Closes every descriptor of first..last, or fails: nothing is left open in
// silence.  Runs between vfork and exec.
int close_range(unsigned first, unsigned last) noexcept;
// In a child: libev changes the signal set of an inherited signalfd, which is
// shared with the parent.  Puts /dev/null in the place of each.  An error when
// they cannot be found or replaced.
int detach_signalfds() noexcept;
// Whether this is a descriptor that open_exit_fd() made.
bool is_exit_fd(int fd) noexcept;

// The size of a socket's send buffer, as the kernel counts it, and as it is
// set.  The kernel raises a size below its least.
int send_buffer(int fd, int &size) noexcept;
int set_send_buffer(int fd, int size) noexcept;

// ---- Shared memory ---------------------------------------------------------

// Whether there is memory that a descriptor refers to, whose size is fixed.
extern const bool has_shared_memory;
// New memory, all of it present, so that no access fails later.
int make_shared_memory(size_t size, Fd &out) noexcept;
// Maps what make_shared_memory() of any process made, of at most this size.
// -EINVAL: it is another file, or its size may change.  A forked child does not
// have the mapping.
int map_shared_memory(int fd, size_t most, void *&out, size_t &size) noexcept;
// Whether children forked from now on have this mapping.
int keep_at_fork(void *memory, size_t size, bool on) noexcept;
// What a reader of this library says to its peer by the name of its AF_UNIX
// socket.  No bytes are exchanged.
enum class Knows { nothing, descriptors, descriptors_and_rings };
// An error if the socket has a name already.
int announce_reader(int fd, Knows what) noexcept;
// What the peer of this socket said.
Knows announced_by_peer(int fd) noexcept;

// Of mmap(2): memory that is mapped counts when it is written.  0 where a
// system does not count it before.
extern const int map_sparse;
// The memory of a process that is in RAM, in bytes.  -EOPNOTSUPP: the system
// does not say.
int resident_memory(pid_t pid, uint64_t &bytes) noexcept;

// ---- Fork detection --------------------------------------------------------

// Asks that the page at this address reads as zeroes in every forked child.
bool wipe_on_fork(void *page, size_t size) noexcept;

// ---- Time ------------------------------------------------------------------

// Seconds on the monotonic clock, as of some milliseconds ago, where such a
// clock is cheaper to read.
double coarse_now() noexcept;

// ---- Processes -------------------------------------------------------------

// An exit_fd is a descriptor of a child that has not been reaped: it becomes
// readable when the child has ended (on Linux, a pidfd).  -ENOSYS where there
// are none.
int open_exit_fd(pid_t pid, Fd &out) noexcept;
int signal_by_exit_fd(int exit_fd, int signal) noexcept;
// Whether this child has ended, or been reaped; it is not reaped here.
bool has_ended(pid_t child) noexcept;
// Whether it has been reaped; its number may mean another process then.
bool was_reaped(pid_t child) noexcept;
// Whether a child of this process may have ended, without reaping it.
bool some_child_ended() noexcept;
// Reaps a child that has ended: 1, *status, and in *usage its times and most
// memory; 0 while it runs, -ECHILD when another reaper took it.
int reap(int exit_fd, int *status, rusage *usage) noexcept;
// The wait status that the kernel keeps for an already reaped process:
// 1 and *status, 0 while the reaping is in progress, < 0 where it keeps none.
int kept_status(int exit_fd, int *status) noexcept;

// A set of exit_fds, which tells of those whose child has ended.
// -ENOSYS where there is no such thing.  The owner is what the set tells.
int open_exit_set(Fd &out) noexcept;
int enter_exit_set(int set, int exit_fd, void *owner) noexcept;
void leave_exit_set(int set, int exit_fd) noexcept;
void *ended_of_exit_set(int set) noexcept; // nullptr: none

// How spawn() runs a child.  body must exec or _exit; what it returns is the
// error of the start, and *detail a number that goes with it.
struct Spawn {
  int (*body)(void *argument, int *detail) noexcept;
  void *argument;
  // The child runs in the parent's memory, so that its start does not cost what
  // a copy of the page tables does.
  bool shared;
  // Where spawn_forks(): a close-on-exec pipe, whose end tells of the exec, and
  // what closes the parent's copy of its writing end after the fork.
  int status_reader, status_writer;
  void (*forked)(void *argument) noexcept;
};
bool spawn_forks() noexcept;
// Whether an emulator such as qemu-user stands between this program and the
// kernel; false where that is not known.
bool is_emulated() noexcept;
// Returns when the child has executed its program or ended.  0 and *pid (and
// *exit_fd, where there are any) after an exec; else the -errno that body
// returned, with the child reaped, and *exit_fd still open: a fork in another
// thread may have copied it, which only the caller can tell.
int spawn(const Spawn &child, pid_t *pid, Fd *exit_fd, int *detail) noexcept;
// body calls this before each execve(2).
void at_exec() noexcept;
// Who a process is to be.  What is not set stays as it is.
struct Identity {
  const uid_t *uid = nullptr;
  const gid_t *gid = nullptr;
  bool set_groups = false;
  const gid_t *groups = nullptr; // sorted
  size_t count = 0;
  gid_t *found = nullptr; // room for count + 1, to read them back
};
// setgroups, setgid, setuid for the calling thread, in that order; -EPERM when
// the process then is anybody else.  Async-signal-safe.
int set_identity(const Identity &wanted) noexcept;
// Makes a terminal that of the session, which the calling process leads.
int set_terminal(int fd) noexcept;
int set_no_new_privileges() noexcept;
// The calling process gets signal when the other end of this socket is closed,
// be it by the death of its owner.  -ESRCH: it is closed already.
int signal_on_hangup(int fd, int signal) noexcept;
void stop_signal_on_hangup(int fd) noexcept;

// ---- Trees -----------------------------------------------------------------
// A process and all that it starts, for the guard that is its parent, and for
// the parent of the guard.

// Makes a cgroup of version 2 below that of this process, which no process is
// in yet.  lock says to others, while it is open here or in the guard, that the
// cgroup is in use; what nobody uses any more is removed on the way.  An error
// where there are no such cgroups, or none may be made or killed.
int make_cgroup(char *path, size_t room, Fd &lock) noexcept;
// In the guard: a lock of its own, which also is the folder of the cgroup; none
// after an error.
int lock_cgroup(const char *path, Fd &lock) noexcept;
// Forks as fork(2) does, with the child in the cgroup from its birth.  Without
// handlers of pthread_atfork(3), and for a process with one thread.  An error
// where that cannot be done.
int fork_into_cgroup(int folder) noexcept;
// Moves the calling process, which has one thread, into it.
int enter_cgroup(const char *path) noexcept;
// Kills all in it, and in those below it.  The number of processes that were in
// it, at most.
int kill_cgroup(const char *path) noexcept;
// -EBUSY: a process is in it.
int remove_cgroup(const char *path) noexcept;

// The calling process becomes the parent of what its descendants leave behind,
// and can list_children().  An error where it cannot.
int become_subreaper() noexcept;
// The children of the calling process, which has one thread; also those that
// have ended.  Their number, the newest last, and without the oldest where
// there is no room; or an error.  It may miss some while others end.
int list_children(pid_t *children, size_t room) noexcept;
// Sends a signal to all that descend from a child of this process, but not to
// that child: their number, or an error.
int signal_descendants(pid_t child, int signal) noexcept;
// Whether the calling process has no other thread; true where that is not
// known.
bool has_one_thread() noexcept;
// Whether this process is a child of that one; true where that is not known.
bool is_child_of(pid_t pid, pid_t parent) noexcept;
// Waits, with SIGCHLD blocked and handled by nothing, until a child may have
// ended (0), or the peer of the socket has closed it (1); -1: no socket.
int wait_for_child(int socket, int milliseconds) noexcept;
// The calling process is killed when its parent, this one, ends.
void die_with_parent(pid_t parent) noexcept;
// The calling process continues, if it is stopped, when its parent ends.
void continue_without_parent() noexcept;
// In a child that forks, which close_range() is to leave this open in.
void keep_open(int fd) noexcept;

// ---- Templates -------------------------------------------------------------
// A process that forks children for its parent.  -EOPNOTSUPP where that cannot
// be done.

// A socket that keeps the boundaries of packets, as socket_pair() makes it.
int packet_pair(Fd &a, Fd &b) noexcept;
int send_packet(int socket, const iovec *parts, int count, const int *fds,
                int fd_count) noexcept;
// Waits for one; its size, or 0 at the end of the stream.  -EMFILE: there was
// no room for its descriptors.
ssize_t receive_packet(int socket, void *data, size_t size,
                       int (&fds)[most_sent], int &fd_count) noexcept;
// fork(2) of a process with one thread, without handlers of pthread_atfork(3):
// the child is one of the parent of the calling process.  -EBUSY: there are
// other threads.
int fork_sibling() noexcept;

// ---- Notices ---------------------------------------------------------------
// Datagrams between processes of one machine, as sd_notify(3) sends them.

// Where they are sent to, as NOTIFY_SOCKET has it: a path, or "@" and a name in
// Linux's abstract namespace.
struct NotifyAddress {
  char text[sizeof(sockaddr_un::sun_path) + 1];
};
// What came with one.
struct Datagram {
  bool is_cut; // it is longer than there was room
  bool has_sender;
  pid_t pid; // of the sender
  uid_t uid;
  int fd_count;
  int fds[most_sent]; // the caller's
};
// Close-on-exec and at 3 or above.
int datagram_socket(Fd &out) noexcept;
// Gives the socket an address that no other one has.  Other users' processes
// cannot send to it, or each datagram has its sender.
int bind_notify(int socket, NotifyAddress &out) noexcept;
// Removes what that has made, in the file system.
void unbind_notify(const NotifyAddress &address) noexcept;
// The next one, or its first bytes: their number.  Does not wait.
ssize_t receive_datagram(int socket, void *data, size_t size,
                         Datagram &out) noexcept;
// -EAFNOSUPPORT: no such address.  -EAGAIN: the receiver's queue is full; with
// `waits` it waits, and is left by unwinding when its thread is cancelled.
int send_datagram(int socket, const char *address, const void *data,
                  size_t size, bool waits);

// ---- C library -------------------------------------------------------------

// Text for an errno, which no other thread changes.
const char *error_text(int error) noexcept;
// getenv(3); nothing in a program that has more rights than who started it.
const char *secure_getenv(const char *name) noexcept;
// Removes every variable; an error when it cannot.
int clear_environment() noexcept;
// Drops what stdout and stderr have buffered.
void discard_stdio() noexcept;
// Writes it.
void flush_stdio() noexcept;
// Calls handler with the status when the process calls exit(3), before every
// handler that is registered already.
void on_exit(void (*handler)(int status, void *)) noexcept;
// Calls function with user.  Where the thread ends in it, by pthread_exit(3) or
// a cancellation, ended is called, and must not return.
int call(int (*function)(void *), void *user, void (*ended)(void *));

// ---- What is live ----------------------------------------------------------

// A mask of GIPC_FEATURE_, each found out by using it, or -errno.  Calls made
// with each descriptor that it opens.
int features(void (*made)(int fd) noexcept) noexcept;

} // namespace gipc::os
