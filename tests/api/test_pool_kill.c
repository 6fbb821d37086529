/* Workers that are killed at any time: no task is lost, and none is carried out
 * more often than it may be.  GIPC_TEST_LONG: 100,000 tasks. */
#include "support_workers.h"

#include <sys/mman.h>

enum { MOST = 100000 };

static unsigned char finished[MOST + 1];
static unsigned *executions; /* of each task, in memory that workers share */
static size_t next_task, total;

/* Counts its executions, and answers with its number. */
static int count(const gipc_worker_message *task, gipc_worker_message *answer,
                 void *user) {
  __atomic_add_fetch(&executions[task->task], 1, __ATOMIC_RELAXED);
  answer->data = &task->task;
  answer->data_size = sizeof task->task;
  return 0;
}

static int worker(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  return gipc_worker_serve(h, count, NULL) == 0 ? 0 : 1;
}

static void put_tasks(gipc_pool *pool) {
  static const gipc_task_rules twice = {.size = sizeof twice, .retries = 2};
  uint64_t task;
  /* Every second one may be carried out three times. */
  while (next_task < total &&
         gipc_pool_try_put(pool, "", 0, next_task % 2 == 0 ? &twice : NULL,
                           &task) == 0)
    CHECK(task == ++next_task);
}

static void on_answer(gipc_pool *pool, const gipc_result *result) {
  CHECK(finished[result->task]++ == 0);
  CHECK(executions[result->task] <= (unsigned)result->attempt);
  if (result->why == GIPC_WHY_DONE) {
    CHECK(result->data_size == 8 &&
          memcmp(result->data, &result->task, 8) == 0);
  } else {
    CHECK(result->why == GIPC_WHY_DIED || result->why == GIPC_WHY_POISON);
    CHECK(result->has_info);
    /* Beside another reaper a kernel may lose it. */
    if (result->info.how == GIPC_STATUS_LOST)
      CHECK_IS(gipc_features() & GIPC_FEATURE_KEPT_STATUS, 0);
    else
      CHECK_IS(result->info.signal, SIGKILL);
  }
  put_tasks(pool);
}

static void on_room(gipc_pool *pool, void *user) { put_tasks(pool); }

/* Every 50 ms, and at every 200th result, whichever worker it is. */
static uint64_t seed = 1;
static size_t kills;
static void kill_one(gipc_pool *pool) {
  gipc_worker_stats stats = {.size = sizeof stats};
  size_t slot = random_next(&seed) % 3;
  CHECK_OK(gipc_pool_worker_stats(pool, slot, &stats));
  if (stats.pid > 0 && kill(stats.pid, SIGKILL) == 0)
    kills++;
}
static gipc_pool *the_pool;
static void on_time(struct ev_loop *loop, ev_timer *timer, int events) {
  kill_one(the_pool);
}
static void on_answer_and_kill(gipc_pool *pool, const gipc_result *result) {
  on_answer(pool, result);
  if (got.count % 200 == 0)
    kill_one(pool);
}

static void storm(const char *rules, size_t tasks) {
  gipc_pool_events events = pool_events;
  gipc_policy_stats stats = {.size = sizeof stats};
  ev_timer timer;
  total = getenv("GIPC_TEST_LONG") != NULL ? MOST : tasks;
  next_task = kills = 0;
  memset(finished, 0, sizeof finished);
  executions = mmap(NULL, (MOST + 1) * sizeof *executions,
                    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(executions != MAP_FAILED);
  the_pool = pool_of(worker, NULL, rules);
  events.on_drain = on_room;
  got = (results){.loop = ev_loop_new(EVFLAG_AUTO),
                  .on_result = on_answer_and_kill};
  CHECK_OK(gipc_pool_start(the_pool, got.loop, &events, &got));
  ev_timer_init(&timer, on_time, 0.05, 0.05);
  ev_timer_start(got.loop, &timer);
  put_tasks(the_pool);
  run_until(total);
  ev_timer_stop(got.loop, &timer);
  CHECK_OK(gipc_pool_stats(the_pool, &stats));
  CHECK(kills >= total / 250 && stats.failures > 0);
  CHECK(stats.submitted == total && stats.queued == 0 && stats.running == 0);
  for (size_t task = 1; task <= total; task++) {
    CHECK_IS(finished[task], 1);
    CHECK(executions[task] <= (task % 2 == 1 ? 3 : 1));
  }
  print_message("%zu kills, %zu tasks died, %ju retries\n", kills,
                got.by_why[GIPC_WHY_DIED], (uintmax_t)stats.retries);
  end_pool(the_pool);
  munmap(executions, (MOST + 1) * sizeof *executions);
}

#define RULES "most=3 first_delay=0.001 poison=100 prepare_failures=1000000"

static void no_task_is_lost_or_done_too_often(void **state) {
  storm(RULES, many(10000, 400));
}

static void
no_task_that_was_sent_ahead_is_lost_or_done_too_often(void **state) {
  storm(RULES " ahead=5", many(5000, 400));
}

/* ---- Memory and descriptors ---------------------------------------------- */

static void memory_and_descriptors_stay_flat(void **state) {
  gipc_pool *pool = new_pool("most=2 first_delay=0.001");
  size_t memory = 0;
  int fds = 0;
  for (size_t round = 0; round < many(40, 14); round++) {
    for (int i = 0; i < 50; i++)
      put(pool, i % 25 == 0 ? "k" : i % 10 == 0 ? "b100000" : "e");
    run_until(got.count + 50);
    if (round == 10) {
      memory = resident();
      fds = count_fds();
    }
  }
  CHECK(count_fds() <= fds + 6); /* a worker has a few */
  if (!slow())
    CHECK(resident() < memory + (4 << 20));
  end_pool(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(no_task_is_lost_or_done_too_often),
      TEST(no_task_that_was_sent_ahead_is_lost_or_done_too_often),
      TEST(memory_and_descriptors_stay_flat),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
