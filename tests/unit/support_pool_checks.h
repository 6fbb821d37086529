// What the model of a pool checks: each action, and after each event that
// nothing was forgotten.
#pragma once

#include "support_pool.h"

namespace {

Seen seen;

// ---- Actions ----------------------------------------------------------------

void Model::carry_out() {
  Action action;
  while (pool_->next(now_, action))
    carry_out(action);
  check_nothing_is_forgotten();
}

void Model::carry_out(const Action &action) {
  CHECK(!stopped_); // the last action
  seen.count(action);
  switch (action.kind) {
  case Action::Kind::start:
    return start(action);
  case Action::Kind::send:
    return send(action);
  case Action::Kind::dump:
  case Action::Kind::stop:
  case Action::Kind::kill:
    return order(action);
  case Action::Kind::finish:
    return finish(action);
  case Action::Kind::drained:
    CHECK(full_ && queue_.size() <= rules_.queue_low);
    full_ = false;
    return;
  case Action::Kind::gave_up:
    CHECK(!gave_up_ && closing());
    gave_up_ = true;
    return;
  case Action::Kind::stopped:
    CHECK(tasks_.empty() && workers_.empty());
    CHECK(gave_up_ || stop_at_ != forever || closing());
    stopped_ = true;
    return;
  default:
    CHECK(!"an action of a keeper");
  }
}

void Model::start(const Action &action) {
  CHECK(started_.insert(action.worker).second);
  CHECK(workers_.size() < rules_.most);
  CHECK(!closing());
  workers_[action.worker] = ModelWorker();
}

void Model::send(const Action &action) {
  CHECK(workers_.count(action.worker) == 1 && !closing());
  ModelWorker &worker = workers_[action.worker];
  CHECK(worker.ready && !worker.stopped && !worker.silent && !worker.closed);
  CHECK(!queue_.empty() && queue_.begin()->second == action.task);
  ModelTask &task = tasks_[action.task];
  CHECK(!task.cancelled && action.user == this);
  CHECK(action.attempt == ++task.executions);
  CHECK(task.executions <= 1 + task.rules.retries);
  queue_.erase(queue_.begin());
  task.worker = action.worker;
  if (worker.task != no_id)
    send_ahead(worker);
  ++worker.sent;
  if (worker.task == no_id) {
    worker.task = action.task;
    worker.sent_at = worker.alive_at = now_;
  } else {
    worker.ahead.push_back(action.task);
  }
  if (chance(20))
    refuse(action);
}

bool Model::may_have_more(const ModelWorker &worker) const {
  return worker.ready && !worker.stopped && !worker.silent && !worker.closed &&
         !worker.full && !worker.retires && worker.task != no_id &&
         worker.ahead.size() < rules_.ahead &&
         (rules_.retire_tasks == 0 || worker.sent < rules_.retire_tasks);
}

// Only if no other worker is nearer to its next task.
void Model::send_ahead(ModelWorker &worker) {
  CHECK(may_have_more(worker));
  for (const auto &[id, other] : workers_) {
    CHECK(!(other.ready && !other.stopped && !other.silent && !other.closed &&
            other.task == no_id));
    CHECK(!may_have_more(other) || other.ahead.size() >= worker.ahead.size());
  }
}

// The put of the task fails.
void Model::refuse(const Action &action) {
  ModelWorker &worker = workers_[action.worker];
  bool is_ahead = worker.task != action.task, full = chance(2);
  CHECK(pool_->refused(action.worker, action.task, full ? -EAGAIN : -EPIPE,
                       now_) == 0);
  if (is_ahead)
    worker.ahead.pop_back();
  else
    worker.task = no_id;
  --worker.sent;
  worker.full |= full && is_ahead;
  worker.unclear |= full && !is_ahead; // and a stop follows
  if (!full)
    worker.close(now_);
  give_back(action.task, false);
}

void Model::order(const Action &action) {
  CHECK(workers_.count(action.worker) == 1);
  ModelWorker &worker = workers_[action.worker];
  CHECK(worker.exists && !worker.killed && action.task == worker.task);
  if (action.kind == Action::Kind::kill) {
    CHECK(worker.stopped &&
          is_over(now_, worker.stopped_at, rules_.life.grace));
    worker.killed = true;
    return;
  }
  CHECK(!worker.stopped);
  if (action.kind == Action::Kind::dump) {
    CHECK(worker.task != no_id); // an idle one may be silent
    CHECK(worker.ready && is_over(now_, worker.alive_at, rules_.life.silence));
    worker.silent = true;
    worker.dumped_at = now_;
    return;
  }
  check_stop(action, worker);
  worker.stopped = true;
  worker.stopped_at = now_;
  worker.why = action.why;
}

void Model::check_stop(const Action &action, const ModelWorker &worker) {
  auto task = tasks_.find(worker.task);
  switch (action.why) {
  case Why::timed_out:
    CHECK(task != tasks_.end());
    CHECK(is_over(now_, worker.sent_at, task->second.rules.timeout));
    break;
  case Why::cancelled:
    CHECK(task != tasks_.end() && task->second.cancelled);
    break;
  case Why::silent:
    CHECK(worker.silent && is_over(now_, worker.dumped_at, rules_.life.dump));
    break;
  case Why::not_ready:
    CHECK(!worker.ready &&
          is_over(now_, worker.alive_at, rules_.life.ready_within));
    break;
  case Why::retired:
    CHECK(worker.task == no_id && worker.answers > 0);
    break;
  case Why::idle:
    CHECK(worker.task == no_id && workers_.size() > rules_.least);
    break;
  case Why::protocol:
    CHECK(worker.unclear ||
          (worker.closed && is_over(now_, worker.closed_at, 5)));
    break;
  case Why::stopped:
    CHECK(pool_->state() >= Pool::State::draining);
    CHECK(closing() || worker.task == no_id);
    break;
  default:
    CHECK(action.why == Why::gave_up && closing());
  }
}

void Model::finish(const Action &action) {
  auto it = tasks_.find(action.task);
  CHECK(it != tasks_.end()); // not finished twice
  ModelTask &task = it->second;
  if (closing() && task.expects == Why::none) { // it was queued
    CHECK(task.worker == no_id);
    CHECK(action.why == Why::stopped || action.why == Why::gave_up);
    expect(action.task, task, action.why);
  }
  CHECK(action.why == task.expects ||
        (closing() && action.why == Why::stopped &&
         task.expects == Why::gave_up));
  CHECK(action.attempt == task.executions && action.user == this);
  tasks_.erase(it);
  --expected_;
}

// ---- After each event
// ---------------------------------------------------------

// By when the policy must act on a worker; a later next_time() is too late.
double Model::latest_wake(const ModelWorker &worker) const {
  double out = forever;
  if (!worker.exists || worker.killed)
    return out;
  if (worker.stopped)
    return worker.stopped_at + rules_.life.grace;
  double ends_by = worker.closed ? worker.closed_at + 5 : forever;
  if (!worker.ready)
    return std::min(ends_by, worker.alive_at + rules_.life.ready_within);
  if (worker.task == no_id)
    return ends_by;
  out = worker.sent_at + tasks_.at(worker.task).rules.timeout;
  out = std::min(out, ends_by);
  return std::min(out, worker.silent ? worker.dumped_at + rules_.life.dump
                                     : worker.alive_at + rules_.life.silence);
}

void Model::check_nothing_is_forgotten() {
  CHECK(expected_ == 0);
  double next = pool_->next_time();
  CHECK(next > now_); // else a driver would not wait
  PoolStats stats = pool_->stats();
  size_t running = 0, active = 0, waiting = 0;
  bool idle = false, more = false;
  for (const auto &[id, worker] : workers_) {
    CHECK(next <= latest_wake(worker) + 1e-9);
    running += (worker.task != no_id) + (worker.dropped != no_id) +
               worker.ahead.size();
    idle |= worker.ready && !worker.stopped && !worker.silent &&
            !worker.closed && worker.task == no_id;
    active += !worker.stopped;
    waiting += !worker.stopped && worker.task == no_id;
    more |= may_have_more(worker);
  }
  CHECK(stats.queued == queue_.size() && stats.running == running);
  CHECK(tasks_.size() == queue_.size() + running);
  CHECK(stats.workers == workers_.size() && stats.workers <= rules_.most);
  CHECK(stats.active <= active);
  CHECK(stats.queued <= rules_.queue_limit + rules_.most * (1 + rules_.ahead));
  if (closing()) {
    CHECK(queue_.empty());
    return;
  }
  CHECK(queue_.empty() || !idle);
  CHECK(queue_.size() <= waiting || !more);
  if (!queue_.empty() && workers_.empty())
    CHECK(next < forever); // a start is delayed
  if (full_)
    CHECK(queue_.size() > rules_.queue_low ||
          pool_->state() != Pool::State::open);
  CHECK(now_ < stop_at_ && next <= stop_at_);
  if (pool_->state() == Pool::State::draining)
    CHECK(!tasks_.empty() || !workers_.empty() || stopped_);
}

} // namespace
