// macOS and the BSDs: the end of a child is an event of kqueue(2).
//
// An exit_fd is a queue for one such event, which is readable from the end of
// the child on: nothing takes the event but kept_status(), which puts another
// one there.  A forked child does not inherit a queue: the number is free
// there, until the library has closed it as it does with all inherited ones.
#include "os_common.h"

#if OS_HAS_KQUEUE

#include "sys.h"

#include <cerrno>
#include <ctime>
#include <sys/event.h>

namespace gipc::os {

namespace {

int make_queue(Fd &out) noexcept {
  Fd queue(sys::retry_int("kqueue", [] { return ::kqueue(); }));
  if (queue.get() < 0)
    return queue.release();
  int error = sys::set_cloexec(queue.get(), true);
  error = error != 0 ? error : sys::above_stdio(queue);
  if (error == 0)
    out = std::move(queue);
  return error;
}

int change(int queue, int number, short filter, unsigned short flags,
           unsigned notes, void *owner) noexcept {
  struct kevent one;
  EV_SET(&one, static_cast<uintptr_t>(number), filter, flags, notes, 0, owner);
  return sys::retry_int(
      "kevent", [&] { return ::kevent(queue, &one, 1, nullptr, 0, nullptr); });
}

// One event, without waiting: 1; 0: there is none; or an error.
int take(int queue, struct kevent &out) noexcept {
  const timespec at_once{};
  return sys::retry_int(
      "kevent", [&] { return ::kevent(queue, nullptr, 0, &out, 1, &at_once); });
}

// Puts an event there that stays.
int make_readable(int queue) noexcept {
#ifdef EVFILT_USER
  int error = change(queue, 0, EVFILT_USER, EV_ADD, 0, nullptr);
  return error != 0 ? error
                    : change(queue, 0, EVFILT_USER, 0, NOTE_TRIGGER, nullptr);
#else
  (void)queue;
  return -ENOSYS;
#endif
}

// Without it, macOS does not tell the status.
#ifdef NOTE_EXITSTATUS
constexpr unsigned notes = NOTE_EXIT | NOTE_EXITSTATUS;
#else
constexpr unsigned notes = NOTE_EXIT;
#endif

} // namespace

int open_exit_fd(pid_t pid, Fd &out) noexcept {
  Fd queue;
  if (int error = make_queue(queue))
    return error;
  int error = change(queue.get(), pid, EVFILT_PROC, EV_ADD, notes, nullptr);
  // macOS has no events of a child that has ended.
  if (error == -ESRCH && has_ended(pid))
    error = make_readable(queue.get());
  if (error == 0)
    out = std::move(queue);
  return error;
}

int kept_status(int exit_fd, int *status) noexcept {
  struct kevent end;
  int count = take(exit_fd, end);
  if (count <= 0)
    return count;
  (void)make_readable(exit_fd); // once known, the status is not asked for again
  if (end.filter != EVFILT_PROC)
    return -ENOSYS;
  *status = static_cast<int>(end.data);
  return 1;
}

// ---- Sets: a queue of queues
// -------------------------------------------------

int open_exit_set(Fd &out) noexcept { return make_queue(out); }

int enter_exit_set(int set, int exit_fd, void *owner) noexcept {
  return change(set, exit_fd, EVFILT_READ, EV_ADD, 0, owner);
}

void leave_exit_set(int set, int exit_fd) noexcept {
  (void)change(set, exit_fd, EVFILT_READ, EV_DELETE, 0, nullptr);
}

void *ended_of_exit_set(int set) noexcept {
  struct kevent one;
  return take(set, one) > 0 ? one.udata : nullptr;
}

} // namespace gipc::os

#endif // OS_HAS_KQUEUE
