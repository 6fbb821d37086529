/* A pool on a libev loop: tasks, results, stops, arguments. */
#include "support_workers.h"

#include <math.h>

/* ---- Tasks and results --------------------------------------------------- */

static void a_task_is_answered(void **state) {
  gipc_pool *pool = new_pool("most=1");
  int user;
  gipc_task_rules rules = {.size = sizeof rules, .user = &user};
  uint64_t task = put_with(pool, "ehello", &rules);
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_DONE);
  CHECK(got.last.task == task && got.last.user == &user);
  CHECK_IS(got.last.attempt, 1);
  CHECK(got.last.pid > 0 && got.last.has_info == 0 && got.last.worker == 1);
  CHECK(got.last.data_size == 5 && strcmp(got.data, "hello") == 0);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  CHECK_IS((long)got.last.data_size, 0);
  end_pool(pool);
  CHECK_IS(got.end_why, GIPC_WHY_STOPPED);
  CHECK(got.started == 1 && got.ready == 1 && got.off == 1);
  CHECK_IS(got.last_off.why, GIPC_WHY_STOPPED);
  CHECK(got.last_off.has_info && got.last_off.info.code == 0);
}

static gipc_result failure;
static char trace[16];
static void keep_failure(gipc_pool *pool, const gipc_result *result) {
  failure = *result;
  snprintf(trace, sizeof trace, "%.*s %.*s", (int)result->type.size,
           result->type.data, (int)result->trace.size, result->trace.data);
}

static void a_failed_task_has_its_texts(void **state) {
  gipc_pool *pool = new_pool("most=1");
  got.on_result = keep_failure;
  CHECK_IS(do_task(pool, "fno luck"), GIPC_WHY_FAILED);
  CHECK(strcmp(got.data, "no luck") == 0);
  CHECK(strcmp(trace, "TestError here") == 0);
  CHECK_IS(do_task(pool, "?"), GIPC_WHY_FAILED);
  CHECK(strcmp(got.data, gipc_strerror(-ENOSYS)) == 0);
  CHECK_IS((long)failure.type.size, 4);
  end_pool(pool);
  CHECK(got.started == 1);
}

static void tasks_put_before_the_start_are_carried_out(void **state) {
  gipc_pool *pool = pool_of(serve_commands, NULL, "most=2 queue_limit=3");
  uint64_t task;
  for (int i = 0; i < 3; i++)
    put(pool, "e");
  CHECK_IS(gipc_pool_try_put(pool, "e", 1, NULL, &task), -EAGAIN);
  start_pool(pool);
  run_until(3);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 3);
  CHECK_IS((long)got.drains, 1);
  end_pool(pool);
}

/* ---- Large ones ---------------------------------------------------------- */

static int ticks;
static void on_tick(struct ev_loop *loop, ev_timer *timer, int events) {
  ticks++;
}

static bool whole;
static void check_bytes(gipc_pool *pool, const gipc_result *result) {
  whole = filled(result->data, result->data_size, 3);
}

/* The loop runs on while they are under way. */
static void large_tasks_and_results_do_not_block(void **state) {
  gipc_pool *pool = new_pool("most=1");
  size_t size = many(64, 4) << 20;
  char *data = malloc(size + 1), text[32];
  uint64_t task;
  ev_timer timer;
  ev_timer_init(&timer, on_tick, 0.0001, 0.0001);
  ev_timer_start(got.loop, &timer);
  ev_unref(got.loop);
  data[0] = 'e';
  fill(data + 1, size, 3);
  got.on_result = check_bytes;
  CHECK_OK(gipc_pool_try_put(pool, data, size + 1, NULL, &task));
  memset(data, 0, size); /* it was copied */
  run_until(1);
  CHECK(whole && got.last.data_size == size);
  CHECK(ticks > 4);
  sprintf(text, "b%zu", size);
  CHECK_IS(do_task(pool, text), GIPC_WHY_DONE);
  CHECK(whole && got.last.data_size == size);
  ev_ref(got.loop);
  ev_timer_stop(got.loop, &timer);
  free(data);
  end_pool(pool);
}

/* The worker says so, and lives on. */
static void a_result_that_is_too_large_fails_its_task(void **state) {
  if (slow())
    skip_because("a result of 1 GiB");
  gipc_pool *pool = new_pool("most=1");
  CHECK_IS(do_task(pool, "b1073741820"), GIPC_WHY_FAILED);
  CHECK(strcmp(got.data, gipc_strerror(GIPC_ETOOBIG)) == 0);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  CHECK_IS((long)got.started, 1);
  end_pool(pool);
}

/* ---- Order, back-pressure ------------------------------------------------ */

static char order[8];
static void note(gipc_pool *pool, const gipc_result *result) {
  order[got.count - 1] = got.data[0];
}

static void higher_priorities_come_first(void **state) {
  gipc_pool *pool = new_pool("most=1");
  gipc_task_rules low = {.size = sizeof low, .priority = -1};
  gipc_task_rules high = {.size = sizeof high, .priority = 1};
  got.on_result = note;
  put_with(pool, "e4", &low);
  put(pool, "e2");
  put_with(pool, "e1", &high);
  put(pool, "e3");
  run_until(4);
  CHECK(strcmp(order, "1234") == 0);
  end_pool(pool);
}

static size_t left, accepted;
static void put_more(gipc_pool *pool) {
  uint64_t task;
  while (left > 0 && gipc_pool_try_put(pool, "ex", 2, NULL, &task) == 0) {
    left--;
    accepted++;
  }
}
static void refill(gipc_pool *pool, const gipc_result *result) {
  if (got.count % 20 == 0)
    put_more(pool); /* the others by on_drain alone */
}
static void on_room(gipc_pool *pool, void *user) {
  got.drains++;
  put_more(pool);
}

static void a_bounded_queue_takes_all_in_the_end(void **state) {
  gipc_pool *pool = pool_of(serve_commands, NULL, "most=2 queue_limit=7");
  gipc_pool_events events = pool_events;
  events.on_drain = on_room;
  got = (results){.loop = ev_loop_new(EVFLAG_AUTO), .on_result = refill};
  CHECK_OK(gipc_pool_start(pool, got.loop, &events, &got));
  left = many(5000, 200);
  put_more(pool);
  CHECK_IS((long)accepted, 7);
  run_until(left + accepted);
  CHECK(got.drains > 10 && got.by_why[GIPC_WHY_DONE] == accepted);
  end_pool(pool);
}

/* ---- Stop ---------------------------------------------------------------- */

static void a_graceful_stop_carries_out_what_there_is(void **state) {
  gipc_pool *pool = new_pool("most=2 least=2");
  uint64_t task;
  for (int i = 0; i < 20; i++)
    put(pool, "e");
  CHECK_OK(gipc_pool_stop(pool, -1));
  CHECK_IS(gipc_pool_try_put(pool, "e", 1, NULL, &task), GIPC_ECLOSED);
  end_pool(pool);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 20);
}

static void a_hard_stop_ends_all_at_once(void **state) {
  gipc_pool *pool = new_pool("most=2");
  put(pool, "e");
  run_until(1);
  put(pool, "w");
  put(pool, "w");
  put(pool, "e");
  ev_run(got.loop, EVRUN_NOWAIT);
  CHECK_OK(gipc_pool_stop(pool, 0));
  end_pool(pool);
  CHECK_IS((long)got.by_why[GIPC_WHY_STOPPED], 3);
}

static void the_grace_of_a_stop_is_its_limit(void **state) {
  gipc_pool *pool = new_pool("most=1 grace=0.05");
  put(pool, "i");
  put(pool, "e");
  CHECK_OK(gipc_pool_stop(pool, 0.01));
  end_pool(pool);
  CHECK_IS((long)got.by_why[GIPC_WHY_STOPPED], 2);
  /* It was killed, if it had come to its task. */
  CHECK(got.last_off.has_info);
}

static void a_pool_that_is_freed_kills_its_workers(void **state) {
  gipc_pool *pool = new_pool("most=2");
  CHECK_IS(do_task(pool, "p"), GIPC_WHY_DONE);
  pid_t pid = atoi(got.data);
  put(pool, "i");
  put(pool, "i");
  put(pool, "e");
  ev_run(got.loop, EVRUN_NOWAIT);
  drop_pool(pool);
  CHECK(gone_within(pid, 100));
  CHECK_IS((long)got.count, 1);
  CHECK_IS((long)got.ends, 0);
  pool = pool_of(serve_commands, NULL, "most=2"); /* never started */
  put(pool, "e");
  gipc_pool_free(pool);
  gipc_pool_free(NULL);
}

enum { IDLE = 100 };

/* How often a worker of the pool began to wait. */
static long waits_of_workers(gipc_pool *pool) {
  long waits = 0, of_one;
  for (size_t i = 0; i < IDLE; i++) {
    gipc_worker_stats worker = {.size = sizeof worker};
    char name[64], line[128];
    CHECK_OK(gipc_pool_worker_stats(pool, i, &worker));
    sprintf(name, "/proc/%d/status", worker.pid);
    FILE *file = fopen(name, "r");
    while (fgets(line, sizeof line, file) != NULL)
      if (sscanf(line, "voluntary_ctxt_switches: %ld", &of_one) == 1)
        waits += of_one;
    fclose(file);
  }
  return waits;
}

/* No timer, and nothing to look at again and again, neither here nor in the
 * workers, which at first may still be on their way to their wait. */
static void an_idle_pool_sleeps(void **state) {
  if (portable())
    skip_because("the portable half looks for the ends of processes");
  gipc_pool *pool = new_pool("most=100 least=100 silence=0.01");
  ev_timer timer;
  while (got.ready < IDLE)
    ev_run(got.loop, EVRUN_ONCE);
  long before, waits = waits_of_workers(pool);
  unsigned iterations;
  int tries = 0;
  do {
    CHECK(++tries < 100);
    before = waits;
    iterations = ev_iteration(got.loop);
    ev_timer_init(&timer, on_tick, 0.1, 0);
    ev_timer_start(got.loop, &timer);
    for (ticks = 0; ticks == 0;)
      ev_run(got.loop, EVRUN_ONCE);
    iterations = ev_iteration(got.loop) - iterations;
    waits = waits_of_workers(pool);
  } while (waits != before || iterations > 5);
  end_pool(pool);
}

/* ---- Stats --------------------------------------------------------------- */

static void stats_count_tasks_and_workers(void **state) {
  gipc_pool *pool = new_pool("most=2");
  gipc_policy_stats stats = {.size = sizeof stats};
  gipc_worker_stats worker = {.size = sizeof worker};
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  CHECK_IS(do_task(pool, "f"), GIPC_WHY_FAILED);
  uint64_t task = put(pool, "w");
  ev_run(got.loop, EVRUN_NOWAIT);
  CHECK_OK(gipc_pool_stats(pool, &stats));
  CHECK(stats.workers == 1 && stats.running == 1 && stats.queued == 0);
  CHECK(stats.submitted == 3 && stats.finished[GIPC_WHY_DONE] == 1);
  CHECK_OK(gipc_pool_worker_stats(pool, 0, &worker));
  CHECK(worker.pid == got.last.pid && worker.task == task);
  CHECK(worker.tasks == 3 && worker.state == GIPC_WORKER_READY);
  CHECK(worker.busy > 0);
  CHECK(portable() || worker.memory > 100000);
  CHECK_OK(gipc_pool_worker_stats(pool, 1, &worker));
  CHECK(worker.worker == 0 && worker.pid == 0);
  CHECK_IS(gipc_pool_worker_stats(pool, 2, &worker), -ENOENT);
  CHECK_OK(gipc_pool_cancel(pool, task));
  end_pool(pool);
}

/* ---- Arguments ----------------------------------------------------------- */

static void wrong_arguments_are_refused(void **state) {
  gipc_pool *pool = NULL, *made = new_pool("most=1");
  const char *const none[] = {NULL};
  gipc_rules rules = {.size = sizeof rules, .most = 1, .least = 2};
  gipc_pool_events events = {.size = 1};
  gipc_task_rules task_rules = {.size = sizeof task_rules, .retries = -1};
  gipc_policy_stats stats = {.size = 1};
  gipc_worker_stats worker = {.size = 1};
  gipc_options *o = new_options();
  uint64_t task = 7;
  CHECK_IS(gipc_pool_new(NULL, NULL, NULL, NULL, &pool), -EINVAL);
  CHECK_IS(gipc_pool_new(serve_commands, NULL, NULL, NULL, NULL), -EINVAL);
  CHECK_IS(gipc_pool_new(serve_commands, NULL, &rules, NULL, &pool), -EINVAL);
  CHECK_IS(gipc_pool_exec(NULL, NULL, NULL, &pool), -EINVAL);
  CHECK_IS(gipc_pool_exec(none, NULL, NULL, &pool), -EINVAL);
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_IS(gipc_pool_new(serve_commands, NULL, NULL, o, &pool), -EINVAL);
  gipc_options_free(o);
  CHECK(pool == NULL);
  CHECK_IS(gipc_pool_start(NULL, got.loop, &pool_events, NULL), -EINVAL);
  CHECK_IS(gipc_pool_start(made, NULL, &pool_events, NULL), -EINVAL);
  CHECK_IS(gipc_pool_start(made, got.loop, NULL, NULL), -EINVAL);
  CHECK_IS(gipc_pool_start(made, got.loop, &events, NULL), -EINVAL);
  CHECK_IS(gipc_pool_start(made, got.loop, &pool_events, NULL), GIPC_ELOCKED);
  CHECK_IS(gipc_pool_try_put(NULL, "e", 1, NULL, &task), -EINVAL);
  CHECK_IS(gipc_pool_try_put(made, NULL, 1, NULL, &task), -EINVAL);
  CHECK_IS(gipc_pool_try_put(made, "e", 1, NULL, NULL), -EINVAL);
  CHECK_IS(gipc_pool_try_put(made, "e", 1, &task_rules, &task), -EINVAL);
  CHECK_IS(gipc_pool_try_put(made, "e", (size_t)1 << 30, NULL, &task),
           GIPC_ETOOBIG);
  CHECK_IS(gipc_pool_cancel(NULL, 1), -EINVAL);
  CHECK_IS(gipc_pool_cancel(made, 1), -ENOENT);
  CHECK_IS(gipc_pool_stop(NULL, 1), -EINVAL);
  CHECK_IS(gipc_pool_stop(made, NAN), -EINVAL);
  CHECK_IS(gipc_pool_set_dump_signal(NULL, 1), -EINVAL);
  CHECK_IS(gipc_pool_set_dump_signal(made, -1), -EINVAL);
  CHECK_IS(gipc_pool_set_dump_signal(made, 100000), -EINVAL);
  CHECK_IS(gipc_pool_stats(NULL, &stats), -EINVAL);
  CHECK_IS(gipc_pool_stats(made, NULL), -EINVAL);
  CHECK_IS(gipc_pool_stats(made, &stats), -EINVAL);
  CHECK_IS(gipc_pool_worker_stats(NULL, 0, &worker), -EINVAL);
  CHECK_IS(gipc_pool_worker_stats(made, 0, &worker), -EINVAL);
  CHECK_IS(gipc_pool_worker_stats(made, 0, NULL), -EINVAL);
  CHECK_IS(gipc_worker_alive(NULL), -EINVAL);
  CHECK_IS(gipc_worker_serve(NULL, NULL, NULL), -EINVAL);
  CHECK_IS((long)task, 7);
  end_pool(made);
  CHECK(got.started == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_task_is_answered),
      TEST(a_failed_task_has_its_texts),
      TEST(tasks_put_before_the_start_are_carried_out),
      TEST(large_tasks_and_results_do_not_block),
      TEST(a_result_that_is_too_large_fails_its_task),
      TEST(higher_priorities_come_first),
      TEST(a_bounded_queue_takes_all_in_the_end),
      TEST(a_graceful_stop_carries_out_what_there_is),
      TEST(a_hard_stop_ends_all_at_once),
      TEST(the_grace_of_a_stop_is_its_limit),
      TEST(a_pool_that_is_freed_kills_its_workers),
      TEST(an_idle_pool_sleeps),
      TEST(stats_count_tasks_and_workers),
      TEST(wrong_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
