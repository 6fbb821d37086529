// A keeper of services on a loop.
#include "keeper.h"

#include "action.h"
#include "deadline.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace gipc {

const Supervisor::Events Keeper::supervisor_events = {
    [](void *self) noexcept { return static_cast<Keeper *>(self)->next(); },
    [](void *self) noexcept {
      return static_cast<Keeper *>(self)->policy_->next_time();
    },
    [](void *) noexcept {},
    [](void *self) noexcept { delete static_cast<Keeper *>(self); },
};

// ---- Calls ------------------------------------------------------------------

int Keeper::add(Service &&service, uint64_t seed, size_t &index) {
  if (int error = usable())
    return error;
  if (policy_)
    return GIPC_ELOCKED;
  const Options &options = service.options;
  const Options::Stdio *stdio = options.files.stdio;
  if (stdio[0].mode == GIPC_STDIO_PIPE || stdio[1].mode == GIPC_STDIO_PIPE ||
      !options.passed.empty())
    return -EINVAL;
  for (const Service &other : services_)
    if (other.name == service.name)
      return -EEXIST;
  if (service.options.name.empty())
    service.options.name = service.name;
  if (!service.options.chose_daemon)
    (void)service.options.set_daemon(1);
  services_.push_back(std::move(service));
  if (services_.size() == 1)
    seed_ = seed;
  index = services_.size() - 1;
  return 0;
}

int Keeper::start(struct ev_loop *loop, const gipc_keeper_events &events,
                  void *user) {
  if (int error = usable())
    return error;
  if (policy_)
    return GIPC_ELOCKED;
  if (services_.empty())
    return -EINVAL;
  std::vector<policy::ServiceRules> rules;
  rules.reserve(services_.size());
  for (const Service &service : services_)
    rules.push_back(service.rules);
  std::optional<policy::Keeper> policy(std::in_place, strategy_, rules, seed_);
  if (int error = supervisor_.start(loop))
    return error;
  policy_ = std::move(policy);
  events_ = events;
  user_ = user;
  return 0;
}

int Keeper::reload(size_t service) noexcept {
  if (int error = usable())
    return error;
  if (service >= services_.size())
    return -EINVAL;
  if (!policy_)
    return GIPC_EDEAD;
  supervisor_.wake();
  return policy_->reload(service, monotonic_now());
}

int Keeper::signal(size_t service, int number) noexcept {
  if (int error = usable())
    return error;
  if (service >= services_.size())
    return -EINVAL;
  KeeperProcess *process =
      policy_ ? find(policy_->life(service).id()) : nullptr;
  return process != nullptr ? process->process().signal(number) : GIPC_EDEAD;
}

int Keeper::stop() noexcept {
  if (int error = usable())
    return error;
  if (!policy_)
    return -EINVAL;
  if (policy_->state() == policy::Keeper::State::open)
    why_ = GIPC_WHY_STOPPED;
  policy_->stop(monotonic_now());
  supervisor_.wake();
  return 0;
}

int Keeper::stats(size_t service, gipc_service_stats &out) const noexcept {
  if (int error = usable())
    return error;
  if (service >= services_.size())
    return -EINVAL;
  out = gipc_service_stats{};
  out.starts = services_[service].starts;
  out.failures = services_[service].failures;
  out.is_kept = 1;
  if (!policy_)
    return 0;
  const policy::Life &life = policy_->life(service);
  out.is_kept = policy_->is_kept(service);
  out.state = static_cast<int>(life.state());
  out.process = life.id();
  out.pid = life.running() ? life.pid() : 0;
  out.ready_for = life.running() ? life.ready_for(monotonic_now()) : 0;
  out.why = static_cast<int>(life.why());
  out.error = life.error();
  out.has_info = life.exit().size != 0;
  out.info = life.exit();
  out.info.size = sizeof out.info;
  return 0;
}

// ---- Events of a process ----------------------------------------------------

KeeperProcess *Keeper::find(policy::Id id) noexcept {
  auto found = processes_.find(id);
  return found == processes_.end() ? nullptr : &found->second;
}

// One datagram.  False: there is none.
bool Keeper::receive(policy::Id id) noexcept {
  KeeperProcess *process = supervisor_.is_freed() ? nullptr : find(id);
  int mask = process != nullptr ? process->receive() : -ENOENT;
  if (mask < 0)
    return false;
  if ((mask & GIPC_NOTIFY_ALIVE) != 0)
    (void)policy_->alive(id, monotonic_now());
  if ((mask & GIPC_NOTIFY_READY) != 0) {
    (void)policy_->ready(id, monotonic_now());
    report_ready(id);
  }
  return true;
}

void Keeper::readable(policy::Id id) noexcept {
  constexpr int budget = 16; // datagrams in one loop iteration
  for (int left = budget; left > 0 && receive(id); --left) {
  }
  supervisor_.run();
}

// A process that was ready has not failed to start: first what it sent.
void Keeper::ended(policy::Id id) noexcept {
  constexpr int most = 1000; // what it left behind could send any number
  for (int left = most; left > 0 && receive(id); --left) {
  }
  if (supervisor_.is_freed())
    return;
  KeeperProcess &process = *find(id);
  (void)policy_->ended(id, process.process().exit_info(), monotonic_now());
  if (policy_->process(id).why() == policy::Why::none)
    ++services_[process.service()].failures;
  auto gone = processes_.extract(id);
  report(GIPC_SERVICE_ENDED, id, process.last_lines());
  supervisor_.run();
}

// ---- Actions ----------------------------------------------------------------

bool Keeper::next() noexcept {
  policy::Action action;
  if (!policy_->next(monotonic_now(), action))
    return false;
  if (trace::is_on())
    report_action(action);
  carry_out(action);
  return true;
}

void Keeper::carry_out(const policy::Action &action) noexcept {
  using Kind = policy::Action::Kind;
  gipc_service_change change{};
  switch (action.kind) {
  case Kind::start:
    return start_process(action.worker, action.service);
  case Kind::dump:
  case Kind::stop:
  case Kind::kill:
    return order(action);
  case Kind::stopped:
    return end();
  case Kind::reloaded:
    change.kind = GIPC_SERVICE_RELOADED;
    break;
  case Kind::reload_failed:
    change.kind = GIPC_SERVICE_RELOAD_FAILED;
    break;
  case Kind::finished:
    change.kind = GIPC_SERVICE_FINISHED;
    break;
  case Kind::gave_up:
    change.kind = GIPC_SERVICE_GAVE_UP;
    if (why_ != GIPC_WHY_STOPPED)
      why_ = GIPC_WHY_GAVE_UP;
    break;
  default:
    return; // of pools
  }
  change.service = action.service;
  change.process = action.worker;
  change.pid = action.pid;
  change.why = static_cast<int>(action.why);
  change.error = action.error;
  change.info = action.exit;
  report(change);
}

void Keeper::order(const policy::Action &action) noexcept {
  using Kind = policy::Action::Kind;
  KeeperProcess *process = find(action.worker);
  if (process == nullptr)
    return;
  switch (action.kind) {
  case Kind::dump:
    if (supervisor_.dump_signal() != 0)
      (void)process->process().signal(supervisor_.dump_signal());
    return report(GIPC_SERVICE_SILENT, action.worker);
  case Kind::stop:
    process->process().terminate();
    return report(GIPC_SERVICE_STOPPING, action.worker);
  default:
    (void)process->process().signal(SIGKILL);
    return report(GIPC_SERVICE_KILLED, action.worker);
  }
}

int Keeper::try_start(policy::Id id, size_t service) {
  Options options = services_[service].options;
  if (events_.on_start != nullptr) {
    int error =
        events_.on_start(reinterpret_cast<gipc_keeper *>(this), service,
                         reinterpret_cast<gipc_options *>(&options), user_);
    if (error < 0 || supervisor_.is_freed())
      return error;
  }
  return processes_.try_emplace(id, *this, id, service)
      .first->second.start(services_[service], options, supervisor_.loop());
}

void Keeper::start_process(policy::Id id, size_t service) noexcept {
  int error;
  try {
    error = try_start(id, service);
  } catch (const std::bad_alloc &) {
    error = -ENOMEM;
  }
  if (supervisor_.is_freed())
    return;
  ++services_[service].starts;
  if (error == 0) {
    (void)policy_->started(id, find(id)->process().pid(), monotonic_now());
    report(GIPC_SERVICE_STARTED, id);
    return report_ready(id);
  }
  processes_.erase(id);
  (void)policy_->start_failed(id, error, monotonic_now());
  ++services_[service].failures;
  report(GIPC_SERVICE_ENDED, id);
}

// ---- Reports ----------------------------------------------------------------

void Keeper::report_ready(policy::Id id) noexcept {
  KeeperProcess *process = supervisor_.is_freed() ? nullptr : find(id);
  if (process == nullptr || process->was_ready ||
      !policy_->process(id).is_ready())
    return;
  process->was_ready = true;
  report(GIPC_SERVICE_READY, id);
}

// The process may have ended, but the next one was not started.
void Keeper::report(int kind, policy::Id id, gipc_text last_lines) noexcept {
  const policy::Life &life = policy_->process(id);
  gipc_service_change change{};
  change.kind = kind;
  change.service = policy_->service_of(id);
  change.process = id;
  change.pid = life.pid();
  change.why = static_cast<int>(life.why());
  change.error = life.error();
  change.info = life.exit();
  change.last_lines = last_lines;
  report(change);
}

void Keeper::report(gipc_service_change &change) noexcept {
  if (events_.on_service == nullptr)
    return;
  change.size = sizeof change;
  change.name = services_[change.service].name.c_str();
  change.has_info = change.info.size != 0;
  change.info.size = sizeof change.info;
  events_.on_service(reinterpret_cast<gipc_keeper *>(this), &change, user_);
}

void Keeper::end() noexcept {
  supervisor_.end();
  if (events_.on_end != nullptr)
    events_.on_end(reinterpret_cast<gipc_keeper *>(this), why_, user_);
}

} // namespace gipc
