// The policy of a keeper: services, each of them one process that is kept
// running.  policy.h describes how a driver uses it.
//
// - Services start in order, each when those before it are ready, and stop in
//   reverse order, each when those after it have ended.
// - A service that ended is started again by its restart policy, after a delay,
//   alone or with others of its group, by the strategy.
// - At the limit of its restarts it is not started again, and neither is what
//   would have been restarted with it: that is stopped.
// - A reload starts a second process of the service, and stops the first one
//   when the second is ready.
//
// - A service without `notify` does not report readiness: it is ready when it
// is
//   started.
#pragma once

#include "policy.h"
#include "policy_life.h"
#include "policy_restarts.h"

#include <vector>

namespace gipc::policy {

enum class Restart : unsigned char { always, on_failure, never };
// Which services are restarted with one that ended: none, those after it, all.
enum class Strategy : unsigned char { one_for_one, rest_for_one, all_for_one };

struct ServiceRules {
  Restart restart = Restart::always;
  bool notify = false; // it reports when it is ready
  LifeRules life;
  RestartRules restarts;
};

// The name of a wrong member, or NULL.
const char *wrong(const ServiceRules &rules) noexcept;

class Keeper {
public:
  enum class State : unsigned char { open, stopping, stopped };

  // There is at least one service, and no rules are wrong().  Throws bad_alloc.
  Keeper(Strategy strategy, const std::vector<ServiceRules> &services,
         uint64_t seed);

  // Events of a process.  -ENOENT: it has ended.
  int started(Id process, int pid, double now) noexcept;
  int start_failed(Id process, int error, double now) noexcept;
  int ready(Id process, double now) noexcept;
  int alive(Id process, double now) noexcept;
  int ended(Id process, const gipc_exit_info &exit, double now) noexcept;

  // 0: `reloaded` or `reload_failed` follows.  GIPC_ELOCKED: a reload is in
  // progress.  GIPC_EDEAD: no process of it runs; one that waits for its
  // restart needs no reload.  -EINVAL: there is no such service.
  int reload(size_t service, double now) noexcept;
  // Stops all services, in reverse order.
  void stop(double now) noexcept;

  // False: there is nothing to do until the next event or next_time().
  bool next(double now, Action &out) noexcept;
  double next_time() const noexcept {
    return state_ == State::stopped ? forever : lives_.next_time();
  }

  State state() const noexcept { return state_; }
  size_t size() const noexcept { return services_.size(); }
  // The process of a service, which may have ended.
  const Life &life(size_t service) const noexcept {
    return lives_[services_[service].current];
  }
  // It runs, or will be started.
  bool is_kept(size_t service) const noexcept {
    return services_[service].kept;
  }

  // Of any process, until another one is started in its slot.
  const Life &process(Id id) const noexcept {
    return lives_[lives_.slot_of(id)];
  }
  size_t service_of(Id process) const noexcept {
    return lives_.slot_of(process) / 2;
  }
  // It has to end, because it is restarted with its group.
  bool is_restarting(size_t service) const noexcept {
    return services_[service].restarting;
  }

private:
  // What is to be returned about the process in a slot.
  struct Notice {
    Action::Kind kind = Action::Kind::none;
    size_t slot = 0;
  };
  struct Service {
    Service(const ServiceRules &given, uint64_t seed)
        : rules(given), restarts(given.restarts, seed) {}

    ServiceRules rules;
    Restarts restarts;
    size_t current = 0;      // slot of its process
    bool kept = true;        // it runs, or will be started
    bool in_order = true;    // its next start waits for the services before it
    bool restarting = false; // it must end first, to be started again
    bool reloads = false;    // the other slot is for, or has, the next process
    double start_at = -forever; // no start before
    Why why = Why::none;        // why it must end
    Notice reload, end;
  };

  Life *find(Id process, double now, size_t &service) noexcept;
  void set_now(double now) noexcept;
  static size_t other(size_t slot) noexcept { return slot ^ 1; }
  const LifeRules &life_rules(size_t slot) const noexcept {
    return services_[slot / 2].rules.life;
  }
  bool runs(size_t service) const noexcept;
  bool must_end(size_t service) const noexcept;

  void stop_life(size_t slot, Why why) noexcept;
  void process_ended(Id process, const gipc_exit_info &exit,
                     int error) noexcept;
  void service_ended(size_t service) noexcept;
  void restart(size_t service) noexcept;
  void give_up(size_t service) noexcept;
  bool in_group(size_t of, size_t service) const noexcept;
  void end_reload(size_t service, Action::Kind kind, size_t slot) noexcept;
  bool may_start(size_t service) const noexcept;
  void expire() noexcept;
  void stop_those_that_must_end() noexcept;

  bool next_notice(Action &out) noexcept;
  bool take(Notice &notice, Action &out) noexcept;
  bool next_start(Action &out) noexcept;
  bool next_stopped(Action &out) noexcept;

  Strategy strategy_;
  State state_ = State::open;
  double now_ = -forever;
  std::vector<Service> services_;
  Lives lives_; // two slots for each service
};

} // namespace gipc::policy
