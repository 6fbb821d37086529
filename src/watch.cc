// libev watchers with one owner.  This file and orphaned_loops.cc are the only
// ones that know <ev.h>.
#include "watch.h"

#include "fd.h"
#include "this_process.h"

#include <algorithm>
#include <cmath>
#include <ev.h>
#include <functional>

namespace gipc {

namespace {

// Every callback of libev's: calls Function with the Watchers that the watcher
// is one of.
template <auto Function, typename Watchers, typename Watcher>
void trampoline(struct ev_loop *, Watcher *watcher, int) noexcept {
  std::invoke(Function, *static_cast<Watchers *>(watcher->data));
}

// libev's macros write through the watcher's own type.
template <auto Function, typename Watchers, typename Watcher>
void prepare(Watcher &watcher, Watchers &all) {
  void (*callback)(struct ev_loop *, Watcher *, int) =
      trampoline<Function, Watchers, Watcher>;
  ev_init(&watcher, callback);
  watcher.data = &all;
}

// Calls one of our events, which may not be left by unwinding: no cancellation
// acts on this thread until it is in its loop again.
template <typename... Arguments>
void call(void (*event)(void *, Arguments...) noexcept, void *owner,
          Arguments... arguments) noexcept {
  CancelGuard guard;
  event(owner, arguments...);
}

// ---- What both kinds of watches do ------------------------------------------

// In a child that the program forked and that goes on with the loop, nothing of
// ours is to be called, or the loop would spin on what nobody takes.
template <typename Watchers> void after_fork(Watchers &all) noexcept {
  if (generation::current() != all.generation)
    all.stop();
}

template <typename Watchers> void end_with_loop(Watchers &all) noexcept {
  all.stop();
  call(all.events.loop_gone, all.owner);
}

template <typename Watchers> void start_with_loop(Watchers &all) {
  prepare<after_fork<Watchers>>(all.fork, all);
  prepare<end_with_loop<Watchers>>(all.cleanup, all);
  ev_fork_start(all.loop, &all.fork);
  ev_unref(all.loop); // it does not keep the loop running
  ev_cleanup_start(all.loop, &all.cleanup);
}

template <typename Watchers> void stop_with_loop(Watchers &all) {
  if (ev_is_active(&all.fork)) {
    ev_ref(all.loop);
    ev_fork_stop(all.loop, &all.fork);
  }
  ev_cleanup_stop(all.loop, &all.cleanup);
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

  void on_read() noexcept {
    // The backlog has its own turn; what is in the kernel waits for it.
    if (!ev_is_active(&backlog))
      call(events.readable, owner);
  }
  void on_write() noexcept { call(events.writable, owner); }
  void end_turn() noexcept {
    ev_prepare_stop(loop, &turn);
    ev_idle_stop(loop, &turn_idle);
    call(events.turn_ends, owner);
  }
  void on_backlog() noexcept { call(events.backlog, owner); }
  void stop() noexcept {
    if (loop == nullptr)
      return;
    ev_io_stop(loop, &read);
    ev_io_stop(loop, &write);
    ev_prepare_stop(loop, &turn);
    ev_idle_stop(loop, &turn_idle);
    ev_idle_stop(loop, &backlog);
    stop_with_loop(*this);
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
  prepare<&Watchers::on_read>(w.read, w);
  prepare<&Watchers::on_write>(w.write, w);
  prepare<&Watchers::end_turn>(w.turn, w);
  prepare<&Watchers::end_turn>(w.turn_idle, w);
  prepare<&Watchers::on_backlog>(w.backlog, w);
  ev_io_set(&w.read, read_fd, EV_READ);
  ev_io_set(&w.write, write_fd, EV_WRITE);
  // Idle watchers of a priority run when nothing of the same or a higher one is
  // pending; this one must not wait until the whole loop is idle.
  ev_set_priority(&w.backlog, EV_MAXPRI);
  ev_set_priority(&w.turn_idle, EV_MAXPRI);
  start_with_loop(w);
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

  void on_end() noexcept { call(events.ended, owner); }
  void on_child() noexcept {
    ev_child_stop(loop, &child);
    call(events.reaped, owner, child.rstatus);
  }
  void on_grace() noexcept { call(events.grace_over, owner); }
  void stop() noexcept {
    if (loop == nullptr)
      return;
    ev_io_stop(loop, &end);
    ev_timer_stop(loop, &look);
    ev_timer_stop(loop, &grace);
    stop_with_loop(*this);
    if (ev_is_active(&child))
      ev_child_stop(loop, &child);
    loop = nullptr;
  }
};

ProcessWatch::ProcessWatch(struct ev_loop *loop, pid_t pid, int exit_fd,
                           const Events &events, void *owner)
    : watchers_(new Watchers) {
  // A child without a descriptor is looked at this often, in seconds.
  constexpr double interval = 0.005;
  Watchers &w = *watchers_;
  w.loop = loop;
  w.events = events;
  w.owner = owner;
  prepare<&Watchers::on_end>(w.end, w);
  prepare<&Watchers::on_end>(w.look, w);
  prepare<&Watchers::on_child>(w.child, w);
  prepare<&Watchers::on_grace>(w.grace, w);
  start_with_loop(w);
  if (exit_fd >= 0) {
    ev_io_set(&w.end, exit_fd, EV_READ);
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

// ---- Times ------------------------------------------------------------------

struct TimeWatch::Watchers {
  struct ev_loop *loop;
  Events events;
  void *owner;
  uint32_t generation = generation::current();
  ev_prepare turn;
  ev_idle turn_idle;
  ev_timer time;
  ev_fork fork;
  ev_cleanup cleanup;

  void stop_turn() noexcept {
    ev_prepare_stop(loop, &turn);
    ev_idle_stop(loop, &turn_idle);
  }
  void end_turn() noexcept {
    stop_turn();
    call(events.turn_ends, owner);
  }
  void on_time() noexcept { call(events.time_came, owner); }
  void stop() noexcept {
    if (loop == nullptr)
      return;
    stop_turn();
    ev_timer_stop(loop, &time);
    stop_with_loop(*this);
    loop = nullptr;
  }
};

TimeWatch::TimeWatch(struct ev_loop *loop, const Events &events, void *owner)
    : watchers_(new Watchers) {
  Watchers &w = *watchers_;
  w.loop = loop;
  w.events = events;
  w.owner = owner;
  prepare<&Watchers::end_turn>(w.turn, w);
  prepare<&Watchers::end_turn>(w.turn_idle, w);
  prepare<&Watchers::on_time>(w.time, w);
  ev_set_priority(&w.turn_idle, EV_MAXPRI);
  start_with_loop(w);
}

TimeWatch::~TimeWatch() { watchers_->stop(); }

void TimeWatch::want_turn_end(bool on) noexcept {
  Watchers &w = *watchers_;
  if (w.loop == nullptr)
    return;
  if (!on)
    return w.stop_turn();
  ev_prepare_start(w.loop, &w.turn);
  ev_idle_start(w.loop, &w.turn_idle); // see HandleWatch::want_turn_end()
}

void TimeWatch::set_time(double seconds) noexcept {
  Watchers &w = *watchers_;
  if (w.loop == nullptr)
    return;
  ev_timer_stop(w.loop, &w.time);
  if (std::isinf(seconds))
    return;
  // Timers count from the loop's idea of now, which is as old as its turn.
  ev_now_update(w.loop);
  ev_timer_set(&w.time, std::max(seconds, 0.), 0.);
  ev_timer_start(w.loop, &w.time);
}

void TimeWatch::forget() noexcept { watchers_->loop = nullptr; }

} // namespace gipc
