// The policy of a pool of workers.
#include "policy_pool.h"

#include <algorithm>
#include <cerrno>

namespace gipc::policy {

const char *wrong(const PoolRules &rules) noexcept {
  constexpr size_t too_many = 1 << 20; // memory is reserved for each worker
  if (rules.most == 0 || rules.most >= too_many)
    return "most";
  if (rules.least > rules.most)
    return "least";
  if (rules.queue_limit == 0)
    return "queue_limit";
  if (rules.queue_low >= rules.queue_limit)
    return "queue_low";
  if (rules.poison == 0)
    return "poison";
  if (rules.prepare_failures == 0)
    return "prepare_failures";
  if (!(rules.idle > 0)) // NaN, too
    return "idle";
  if (rules.ahead >= too_many)
    return "ahead";
  const char *name = wrong(rules.life);
  return name != nullptr ? name : wrong(rules.restarts);
}

Pool::Pool(const PoolRules &rules)
    : rules_(rules), tasks_(rules.queue_limit, rules.queue_low),
      workers_(rules_), restarts_(rules.restarts, rules.seed) {}

PoolStats Pool::stats() const noexcept {
  PoolStats out = counts_;
  out.queued = tasks_.queued();
  out.running = tasks_.running();
  out.workers = workers_.count();
  out.active = workers_.active();
  out.starting = workers_.in_state(Life::State::starting);
  out.submitted = tasks_.submitted();
  return out;
}

// A clock that goes back is not believed.
void Pool::set_now(double now) noexcept { now_ = std::max(now_, now); }

// ---- Tasks ------------------------------------------------------------------

int Pool::submit(const TaskRules &rules, Id &task) {
  if (!(rules.timeout > 0)) // NaN, too
    return -EINVAL;
  return state_ != State::open ? GIPC_ECLOSED : tasks_.submit(rules, task);
}

int Pool::cancel(Id id, double now) noexcept {
  set_now(now);
  Task *task = tasks_.find(id);
  if (task == nullptr)
    return -ENOENT;
  task->cancelled = true;
  if (task->state == Task::State::queued)
    end_task(*task, Why::cancelled);
  else if (workers_[task->slot].task == task)
    workers_.stop(task->slot, Why::cancelled, now_);
  return 0;
}

namespace {

// What it would be carried out again for; 0: for nothing.
unsigned retry_for(Why why) noexcept {
  switch (why) {
  case Why::died:
  case Why::silent:
  case Why::protocol:
    return retry_died;
  case Why::timed_out:
    return retry_timed_out;
  case Why::failed:
    return retry_failed;
  default:
    return 0;
  }
}

// A process that nobody asked to end, or that was asked for its own fault.
bool is_failure(Why why) noexcept {
  return why == Why::none || why == Why::silent || why == Why::not_ready ||
         why == Why::protocol;
}

// It was stopped for the task that it carried out, not for the others.
bool is_of_one_task(Why why) noexcept {
  return why == Why::timed_out || why == Why::cancelled || why == Why::silent;
}

} // namespace

void Pool::end_task(Task &task, Why why) noexcept {
  // Its worker was not stopped if it was cancelled after it was sent ahead.
  if (task.cancelled &&
      (why == Why::done || why == Why::failed || why == Why::died))
    why = Why::cancelled;
  unsigned what = retry_for(why);
  if (what != 0 && what != retry_failed)
    ++task.ended_workers;
  if ((task.rules.retry_for & what) != 0 && !task.cancelled &&
      task.attempts <= task.rules.retries && state_ <= State::draining) {
    if (task.ended_workers < rules_.poison) {
      ++counts_.retries;
      return tasks_.queue_again(task);
    }
    why = Why::poison;
  }
  ++counts_.finished[static_cast<size_t>(why)];
  tasks_.finish(task, why);
}

void Pool::give_back(Task &task) noexcept {
  tasks_.give_back(task);
  if (task.cancelled)
    end_task(task, Why::cancelled);
  else if (state_ > State::draining)
    end_task(task, stop_why_);
}

// What a worker had at its end.
void Pool::end_tasks(Workers::Left left, Why why) noexcept {
  if (why == Why::none)
    why = Why::died;
  Why others = is_of_one_task(why) ? Why::died : why;
  if (left.dropped != nullptr)
    end_task(*left.dropped, why);
  if (left.task != nullptr)
    end_task(*left.task, left.dropped == nullptr ? why : others);
  while (Task *task = left.ahead.pop())
    if (left.unclear)
      end_task(*task, others);
    else
      give_back(*task);
}

// ---- Events of a worker -----------------------------------------------------

bool Pool::find(Id worker, double now, size_t &slot) noexcept {
  set_now(now);
  if (workers_.lives().find(worker) == nullptr)
    return false;
  slot = workers_.lives().slot_of(worker);
  return true;
}

int Pool::started(Id worker, int pid, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  Life &life = workers_.lives()[slot];
  life.started(pid, rules_.life, now_);
  workers_.lives().changed(life);
  return 0;
}

int Pool::ready(Id worker, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  workers_.ready(slot, now_);
  if (workers_.lives()[slot].is_ready())
    prepare_failures_ = 0;
  return 0;
}

int Pool::alive(Id worker, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  workers_.alive(slot, now_);
  return 0;
}

int Pool::answered(Id worker, bool ok, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  int result = answered(slot, ok);
  return result == -ENOENT ? 0 : result;
}

// -ENOENT: the answer is to be dropped.
int Pool::answered(size_t slot, bool ok) noexcept {
  const Life &life = workers_.lives()[slot];
  Task *task = workers_[slot].task;
  if (task == nullptr)
    return life.is_stopping() ? -ENOENT : broke_protocol(slot);
  if (!life.is_stopping()) {
    restarts_.succeeded();
    (void)workers_.answered(slot, now_);
  } else if (!is_of_one_task(life.why())) {
    return -ENOENT;
  } else {
    task = workers_.answered_late(slot);
    if (task == nullptr)
      return -ENOENT;
  }
  bool drops = task->cancelled;
  end_task(*task, ok ? Why::done : Why::failed);
  return drops ? -ENOENT : 0;
}

int Pool::broke_protocol(size_t slot) noexcept {
  workers_.stop_unclear(slot, now_);
  return GIPC_EPROTOCOL;
}

int Pool::received(Id worker, int kind, Id task, double now,
                   void **user) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  const Task *has = workers_[slot].task;
  switch (kind) {
  case GIPC_MESSAGE_ALIVE:
    return alive(worker, now);
  case GIPC_MESSAGE_READY:
    if (!workers_.lives()[slot].was_ready())
      return ready(worker, now);
    break;
  case GIPC_MESSAGE_DONE:
  case GIPC_MESSAGE_FAILED:
    if (has != nullptr && has->id == task) {
      if (user != nullptr)
        *user = has->rules.user;
      return answered(slot, kind == GIPC_MESSAGE_DONE);
    }
    if (workers_.lives()[slot].is_stopping())
      return -ENOENT;
    break;
  default:
    break;
  }
  return broke_protocol(slot);
}

int Pool::misbehaved(Id worker, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  (void)broke_protocol(slot);
  return 0;
}

int Pool::refused(Id worker, Id id, int error, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  if (Task *task = workers_.take_back(slot, id, now_))
    give_back(*task);
  if (error != -EAGAIN)
    workers_.close_input(slot, now_);
  else if (workers_[slot].task != nullptr)
    workers_.set_full(slot);
  else
    (void)broke_protocol(slot);
  return 0;
}

int Pool::memory(Id worker, uint64_t bytes, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  workers_.memory(slot, bytes, now_);
  return 0;
}

int Pool::start_failed(Id worker, int error, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  gipc_exit_info none{};
  none.code = -1;
  worker_ended(slot, none, error);
  return 0;
}

int Pool::ended(Id worker, const gipc_exit_info &exit, double now) noexcept {
  size_t slot;
  if (!find(worker, now, slot))
    return -ENOENT;
  worker_ended(slot, exit, 0);
  return 0;
}

void Pool::worker_ended(size_t slot, const gipc_exit_info &exit,
                        int error) noexcept {
  Why why = workers_.lives()[slot].why();
  end_tasks(workers_.ended(slot, exit, error), why);
  if (is_failure(why) && state_ <= State::draining)
    count_failure(slot);
}

// ---- Starts -----------------------------------------------------------------

void Pool::count_failure(size_t slot) noexcept {
  ++counts_.failures;
  failed_slot_ = slot;
  if (!restarts_.allowed(now_))
    gave_up_ = true;
  // Replacing one that had a task at once cannot spin: its tasks are used up.
  else if (workers_[slot].tasks == 0)
    start_later(slot);
  if (gave_up_)
    stop_now(Why::gave_up);
}

// Workers that were started together, and fail together, fail once.
void Pool::start_later(size_t slot) noexcept {
  if (workers_[slot].round != round_)
    return;
  ++round_;
  const Life &life = workers_.lives()[slot];
  start_at_ = now_ + restarts_.failed(life.ready_for(now_));
  workers_.lives().add_time(start_at_);
  if (!life.was_ready() && ++prepare_failures_ >= rules_.prepare_failures &&
      !workers_.any_ready())
    gave_up_ = true;
}

bool Pool::may_start() const noexcept {
  if (state_ > State::draining || workers_.count() >= rules_.most ||
      now_ < start_at_)
    return false;
  size_t least = state_ == State::open ? rules_.least : 0;
  size_t needed = workers_.busy() + tasks_.queued();
  if (workers_.active() >= std::max(least, needed))
    return false;
  return !restarts_.failing() || workers_.in_state(Life::State::starting) == 0;
}

// ---- Stop and time ----------------------------------------------------------

void Pool::stop(double grace, double now) noexcept {
  set_now(now);
  if (state_ > State::draining)
    return;
  if (grace == 0)
    return stop_now(Why::stopped);
  state_ = State::draining;
  stop_at_ = std::min(stop_at_, grace > 0 ? now_ + grace : forever);
  workers_.lives().add_time(stop_at_);
}

void Pool::stop_now(Why why) noexcept {
  state_ = State::stopping;
  stop_why_ = why;
  stop_at_ = forever;
  counts_.finished[static_cast<size_t>(why)] += tasks_.queued();
  tasks_.finish_queued(why);
  workers_.stop_all(why, now_);
}

void Pool::expire() noexcept {
  if (!workers_.lives().time_has_come(now_))
    return;
  workers_.expire(now_);
  if (now_ >= stop_at_)
    stop_now(Why::stopped);
  workers_.lives().add_time(stop_at_);
  if (now_ < start_at_)
    workers_.lives().add_time(start_at_);
}

// ---- Actions ----------------------------------------------------------------

bool Pool::next(double now, Action &out) noexcept {
  set_now(now);
  expire();
  if (state_ == State::draining && tasks_.queued() == 0 &&
      workers_.active() > workers_.busy())
    workers_.stop_idle(Why::stopped, now_);
  // Finished tasks before starts, which reuse the slots with the exit status.
  return next_gave_up(out) || next_finished(out) || next_order(out) ||
         next_send(out) || next_start(out) || next_ahead(out) ||
         next_notice(out);
}

void Pool::describe(size_t slot, Action &out) const noexcept {
  const Life &life = workers_.lives()[slot];
  out.worker = life.id();
  out.pid = life.pid();
  out.exit = life.exit();
  out.error = life.error();
}

bool Pool::next_gave_up(Action &out) noexcept {
  if (!gave_up_)
    return false;
  gave_up_ = false;
  out = Action();
  out.kind = Action::Kind::gave_up;
  out.why = workers_.lives()[failed_slot_].why();
  describe(failed_slot_, out);
  return true;
}

bool Pool::next_finished(Action &out) noexcept {
  size_t slot;
  if (!tasks_.next_finished(out, slot))
    return false;
  if (slot != Tasks::no_slot)
    describe(slot, out);
  return true;
}

bool Pool::next_order(Action &out) noexcept {
  if (!workers_.lives().next_order(out))
    return false;
  const Task *task = workers_[slot_of(out.worker)].task;
  out.task = task != nullptr ? task->id : no_id;
  return true;
}

bool Pool::next_send(Action &out) noexcept {
  if (state_ > State::draining || tasks_.queued() == 0 || !workers_.has_idle())
    return false;
  size_t slot = workers_.take_idle();
  Task &task = tasks_.run_first(slot);
  workers_.give(slot, task, now_);
  describe_send(slot, task, out);
  return true;
}

// Workers that are being started have their first task in the queue.
bool Pool::next_ahead(Action &out) noexcept {
  if (state_ > State::draining ||
      tasks_.queued() <= workers_.active() - workers_.busy())
    return false;
  size_t slot = workers_.find_ahead();
  if (slot == Workers::none)
    return false;
  Task &task = tasks_.run_first(slot);
  workers_.give_ahead(slot, task);
  describe_send(slot, task, out);
  return true;
}

void Pool::describe_send(size_t slot, const Task &task,
                         Action &out) const noexcept {
  out = Action();
  out.kind = Action::Kind::send;
  out.worker = workers_.lives()[slot].id();
  out.pid = workers_.lives()[slot].pid();
  out.task = task.id;
  out.user = task.rules.user;
  out.attempt = task.attempts;
}

bool Pool::next_start(Action &out) noexcept {
  if (!may_start())
    return false;
  size_t slot = workers_.start(round_);
  ++counts_.starts;
  out = Action();
  out.kind = Action::Kind::start;
  out.worker = workers_.lives()[slot].id();
  out.attempt = workers_.lives().start_of(out.worker);
  return true;
}

bool Pool::next_notice(Action &out) noexcept {
  out = Action();
  if (state_ == State::open && tasks_.next_drained()) {
    out.kind = Action::Kind::drained;
    return true;
  }
  if ((state_ == State::draining || state_ == State::stopping) &&
      tasks_.empty() && workers_.count() == 0) {
    state_ = State::stopped;
    out.kind = Action::Kind::stopped;
    return true;
  }
  return false;
}

} // namespace gipc::policy
