// Runs a policy on a loop.
#include "supervisor.h"

#include "deadline.h"

#include <cerrno>
#include <cmath>
#include <csignal>
#include <limits>

namespace gipc {

namespace {

// The most actions in one loop iteration.
constexpr size_t budget = 4096;

} // namespace

const TimeWatch::Events Supervisor::watch_events = {
    [](void *self) noexcept { static_cast<Supervisor *>(self)->expire(); },
    [](void *self) noexcept { static_cast<Supervisor *>(self)->expire(); },
    // The processes run on, and cannot be heard.
    [](void *self) noexcept { static_cast<Supervisor *>(self)->end(); },
};

Supervisor::Supervisor(const Events &events, void *owner) noexcept
    : events_(events), object_(owner), set_time_(std::nan("")) {}

int Supervisor::start(struct ev_loop *loop) {
  if (int error = usable())
    return error;
  if (loop_ != nullptr)
    return GIPC_ELOCKED;
  watch_ = std::make_unique<TimeWatch>(loop, watch_events, this);
  registry::enter_loop(loop);
  loop_ = loop;
  watch_->want_turn_end(true);
  return 0;
}

void Supervisor::wake() noexcept {
  if (watch_ != nullptr)
    watch_->want_turn_end(true);
}

void Supervisor::run() noexcept { carry_out(budget); }

void Supervisor::run_all() noexcept {
  carry_out(std::numeric_limits<int>::max());
}

void Supervisor::carry_out(int most) noexcept {
  for (int left = most; left > 0; --left) {
    if (freed_ || watch_ == nullptr)
      return;
    if (!events_.next(object_)) {
      watch_->want_turn_end(false);
      return set_time();
    }
  }
  if (!freed_)
    wake();
}

void Supervisor::expire() noexcept {
  if (usable() != 0)
    return;
  Scope scope(*this);
  set_time_ = std::nan(""); // the timer may have expired a little early
  events_.time_came(object_);
  run();
}

void Supervisor::set_time() noexcept {
  double time = events_.next_time(object_);
  if (time == set_time_)
    return;
  set_time_ = time;
  watch_->set_time(time - monotonic_now());
}

void Supervisor::end() noexcept {
  registry::leave_loop(loop_);
  watch_.reset();
}

void Supervisor::free() noexcept {
  Scope scope(*this);
  freed_ = true;
  if (watch_ == nullptr)
    return;
  if (usable() == 0)
    end();
  else // the loop, and the processes, are those of another process
    watch_->forget();
}

int Supervisor::set_dump_signal(int signal) noexcept {
  if (int error = usable())
    return error;
  if (signal < 0 || signal >= NSIG)
    return -EINVAL;
  dump_signal_ = signal;
  return 0;
}

} // namespace gipc
