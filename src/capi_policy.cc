// extern "C": policies and the messages of workers.  Check, guard, forward.
#include "capi_policy.h"

#include "action.h"
#include "policy_message.h"

#include <cmath>
#include <cstddef>
#include <memory>
#include <vector>

using namespace gipc;
namespace policies = gipc::policy;

struct gipc_policy { // one of the two
  std::unique_ptr<policies::Pool> pool;
  std::unique_ptr<policies::Keeper> keeper;
};

namespace {

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

int gipc_policy_new_pool(const gipc_rules *rules, gipc_policy **policy) {
  policies::PoolRules read;
  if (policy == nullptr)
    return -EINVAL;
  if (int error = read_pool_rules(rules, read))
    return error;
  return guard([&] {
    auto made = std::make_unique<gipc_policy>();
    made->pool = std::make_unique<policies::Pool>(read);
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
    uint64_t seed = 0, first = 0;
    for (size_t i = 0; i < count; ++i) {
      policies::ServiceRules read;
      if (int error = read_service_rules(rules[i], read, seed))
        return error;
      first = i == 0 ? seed : first;
      services.push_back(read);
    }
    auto made = std::make_unique<gipc_policy>();
    made->keeper = std::make_unique<policies::Keeper>(
        static_cast<policies::Strategy>(strategy), services, first);
    *policy = made.release();
    return 0;
  });
}

void gipc_policy_free(gipc_policy *policy) { delete policy; }

int gipc_policy_submit(gipc_policy *policy, const gipc_task_rules *rules,
                       uint64_t *task) {
  policies::TaskRules given;
  if (task == nullptr || unless_pool(policy, 0) != 0)
    return -EINVAL;
  if (int error = read_task_rules(rules, given))
    return error;
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

int gipc_policy_refused(gipc_policy *policy, uint64_t worker, uint64_t task,
                        int error, double now) {
  if (int wrong = unless_pool(policy, now))
    return wrong;
  return error >= 0 ? -EINVAL : policy->pool->refused(worker, task, error, now);
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
    error = pool.received(worker, read.kind, read.task, now, &read.user);
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
  if (trace::is_on())
    report_action(next);
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

int gipc::describe_stats(const policies::Pool &pool, gipc_policy_stats *stats) {
  if (int error = check_size(stats->size, offsetof(gipc_policy_stats, running)))
    return error;
  policies::PoolStats in = pool.stats();
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

int gipc_policy_get_stats(const gipc_policy *policy, gipc_policy_stats *stats) {
  if (stats == nullptr || unless_pool(policy, 0) != 0)
    return -EINVAL;
  return describe_stats(*policy->pool, stats);
}

int gipc::describe_worker(const policies::Pool &pool, size_t slot,
                          gipc_worker_stats &out) {
  if (slot >= pool.slots())
    return -ENOENT;
  const policies::Worker &worker = pool.worker(slot);
  out = gipc_worker_stats{};
  describe(pool.life(slot), out);
  if (out.worker != policies::no_id) {
    out.tasks = worker.tasks;
    out.memory = worker.memory;
    out.busy = worker.busy_time;
    out.task = worker.task != nullptr ? worker.task->id : policies::no_id;
  }
  return 0;
}

int gipc_policy_worker_stats(const gipc_policy *policy, size_t slot,
                             gipc_worker_stats *stats) {
  if (policy == nullptr || stats == nullptr)
    return -EINVAL;
  if (int error = check_size(stats->size, offsetof(gipc_worker_stats, tasks)))
    return error;
  gipc_worker_stats out{};
  if (policy->pool != nullptr) {
    if (int error = describe_worker(*policy->pool, slot, out))
      return error;
  } else if (slot >= policy->keeper->size()) {
    return -ENOENT;
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
  for (const gipc_text &text : {read.type, read.text, read.trace})
    if (text.data == nullptr && text.size > 0)
      return -EINVAL;
  if (read.data == nullptr && read.data_size > 0)
    return -EINVAL;
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
