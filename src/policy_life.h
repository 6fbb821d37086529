// One kept process: starting, ready, asked to stop, killed, ended, and the
// times at which each of these must be over.
#pragma once

#include "policy.h"

#include <algorithm>
#include <vector>

namespace gipc::policy {

// Durations in seconds; `forever` switches a rule off.
struct LifeRules {
  double ready_within = forever; // from its start
  double silence = forever;      // between two signs of life, once it is ready
  double dump = 5;               // from the signal for a dump to the stop
  double grace = 5;              // from the stop to SIGKILL
};

// The name of a wrong member, or NULL.
const char *wrong(const LifeRules &rules) noexcept;

class Life {
public:
  enum class State : unsigned char {
    off,
    starting, // `start` was returned; perhaps it does not exist yet
    ready,
    silent, // no sign of life; was sent the signal for a dump
    stopping,
    killed,
  };
  enum class Order : unsigned char { none, dump, stop, kill };

  State state() const noexcept { return state_; }
  bool running() const noexcept { return state_ != State::off; }
  bool is_ready() const noexcept { return state_ == State::ready; }
  // It ends, because it was asked to.
  bool is_stopping() const noexcept { return state_ >= State::stopping; }
  Id id() const noexcept { return id_; }
  int pid() const noexcept { return pid_; }
  // Why it was stopped, also when it has ended.
  Why why() const noexcept { return why_; }
  bool was_ready() const noexcept { return ready_at_ != forever; }
  // For how long it was ready, at a time.
  double ready_for(double now) const noexcept {
    return was_ready() ? now - ready_at_ : 0;
  }
  const gipc_exit_info &exit() const noexcept { return exit_; }
  int error() const noexcept { return error_; }
  // When expire() has something to do; `forever` if at no time.
  double due() const noexcept { return due_; }

  void start(Id id) noexcept;
  // Events.  Those that come too late, or twice, change nothing.
  void started(int pid, const LifeRules &rules, double now) noexcept;
  void ready(const LifeRules &rules, double now) noexcept;
  void alive(const LifeRules &rules, double now) noexcept;
  void ended(const gipc_exit_info &exit, int error) noexcept;
  void expire(const LifeRules &rules, double now) noexcept;

  void stop(Why why, const LifeRules &rules, double now) noexcept;

  bool has_order() const noexcept { return exists_ && order_ != Order::none; }
  Order take_order() noexcept;

private:
  void kill() noexcept;

  Id id_ = no_id;
  State state_ = State::off;
  Order order_ = Order::none; // not returned yet
  Why why_ = Why::none;
  bool exists_ = false; // the driver has started it
  int pid_ = 0;
  int error_ = 0;
  double due_ = forever;
  double ready_at_ = forever;
  gipc_exit_info exit_{};
};

// The processes of a pool or a keeper, each in a slot.  A process that is
// started gets a new id, from which its slot follows.
class Lives {
public:
  // Throws bad_alloc.
  explicit Lives(size_t slots) : lives_(slots) {}

  size_t size() const noexcept { return lives_.size(); }
  Life &operator[](size_t slot) noexcept { return lives_[slot]; }
  const Life &operator[](size_t slot) const noexcept { return lives_[slot]; }
  size_t slot_of(Id id) const noexcept { return (id - 1) % lives_.size(); }
  // NULL: no process that runs has this id.
  Life *find(Id id) noexcept {
    Life &life = lives_[slot_of(id)];
    return id != no_id && life.running() && life.id() == id ? &life : nullptr;
  }
  Id start(size_t slot) noexcept;
  // Which start of its slot that was: 1 for the first.
  unsigned start_of(Id id) const noexcept {
    return static_cast<unsigned>((id - 1) / lives_.size() + 1);
  }

  // Call it after each change of a life.
  void changed(const Life &life) noexcept {
    add_time(life.due());
    orders_ |= life.has_order();
  }
  bool next_order(Action &out) noexcept;

  // Not later than any time of a life, or that was added: after an early one,
  // next() does nothing but find the next.
  double next_time() const noexcept { return next_time_; }
  void add_time(double time) noexcept {
    next_time_ = std::min(next_time_, time);
  }
  // True if a time has come.  The caller adds those that are left.
  bool time_has_come(double now) noexcept {
    if (now < next_time_)
      return false;
    next_time_ = forever;
    return true;
  }

private:
  std::vector<Life> lives_;
  bool orders_ = false; // a life may have an order
  double next_time_ = forever;
};

} // namespace gipc::policy
