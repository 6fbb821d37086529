// One kept process: its states, and the times at which each must be over.
#include "policy_life.h"

namespace gipc::policy {

const char *wrong(const LifeRules &rules) noexcept {
  // Written so that NaN is wrong.
  if (!(rules.ready_within > 0))
    return "ready_within";
  if (!(rules.silence > 0))
    return "silence";
  if (!(rules.dump >= 0))
    return "dump";
  if (!(rules.grace >= 0))
    return "grace";
  return nullptr;
}

void Life::start(Id id) noexcept {
  *this = Life();
  id_ = id;
  state_ = State::starting;
}

void Life::started(int pid, const LifeRules &rules, double now) noexcept {
  if (exists_)
    return;
  exists_ = true;
  pid_ = pid;
  // A stop that came before is asked for now, and its grace period begins now.
  if (state_ == State::starting)
    due_ = now + rules.ready_within;
  else if (state_ == State::stopping)
    due_ = now + rules.grace;
}

void Life::ready(const LifeRules &rules, double now) noexcept {
  if (state_ != State::starting)
    return alive(rules, now);
  exists_ = true;
  state_ = State::ready;
  ready_at_ = now;
  due_ = now + rules.silence;
}

void Life::alive(const LifeRules &rules, double now) noexcept {
  if (state_ != State::ready && state_ != State::silent)
    return;
  state_ = State::ready;
  order_ = Order::none; // a dump that was not returned yet
  due_ = now + rules.silence;
}

void Life::stop(Why why, const LifeRules &rules, double now) noexcept {
  if (!running() || is_stopping())
    return;
  state_ = State::stopping;
  why_ = why;
  order_ = Order::stop;
  due_ = exists_ ? now + rules.grace : forever;
}

void Life::kill() noexcept {
  state_ = State::killed;
  order_ = Order::kill;
  due_ = forever;
}

void Life::ended(const gipc_exit_info &exit, int error) noexcept {
  state_ = State::off;
  order_ = Order::none;
  due_ = forever;
  exit_ = exit;
  error_ = error;
}

void Life::expire(const LifeRules &rules, double now) noexcept {
  // Each order is returned before the next one, even if there is no time
  // between them.
  if (now < due_ || has_order())
    return;
  switch (state_) {
  case State::off:
  case State::killed:
    break;
  case State::starting:
    stop(Why::not_ready, rules, now);
    break;
  case State::ready:
    state_ = State::silent;
    order_ = Order::dump;
    due_ = now + rules.dump;
    break;
  case State::silent:
    stop(Why::silent, rules, now);
    break;
  case State::stopping:
    kill();
    break;
  }
}

Life::Order Life::take_order() noexcept {
  Order order = order_;
  order_ = Order::none;
  return order;
}

Id Lives::start(size_t slot) noexcept {
  Life &life = lives_[slot];
  Id last = life.id();
  life.start(last == no_id ? slot + 1 : last + lives_.size());
  return life.id();
}

bool Lives::next_order(Action &out) noexcept {
  if (!orders_)
    return false;
  for (Life &life : lives_) {
    if (!life.has_order())
      continue;
    constexpr Action::Kind kinds[] = {Action::Kind::none, Action::Kind::dump,
                                      Action::Kind::stop, Action::Kind::kill};
    out = Action();
    out.kind = kinds[static_cast<size_t>(life.take_order())];
    out.why = life.why();
    out.worker = life.id();
    out.pid = life.pid();
    return true;
  }
  orders_ = false;
  return false;
}

} // namespace gipc::policy
