// The policy of a pool on a random walk: random rules, tasks, answers, ends and
// times.  A model of the processes and tasks checks each action, and after each
// event that nothing was forgotten.
//
// GIPC_TEST_SEED repeats a round.
#include "support_pool.h"

using namespace gipc::policy;

namespace {

Seen seen;

// ---- Events -----------------------------------------------------------------

void Model::submit() {
  TaskRules rules;
  rules.priority = static_cast<int>(pick(3)) - 1;
  rules.timeout = chance(2) ? forever : random_.seconds(10);
  rules.retries = static_cast<unsigned>(chance(2) ? 0 : pick(4));
  rules.retry_for = static_cast<unsigned>(pick(8));
  rules.user = this;
  Id id = no_id;
  int result = pool_->submit(rules, id);
  if (pool_->state() != Pool::State::open) {
    CHECK(result == GIPC_ECLOSED);
    return;
  }
  CHECK((result == -EAGAIN) == (queue_.size() >= rules_.queue_limit));
  full_ |= result == -EAGAIN;
  if (result != 0)
    return;
  CHECK(id == ++last_task_);
  tasks_[id].rules = rules;
  queue_.insert({-rules.priority, id});
}

void Model::cancel() {
  Id id = 1 + pick(last_task_ + 2);
  auto found = tasks_.find(id);
  int result = pool_->cancel(id, now_);
  CHECK(result == (found == tasks_.end() ? -ENOENT : 0));
  if (result != 0)
    return;
  found->second.cancelled = true;
  if (found->second.worker == no_id)
    expect(id, found->second, Why::cancelled);
}

void Model::begin(Id id, ModelWorker &worker) {
  if (chance(10)) {
    CHECK(pool_->start_failed(id, ENOMEM, now_) == 0);
    workers_.erase(id);
    return;
  }
  CHECK(pool_->started(id, 1, now_) == 0);
  worker.exists = true;
  worker.alive_at = now_;
}

void Model::answer(Id id, ModelWorker &worker) {
  bool ok = !chance(3);
  int result = pool_->answered(id, ok, now_);
  if (worker.stopped) {
    CHECK(result == 0);
    return;
  }
  CHECK(result == (worker.task == no_id ? GIPC_EPROTOCOL : 0));
  if (result != 0)
    return;
  Id task = worker.task;
  worker.task = no_id;
  worker.silent = false;
  worker.alive_at = now_;
  ++worker.answers;
  task_ended(task, tasks_[task], ok ? Why::done : Why::failed);
}

void Model::end(Id id, ModelWorker &worker) {
  gipc_exit_info info{};
  info.size = sizeof info;
  info.signal = static_cast<int>(pick(3));
  bool closed = closing();
  CHECK(pool_->ended(id, info, now_) == 0);
  Why why = worker.stopped ? worker.why : Why::died;
  if (Id task = worker.task) {
    if (closed)
      expect(task, tasks_[task], why);
    else
      task_ended(task, tasks_[task], why);
  }
  workers_.erase(id);
}

// The task is due to finish, or is queued again.
void Model::task_ended(Id id, ModelTask &task, Why why) {
  unsigned reason =
      why == Why::failed      ? unsigned(retry_failed)
      : why == Why::timed_out ? unsigned(retry_timed_out)
      : why == Why::died || why == Why::silent || why == Why::protocol
          ? unsigned(retry_died)
          : 0;
  task.ended_workers += reason != 0 && reason != retry_failed;
  task.worker = no_id;
  bool again = (task.rules.retry_for & reason) != 0 && !task.cancelled &&
               task.executions <= task.rules.retries;
  if (!again)
    expect(id, task, why);
  else if (task.ended_workers >= rules_.poison)
    expect(id, task, Why::poison);
  else if (closing()) // the end of this worker made it give up
    expect(id, task, Why::gave_up);
  else
    queue_.insert({-task.rules.priority, id});
}

void Model::expect(Id id, ModelTask &task, Why why) {
  CHECK(task.expects == Why::none);
  task.expects = why;
  queue_.erase({-task.rules.priority, id});
  ++expected_;
}

void Model::worker_event() {
  auto it = any_of(workers_);
  Id id = it->first;
  ModelWorker &worker = it->second;
  if (!worker.exists)
    return begin(id, worker);
  if (worker.killed || (worker.stopped && chance(3)) || chance(25))
    return end(id, worker);
  switch (pick(8)) {
  case 0:
    CHECK(pool_->alive(id, now_) == 0);
    if (worker.ready && !worker.stopped) {
      worker.silent = false;
      worker.alive_at = now_;
    }
    break;
  case 1:
    CHECK(pool_->memory(id, pick(2000), now_) == 0);
    break;
  case 2:
    if (chance(5))
      CHECK(pool_->misbehaved(id, now_) == 0);
    break;
  default:
    if (!worker.ready && !worker.stopped) {
      CHECK(pool_->ready(id, now_) == 0);
      worker.ready = true;
      worker.ready_at = worker.alive_at = now_;
    } else if (worker.task != no_id || chance(30)) {
      answer(id, worker);
    }
  }
}

void Model::event_of_nobody() {
  Id id = pick(1000);
  if (workers_.count(id) != 0)
    return;
  CHECK(pool_->started(id, 1, now_) == -ENOENT);
  CHECK(pool_->ready(id, now_) == -ENOENT);
  CHECK(pool_->answered(id, true, now_) == -ENOENT);
  CHECK(pool_->ended(id, gipc_exit_info{}, now_) == -ENOENT);
}

void Model::let_time_pass() {
  double next = pool_->next_time();
  if (next < forever && chance(2))
    now_ = std::max(now_, chance(3) ? next - 0.001 : next);
  else
    now_ += random_.seconds(2);
}

void Model::step() {
  size_t which = pick(100);
  if (which < 25)
    submit();
  else if (which < 30)
    cancel();
  else if (which < 85 && !workers_.empty())
    worker_event();
  else if (which < 86)
    event_of_nobody();
  else
    let_time_pass();
  carry_out();
}

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
  CHECK(worker.ready && !worker.stopped && !worker.silent);
  CHECK(worker.task == no_id);
  CHECK(!queue_.empty() && queue_.begin()->second == action.task);
  ModelTask &task = tasks_[action.task];
  CHECK(!task.cancelled && action.user == this);
  CHECK(action.attempt == ++task.executions);
  CHECK(task.executions <= 1 + task.rules.retries);
  queue_.erase(queue_.begin());
  task.worker = action.worker;
  worker.task = action.task;
  worker.sent_at = worker.alive_at = now_;
}

void Model::order(const Action &action) {
  CHECK(workers_.count(action.worker) == 1);
  ModelWorker &worker = workers_[action.worker];
  CHECK(worker.exists && !worker.killed);
  if (action.kind == Action::Kind::kill) {
    CHECK(worker.stopped && now_ >= worker.stopped_at + rules_.life.grace);
    worker.killed = true;
    return;
  }
  CHECK(!worker.stopped);
  if (action.kind == Action::Kind::dump) {
    CHECK(worker.task != no_id); // an idle one may be silent
    CHECK(worker.ready && now_ >= worker.alive_at + rules_.life.silence);
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
    CHECK(now_ >= worker.sent_at + task->second.rules.timeout);
    break;
  case Why::cancelled:
    CHECK(task != tasks_.end() && task->second.cancelled);
    break;
  case Why::silent:
    CHECK(worker.silent && now_ >= worker.dumped_at + rules_.life.dump);
    break;
  case Why::not_ready:
    CHECK(!worker.ready && now_ >= worker.alive_at + rules_.life.ready_within);
    break;
  case Why::retired:
    CHECK(worker.task == no_id && worker.answers > 0);
    break;
  case Why::idle:
    CHECK(worker.task == no_id && workers_.size() > rules_.least);
    break;
  case Why::protocol:
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
  if (!worker.ready)
    return worker.alive_at + rules_.life.ready_within;
  if (worker.task == no_id)
    return out;
  out = worker.sent_at + tasks_.at(worker.task).rules.timeout;
  return std::min(out, worker.silent ? worker.dumped_at + rules_.life.dump
                                     : worker.alive_at + rules_.life.silence);
}

void Model::check_nothing_is_forgotten() {
  CHECK(expected_ == 0);
  double next = pool_->next_time();
  CHECK(next > now_); // else a driver would not wait
  PoolStats stats = pool_->stats();
  size_t running = 0, active = 0;
  bool idle = false;
  for (const auto &[id, worker] : workers_) {
    CHECK(next <= latest_wake(worker) + 1e-9);
    running += worker.task != no_id;
    idle |= worker.ready && !worker.stopped && !worker.silent &&
            worker.task == no_id;
    active += !worker.stopped;
  }
  CHECK(stats.queued == queue_.size() && stats.running == running);
  CHECK(tasks_.size() == queue_.size() + running);
  CHECK(stats.workers == workers_.size() && stats.workers <= rules_.most);
  CHECK(stats.active <= active);
  CHECK(stats.queued <= rules_.queue_limit + rules_.most);
  if (closing()) {
    CHECK(queue_.empty());
    return;
  }
  CHECK(queue_.empty() || !idle);
  if (!queue_.empty() && workers_.empty())
    CHECK(next < forever); // a start is delayed
  if (full_)
    CHECK(queue_.size() > rules_.queue_low ||
          pool_->state() != Pool::State::open);
  CHECK(now_ < stop_at_ && next <= stop_at_);
  if (pool_->state() == Pool::State::draining)
    CHECK(!tasks_.empty() || !workers_.empty() || stopped_);
}

// A stopped pool ends, whatever its workers do.
void Model::finish_all() {
  double grace = chance(3) ? -1 : chance(2) ? 0 : random_.seconds(10);
  pool_->stop(grace, now_);
  if (grace > 0)
    stop_at_ = now_ + grace;
  carry_out();
  for (int count = 0; !stopped_; ++count) {
    CHECK(count < 100000);
    if (chance(20))
      submit();
    else if (!workers_.empty() && !chance(4))
      worker_event();
    else
      let_time_pass();
    carry_out();
  }
  CHECK(tasks_.empty() && workers_.empty());
  CHECK(pool_->next_time() == forever);
  event_of_nobody();
  carry_out();
}

// ---- Rounds
// -------------------------------------------------------------------

PoolRules random_rules(Random random) {
  PoolRules rules;
  rules.most = 1 + random.pick(6);
  rules.least = random.pick(rules.most + 1);
  rules.queue_limit = 1 + random.pick(20);
  rules.queue_low = random.pick(rules.queue_limit);
  rules.poison = 1 + static_cast<unsigned>(random.pick(4));
  rules.prepare_failures = 1 + static_cast<unsigned>(random.pick(6));
  rules.retire_tasks = random.pick(2) != 0 ? 0 : 1 + random.pick(10);
  rules.retire_memory = random.pick(2) != 0 ? 0 : 1000 + random.pick(1000);
  rules.idle = random.pick(2) != 0 ? forever : random.seconds(3);
  rules.life.ready_within = random.pick(2) != 0 ? forever : random.seconds(5);
  rules.life.silence = random.pick(2) != 0 ? forever : random.seconds(5);
  rules.life.dump = random.pick(4) == 0 ? 0 : random.seconds(1);
  rules.life.grace = random.pick(4) == 0 ? 0 : random.seconds(2);
  rules.restarts.first_delay = random.pick(4) == 0 ? 0 : random.seconds(1);
  rules.restarts.limit =
      random.pick(3) != 0 ? 0 : 20 + unsigned(random.pick(20));
  rules.seed = random.next();
  assert_null(wrong(rules));
  return rules;
}

void check_that_all_was_seen() {
  using Kind = Action::Kind;
  seen.check(Kind::start, {Why::none});
  seen.check(Kind::send, {Why::none});
  seen.check(Kind::dump, {Why::none});
  seen.check(Kind::drained, {Why::none});
  seen.check(Kind::stopped, {Why::none});
  seen.check(Kind::gave_up,
             {Why::none, Why::silent, Why::not_ready, Why::protocol});
  seen.check(Kind::stop, {Why::timed_out, Why::cancelled, Why::silent,
                          Why::not_ready, Why::protocol, Why::retired,
                          Why::idle, Why::stopped, Why::gave_up});
  seen.check(Kind::kill, {Why::timed_out, Why::cancelled, Why::silent,
                          Why::not_ready, Why::protocol, Why::retired,
                          Why::idle, Why::stopped, Why::gave_up});
  seen.check(Kind::finish, {Why::done, Why::failed, Why::died, Why::poison,
                            Why::timed_out, Why::cancelled, Why::silent,
                            Why::protocol, Why::stopped, Why::gave_up});
}

void no_event_breaks_a_promise(void **) {
  const char *given = std::getenv("GIPC_TEST_SEED");
  size_t events = many(1000000, 50000), of_round = 500;
  uint64_t seed = 20251126;
  for (size_t done = 0; done < events;) {
    round_seed = given != nullptr ? std::strtoull(given, nullptr, 10)
                                  : random_next(&seed);
    Model model(random_rules(Random(round_seed)), round_seed);
    for (size_t i = 0; i < of_round && !model.stopped(); ++i, ++done)
      model.step();
    model.finish_all();
    if (given != nullptr)
      return;
  }
  if (!slow()) // a short walk does not come to all of them
    check_that_all_was_seen();
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(no_event_breaks_a_promise),
  };
  return cmocka_run_group_tests_name("pool_walk", tests, nullptr, nullptr);
}
