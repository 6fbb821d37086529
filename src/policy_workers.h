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
  size_t ahead = 0;      // tasks that a worker is sent before it has answered
  double idle = forever; // seconds after which one above `least` stops
  LifeRules life;
  RestartRules restarts;
  uint64_t seed = 0; // of the jitter
};

struct Worker {
  // Whether it can be sent tasks: not until its next answer; or never again,
  // because its stream has ended.
  enum class Input : unsigned char { open, full, closed };
  Task *task = nullptr; // the only one that it may have begun, unless `unclear`
  TaskList ahead;       // sent after it
  // That it was stopped for, and has answered since.
  Task *dropped = nullptr;
  bool unclear = false; // it broke the protocol
  bool retires = false; // after its tasks
  Input input = Input::open;
  double due = forever; // the end of its task's timeout, or of its idle time
  double ends_by = forever; // where its stream has ended
  uint64_t tasks = 0;       // that it was sent
  uint64_t memory = 0;      // in bytes, as it was reported last
  double sent_at = 0;       // of its last task
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
  // The busy worker with the fewest tasks among those that may be sent one
  // more, or `none`.
  static constexpr size_t none = static_cast<size_t>(-1);
  size_t find_ahead() const noexcept;
  void give_ahead(size_t slot, Task &task) noexcept;
  // A task that it was sent, and has not begun, is removed; NULL: it has no
  // such task.
  Task *take_back(size_t slot, Id task, double now) noexcept;
  // It is not sent a task until its next answer.
  void set_full(size_t slot) noexcept {
    workers_[slot].input = Worker::Input::full;
  }
  // It is not sent a task any more, and is stopped if it does not end.
  void close_input(size_t slot, double now) noexcept;

  void ready(size_t slot, double now) noexcept;
  // A sign of life.  Silence counts from here if the worker has a task; one
  // that waits for a task has nothing to report.
  void alive(size_t slot, double now) noexcept;
  void memory(size_t slot, uint64_t bytes, double now) noexcept;
  // Its task is returned, and it has the next one, is idle, or retires.
  Task &answered(size_t slot, double now) noexcept;
  // An answer of one that was stopped.  NULL: of the task that it was stopped
  // for, which ends with it; else the task, which was begun after that.
  Task *answered_late(size_t slot) noexcept;
  void stop(size_t slot, Why why, double now) noexcept;
  // It broke the protocol: whatever it was sent, it may have begun.
  void stop_unclear(size_t slot, double now) noexcept {
    workers_[slot].unclear = true;
    stop(slot, Why::protocol, now);
  }
  void stop_all(Why why, double now) noexcept;
  void stop_idle(Why why, double now) noexcept;
  // What it had is returned, and it has nothing.
  struct Left {
    Task *dropped, *task;
    TaskList ahead;
    bool unclear;
  };
  Left ended(size_t slot, const gipc_exit_info &exit, int error) noexcept;
  void expire(double now) noexcept;

private:
  void set_due(size_t slot, double due) noexcept;
  void begin(size_t slot, Task &task, double now) noexcept;
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
