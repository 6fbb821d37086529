// What the scenarios and walks of a pool do not show: wrong rules, random
// delays, memory, and a driver that calls next() rarely.
#include "support_walk.h"

#include "policy_keeper.h"
#include "policy_pool.h"

#include <functional>
#include <map>
#include <new>
#include <set>
#include <string>

using namespace gipc::policy;

namespace {

size_t allocations;
size_t fails_at; // the number of an allocation that fails; 0: none

void *allocate(size_t size) {
  if (++allocations == fails_at)
    throw std::bad_alloc();
  void *memory = std::malloc(size != 0 ? size : 1);
  if (memory == nullptr)
    throw std::bad_alloc();
  return memory;
}

} // namespace

void *operator new(size_t size) { return allocate(size); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

namespace {

// ---- Rules ------------------------------------------------------------------

void a_wrong_rule_is_named(void **) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    const char *name;
    std::function<void(PoolRules &)> spoil;
  };
  const Case cases[] = {
      {"most", [](PoolRules &r) { r.least = r.most = 0; }},
      {"most", [](PoolRules &r) { r.most = 1 << 20; }},
      {"least", [](PoolRules &r) { r.least = 2; }},
      {"queue_limit", [](PoolRules &r) { r.queue_limit = r.queue_low = 0; }},
      {"queue_low", [](PoolRules &r) { r.queue_low = r.queue_limit; }},
      {"poison", [](PoolRules &r) { r.poison = 0; }},
      {"prepare_failures", [](PoolRules &r) { r.prepare_failures = 0; }},
      {"ahead", [](PoolRules &r) { r.ahead = 1 << 20; }},
      {"idle", [](PoolRules &r) { r.idle = 0; }},
      {"idle", [=](PoolRules &r) { r.idle = nan; }},
      {"ready_within", [](PoolRules &r) { r.life.ready_within = -1; }},
      {"silence", [](PoolRules &r) { r.life.silence = 0; }},
      {"dump", [=](PoolRules &r) { r.life.dump = nan; }},
      {"grace", [](PoolRules &r) { r.life.grace = -1; }},
      {"first_delay", [](PoolRules &r) { r.restarts.first_delay = -1; }},
      {"longest_delay", [](PoolRules &r) { r.restarts.longest_delay = 0; }},
      {"growth", [](PoolRules &r) { r.restarts.growth = 0.5; }},
      {"jitter", [](PoolRules &r) { r.restarts.jitter = 1.1; }},
      {"healthy", [=](PoolRules &r) { r.restarts.healthy = nan; }},
      {"limit", [](PoolRules &r) { r.restarts.limit = 1000000; }},
      {"window", [](PoolRules &r) { r.restarts.window = 0; }},
  };
  assert_null(wrong(PoolRules()));
  assert_null(wrong(ServiceRules()));
  for (const Case &one : cases) {
    PoolRules rules;
    one.spoil(rules);
    const char *name = wrong(rules);
    assert_non_null(name);
    assert_string_equal(name, one.name);
  }
  Pool pool{PoolRules()};
  TaskRules task;
  Id id;
  for (double timeout : {0.0, -1.0, nan}) {
    task.timeout = timeout;
    RESULT(pool.submit(task, id), -EINVAL);
  }
}

// ---- Delays -----------------------------------------------------------------

void delays_grow_to_their_bound_and_are_random_in_their_part(void **) {
  RestartRules rules;
  rules.first_delay = 1;
  rules.longest_delay = 60;
  rules.jitter = 0.25;
  std::set<double> delays;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Restarts restarts(rules, seed), same(rules, seed);
    for (double most : {1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0}) {
      double delay = restarts.failed(0);
      assert_true(delay <= most && delay >= 0.75 * most);
      // Not the digits that only a register of 32-bit x86 has.
      volatile double same_delay = same.failed(0), stored = delay;
      assert_true(stored == same_delay);
      delays.insert(delay / most);
    }
    assert_true(restarts.failing());
    restarts.succeeded();
    assert_false(restarts.failing());
    assert_true(restarts.failed(0) <= 1);
  }
  assert_true(delays.size() > 1000);
  assert_true(*delays.begin() < 0.76 && *delays.rbegin() > 0.99);
}

void many_failures_keep_the_longest_delay(void **) {
  RestartRules rules;
  rules.jitter = 0;
  Restarts restarts(rules, 1);
  for (int i = 0; i < 100000; ++i)
    (void)restarts.failed(0);
  assert_true(restarts.failed(0) == rules.longest_delay);
  assert_true(restarts.failed(rules.healthy) == rules.first_delay);
}

void no_window_has_more_restarts_than_the_limit(void **) {
  RestartRules rules;
  rules.limit = 3;
  rules.window = 10;
  Restarts restarts(rules, 1);
  std::multiset<double> times;
  Random random(7);
  double now = 0;
  for (int i = 0; i < 10000; ++i) {
    now += random.seconds(6);
    size_t recent = static_cast<size_t>(
        std::distance(times.upper_bound(now - rules.window), times.end()));
    bool allowed = restarts.allowed(now);
    assert_int_equal(allowed, recent < rules.limit);
    if (allowed)
      times.insert(now);
  }
}

// ---- Memory -----------------------------------------------------------------

// valgrind has an operator new of its own.
void skip_where_allocations_do_not_fail() {
  allocations = 0;
  operator delete(operator new(1));
  if (allocations == 0)
    skip_because("this program's operator new is not used");
}

void a_submit_without_memory_changes_nothing(void **) {
  skip_where_allocations_do_not_fail();
  PoolRules rules;
  rules.least = 0;
  size_t failures = 0;
  for (size_t n = 1; n < 10; ++n) {
    Pool pool(rules);
    Id id = 77;
    bool failed = false;
    allocations = 0;
    fails_at = n;
    try {
      OK(pool.submit(TaskRules(), id));
    } catch (const std::bad_alloc &) {
      failed = true;
    }
    fails_at = 0;
    failures += failed;
    Action action;
    if (failed) {
      assert_int_equal(id, 77);
      assert_int_equal(pool.stats().queued, 0);
      assert_int_equal(pool.stats().submitted, 0);
      assert_false(pool.next(0, action));
      OK(pool.submit(TaskRules(), id));
    }
    assert_int_equal(id, 1);
    pool.stop(0, 0);
    assert_true(pool.next(0, action) && action.task == 1);
    assert_true(pool.next(0, action) && action.kind == Action::Kind::stopped);
  }
  assert_true(failures >= 2); // the task, and its place in the queue
}

// A driver that submits, and never calls next().
void memory_is_bounded_without_next(void **) {
  PoolRules rules;
  rules.queue_limit = 100;
  Pool pool(rules);
  Id id = no_id;
  for (int i = 0; i < 100; ++i)
    OK(pool.submit(TaskRules(), id));
  for (int i = 0; i < 100; ++i) {
    RESULT(pool.submit(TaskRules(), id), -EAGAIN);
    OK(pool.cancel(static_cast<Id>(i + 1), 0));
  }
  RESULT(pool.submit(TaskRules(), id), -EAGAIN);
}

// ---- A driver that calls next() rarely
// ------------------------------------------

// Several events, and jumps of time, come between two calls.
class LazyDriver {
public:
  LazyDriver(const PoolRules &rules, uint64_t seed)
      : pool_(rules), random_(seed) {}

  void step() {
    now_ += random_.chance(20) ? random_.seconds(30) : 0;
    Id id = no_id;
    if (random_.chance(3)) {
      TaskRules rules;
      rules.retries = static_cast<unsigned>(random_.pick(3));
      rules.retry_for = 7;
      rules.timeout = random_.seconds(20);
      if (pool_.submit(rules, id) == 0)
        tasks_[id] = rules.retries;
    } else if (random_.chance(10)) {
      (void)pool_.cancel(random_.pick(pool_.stats().submitted + 1), now_);
    } else if (!workers_.empty()) {
      auto it = workers_.begin();
      std::advance(it, random_.pick(workers_.size()));
      event(it->first, it->second);
    }
    if (random_.chance(5))
      carry_out();
  }

  void finish_all() {
    pool_.stop(random_.chance(2) ? -1 : random_.seconds(5), now_);
    for (int count = 0; !stopped_; ++count) {
      CHECK(count < 100000);
      now_ = std::max(now_, std::min(pool_.next_time(), now_ + 1));
      step();
    }
    CHECK(workers_.empty() && tasks_.empty());
  }

private:
  void event(Id id, bool &exists) {
    if (!exists) {
      CHECK(pool_.started(id, 1, now_) == 0);
      exists = true;
      return;
    }
    // What it says may be out of place: then it costs this worker.
    switch (random_.pick(8)) {
    case 0:
      CHECK(pool_.ended(id, gipc_exit_info{}, now_) == 0);
      workers_.erase(id);
      return;
    case 1:
      (void)pool_.misbehaved(id, now_);
      return;
    case 2:
      (void)pool_.alive(id, now_);
      return;
    case 3:
    case 4:
      (void)pool_.ready(id, now_);
      return;
    default:
      // Only where it has a task, but perhaps one that is cancelled.
      if (pool_.worker((id - 1) % most_).task != nullptr)
        CHECK(pool_.answered(id, random_.chance(2), now_) == 0);
    }
  }

  void carry_out() {
    Action action;
    while (pool_.next(now_, action)) {
      CHECK(!stopped_);
      if (action.kind == Action::Kind::start) {
        CHECK(workers_.size() < most_);
        workers_[action.worker] = false;
      } else if (action.kind == Action::Kind::send) {
        CHECK(workers_.at(action.worker));
        CHECK(tasks_.count(action.task) == 1);
        CHECK(action.attempt <= 1 + tasks_[action.task]);
        CHECK(action.attempt == ++executions_[action.task]);
      } else if (action.kind == Action::Kind::finish) {
        CHECK(tasks_.erase(action.task) == 1);
        CHECK(executions_[action.task] == action.attempt);
        executions_.erase(action.task);
      } else if (action.kind == Action::Kind::stopped) {
        stopped_ = true;
      } else if (action.kind != Action::Kind::drained &&
                 action.kind != Action::Kind::gave_up) {
        CHECK(workers_.at(action.worker));
      }
    }
    CHECK(pool_.next_time() > now_);
  }

  static constexpr size_t most_ = 4;
  Pool pool_;
  Random random_;
  double now_ = 0;
  bool stopped_ = false;
  std::map<Id, bool> workers_;   // whether it exists
  std::map<Id, unsigned> tasks_; // their retries
  std::map<Id, unsigned> executions_;
};

void no_task_is_lost_or_done_twice_by_a_lazy_driver(void **) {
  uint64_t seed = 5;
  for (size_t i = 0; i < many(1000, 50); ++i) {
    round_seed = random_next(&seed);
    Random random(round_seed);
    PoolRules rules;
    rules.most = 4;
    rules.least = random.pick(5);
    rules.queue_limit = 10;
    rules.queue_low = random.pick(10);
    rules.retire_tasks = random.pick(4);
    rules.idle = random.seconds(10);
    rules.prepare_failures = 100;
    rules.life.ready_within = random.seconds(20);
    rules.life.silence = random.seconds(20);
    rules.life.grace = random.pick(2) != 0 ? 0 : random.seconds(5);
    LazyDriver driver(rules, round_seed);
    for (int step = 0; step < 300; ++step)
      driver.step();
    driver.finish_all();
  }
}

// ---- No memory but for a submit ---------------------------------------------

void only_a_submit_needs_memory(void **) {
  skip_where_allocations_do_not_fail();
  PoolRules rules;
  rules.least = rules.most = 8;
  Pool pool(rules);
  Id id;
  for (int i = 0; i < 100; ++i) {
    TaskRules task;
    task.retries = 1;
    task.timeout = 5;
    OK(pool.submit(task, id));
  }
  Random random(3);
  allocations = 0;
  Action action;
  double now = 0;
  for (int i = 0; i < 2000; ++i) {
    now += random.seconds(1);
    while (pool.next(now, action))
      if (action.kind == Action::Kind::start)
        OK(pool.started(action.worker, 1, now));
    const Life &life = pool.life(random.pick(8));
    if (random.chance(4))
      (void)pool.ended(life.id(), gipc_exit_info{}, now);
    else if (life.state() == Life::State::starting)
      OK(pool.ready(life.id(), now));
    else if (random.chance(4))
      (void)pool.cancel(1 + random.pick(100), now);
    else
      (void)pool.answered(life.id(), random.chance(2), now);
  }
  pool.stop(0, now);
  while (pool.next(now, action))
    continue;
  assert_int_equal(allocations, 0);
  assert_true(pool.stats().retries > 0);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_wrong_rule_is_named),
      TEST(delays_grow_to_their_bound_and_are_random_in_their_part),
      TEST(many_failures_keep_the_longest_delay),
      TEST(no_window_has_more_restarts_than_the_limit),
      TEST(a_submit_without_memory_changes_nothing),
      TEST(memory_is_bounded_without_next),
      TEST(no_task_is_lost_or_done_twice_by_a_lazy_driver),
      TEST(only_a_submit_needs_memory),
  };
  return cmocka_run_group_tests_name("pool_rules", tests, nullptr, nullptr);
}
