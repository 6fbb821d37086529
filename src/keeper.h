// A keeper of services on a loop: carries out what its policy decides, and
// reports to it what happens.
#pragma once

#include "gipc.h"
#include "keeper_process.h"
#include "policy_keeper.h"
#include "supervisor.h"

#include <optional>
#include <unordered_map>
#include <vector>

namespace gipc {

class Keeper {
public:
  explicit Keeper(policy::Strategy strategy) : strategy_(strategy) {}
  Keeper(const Keeper &) = delete;
  Keeper &operator=(const Keeper &) = delete;

  int usable() const noexcept { return supervisor_.usable(); }
  // These two throw bad_alloc.  The seed of the first service counts.
  int add(Service &&service, uint64_t seed, size_t &index);
  int start(struct ev_loop *loop, const gipc_keeper_events &events, void *user);
  int reload(size_t service) noexcept;
  int signal(size_t service, int number) noexcept;
  int stop() noexcept;
  int stats(size_t service, gipc_service_stats &out) const noexcept;
  int set_dump_signal(int signal) noexcept {
    return supervisor_.set_dump_signal(signal);
  }
  // Kills the processes, and deletes the keeper: now, or when the last callback
  // has returned.
  void free() noexcept { supervisor_.free(); }

  // ---- For its processes.  These may delete the process.
  Supervisor &supervisor() noexcept { return supervisor_; }
  void readable(policy::Id process) noexcept;
  void ended(policy::Id process) noexcept;

private:
  ~Keeper() = default;
  bool next() noexcept;
  void carry_out(const policy::Action &action) noexcept;
  void order(const policy::Action &action) noexcept;
  void start_process(policy::Id id, size_t service) noexcept;
  int try_start(policy::Id id, size_t service);
  bool receive(policy::Id id) noexcept;
  void report_ready(policy::Id id) noexcept;
  void report(int kind, policy::Id id, gipc_text last_lines = {}) noexcept;
  void report(gipc_service_change &change) noexcept;
  void end() noexcept;
  KeeperProcess *find(policy::Id id) noexcept;
  static const Supervisor::Events supervisor_events;

  Supervisor supervisor_{supervisor_events, this};
  const policy::Strategy strategy_;
  uint64_t seed_ = 0;
  std::vector<Service> services_;
  std::optional<policy::Keeper> policy_; // once it was started
  std::unordered_map<policy::Id, KeeperProcess> processes_;
  gipc_keeper_events events_{};
  void *user_ = nullptr;
  int why_ = GIPC_WHY_DONE; // of the end
};

} // namespace gipc
