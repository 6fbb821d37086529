// The policy of a keeper: services that are kept running.
#include "policy_keeper.h"

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace gipc::policy {

const char *wrong(const ServiceRules &rules) noexcept {
  const char *name = wrong(rules.life);
  return name != nullptr ? name : wrong(rules.restarts);
}

Keeper::Keeper(Strategy strategy, const std::vector<ServiceRules> &services,
               uint64_t seed)
    : strategy_(strategy), lives_(2 * services.size()) {
  services_.reserve(services.size());
  for (const ServiceRules &rules : services) {
    services_.emplace_back(rules, seed + services_.size());
    services_.back().current = 2 * (services_.size() - 1);
  }
}

// A clock that goes back is not believed.
void Keeper::set_now(double now) noexcept { now_ = std::max(now_, now); }

bool Keeper::runs(size_t service) const noexcept {
  return lives_[2 * service].running() || lives_[2 * service + 1].running();
}

bool Keeper::must_end(size_t service) const noexcept {
  return !services_[service].kept || services_[service].restarting;
}

// ---- Events -----------------------------------------------------------------

Life *Keeper::find(Id process, double now, size_t &service) noexcept {
  set_now(now);
  service = lives_.slot_of(process) / 2;
  return lives_.find(process);
}

int Keeper::started(Id process, int pid, double now) noexcept {
  size_t service;
  Life *life = find(process, now, service);
  if (life == nullptr)
    return -ENOENT;
  life->started(pid, services_[service].rules.life, now_);
  lives_.changed(*life);
  return services_[service].rules.notify ? 0 : ready(process, now);
}

int Keeper::ready(Id process, double now) noexcept {
  size_t service;
  Life *life = find(process, now, service);
  if (life == nullptr)
    return -ENOENT;
  life->ready(services_[service].rules.life, now_);
  lives_.changed(*life);
  Service &s = services_[service];
  size_t slot = lives_.slot_of(process);
  if (slot != s.current && s.reloads && life->is_ready()) {
    stop_life(s.current, Why::reload);
    s.current = slot;
    end_reload(service, Action::Kind::reloaded, slot);
  }
  return 0;
}

int Keeper::alive(Id process, double now) noexcept {
  size_t service;
  Life *life = find(process, now, service);
  if (life == nullptr)
    return -ENOENT;
  life->alive(services_[service].rules.life, now_);
  lives_.changed(*life);
  return 0;
}

int Keeper::start_failed(Id process, int error, double now) noexcept {
  size_t service;
  if (find(process, now, service) == nullptr)
    return -ENOENT;
  gipc_exit_info none{};
  none.code = -1;
  process_ended(process, none, error);
  return 0;
}

int Keeper::ended(Id process, const gipc_exit_info &exit, double now) noexcept {
  size_t service;
  if (find(process, now, service) == nullptr)
    return -ENOENT;
  process_ended(process, exit, 0);
  return 0;
}

void Keeper::process_ended(Id process, const gipc_exit_info &exit,
                           int error) noexcept {
  size_t slot = lives_.slot_of(process), service = slot / 2;
  Service &s = services_[service];
  lives_[slot].ended(exit, error);
  bool was_current = slot == s.current;
  if (must_end(service)) {
    end_reload(service, Action::Kind::reload_failed, slot);
    s.restarting = s.restarting && runs(service);
  } else if (!was_current) {
    end_reload(service, Action::Kind::reload_failed, slot);
  } else if (s.reloads && lives_[other(slot)].running()) {
    // The next process is there already: it is the restart.
    s.current = other(slot);
    end_reload(service, Action::Kind::reloaded, s.current);
  } else {
    service_ended(service);
  }
}

// ---- Restarts ---------------------------------------------------------------

namespace {

bool failed(const Life &life) noexcept {
  return life.why() != Why::none || life.error() != 0 ||
         life.exit().code != 0 || life.exit().signal != 0;
}

} // namespace

void Keeper::service_ended(size_t service) noexcept {
  Service &s = services_[service];
  end_reload(service, Action::Kind::reload_failed, s.current);
  if (s.rules.restart == Restart::never ||
      (s.rules.restart == Restart::on_failure && !failed(lives_[s.current]))) {
    s.kept = false;
    s.end = {Action::Kind::finished, s.current};
  } else if (s.restarts.allowed(now_)) {
    restart(service);
  } else {
    give_up(service);
  }
}

bool Keeper::in_group(size_t of, size_t service) const noexcept {
  return service == of || strategy_ == Strategy::all_for_one ||
         (strategy_ == Strategy::rest_for_one && service > of);
}

void Keeper::restart(size_t service) noexcept {
  Service &ended = services_[service];
  ended.start_at =
      now_ + ended.restarts.failed(lives_[ended.current].ready_for(now_));
  lives_.add_time(ended.start_at);
  if (strategy_ == Strategy::one_for_one)
    return;
  for (size_t i = 0; i < services_.size(); ++i) {
    Service &s = services_[i];
    if (!s.kept || !in_group(service, i))
      continue;
    s.in_order = true;
    s.restarting = runs(i);
    s.why = Why::group;
    // One that is not to be restarted only ends with the others.
    if (i != service && s.rules.restart == Restart::never)
      s.kept = false;
  }
}

void Keeper::give_up(size_t service) noexcept {
  Service &s = services_[service];
  s.end = {Action::Kind::gave_up, s.current};
  for (size_t i = 0; i < services_.size(); ++i)
    if (in_group(service, i)) {
      services_[i].kept = false;
      services_[i].why = Why::gave_up;
    }
}

// ---- Reload and stop --------------------------------------------------------

int Keeper::reload(size_t service, double now) noexcept {
  set_now(now);
  if (service >= services_.size())
    return -EINVAL;
  Service &s = services_[service];
  const Life &life = lives_[s.current];
  if (s.reloads || s.reload.kind != Action::Kind::none ||
      lives_[other(s.current)].running())
    return GIPC_ELOCKED;
  if (must_end(service) || !life.running() || life.is_stopping())
    return GIPC_EDEAD;
  s.reloads = true;
  return 0;
}

void Keeper::stop(double now) noexcept {
  set_now(now);
  for (Service &s : services_) {
    s.kept = false;
    s.why = Why::stopped;
  }
  if (state_ == State::open)
    state_ = State::stopping;
}

// Nothing if no reload is in progress.
void Keeper::end_reload(size_t service, Action::Kind kind,
                        size_t slot) noexcept {
  Service &s = services_[service];
  if (s.reloads)
    s.reload = {kind, slot};
  s.reloads = false;
}

void Keeper::stop_life(size_t slot, Why why) noexcept {
  Life &life = lives_[slot];
  life.stop(why, life_rules(slot), now_);
  lives_.changed(life);
}

// From the last to the first: one is stopped when those after it have ended.
void Keeper::stop_those_that_must_end() noexcept {
  for (size_t i = services_.size(); i-- > 0;) {
    if (!must_end(i) || !runs(i))
      continue;
    stop_life(2 * i, services_[i].why);
    stop_life(2 * i + 1, services_[i].why);
    return;
  }
}

void Keeper::expire() noexcept {
  if (!lives_.time_has_come(now_))
    return;
  for (size_t slot = 0; slot < lives_.size(); ++slot) {
    lives_[slot].expire(life_rules(slot), now_);
    lives_.changed(lives_[slot]);
  }
  for (const Service &s : services_)
    if (s.kept && now_ < s.start_at)
      lives_.add_time(s.start_at);
}

// ---- Actions ----------------------------------------------------------------

bool Keeper::next(double now, Action &out) noexcept {
  set_now(now);
  expire();
  stop_those_that_must_end();
  // Notices before starts, which reuse the slots with the exit status.
  return next_notice(out) || lives_.next_order(out) || next_start(out) ||
         next_stopped(out);
}

bool Keeper::next_notice(Action &out) noexcept {
  for (Service &s : services_)
    if (take(s.reload, out) || take(s.end, out))
      return true;
  return false;
}

bool Keeper::take(Notice &notice, Action &out) noexcept {
  if (notice.kind == Action::Kind::none)
    return false;
  const Life &life = lives_[notice.slot];
  out = Action();
  out.kind = notice.kind;
  out.service = notice.slot / 2;
  out.worker = life.id();
  out.pid = life.pid();
  out.why = life.why();
  out.exit = life.exit();
  out.error = life.error();
  notice.kind = Action::Kind::none;
  return true;
}

bool Keeper::may_start(size_t service) const noexcept {
  const Service &s = services_[service];
  if (!s.kept || s.restarting || now_ < s.start_at)
    return false;
  if (lives_[s.current].running() || !s.in_order)
    return !lives_[s.current].running();
  for (size_t i = 0; i < services_.size(); ++i) {
    if (must_end(i) && runs(i))
      return false;
    if (i < service && services_[i].kept &&
        !lives_[services_[i].current].is_ready())
      return false;
  }
  return true;
}

bool Keeper::next_start(Action &out) noexcept {
  for (size_t i = 0; i < services_.size(); ++i) {
    Service &s = services_[i];
    size_t slot = s.current;
    if (s.reloads && !must_end(i) && !lives_[other(slot)].running())
      slot = other(slot);
    else if (!may_start(i))
      continue;
    out = Action();
    out.kind = Action::Kind::start;
    out.service = i;
    out.worker = lives_.start(slot);
    out.attempt = lives_.start_of(out.worker);
    s.in_order = false;
    return true;
  }
  return false;
}

bool Keeper::next_stopped(Action &out) noexcept {
  if (state_ == State::stopped)
    return false;
  for (size_t i = 0; i < services_.size(); ++i)
    if (services_[i].kept || runs(i))
      return false;
  state_ = State::stopped;
  out = Action();
  out.kind = Action::Kind::stopped;
  return true;
}

} // namespace gipc::policy
