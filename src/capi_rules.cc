// extern "C": the rules of pools, services and tasks.
#include "capi_policy.h"

#include <cmath>
#include <limits>
#include <thread>

using namespace gipc;
namespace policies = gipc::policy;

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
  out.ahead = in.ahead;
  out.life = life_rules(in);
  out.restarts = restart_rules(in);
  out.seed = in.seed;
  return out;
}

policies::ServiceRules service_rules(const gipc_rules &in) {
  policies::ServiceRules out;
  out.restart = static_cast<policies::Restart>(in.restart);
  out.notify = in.notify != 0;
  out.life = life_rules(in);
  out.restarts = restart_rules(in);
  return out;
}

const char *wrong(const gipc_rules &rules) {
  if (rules.limit < 0)
    return "limit";
  if (rules.restart < GIPC_RESTART_ALWAYS || rules.restart > GIPC_RESTART_NEVER)
    return "restart";
  if (rules.notify < 0 || rules.notify > 1)
    return "notify";
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
    MEMBER(notify, Member::number),
    MEMBER(ahead, Member::count),
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

} // namespace

int gipc::read_pool_rules(const gipc_rules *in, policies::PoolRules &out) {
  gipc_rules read;
  int error = read_rules(in, read);
  if (error == 0)
    out = pool_rules(read);
  return error;
}

int gipc::read_service_rules(const gipc_rules *in, policies::ServiceRules &out,
                             uint64_t &seed) {
  gipc_rules read;
  int error = read_rules(in, read);
  if (error == 0) {
    out = service_rules(read);
    seed = read.seed;
  }
  return error;
}

int gipc::read_task_rules(const gipc_task_rules *in, policies::TaskRules &out) {
  gipc_task_rules read{};
  if (in != nullptr)
    if (int error = copy_in(in, offsetof(gipc_task_rules, priority), read))
      return error;
  constexpr int masks =
      GIPC_RETRY_DIED | GIPC_RETRY_TIMED_OUT | GIPC_RETRY_FAILED;
  if (std::isnan(read.timeout) || read.retries < 0 ||
      (read.retry_for & ~masks) != 0)
    return -EINVAL;
  out = policies::TaskRules();
  out.priority = read.priority;
  out.timeout = time_or(read.timeout);
  out.retries = static_cast<unsigned>(read.retries);
  if (read.retry_for != 0)
    out.retry_for = static_cast<unsigned>(read.retry_for);
  out.user = read.user;
  return 0;
}

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
