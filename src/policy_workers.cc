// The workers of a pool.
#include "policy_workers.h"

#include <algorithm>
#include <cassert>

namespace gipc::policy {

namespace {

// A process ends within this time after its stream.  More than a driver waits
// that looks at the process itself.
constexpr double linger = 5;

LifeRules without_silence(LifeRules rules) noexcept {
  rules.silence = forever;
  return rules;
}

} // namespace

Workers::Workers(const PoolRules &rules)
    : rules_(rules), idle_life_(without_silence(rules.life)),
      lives_(rules.most), workers_(rules.most) {
  idle_.reserve(rules.most);
}

size_t Workers::in_state(Life::State state) const noexcept {
  size_t count = 0;
  for (size_t slot = 0; slot < lives_.size(); ++slot)
    count += lives_[slot].state() == state;
  return count;
}

bool Workers::any_ready() const noexcept {
  for (size_t slot = 0; slot < lives_.size(); ++slot)
    if (lives_[slot].is_ready())
      return true;
  return false;
}

size_t Workers::start(uint64_t round) noexcept {
  size_t slot = 0;
  while (lives_[slot].running())
    ++slot;
  assert(slot < lives_.size());
  lives_.start(slot);
  workers_[slot] = Worker();
  workers_[slot].round = round;
  ++count_;
  ++active_;
  return slot;
}

// ---- Idle and busy ----------------------------------------------------------

void Workers::set_due(size_t slot, double due) noexcept {
  workers_[slot].due = due;
  lives_.add_time(due);
}

void Workers::become_idle(size_t slot, double now) noexcept {
  if (workers_[slot].input == Worker::Input::closed)
    return;
  idle_.push_back(slot);
  set_due(slot, now + rules_.idle);
}

void Workers::remove_idle(size_t slot) noexcept {
  auto found = std::find(idle_.begin(), idle_.end(), slot);
  if (found != idle_.end())
    idle_.erase(found);
}

size_t Workers::take_idle() noexcept {
  size_t slot = idle_.back();
  idle_.pop_back();
  return slot;
}

void Workers::give(size_t slot, Task &task, double now) noexcept {
  ++workers_[slot].tasks;
  ++busy_;
  begin(slot, task, now);
}

// One that was cancelled after it was sent ahead is due at once: its answer may
// be the next message, and then its worker is not stopped.
void Workers::begin(size_t slot, Task &task, double now) noexcept {
  Worker &worker = workers_[slot];
  worker.task = &task;
  worker.sent_at = now;
  alive(slot, now);
  set_due(slot, task.cancelled ? now : now + task.rules.timeout);
}

size_t Workers::find_ahead() const noexcept {
  size_t found = none;
  for (size_t slot = 0; rules_.ahead > 0 && slot < lives_.size(); ++slot) {
    const Worker &worker = workers_[slot];
    bool may = lives_[slot].is_ready() && worker.task != nullptr &&
               worker.input == Worker::Input::open && !worker.retires &&
               worker.ahead.size < rules_.ahead &&
               (rules_.retire_tasks == 0 || worker.tasks < rules_.retire_tasks);
    if (may &&
        (found == none || worker.ahead.size < workers_[found].ahead.size))
      found = slot;
  }
  return found;
}

void Workers::give_ahead(size_t slot, Task &task) noexcept {
  ++workers_[slot].tasks;
  workers_[slot].ahead.push(task);
}

Task *Workers::take_back(size_t slot, Id id, double now) noexcept {
  Worker &worker = workers_[slot];
  Task *task = worker.ahead.remove(id);
  if (task == nullptr && worker.task != nullptr && worker.task->id == id &&
      worker.ahead.size == 0) {
    task = worker.task;
    worker.task = nullptr;
    worker.due = forever;
    alive(slot, now);
    if (!lives_[slot].is_stopping()) {
      --busy_;
      become_idle(slot, now);
    }
  }
  worker.tasks -= task != nullptr;
  return task;
}

// What it was sent last may never be read, and no answer come.
void Workers::close_input(size_t slot, double now) noexcept {
  Worker &worker = workers_[slot];
  if (worker.input != Worker::Input::closed)
    worker.ends_by = now + linger;
  lives_.add_time(worker.ends_by);
  worker.input = Worker::Input::closed;
  if (worker.task != nullptr)
    return;
  remove_idle(slot);
  worker.due = forever;
}

Task &Workers::answered(size_t slot, double now) noexcept {
  Worker &worker = workers_[slot];
  Task &task = *worker.task;
  worker.busy_time += now - worker.sent_at;
  if (worker.input == Worker::Input::full)
    worker.input = Worker::Input::open;
  if (Task *next = worker.ahead.pop()) {
    begin(slot, *next, now);
    return task;
  }
  worker.task = nullptr;
  --busy_;
  alive(slot, now);
  become_idle(slot, now);
  if (worker.retires ||
      (rules_.retire_tasks != 0 && worker.tasks >= rules_.retire_tasks))
    stop(slot, Why::retired, now);
  return task;
}

Task *Workers::answered_late(size_t slot) noexcept {
  Worker &worker = workers_[slot];
  Task *task = worker.task;
  worker.task = worker.ahead.pop();
  if (worker.dropped != nullptr)
    return task;
  worker.dropped = task;
  return nullptr;
}

// ---- Events -----------------------------------------------------------------

void Workers::ready(size_t slot, double now) noexcept {
  Life &life = lives_[slot];
  if (life.state() != Life::State::starting)
    return alive(slot, now);
  life.ready(idle_life_, now);
  lives_.changed(life);
  become_idle(slot, now);
}

void Workers::alive(size_t slot, double now) noexcept {
  Life &life = lives_[slot];
  life.alive(workers_[slot].task != nullptr ? rules_.life : idle_life_, now);
  lives_.changed(life);
}

// A worker that is too large before its first task is not replaced: the next
// one would be as large.
void Workers::memory(size_t slot, uint64_t bytes, double now) noexcept {
  Worker &worker = workers_[slot];
  worker.memory = bytes;
  if (rules_.retire_memory == 0 || bytes < rules_.retire_memory)
    return;
  if (worker.task != nullptr)
    worker.retires = true;
  else if (worker.tasks > 0)
    stop(slot, Why::retired, now);
}

void Workers::stop(size_t slot, Why why, double now) noexcept {
  Life &life = lives_[slot];
  if (!life.running() || life.is_stopping())
    return;
  life.stop(why, rules_.life, now);
  lives_.changed(life);
  deactivate(slot);
}

// It is no longer active: it was asked to end, or has ended.
void Workers::deactivate(size_t slot) noexcept {
  --active_;
  workers_[slot].due = forever;
  if (workers_[slot].task != nullptr)
    --busy_;
  else
    remove_idle(slot);
}

void Workers::stop_all(Why why, double now) noexcept {
  for (size_t slot = 0; slot < lives_.size(); ++slot)
    stop(slot, why, now);
}

void Workers::stop_idle(Why why, double now) noexcept {
  for (size_t slot = 0; slot < lives_.size(); ++slot)
    if (workers_[slot].task == nullptr)
      stop(slot, why, now);
}

Workers::Left Workers::ended(size_t slot, const gipc_exit_info &exit,
                             int error) noexcept {
  Life &life = lives_[slot];
  if (!life.is_stopping())
    deactivate(slot);
  --count_;
  life.ended(exit, error);
  Worker &worker = workers_[slot];
  Left left{worker.dropped, worker.task, worker.ahead, worker.unclear};
  worker.dropped = worker.task = nullptr;
  worker.ahead = TaskList();
  return left;
}

// ---- Time -------------------------------------------------------------------

void Workers::expire(double now) noexcept {
  for (size_t slot = 0; slot < lives_.size(); ++slot)
    if (lives_[slot].running()) {
      expire_one(slot, now);
      lives_.changed(lives_[slot]);
      lives_.add_time(std::min(workers_[slot].due, workers_[slot].ends_by));
    }
}

void Workers::expire_one(size_t slot, double now) noexcept {
  Life &life = lives_[slot];
  Worker &worker = workers_[slot];
  bool was_active = !life.is_stopping();
  life.expire(rules_.life, now);
  if (was_active && life.is_stopping())
    deactivate(slot);
  if (now >= worker.ends_by) {
    worker.ends_by = forever;
    stop(slot, Why::protocol, now);
  }
  if (now < worker.due)
    return;
  worker.due = forever;
  if (worker.task != nullptr)
    stop(slot, worker.task->cancelled ? Why::cancelled : Why::timed_out, now);
  else if (active_ > rules_.least)
    stop(slot, Why::idle, now);
  // An idle one of the least needs no other time: more are started only if all
  // are busy.
}

} // namespace gipc::policy
