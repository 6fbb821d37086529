// What a forked child does to the loops that it inherited.  This file and
// watch.cc are the only ones that know <ev.h>.
#include "orphaned_loops.h"

#include "os.h"
#include "this_process.h"

#include <cerrno>
#include <ev.h>

namespace gipc {

namespace {

void invoke_nothing(struct ev_loop *) noexcept {}

// libev keeps signal and child watchers in lists of the whole process, which a
// destroyed loop leaves behind.  A watcher of ours in front of such a list
// links to the application's.
template <typename Watcher, typename Stop>
void stop_list(struct ev_loop *loop, Watcher &ours, Stop stop) {
  auto *list = reinterpret_cast<ev_watcher_list *>(&ours);
  while (list->next != nullptr)
    stop(loop, reinterpret_cast<Watcher *>(list->next));
  stop(loop, &ours);
}

void stop_children(struct ev_loop *loop) {
  constexpr int buckets = 16; // EV_PID_HASHSIZE
  for (int bucket = 0; bucket < buckets; ++bucket) {
    ev_child ours;
    ev_child_init(&ours, nullptr, bucket, 0);
    ev_child_start(loop, &ours);
    stop_list(loop, ours, ev_child_stop);
  }
}

// Destruction forgets the watchers but not their number, and the struct of the
// default loop is used again: left so, ev_run() in the child would never see
// the last of its watchers stop.
void drop_references() {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  if (loop == nullptr)
    return;
  // Another thread of the parent was in ev_run() with it, it seems to libev.
  ev_break(loop, EVBREAK_CANCEL);
  int left = ev_run(loop, EVRUN_NOWAIT);
  for (; left > 0; --left)
    ev_unref(loop);
  for (; left < 0; ++left)
    ev_ref(loop);
  ev_loop_destroy(loop);
}

} // namespace

// libev either installs a handler for a signal, or (EVFLAG_SIGNALFD) blocks it
// in the thread that watches it and leaves its disposition alone.
bool InheritedLoops::by_signalfd(int number) const noexcept {
  struct sigaction action {};
  return sigismember(&blocked_, number) == 1 ||
         ::sigaction(number, nullptr, &action) != 0 ||
         ((action.sa_flags & SA_SIGINFO) == 0 &&
          (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN));
}

bool InheritedLoops::may_fail() const noexcept {
  for (int number = 1; number < NSIG; ++number)
    if (sigismember(&blocked_, number) == 1)
      return true;
  struct ev_loop *first = ev_default_loop_uc_();
  // Another loop's signals are blocked in its own thread, if at all.
  return (first != nullptr && by_signalfd(SIGCHLD)) ||
         registry::on_loop_beside(first);
}

int InheritedLoops::stop_signals(struct ev_loop *loop) noexcept {
  for (int number = 1; number < NSIG; ++number) {
    // Feeding asks libev whether the signal belongs to this loop: attaching to
    // one of another loop would be an assertion failure.
    unsigned before = ev_pending_count(loop);
    ev_feed_signal_event(loop, number);
    if (ev_pending_count(loop) == before)
      continue;
    // Once a fork: it asks for every open descriptor.
    if (!detached_ && by_signalfd(number)) {
      if (int error = os::detach_signalfds())
        return error == -ENOENT ? -EOPNOTSUPP : error;
      detached_ = true;
    }
    ev_signal ours;
    ev_signal_init(&ours, nullptr, number);
    ev_signal_start(loop, &ours);
    stop_list(loop, ours, ev_signal_stop);
  }
  return 0;
}

int InheritedLoops::abandon_signals(struct ev_loop *loop) noexcept {
  return stop_signals(loop);
}

int InheritedLoops::abandon_default_loop() noexcept {
  struct ev_loop *loop = ev_default_loop_uc_();
  if (loop == nullptr)
    return 0;
  // The fork may have come from inside a callback, with others pending, and
  // destruction calls cleanup watchers.
  ev_set_invoke_pending_cb(loop, invoke_nothing);
  if (int error = stop_signals(loop))
    return error;
  stop_children(loop);
  ev_loop_destroy(loop);
  drop_references();
  return 0;
}

struct ev_loop *fresh_loop(bool has_flags) noexcept {
  return ev_loop_new(has_flags ? EVFLAG_AUTO : EVFLAG_NOENV);
}

} // namespace gipc
