// libev watchers with one owner.  The only file that knows <ev.h>.
#include "watch.h"

#include "fd.h"
#include "generation.h"
#include "os.h"
#include "registry.h"

#include <cerrno>
#include <csignal>
#include <ev.h>

namespace gipc {

namespace {

// libev's macros write through the watcher's own type.
template <typename Watcher>
void prepare(Watcher &watcher,
             void (*callback)(struct ev_loop *, Watcher *, int), void *data) {
  ev_init(&watcher, callback);
  watcher.data = data;
}

// Calls one of our events, which may not be left by unwinding: no cancellation
// acts on this thread until it is in its loop again.
template <typename... Arguments>
void call(void (*event)(void *, Arguments...) noexcept, void *owner,
          Arguments... arguments) noexcept {
  CancelGuard guard;
  event(owner, arguments...);
}

// In a child that the program forked and that goes on with the loop, nothing of
// ours is to be called, or the loop would spin on what nobody takes.  The
// watcher that sees to it does not keep the loop running.
void start_uncounted(struct ev_loop *loop, ev_fork &watcher) {
  ev_fork_start(loop, &watcher);
  ev_unref(loop);
}

void stop_uncounted(struct ev_loop *loop, ev_fork &watcher) {
  if (!ev_is_active(&watcher))
    return;
  ev_ref(loop);
  ev_fork_stop(loop, &watcher);
}

} // namespace

// ---- Handles ----------------------------------------------------------------

struct HandleWatch::Watchers {
  struct ev_loop *loop;
  Events events;
  void *owner;
  uint32_t generation = generation::current();
  ev_io read, write;
  ev_prepare turn;
  ev_idle turn_idle;
  ev_idle backlog;
  ev_fork fork;
  ev_cleanup cleanup;

  static void on_read(struct ev_loop *, ev_io *io, int) noexcept {
    auto *self = static_cast<Watchers *>(io->data);
    // The backlog has its own turn; what is in the kernel waits for it.
    if (!ev_is_active(&self->backlog))
      call(self->events.readable, self->owner);
  }
  static void on_write(struct ev_loop *, ev_io *io, int) noexcept {
    auto *self = static_cast<Watchers *>(io->data);
    call(self->events.writable, self->owner);
  }
  static void on_turn(struct ev_loop *, ev_prepare *turn, int) noexcept {
    static_cast<Watchers *>(turn->data)->end_turn();
  }
  static void on_turn_idle(struct ev_loop *, ev_idle *idle, int) noexcept {
    static_cast<Watchers *>(idle->data)->end_turn();
  }
  void end_turn() noexcept {
    ev_prepare_stop(loop, &turn);
    ev_idle_stop(loop, &turn_idle);
    call(events.turn_ends, owner);
  }
  static void on_backlog(struct ev_loop *, ev_idle *idle, int) noexcept {
    auto *self = static_cast<Watchers *>(idle->data);
    call(self->events.backlog, self->owner);
  }
  static void on_fork(struct ev_loop *, ev_fork *fork, int) noexcept {
    auto *self = static_cast<Watchers *>(fork->data);
    if (generation::current() != self->generation)
      self->stop();
  }
  static void on_cleanup(struct ev_loop *, ev_cleanup *cleanup, int) noexcept {
    auto *self = static_cast<Watchers *>(cleanup->data);
    self->stop();
    call(self->events.loop_gone, self->owner);
  }
  void stop() noexcept {
    if (loop == nullptr)
      return;
    ev_io_stop(loop, &read);
    ev_io_stop(loop, &write);
    ev_prepare_stop(loop, &turn);
    ev_idle_stop(loop, &turn_idle);
    ev_idle_stop(loop, &backlog);
    stop_uncounted(loop, fork);
    ev_cleanup_stop(loop, &cleanup);
    loop = nullptr;
  }
};

HandleWatch::HandleWatch(struct ev_loop *loop, int read_fd, int write_fd,
                         const Events &events, void *owner)
    : watchers_(new Watchers) {
  Watchers &w = *watchers_;
  w.loop = loop;
  w.events = events;
  w.owner = owner;
  prepare(w.read, Watchers::on_read, &w);
  prepare(w.write, Watchers::on_write, &w);
  prepare(w.turn, Watchers::on_turn, &w);
  prepare(w.turn_idle, Watchers::on_turn_idle, &w);
  prepare(w.backlog, Watchers::on_backlog, &w);
  prepare(w.fork, Watchers::on_fork, &w);
  prepare(w.cleanup, Watchers::on_cleanup, &w);
  ev_io_set(&w.read, read_fd, EV_READ);
  ev_io_set(&w.write, write_fd, EV_WRITE);
  // Idle watchers of a priority run when nothing of the same or a higher one is
  // pending; this one must not wait until the whole loop is idle.
  ev_set_priority(&w.backlog, EV_MAXPRI);
  ev_set_priority(&w.turn_idle, EV_MAXPRI);
  start_uncounted(loop, w.fork);
  ev_cleanup_start(loop, &w.cleanup);
}

HandleWatch::~HandleWatch() { watchers_->stop(); }

void HandleWatch::want_read(bool on) noexcept {
  Watchers &w = *watchers_;
  if (w.loop == nullptr)
    return;
  if (on)
    ev_io_start(w.loop, &w.read);
  else
    ev_io_stop(w.loop, &w.read);
}

void HandleWatch::want_write(bool on) noexcept {
  Watchers &w = *watchers_;
  if (w.loop == nullptr)
    return;
  if (on)
    ev_io_start(w.loop, &w.write);
  else
    ev_io_stop(w.loop, &w.write);
}

bool HandleWatch::wants_write() const noexcept {
  return ev_is_active(&watchers_->write);
}

void HandleWatch::want_turn_end() noexcept {
  Watchers &w = *watchers_;
  if (w.loop == nullptr)
    return;
  ev_prepare_start(w.loop, &w.turn);
  // A turn whose prepare watchers have been called already would wait for
  // events first; with an idle watcher it does not.
  ev_idle_start(w.loop, &w.turn_idle);
}

void HandleWatch::want_backlog(bool on) noexcept {
  Watchers &w = *watchers_;
  if (w.loop == nullptr)
    return;
  if (on)
    ev_idle_start(w.loop, &w.backlog);
  else
    ev_idle_stop(w.loop, &w.backlog);
}

unsigned HandleWatch::iteration() const noexcept {
  return watchers_->loop != nullptr ? ev_iteration(watchers_->loop) : 0;
}

void HandleWatch::forget() noexcept { watchers_->loop = nullptr; }

// ---- Processes --------------------------------------------------------------

struct ProcessWatch::Watchers {
  struct ev_loop *loop;
  Events events;
  void *owner;
  uint32_t generation = generation::current();
  ev_io end;
  ev_timer look;
  ev_child child;
  ev_timer grace;
  ev_fork fork;
  ev_cleanup cleanup;

  static void on_end(struct ev_loop *, ev_io *io, int) noexcept {
    auto *self = static_cast<Watchers *>(io->data);
    call(self->events.ended, self->owner);
  }
  static void on_look(struct ev_loop *, ev_timer *timer, int) noexcept {
    auto *self = static_cast<Watchers *>(timer->data);
    call(self->events.ended, self->owner);
  }
  static void on_child(struct ev_loop *loop, ev_child *child, int) noexcept {
    auto *self = static_cast<Watchers *>(child->data);
    ev_child_stop(loop, child);
    call(self->events.reaped, self->owner, child->rstatus);
  }
  static void on_grace(struct ev_loop *, ev_timer *timer, int) noexcept {
    auto *self = static_cast<Watchers *>(timer->data);
    call(self->events.grace_over, self->owner);
  }
  static void on_fork(struct ev_loop *, ev_fork *fork, int) noexcept {
    auto *self = static_cast<Watchers *>(fork->data);
    if (generation::current() != self->generation)
      self->stop();
  }
  static void on_cleanup(struct ev_loop *, ev_cleanup *cleanup, int) noexcept {
    auto *self = static_cast<Watchers *>(cleanup->data);
    self->stop();
    call(self->events.loop_gone, self->owner);
  }
  void stop() noexcept {
    if (loop == nullptr)
      return;
    ev_io_stop(loop, &end);
    ev_timer_stop(loop, &look);
    ev_timer_stop(loop, &grace);
    stop_uncounted(loop, fork);
    ev_cleanup_stop(loop, &cleanup);
    if (ev_is_active(&child))
      ev_child_stop(loop, &child);
    loop = nullptr;
  }
};

ProcessWatch::ProcessWatch(struct ev_loop *loop, pid_t pid, int pidfd,
                           const Events &events, void *owner)
    : watchers_(new Watchers) {
  // A child without a descriptor is looked at this often, in seconds.
  constexpr double interval = 0.005;
  Watchers &w = *watchers_;
  w.loop = loop;
  w.events = events;
  w.owner = owner;
  prepare(w.end, Watchers::on_end, &w);
  prepare(w.look, Watchers::on_look, &w);
  prepare(w.child, Watchers::on_child, &w);
  prepare(w.grace, Watchers::on_grace, &w);
  prepare(w.fork, Watchers::on_fork, &w);
  prepare(w.cleanup, Watchers::on_cleanup, &w);
  start_uncounted(loop, w.fork);
  ev_cleanup_start(loop, &w.cleanup);
  if (pidfd >= 0) {
    ev_io_set(&w.end, pidfd, EV_READ);
    ev_io_start(loop, &w.end);
  } else {
    ev_timer_set(&w.look, 0., interval);
    ev_timer_start(loop, &w.look);
  }
  // The default loop reaps every child of the program, and tells the status to
  // nobody but its child watchers.  This one comes before the descriptor's.
  if (ev_is_default_loop(loop)) {
    ev_child_set(&w.child, pid, 0);
    ev_set_priority(&w.child, EV_MAXPRI);
    ev_child_start(loop, &w.child);
  }
}

ProcessWatch::~ProcessWatch() { watchers_->stop(); }

void ProcessWatch::start_grace(double seconds) noexcept {
  Watchers &w = *watchers_;
  if (w.loop == nullptr)
    return;
  // The loop's idea of now is as old as its turn, and timers count from it.
  ev_now_update(w.loop);
  ev_timer_stop(w.loop, &w.grace);
  ev_timer_set(&w.grace, seconds, 0.);
  ev_timer_start(w.loop, &w.grace);
}

void ProcessWatch::forget() noexcept { watchers_->loop = nullptr; }

// ---- Loops of a child -------------------------------------------------------

namespace watch {

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

struct ev_loop *fresh_loop() noexcept {
  return ev_loop_new(EVFLAG_AUTO);
}

} // namespace watch

} // namespace gipc
