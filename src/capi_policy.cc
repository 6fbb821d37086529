// extern "C": policies and the messages of workers.  Check, guard, forward.
#include "capi.h"

#include "policy_keeper.h"
#include "policy_message.h"
#include "policy_pool.h"

#include <cmath>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

using namespace gipc;
namespace policies = gipc::policy;

struct gipc_policy { // one of the two
  std::unique_ptr<policies::Pool> pool;
  std::unique_ptr<policies::Keeper> keeper;
};

namespace {

// ---- Rules ------------------------------------------------------------------

constexpr size_t least_rules = offsetof(gipc_rules, least);

size_t count_or(size_t value, size_t standard) {
  return value != 0 ? value : standard;
}
// 0: the default; negative: no limit.
double time_or(double value, double standard) {
  return value < 0 ? policies::forever : value == 0 ? standard : value;
}
double time_or(double value) { return time_or(value, policies::forever); }
double number_or(double value, double standard) {
  return value == 0 ? standard : value;
}
// A negative one becomes one that no rule allows.
unsigned number_or(int value, unsigned standard) {
  return value == 0 ? standard : value < 0 ? 0 : static_cast<unsigned>(value);
}

policies::LifeRules life_rules(const gipc_rules &in) {
  policies::LifeRules out;
  out.ready_within = time_or(in.ready_within);
  out.silence = time_or(in.silence);
  out.dump = time_or(in.dump, out.dump);
  out.grace = time_or(in.grace, out.grace);
  return out;
}

policies::RestartRules restart_rules(const gipc_rules &in) {
  policies::RestartRules out;
  out.first_delay = number_or(in.first_delay, out.first_delay);
  out.longest_delay = number_or(in.longest_delay, out.longest_delay);
  out.growth = number_or(in.growth, out.growth);
  out.jitter = in.jitter < 0 ? 0 : number_or(in.jitter, out.jitter);
  out.healthy = number_or(in.healthy, out.healthy);
  out.limit = number_or(in.limit, out.limit);
  out.window = number_or(in.window, out.window);
  return out;
}

policies::PoolRules pool_rules(const gipc_rules &in) {
  policies::PoolRules out;
  out.most =
      count_or(in.most, std::max(1U, std::thread::hardware_concurrency()));
  out.least = in.least;
  out.queue_limit = count_or(in.queue_limit, out.queue_limit);
  out.queue_low = count_or(in.queue_low, out.queue_limit / 2);
  out.poison = number_or(in.poison, out.poison);
  out.prepare_failures = number_or(in.prepare_failures, out.prepare_failures);
  out.retire_tasks = in.retire_tasks;
  out.retire_memory = in.retire_memory;
  out.idle = time_or(in.idle);
  out.life = life_rules(in);
  out.restarts = restart_rules(in);
  out.seed = in.seed;
  return out;
}

policies::ServiceRules service_rules(const gipc_rules &in) {
  policies::ServiceRules out;
  out.restart = static_cast<policies::Restart>(in.restart);
  out.life = life_rules(in);
  out.restarts = restart_rules(in);
  return out;
}

const char *wrong(const gipc_rules &rules) {
  if (rules.limit < 0)
    return "limit";
  if (rules.restart < GIPC_RESTART_ALWAYS || rules.restart > GIPC_RESTART_NEVER)
    return "restart";
  return policies::wrong(pool_rules(rules));
}

int read_rules(const gipc_rules *in, gipc_rules &out) {
  out = gipc_rules{};
  if (in != nullptr)
    if (int error = copy_in(in, least_rules, out))
      return error;
  return wrong(out) != nullptr ? -EINVAL : 0;
}

struct Member {
  const char *name;
  size_t offset, size;
  enum Type : unsigned char { count, number, time } type;
};

#define MEMBER(NAME, TYPE)                                                     \
  Member { #NAME, offsetof(gipc_rules, NAME), sizeof(gipc_rules::NAME), TYPE }
const Member members[] = {
    MEMBER(most, Member::count),
    MEMBER(least, Member::count),
    MEMBER(queue_limit, Member::count),
    MEMBER(queue_low, Member::count),
    MEMBER(retire_tasks, Member::count),
    MEMBER(retire_memory, Member::count),
    MEMBER(idle, Member::time),
    MEMBER(poison, Member::number),
    MEMBER(prepare_failures, Member::number),
    MEMBER(restart, Member::number),
    MEMBER(ready_within, Member::time),
    MEMBER(silence, Member::time),
    MEMBER(dump, Member::time),
    MEMBER(grace, Member::time),
    MEMBER(first_delay, Member::time),
    MEMBER(longest_delay, Member::time),
    MEMBER(growth, Member::time),
    MEMBER(jitter, Member::time),
    MEMBER(healthy, Member::time),
    MEMBER(window, Member::time),
    MEMBER(limit, Member::number),
    MEMBER(seed, Member::count),
};
#undef MEMBER

const Member *find_member(const char *name) {
  for (const Member &member : members)
    if (std::strcmp(member.name, name) == 0)
      return &member;
  return nullptr;
}

template <typename T> bool store(void *at, double value) {
  // The limit itself may not be a double; the next one below it is in range.
  if (value != std::floor(value) ||
      value < static_cast<double>(std::numeric_limits<T>::min()) ||
      value >= std::ldexp(1.0, std::numeric_limits<T>::digits))
    return false; // NaN, too
  auto stored = static_cast<T>(value);
  std::memcpy(at, &stored, sizeof stored);
  return true;
}

// ---- Actions and states -----------------------------------------------------

void describe(const policies::Action &in, gipc_action &out) {
  out = gipc_action{};
  out.kind = static_cast<int>(in.kind);
  out.why = static_cast<int>(in.why);
  out.worker = in.worker;
  out.task = in.task;
  out.user = in.user;
  out.service = in.service;
  out.attempt = static_cast<int>(in.attempt);
  out.pid = in.pid;
  out.error = in.error;
  out.has_info = in.exit.size != 0;
  out.info = in.exit;
  out.info.size = sizeof out.info;
}

void describe(const policies::Life &life, gipc_worker_stats &out) {
  if (!life.running())
    return;
  out.worker = life.id();
  out.pid = life.pid();
  out.state = static_cast<int>(life.state());
}

// Calls `body` with the pool or the keeper.
template <typename Body> auto with(gipc_policy &policy, Body &&body) {
  return policy.pool != nullptr ? body(*policy.pool) : body(*policy.keeper);
}

bool is_time(double now) { return !std::isnan(now); }

int unless_pool(const gipc_policy *policy, double now) {
  return policy == nullptr || policy->pool == nullptr || !is_time(now) ? -EINVAL
                                                                       : 0;
}

template <typename Body>
int report(gipc_policy *policy, double now, Body &&body) {
  if (policy == nullptr || !is_time(now))
    return -EINVAL;
  return with(*policy, body);
}

} // namespace

static_assert(static_cast<int>(policies::Why::gave_up) == GIPC_WHY_GAVE_UP);
static_assert(static_cast<int>(policies::Action::Kind::stopped) ==
              GIPC_ACTION_STOPPED);
static_assert(static_cast<int>(policies::Life::State::killed) ==
              GIPC_WORKER_KILLED);
static_assert(sizeof(gipc_policy_stats::finished) / sizeof(uint64_t) ==
              policies::whys);

const char *gipc_rules_wrong(const gipc_rules *rules) {
  gipc_rules read{};
  if (rules == nullptr)
    return nullptr;
  if (copy_in(rules, least_rules, read) != 0)
    return "size";
  return wrong(read);
}

int gipc_rules_set(gipc_rules *rules, const char *name, double value) {
  if (rules == nullptr || name == nullptr)
    return -EINVAL;
  if (int error = check_size(rules->size, least_rules))
    return error;
  const Member *member = find_member(name);
  if (member == nullptr || member->offset + member->size > rules->size)
    return -ENOENT;
  void *at = reinterpret_cast<unsigned char *>(rules) + member->offset;
  bool stored = false;
  switch (member->type) {
  case Member::count:
    stored = member->size == sizeof(uint64_t) ? store<uint64_t>(at, value)
                                              : store<uint32_t>(at, value);
    break;
  case Member::number:
    stored = store<int>(at, value);
    break;
  case Member::time:
    stored = !std::isnan(value);
    if (stored)
      std::memcpy(at, &value, sizeof value);
    break;
  }
  return stored ? 0 : -EINVAL;
}

int gipc_policy_new_pool(const gipc_rules *rules, gipc_policy **policy) {
  gipc_rules read;
  if (policy == nullptr)
    return -EINVAL;
  if (int error = read_rules(rules, read))
    return error;
  return guard([&] {
    auto made = std::make_unique<gipc_policy>();
    made->pool = std::make_unique<policies::Pool>(pool_rules(read));
    *policy = made.release();
    return 0;
  });
}

int gipc_policy_new_keeper(int strategy, const gipc_rules *const rules[],
                           size_t count, gipc_policy **policy) {
  if (policy == nullptr || rules == nullptr || count == 0 ||
      strategy < GIPC_ONE_FOR_ONE || strategy > GIPC_ALL_FOR_ONE)
    return -EINVAL;
  return guard([&] {
    std::vector<policies::ServiceRules> services;
    uint64_t seed = 0;
    for (size_t i = 0; i < count; ++i) {
      gipc_rules read;
      if (int error = read_rules(rules[i], read))
        return error;
      services.push_back(service_rules(read));
      seed = i == 0 ? read.seed : seed;
    }
    auto made = std::make_unique<gipc_policy>();
    made->keeper = std::make_unique<policies::Keeper>(
        static_cast<policies::Strategy>(strategy), services, seed);
    *policy = made.release();
    return 0;
  });
}

void gipc_policy_free(gipc_policy *policy) { delete policy; }

int gipc_policy_submit(gipc_policy *policy, const gipc_task_rules *rules,
                       uint64_t *task) {
  gipc_task_rules read{};
  if (task == nullptr || unless_pool(policy, 0) != 0)
    return -EINVAL;
  if (rules != nullptr)
    if (int error = copy_in(rules, offsetof(gipc_task_rules, priority), read))
      return error;
  constexpr int masks =
      GIPC_RETRY_DIED | GIPC_RETRY_TIMED_OUT | GIPC_RETRY_FAILED;
  if (read.retries < 0 || (read.retry_for & ~masks) != 0)
    return -EINVAL;
  policies::TaskRules given;
  given.priority = read.priority;
  given.timeout = time_or(read.timeout);
  given.retries = static_cast<unsigned>(read.retries);
  if (read.retry_for != 0)
    given.retry_for = static_cast<unsigned>(read.retry_for);
  given.user = read.user;
  return guard([&] {
    policies::Id id = policies::no_id;
    int error = policy->pool->submit(given, id);
    if (error == 0)
      *task = id;
    return error;
  });
}

int gipc_policy_cancel(gipc_policy *policy, uint64_t task, double now) {
  if (int error = unless_pool(policy, now))
    return error;
  return policy->pool->cancel(task, now);
}

int gipc_policy_started(gipc_policy *policy, uint64_t worker, pid_t pid,
                        double now) {
  return report(policy, now,
                [&](auto &it) { return it.started(worker, pid, now); });
}

int gipc_policy_start_failed(gipc_policy *policy, uint64_t worker, int error,
                             double now) {
  if (error >= 0)
    return -EINVAL;
  return report(policy, now,
                [&](auto &it) { return it.start_failed(worker, error, now); });
}

int gipc_policy_ended(gipc_policy *policy, uint64_t worker,
                      const gipc_exit_info *info, double now) {
  gipc_exit_info read{};
  if (info == nullptr)
    return -EINVAL;
  if (int error = copy_in(info, offsetof(gipc_exit_info, signal), read))
    return error;
  read.size = sizeof read;
  return report(policy, now,
                [&](auto &it) { return it.ended(worker, read, now); });
}

int gipc_policy_ready(gipc_policy *policy, uint64_t worker, double now) {
  return report(policy, now, [&](auto &it) { return it.ready(worker, now); });
}

int gipc_policy_alive(gipc_policy *policy, uint64_t worker, double now) {
  return report(policy, now, [&](auto &it) { return it.alive(worker, now); });
}

int gipc_policy_memory(gipc_policy *policy, uint64_t worker, uint64_t bytes,
                       double now) {
  if (int error = unless_pool(policy, now))
    return error;
  return policy->pool->memory(worker, bytes, now);
}

int gipc_policy_misbehaved(gipc_policy *policy, uint64_t worker, double now) {
  if (int error = unless_pool(policy, now))
    return error;
  return policy->pool->misbehaved(worker, now);
}

int gipc_policy_received(gipc_policy *policy, uint64_t worker, const void *data,
                         size_t size, double now,
                         gipc_worker_message *message) {
  if (int error = unless_pool(policy, now))
    return error;
  if ((data == nullptr && size > 0) || message == nullptr)
    return -EINVAL;
  if (int error =
          check_size(message->size, offsetof(gipc_worker_message, attempt)))
    return error;
  gipc_worker_message read{};
  policies::Pool &pool = *policy->pool;
  int error =
      policies::decode(static_cast<const unsigned char *>(data), size, read);
  if (error == 0)
    error = pool.received(worker, read.kind, read.task, now);
  else if (pool.misbehaved(worker, now) != 0)
    error = -ENOENT;
  if (error == 0)
    copy_out(read, message);
  return error;
}

int gipc_policy_reload(gipc_policy *policy, size_t service, double now) {
  if (policy == nullptr || policy->keeper == nullptr || !is_time(now))
    return -EINVAL;
  return policy->keeper->reload(service, now);
}

int gipc_policy_stop(gipc_policy *policy, double grace, double now) {
  if (policy == nullptr || !is_time(now) || std::isnan(grace))
    return -EINVAL;
  if (policy->pool != nullptr)
    policy->pool->stop(grace, now);
  else
    policy->keeper->stop(now);
  return 0;
}

int gipc_policy_next(gipc_policy *policy, double now, gipc_action *action) {
  if (policy == nullptr || action == nullptr || !is_time(now))
    return -EINVAL;
  if (int error = check_size(action->size, offsetof(gipc_action, why)))
    return error;
  policies::Action next;
  if (!with(*policy, [&](auto &it) { return it.next(now, next); }))
    return 0;
  gipc_action described;
  describe(next, described);
  copy_out(described, action);
  return 1;
}

double gipc_policy_next_time(const gipc_policy *policy) {
  if (policy == nullptr)
    return policies::forever;
  return policy->pool != nullptr ? policy->pool->next_time()
                                 : policy->keeper->next_time();
}

int gipc_policy_get_stats(const gipc_policy *policy, gipc_policy_stats *stats) {
  if (stats == nullptr || unless_pool(policy, 0) != 0)
    return -EINVAL;
  if (int error = check_size(stats->size, offsetof(gipc_policy_stats, running)))
    return error;
  policies::PoolStats in = policy->pool->stats();
  gipc_policy_stats out{};
  out.queued = in.queued;
  out.running = in.running;
  out.workers = in.workers;
  out.starting = in.starting;
  out.submitted = in.submitted;
  out.retries = in.retries;
  out.starts = in.starts;
  out.failures = in.failures;
  std::copy(std::begin(in.finished), std::end(in.finished), out.finished);
  copy_out(out, stats);
  return 0;
}

int gipc_policy_worker_stats(const gipc_policy *policy, size_t slot,
                             gipc_worker_stats *stats) {
  if (policy == nullptr || stats == nullptr)
    return -EINVAL;
  if (int error = check_size(stats->size, offsetof(gipc_worker_stats, tasks)))
    return error;
  size_t slots =
      policy->pool != nullptr ? policy->pool->slots() : policy->keeper->size();
  if (slot >= slots)
    return -ENOENT;
  gipc_worker_stats out{};
  if (policy->pool != nullptr) {
    const policies::Worker &worker = policy->pool->worker(slot);
    describe(policy->pool->life(slot), out);
    if (out.worker != policies::no_id) {
      out.tasks = worker.tasks;
      out.memory = worker.memory;
      out.busy = worker.busy_time;
      out.task = worker.task != nullptr ? worker.task->id : policies::no_id;
    }
  } else {
    describe(policy->keeper->life(slot), out);
  }
  copy_out(out, stats);
  return 0;
}

int gipc_worker_encode(const gipc_worker_message *message, void *bytes,
                       size_t room, size_t *needed) {
  gipc_worker_message read;
  if (message == nullptr || needed == nullptr || (bytes == nullptr && room > 0))
    return -EINVAL;
  if (int error =
          copy_in(message, offsetof(gipc_worker_message, attempt), read))
    return error;
  size_t size = policies::encoded_size(read);
  if (size == 0)
    return -EINVAL;
  *needed = size;
  if (size > room)
    return -EMSGSIZE;
  policies::encode(read, static_cast<unsigned char *>(bytes));
  return 0;
}

int gipc_worker_decode(const void *data, size_t size,
                       gipc_worker_message *message) {
  if ((data == nullptr && size > 0) || message == nullptr)
    return -EINVAL;
  if (int error =
          check_size(message->size, offsetof(gipc_worker_message, attempt)))
    return error;
  gipc_worker_message read{};
  int error =
      policies::decode(static_cast<const unsigned char *>(data), size, read);
  if (error == 0)
    copy_out(read, message);
  return error;
}
