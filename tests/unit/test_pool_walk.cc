// The policy of a pool on a random walk: random rules, tasks, answers, ends and
// times.  A model of the processes and tasks checks each action, and after each
// event that nothing was forgotten.
//
// GIPC_TEST_SEED repeats a round.
#include "support_pool_checks.h"

using namespace gipc::policy;

namespace {

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

bool is_of_one_task(Why why) {
  return why == Why::timed_out || why == Why::cancelled || why == Why::silent;
}

void Model::answer(Id id, ModelWorker &worker) {
  bool ok = !chance(3);
  Id task = worker.task;
  int kind = ok ? GIPC_MESSAGE_DONE : GIPC_MESSAGE_FAILED;
  int result = pool_->received(id, kind, task, now_);
  if (worker.stopped) {
    if (!answer_late(worker, result))
      return;
  } else {
    if (task == no_id) {
      CHECK(result == GIPC_EPROTOCOL);
      worker.unclear = true;
      return;
    }
    worker.silent = worker.full = false;
    worker.alive_at = now_;
    ++worker.answers;
  }
  next_task(worker);
  CHECK(result == (tasks_[task].cancelled ? -ENOENT : 0));
  task_ended(task, tasks_[task], ok ? Why::done : Why::failed);
}

// True if the answer counts.
bool Model::answer_late(ModelWorker &worker, int result) {
  if (worker.task == no_id || !is_of_one_task(worker.why)) {
    CHECK(result == -ENOENT);
    return false;
  }
  if (worker.dropped != no_id)
    return true;
  CHECK(result == -ENOENT);
  worker.dropped = worker.task;
  next_task(worker);
  return false;
}

void Model::next_task(ModelWorker &worker) {
  worker.task = worker.ahead.empty() ? no_id : worker.ahead.front();
  if (worker.task != no_id)
    worker.ahead.pop_front();
  worker.sent_at = now_;
}

void Model::end(Id id, ModelWorker &worker) {
  gipc_exit_info info{};
  info.size = sizeof info;
  info.signal = static_cast<int>(pick(3));
  bool closed = closing();
  CHECK(pool_->ended(id, info, now_) == 0);
  Why why = worker.stopped ? worker.why : Why::died;
  Why others = is_of_one_task(why) ? Why::died : why;
  if (worker.dropped != no_id)
    end_one(worker.dropped, why, closed);
  if (worker.task != no_id)
    end_one(worker.task, worker.dropped == no_id ? why : others, closed);
  for (Id task : worker.ahead)
    if (worker.unclear)
      end_one(task, others, closed);
    else
      give_back(task, closed);
  workers_.erase(id);
}

// closed: the pool was stopping already.
void Model::end_one(Id id, Why why, bool closed) {
  ModelTask &task = tasks_[id];
  if (!closed)
    task_ended(id, task, why);
  else
    expect(id, task, task.cancelled && why == Why::died ? Why::cancelled : why);
}

// It was not begun.
void Model::give_back(Id id, bool closed) {
  ModelTask &task = tasks_[id];
  --task.executions;
  task.worker = no_id;
  if (task.cancelled)
    expect(id, task, Why::cancelled);
  else if (closed)
    expect(id, task, gave_up_ ? Why::gave_up : Why::stopped);
  else
    queue_.insert({-task.rules.priority, id});
}

// The task is due to finish, or is queued again.
void Model::task_ended(Id id, ModelTask &task, Why why) {
  if (task.cancelled &&
      (why == Why::done || why == Why::failed || why == Why::died))
    why = Why::cancelled;
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
    remember(id, worker);
    break;
  case 2:
    if (chance(5)) {
      CHECK(pool_->misbehaved(id, now_) == 0);
      worker.unclear = true;
    } else if (chance(5)) {
      CHECK(pool_->refused(id, no_id, -EPIPE, now_) == 0);
      worker.close(now_);
    }
    break;
  default:
    if (!worker.ready && !worker.stopped) {
      CHECK(pool_->ready(id, now_) == 0);
      worker.ready = true;
      worker.ready_at = worker.alive_at = now_;
    } else if (worker.task != no_id || chance(30)) {
      answer(id, worker);
      while (worker.task != no_id && chance(2)) // in the same read
        answer(id, worker);
    }
  }
}

void Model::remember(Id id, ModelWorker &worker) {
  uint64_t bytes = pick(2000);
  CHECK(pool_->memory(id, bytes, now_) == 0);
  if (rules_.retire_memory != 0 && bytes >= rules_.retire_memory)
    worker.retires |= worker.task != no_id;
}

void Model::event_of_nobody() {
  Id id = pick(1000);
  if (workers_.count(id) != 0)
    return;
  CHECK(pool_->started(id, 1, now_) == -ENOENT);
  CHECK(pool_->ready(id, now_) == -ENOENT);
  CHECK(pool_->answered(id, true, now_) == -ENOENT);
  CHECK(pool_->ended(id, gipc_exit_info{}, now_) == -ENOENT);
  CHECK(pool_->refused(id, 1, -EPIPE, now_) == -ENOENT);
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
  rules.ahead = random.pick(2) != 0 ? 0 : 1 + random.pick(4);
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
