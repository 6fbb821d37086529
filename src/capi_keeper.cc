// extern "C": keepers of services.  Check, guard, forward.
#include "capi_policy.h"

#include "keeper.h"

using namespace gipc;

namespace {

Keeper *unwrap(gipc_keeper *keeper) {
  return reinterpret_cast<Keeper *>(keeper);
}
const Keeper *unwrap(const gipc_keeper *keeper) {
  return reinterpret_cast<const Keeper *>(keeper);
}

Options copy(const gipc_options *options) {
  return options != nullptr ? *gipc::unwrap(options) : Options();
}

int add(gipc_keeper *keeper, const gipc_rules *rules, Service &&service,
        size_t *index) {
  uint64_t seed = 0;
  if (int error = read_service_rules(rules, service.rules, seed))
    return error;
  return unwrap(keeper)->add(std::move(service), seed, *index);
}

bool is_name(const char *name) { return name != nullptr && *name != '\0'; }

} // namespace

int gipc_keeper_new(int strategy, gipc_keeper **keeper) {
  if (keeper == nullptr || strategy < GIPC_ONE_FOR_ONE ||
      strategy > GIPC_ALL_FOR_ONE)
    return -EINVAL;
  return guard([&] {
    *keeper = reinterpret_cast<gipc_keeper *>(
        new Keeper(static_cast<policy::Strategy>(strategy)));
    return 0;
  });
}

int gipc_keeper_add(gipc_keeper *keeper, const char *name,
                    int (*function)(struct ev_loop *fresh, void *argument),
                    void *argument, const gipc_rules *rules,
                    const gipc_options *options, size_t *service) {
  if (keeper == nullptr || !is_name(name) || function == nullptr ||
      service == nullptr)
    return -EINVAL;
  return guard([&] {
    return add(keeper, rules, {name, function, argument, {}, copy(options), {}},
               service);
  });
}

int gipc_keeper_add_exec(gipc_keeper *keeper, const char *name,
                         const char *const argv[], const gipc_rules *rules,
                         const gipc_options *options, size_t *service) {
  if (keeper == nullptr || !is_name(name) || argv == nullptr ||
      argv[0] == nullptr || service == nullptr)
    return -EINVAL;
  return guard([&] {
    Service made{name, nullptr, nullptr, {}, copy(options), {}};
    for (const char *const *at = argv; *at != nullptr; ++at)
      made.arguments.emplace_back(*at);
    return add(keeper, rules, std::move(made), service);
  });
}

int gipc_keeper_start(gipc_keeper *keeper, struct ev_loop *loop,
                      const gipc_keeper_events *events, void *user) {
  constexpr size_t least = offsetof(gipc_keeper_events, on_start);
  if (keeper == nullptr || loop == nullptr || events == nullptr)
    return -EINVAL;
  gipc_keeper_events known;
  if (int error = copy_in(events, least, known))
    return error;
  return guard([&] { return unwrap(keeper)->start(loop, known, user); });
}

int gipc_keeper_reload(gipc_keeper *keeper, size_t service) {
  return keeper == nullptr
             ? -EINVAL
             : guard([&] { return unwrap(keeper)->reload(service); });
}

int gipc_keeper_signal(gipc_keeper *keeper, size_t service, int signal) {
  return keeper == nullptr
             ? -EINVAL
             : guard([&] { return unwrap(keeper)->signal(service, signal); });
}

int gipc_keeper_stop(gipc_keeper *keeper) {
  return keeper == nullptr ? -EINVAL
                           : guard([&] { return unwrap(keeper)->stop(); });
}

int gipc_keeper_set_dump_signal(gipc_keeper *keeper, int signal) {
  return keeper == nullptr ? -EINVAL : unwrap(keeper)->set_dump_signal(signal);
}

int gipc_keeper_stats(const gipc_keeper *keeper, size_t service,
                      gipc_service_stats *stats) {
  if (keeper == nullptr || stats == nullptr)
    return -EINVAL;
  if (int error = check_size(stats->size, offsetof(gipc_service_stats, pid)))
    return error;
  gipc_service_stats out;
  int error = unwrap(keeper)->stats(service, out);
  if (error == 0)
    copy_out(out, stats);
  return error;
}

void gipc_keeper_free(gipc_keeper *keeper) {
  (void)guard([&] {
    if (keeper != nullptr)
      unwrap(keeper)->free();
    return 0;
  });
}
