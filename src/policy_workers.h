// The workers of a pool: the life of each, which of them are idle, and when one
// of them retires.
#pragma once

#include "policy.h"
#include "policy_life.h"
#include "policy_restarts.h"
#include "policy_tasks.h"

#include <vector>

namespace gipc::policy {

struct PoolRules {
  size_t least = 1, most = 1;    // workers
  size_t queue_limit = 1024;     // tasks that do not run; more are -EAGAIN
  size_t queue_low = 512;        // `drained` at so many or fewer
  unsigned poison = 3;           // workers that one task may end
  unsigned prepare_failures = 3; // starts in a row that may fail
  uint64_t retire_tasks = 0;     // a worker retires after so many; 0: never
  uint64_t retire_memory = 0;    // or at this size in bytes; 0: never
  double idle = forever;         // seconds after which one above `least` stops
  LifeRules life;
  RestartRules restarts;
  uint64_t seed = 0; // of the jitter
};

struct Worker {
  Task *task = nullptr;
  bool retires = false; // after its task
  double due = forever; // the end of its task's timeout, or of its idle time
  uint64_t tasks = 0;   // that it was sent
  uint64_t memory = 0;  // in bytes, as it was reported last
  double sent_at = 0;   // of its last task
  double busy_time = 0; // seconds that it took for the tasks that it answered
  uint64_t round = 0;   // of starts; see Pool::start_later()
};

class Workers {
public:
  // rules must last.  Throws bad_alloc.
  explicit Workers(const PoolRules &rules);

  Lives &lives() noexcept { return lives_; }
  const Lives &lives() const noexcept { return lives_; }
  const Worker &operator[](size_t slot) const noexcept {
    return workers_[slot];
  }
  // Those that exist or are being started; of them those that were not asked to
  // end; of those the ones that have a task.
  size_t count() const noexcept { return count_; }
  size_t active() const noexcept { return active_; }
  size_t busy() const noexcept { return busy_; }
  bool has_idle() const noexcept { return !idle_.empty(); }
  // Scans all workers, as the next one does.
  size_t in_state(Life::State state) const noexcept;
  bool any_ready() const noexcept;

  // There are fewer than `most`.
  size_t start(uint64_t round) noexcept;
  // The idle worker that was busy last: its memory is most likely in caches,
  // and the others reach their idle time.
  size_t take_idle() noexcept;
  void give(size_t slot, Task &task, double now) noexcept;

  void ready(size_t slot, double now) noexcept;
  // A sign of life.  Silence counts from here if the worker has a task; one
  // that waits for a task has nothing to report.
  void alive(size_t slot, double now) noexcept;
  void memory(size_t slot, uint64_t bytes, double now) noexcept;
  // Its task is returned, and it is idle, or retires.
  Task &answered(size_t slot, double now) noexcept;
  void stop(size_t slot, Why why, double now) noexcept;
  void stop_all(Why why, double now) noexcept;
  void stop_idle(Why why, double now) noexcept;
  // Its task is returned, or NULL.
  Task *ended(size_t slot, const gipc_exit_info &exit, int error) noexcept;
  void expire(double now) noexcept;

private:
  void set_due(size_t slot, double due) noexcept;
  void become_idle(size_t slot, double now) noexcept;
  void remove_idle(size_t slot) noexcept;
  void deactivate(size_t slot) noexcept;
  void expire_one(size_t slot, double now) noexcept;

  const PoolRules &rules_;
  const LifeRules idle_life_; // of a worker without a task
  Lives lives_;
  std::vector<Worker> workers_; // by slot
  std::vector<size_t> idle_;    // slots; memory for all
  size_t count_ = 0, active_ = 0, busy_ = 0;
};

} // namespace gipc::policy
