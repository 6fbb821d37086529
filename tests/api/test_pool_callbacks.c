/* What callbacks of a pool may do: put, cancel, stop and free it, run its loop,
 * and end the loop; and what a fork of the program leaves of it. */
#include "support_workers.h"

/* ---- Freed or stopped inside --------------------------------------------- */

static gipc_pool *freed;
static void free_it(gipc_pool *pool, const gipc_result *result) {
  gipc_pool_free(pool);
  freed = pool;
}
static int free_at; /* a state of a worker */
static void free_when(gipc_pool *pool, const gipc_worker_change *change) {
  if (change->state == free_at)
    free_it(pool, NULL);
}

static void end_freed(size_t count) {
  ev_run(got.loop, 0);
  CHECK(freed != NULL && got.count == count && got.ends == 0);
  freed = NULL;
  drop_pool(NULL);
}

static void a_pool_is_freed_in_on_result(void **state) {
  gipc_pool *pool = new_pool("most=2 least=2");
  got.on_result = free_it;
  for (int i = 0; i < 10; i++)
    put(pool, i == 0 ? "b300000" : "e");
  end_freed(1);
  pool = new_pool("most=1"); /* at the end of a worker */
  got.on_result = free_it;
  put(pool, "k");
  put(pool, "e");
  end_freed(1);
}

static void a_pool_is_freed_in_on_worker(void **state) {
  const int when[] = {GIPC_WORKER_STARTING, GIPC_WORKER_READY, GIPC_WORKER_OFF};
  for (int i = 0; i < 3; i++) {
    gipc_pool *pool = new_pool("most=2 least=2");
    got.on_worker = free_when;
    free_at = when[i];
    put(pool, "k");
    put(pool, "k");
    end_freed(0);
  }
}

static void free_at_end(gipc_pool *pool, int why, void *user) {
  free_it(pool, NULL);
}
static void free_at_drain(gipc_pool *pool, void *user) { free_it(pool, NULL); }

static void a_pool_is_freed_in_its_other_callbacks(void **state) {
  gipc_pool_events events = pool_events;
  gipc_pool *pool = pool_of(serve_commands, NULL, "most=1 queue_limit=1");
  uint64_t task;
  events.on_drain = free_at_drain;
  events.on_end = free_at_end;
  got = (results){.loop = ev_loop_new(EVFLAG_AUTO)};
  CHECK_OK(gipc_pool_start(pool, got.loop, &events, &got));
  put(pool, "e");
  CHECK_IS(gipc_pool_try_put(pool, "e", 1, NULL, &task), -EAGAIN);
  end_freed(0);
  pool = pool_of(serve_commands, NULL, "most=1");
  got = (results){.loop = ev_loop_new(EVFLAG_AUTO)};
  CHECK_OK(gipc_pool_start(pool, got.loop, &events, &got));
  put(pool, "e");
  CHECK_OK(gipc_pool_stop(pool, -1));
  end_freed(1);
}

static void stop_it(gipc_pool *pool, const gipc_result *result) {
  if (got.count == 1)
    CHECK_OK(gipc_pool_stop(pool, 0));
}

static void a_pool_is_stopped_in_on_result(void **state) {
  gipc_pool *pool = new_pool("most=1");
  got.on_result = stop_it;
  for (int i = 0; i < 10; i++)
    put(pool, "e");
  ev_run(got.loop, 0);
  CHECK(got.count == 10 && got.by_why[GIPC_WHY_STOPPED] == 9 && got.ends == 1);
  drop_pool(pool);
}

static uint64_t to_cancel;
static void put_and_cancel(gipc_pool *pool, const gipc_result *result) {
  if (got.count == 1) {
    CHECK_OK(gipc_pool_cancel(pool, to_cancel));
    put(pool, "e");
  }
}

static void tasks_are_put_and_cancelled_in_on_result(void **state) {
  gipc_pool *pool = new_pool("most=1");
  got.on_result = put_and_cancel;
  put(pool, "e");
  to_cancel = put(pool, "e");
  run_until(3);
  CHECK(got.by_why[GIPC_WHY_CANCELLED] == 1 && got.by_why[GIPC_WHY_DONE] == 2);
  end_pool(pool);
}

static char go[128];
static void cancel_all_others(gipc_pool *pool, const gipc_result *result) {
  if (result->why == GIPC_WHY_DONE)
    CHECK(result->data_size > 0);
  if (got.count != 1)
    return;
  fclose(fopen(go, "w")); /* the other worker answers */
  for (uint64_t task = 3; task <= to_cancel; task++)
    CHECK_OK(gipc_pool_cancel(pool, task));
}

/* An answer that comes while more results are to be delivered than one loop
 * iteration delivers keeps its data. */
static void an_answer_is_whole_behind_many_results(void **state) {
  gipc_pool *pool = new_pool("most=2 least=2 queue_limit=100000");
  char task[140];
  while (got.ready < 2)
    ev_run(got.loop, EVRUN_ONCE);
  got.on_result = cancel_all_others;
  sprintf(task, "o%s", scratch("go", go));
  put(pool, task);
  put(pool, "efirst");
  for (int i = 0; i < 60000; i++)
    to_cancel = put(pool, "e");
  run_until(60002);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 2);
  CHECK_OK(remove(go));
  end_pool(pool);
}

/* ---- Nested loops -------------------------------------------------------- */

/* The worker whose result a callback uses delivers nothing meanwhile. */
static size_t depth, deepest;
static void run_nested(gipc_pool *pool, const gipc_result *result) {
  uint64_t hash = hash_bytes(0, result->data, result->data_size);
  size_t want = got.count + 1;
  deepest = ++depth > deepest ? depth : deepest;
  if (depth < 3 && got.count < 30)
    while (got.count < want)
      ev_run(got.loop, EVRUN_ONCE);
  /* The data is valid until this callback returns. */
  CHECK(hash == hash_bytes(0, result->data, result->data_size));
  depth--;
}

static void a_callback_may_run_the_loop(void **state) {
  gipc_pool *pool = new_pool("most=3 least=3");
  got.on_result = run_nested;
  for (int i = 0; i < 40; i++)
    put(pool, i % 4 == 0 ? "ehello there" : i % 4 == 1 ? "x" : "b3000");
  while (got.count < 40)
    ev_run(got.loop, EVRUN_ONCE);
  CHECK(deepest > 1);
  CHECK_IS((long)got.by_why[GIPC_WHY_DIED], 10);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 30);
  end_pool(pool);
}

/* ---- The end of the loop, and forks -------------------------------------- */

static void a_pool_survives_its_loop(void **state) {
  gipc_pool *pool = new_pool("most=1");
  uint64_t task;
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  ev_loop_destroy(got.loop);
  CHECK_OK(gipc_pool_try_put(pool, "e", 1, NULL, &task));
  CHECK_OK(gipc_pool_cancel(pool, task));
  CHECK_OK(gipc_pool_stop(pool, 0));
  got.loop = ev_loop_new(EVFLAG_AUTO);
  CHECK_IS(gipc_pool_start(pool, got.loop, &pool_events, &got), GIPC_ELOCKED);
  drop_pool(pool);
}

static int use_in_fork(void *argument) {
  gipc_policy_stats stats = {.size = sizeof stats};
  uint64_t task;
  CHILD_CHECK(gipc_pool_try_put(argument, "e", 1, NULL, &task) ==
              GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_pool_cancel(argument, 1) == GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_pool_stop(argument, 0) == GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_pool_stats(argument, &stats) == GIPC_EWRONGPROC);
  ev_loop_fork(got.loop);
  ev_run(got.loop, EVRUN_NOWAIT);
  gipc_pool_free(argument);
  return 0;
}

/* Its loops are those of the parent, which it must not use. */
static int use_in_child(struct ev_loop *fresh, void *argument) {
  uint64_t task;
  CHECK_IS(gipc_pool_try_put(argument, "e", 1, NULL, &task), GIPC_EWRONGPROC);
  gipc_pool_free(argument);
  return 3;
}

static void a_fork_of_the_program_touches_no_worker(void **state) {
  gipc_pool *pool = new_pool("most=2 least=2");
  while (got.ready < 2)
    ev_run(got.loop, EVRUN_ONCE);
  put(pool, "e");
  in_own_fork(use_in_fork, pool);
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_DONE);
  for (int i = 0; i < 10; i++)
    CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  CHECK(got.started == 2 && got.off == 0);
  end_pool(pool);
}

static void a_function_child_touches_no_worker(void **state) {
  gipc_pool *pool = new_pool("most=1");
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  gipc_policy_stats stats = {.size = sizeof stats};
  CHECK_IS(in_child(use_in_child, pool, NULL), 3);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  CHECK_OK(gipc_pool_stats(pool, &stats));
  CHECK(stats.starts == 1);
  end_pool(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_pool_is_freed_in_on_result),
      TEST(a_pool_is_freed_in_on_worker),
      TEST(a_pool_is_freed_in_its_other_callbacks),
      TEST(a_pool_is_stopped_in_on_result),
      TEST(tasks_are_put_and_cancelled_in_on_result),
      TEST(an_answer_is_whole_behind_many_results),
      TEST(a_callback_may_run_the_loop),
      TEST(a_pool_survives_its_loop),
      TEST(a_fork_of_the_program_touches_no_worker),
      TEST(a_function_child_touches_no_worker),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
