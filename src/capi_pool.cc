// extern "C": pools, and what their workers call.  Check, guard, forward.
#include "capi_policy.h"

#include "handle.h"
#include "os.h"
#include "pool.h"
#include "worker.h"

#include <cmath>

using namespace gipc;

namespace {

Pool *unwrap(gipc_pool *pool) { return reinterpret_cast<Pool *>(pool); }
const Pool *unwrap(const gipc_pool *pool) {
  return reinterpret_cast<const Pool *>(pool);
}

int make(WorkerCommand &command, const gipc_rules *rules, gipc_pool **pool) {
  policy::PoolRules read;
  if (int error = read_pool_rules(rules, read))
    return error;
  if (int error = command.check())
    return error;
  // An answer that was written may be lost in a launcher that ends.
  if (read.ahead > 0 && command.by_stdio())
    return -EINVAL;
  *pool = reinterpret_cast<gipc_pool *>(new Pool(read, std::move(command)));
  return 0;
}

} // namespace

// ---- Workers ----------------------------------------------------------------

int gipc_worker_serve(gipc_handle *h, gipc_work work, void *user) {
  if (h == nullptr || work == nullptr)
    return -EINVAL;
  return guard([&] { return worker::serve(*unwrap(h), work, user); });
}

int gipc_worker_alive(gipc_handle *h) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return worker::alive(*unwrap(h)); });
}

// ---- Pools ------------------------------------------------------------------

int gipc_pool_new(gipc_worker_function function, void *argument,
                  const gipc_rules *rules, const gipc_options *options,
                  gipc_pool **pool) {
  if (function == nullptr || pool == nullptr)
    return -EINVAL;
  return guard([&] {
    WorkerCommand command{function,
                          argument,
                          {},
                          options != nullptr ? *unwrap(options) : Options()};
    return make(command, rules, pool);
  });
}

int gipc_pool_exec(const char *const argv[], const gipc_rules *rules,
                   const gipc_options *options, gipc_pool **pool) {
  if (argv == nullptr || argv[0] == nullptr || pool == nullptr)
    return -EINVAL;
  return guard([&] {
    WorkerCommand command{nullptr,
                          nullptr,
                          {},
                          options != nullptr ? *unwrap(options) : Options()};
    for (const char *const *at = argv; *at != nullptr; ++at)
      command.arguments.emplace_back(*at);
    return make(command, rules, pool);
  });
}

int gipc_pool_start(gipc_pool *pool, struct ev_loop *loop,
                    const gipc_pool_events *events, void *user) {
  constexpr size_t least = offsetof(gipc_pool_events, on_drain);
  if (pool == nullptr || loop == nullptr || events == nullptr)
    return -EINVAL;
  gipc_pool_events known;
  if (int error = copy_in(events, least, known))
    return error;
  return guard([&] { return unwrap(pool)->start(loop, known, user); });
}

int gipc_pool_try_put(gipc_pool *pool, const void *data, size_t size,
                      const gipc_task_rules *rules, uint64_t *task) {
  return gipc_pool_try_put_with(pool, data, size, nullptr, 0, rules, task);
}

int gipc_pool_try_put_with(gipc_pool *pool, const void *data, size_t size,
                           const int *fds, size_t count,
                           const gipc_task_rules *rules, uint64_t *task) {
  policy::TaskRules read;
  if (pool == nullptr || (data == nullptr && size > 0) || task == nullptr ||
      !is_fd_list(fds, count))
    return -EINVAL;
  if (int error = read_task_rules(rules, read))
    return error;
  return guard([&] {
    return unwrap(pool)->try_put(data, size, fds, count, read, *task);
  });
}

int gipc_pool_cancel(gipc_pool *pool, uint64_t task) {
  return pool == nullptr ? -EINVAL
                         : guard([&] { return unwrap(pool)->cancel(task); });
}

int gipc_pool_stop(gipc_pool *pool, double grace) {
  return pool == nullptr || std::isnan(grace)
             ? -EINVAL
             : guard([&] { return unwrap(pool)->stop(grace); });
}

int gipc_pool_set_dump_signal(gipc_pool *pool, int signal) {
  return pool == nullptr ? -EINVAL : unwrap(pool)->set_dump_signal(signal);
}

int gipc_pool_stats(const gipc_pool *pool, gipc_policy_stats *stats) {
  if (pool == nullptr || stats == nullptr)
    return -EINVAL;
  int error = unwrap(pool)->usable();
  return error != 0 ? error : describe_stats(unwrap(pool)->policy(), stats);
}

int gipc_pool_worker_stats(const gipc_pool *pool, size_t slot,
                           gipc_worker_stats *stats) {
  if (pool == nullptr || stats == nullptr)
    return -EINVAL;
  if (int error = check_size(stats->size, offsetof(gipc_worker_stats, tasks)))
    return error;
  if (int error = unwrap(pool)->usable())
    return error;
  gipc_worker_stats out;
  if (int error = describe_worker(unwrap(pool)->policy(), slot, out))
    return error;
  uint64_t bytes;
  if (out.pid > 0 && os::resident_memory(out.pid, bytes) == 0)
    out.memory = bytes;
  copy_out(out, stats);
  return 0;
}

void gipc_pool_free(gipc_pool *pool) {
  (void)guard([&] {
    if (pool != nullptr)
      unwrap(pool)->free();
    return 0;
  });
}
