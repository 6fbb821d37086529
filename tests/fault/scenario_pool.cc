// Pools and keepers: they go on, whatever call fails; see sites.h.
#include "sites.h"

#include <cstdlib>
#include <unistd.h>

namespace {

struct Run {
  struct ev_loop *loop = ev_loop_new(0);
  int results = 0, done = 0, failed = 0, ready = 0, ended = 0, why = -1;
  ev_timer timer{};
  bool late = false;

  Run() {
    CHECK(loop != nullptr);
    ev_init(&timer, [](struct ev_loop *l, ev_timer *t, int) {
      static_cast<Run *>(t->data)->late = true;
      ev_break(l, EVBREAK_ALL);
    });
    timer.data = this;
    timer.repeat = 100; // what takes longer hangs
    ev_timer_again(loop, &timer);
  }
  ~Run() { ev_loop_destroy(loop); }
};

gipc_rules fast_rules() {
  gipc_rules rules{};
  rules.size = sizeof rules;
  rules.first_delay = 0.001;
  rules.longest_delay = 0.001;
  rules.ready_within = 20; // of one whose start could not be completed
  return rules;
}

// ---- Pools ------------------------------------------------------------------

int work(const gipc_worker_message *task, gipc_worker_message *answer, void *) {
  answer->data = task->data;
  answer->data_size = task->data_size;
  return 0;
}

int serve(struct ev_loop *, gipc_handle *h, void *) {
  (void)!write(2, "line\n", 5);
  return gipc_worker_serve(h, work, nullptr) == 0 ? 0 : 1;
}

void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  auto *run = static_cast<Run *>(user);
  run->done += result->why == GIPC_WHY_DONE;
  run->failed += result->why == GIPC_WHY_FAILED;
  gipc_worker_stats stats{};
  stats.size = sizeof stats;
  (void)!gipc_pool_worker_stats(pool, 0, &stats);
  if (++run->results == 3)
    CHECK_OK(gipc_pool_stop(pool, 0.5));
}
void on_pool_end(gipc_pool *, int why, void *user) {
  auto *run = static_cast<Run *>(user);
  run->why = why;
  ev_break(run->loop, EVBREAK_ALL);
}

// With what is measured of workers and kept of what they write to stderr.
int pool_of(bool looks) {
  struct All {
    Run run;
    gipc_pool *pool = nullptr;
    gipc_options *o = nullptr;
    ~All() {
      gipc_pool_free(pool);
      gipc_options_free(o);
    }
  } it;
  if (looks) {
    TRY(gipc_options_new(&it.o));
    TRY(gipc_options_set_stdio(it.o, 2, GIPC_STDIO_PIPE, -1));
  }
  gipc_rules rules = fast_rules();
  rules.most = 2;
  rules.prepare_failures = 10;
  rules.retire_memory = looks ? 1ull << 50 : 0;
  gipc_pool_events events{sizeof events, on_result, nullptr, nullptr,
                          on_pool_end};
  gipc_task_rules task_rules{};
  task_rules.size = sizeof task_rules;
  task_rules.retries = 5;
  uint64_t task;
  TRY(gipc_pool_new(serve, nullptr, &rules, it.o, &it.pool));
  TRY(gipc_pool_start(it.pool, it.run.loop, &events, &it.run));
  for (int i = 0; i < 3; ++i)
    TRY(gipc_pool_try_put(it.pool, "task", 4, &task_rules, &task));
  ev_run(it.run.loop, 0);
  CHECK(!it.run.late);
  CHECK_IS(it.run.why, GIPC_WHY_STOPPED);
  CHECK_IS(it.run.done + it.run.failed, 3);
  return it.run.failed > 0 ? sites::failed_in_child : 0;
}

int pool() { return pool_of(false); }
int pool_looks() { return pool_of(true); }

// ---- Keepers ----------------------------------------------------------------

int report_and_wait(struct ev_loop *, void *) {
  if (gipc_ready() != 0)
    return 1;
  for (;;)
    pause();
}

void on_service(gipc_keeper *keeper, const gipc_service_change *change,
                void *user) {
  auto *run = static_cast<Run *>(user);
  run->ready += change->kind == GIPC_SERVICE_READY;
  run->ended += change->kind == GIPC_SERVICE_ENDED;
  if (change->kind == GIPC_SERVICE_READY)
    CHECK_OK(gipc_keeper_stop(keeper));
}
void on_keeper_end(gipc_keeper *, int why, void *user) {
  auto *run = static_cast<Run *>(user);
  run->why = why;
  ev_break(run->loop, EVBREAK_ALL);
}

int keeper() {
  struct All {
    Run run;
    gipc_keeper *keeper = nullptr;
    ~All() { gipc_keeper_free(keeper); }
  } it;
  gipc_rules rules = fast_rules();
  rules.notify = 1;
  gipc_keeper_events events{sizeof events, on_service, nullptr, on_keeper_end};
  size_t service;
  TRY(gipc_keeper_new(GIPC_ONE_FOR_ONE, &it.keeper));
  TRY(gipc_keeper_add(it.keeper, "a", report_and_wait, nullptr, &rules, nullptr,
                      &service));
  TRY(gipc_keeper_start(it.keeper, it.run.loop, &events, &it.run));
  ev_run(it.run.loop, 0);
  CHECK(!it.run.late);
  CHECK_IS(it.run.why, GIPC_WHY_STOPPED);
  CHECK_IS(it.run.ready, 1);
  return 0;
}

const sites::Scenario scenarios[] = {
    {"pool", pool}, {"pool_looks", pool_looks}, {"keeper", keeper}};

} // namespace

namespace sites {
const Scenarios pool_scenarios{scenarios, sizeof scenarios / sizeof *scenarios};
}
