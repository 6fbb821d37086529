/* What becomes of tasks and workers when a worker ends, takes too long, is
 * silent, retires or cannot be started. */
#include "support_workers.h"

/* ---- Ends ---------------------------------------------------------------- */

static void a_worker_that_ends_fails_its_task_only(void **state) {
  gipc_pool *pool = new_pool("most=2");
  put(pool, "k");
  for (int i = 0; i < 30; i++)
    put(pool, "e");
  run_until(31);
  CHECK_IS((long)got.by_why[GIPC_WHY_DIED], 1);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 30);
  CHECK_IS(do_task(pool, "x"), GIPC_WHY_DIED);
  CHECK(got.last.has_info && got.last.info.code == 3);
  CHECK(got.last.pid > 0 && got.last.attempt == 1);
  CHECK_IS(do_task(pool, "k"), GIPC_WHY_DIED);
  CHECK(got.last.has_info && got.last.info.signal == SIGKILL);
  CHECK_IS(got.last_off.why, GIPC_WHY_NONE);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  end_pool(pool);
}

static void a_task_is_retried_where_asked_for(void **state) {
  gipc_pool *pool = new_pool("most=1");
  gipc_task_rules rules = {.size = sizeof rules, .retries = 1};
  put_with(pool, "k", &rules);
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_DIED);
  CHECK_IS(got.last.attempt, 2);
  rules.retry_for = GIPC_RETRY_FAILED;
  put_with(pool, "fx", &rules);
  run_until(2);
  CHECK_IS(got.last.why, GIPC_WHY_FAILED);
  CHECK_IS(got.last.attempt, 2);
  put_with(pool, "n", &rules);
  run_until(3);
  CHECK(strcmp(got.data, "1") == 0);
  CHECK_IS((long)got.started, 3);
  end_pool(pool);
}

static void a_poison_task_is_given_up(void **state) {
  gipc_pool *pool = new_pool("most=2 poison=3");
  gipc_task_rules rules = {.size = sizeof rules, .retries = 100};
  put_with(pool, "k", &rules);
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_POISON);
  CHECK_IS(got.last.attempt, 3);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  end_pool(pool);
}

/* ---- Too long ------------------------------------------------------------ */

static void a_timeout_stops_the_worker(void **state) {
  gipc_pool *pool = new_pool("most=1 grace=0.01");
  gipc_task_rules rules = {.size = sizeof rules, .timeout = 0.02};
  put_with(pool, "w", &rules);
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_TIMED_OUT);
  CHECK(got.last.has_info);
  rules.retries = 1;
  rules.retry_for = GIPC_RETRY_TIMED_OUT;
  put_with(pool, "w", &rules);
  put(pool, "e");
  run_until(3);
  CHECK_IS((long)got.by_why[GIPC_WHY_TIMED_OUT], 2);
  CHECK_IS(got.started, 4);
  end_pool(pool);
}

static void run_until_running(gipc_pool *pool) {
  gipc_policy_stats stats = {.size = sizeof stats};
  do {
    ev_run(got.loop, EVRUN_ONCE);
    CHECK_OK(gipc_pool_stats(pool, &stats));
  } while (stats.running == 0);
}

static void a_cancelled_task_is_stopped(void **state) {
  gipc_pool *pool = new_pool("most=1 grace=300");
  uint64_t running = put(pool, "w"), queued = put(pool, "e");
  run_until_running(pool);
  CHECK_OK(gipc_pool_cancel(pool, queued));
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_CANCELLED);
  CHECK(got.last.task == queued && got.last.attempt == 0);
  CHECK_OK(gipc_pool_cancel(pool, running));
  CHECK_OK(gipc_pool_cancel(pool, running)); /* as long as it has not ended */
  run_until(2);
  CHECK_IS(got.last.why, GIPC_WHY_CANCELLED);
  CHECK(got.last.task == running && got.last.attempt == 1);
  CHECK_IS(got.last.info.signal, SIGTERM);
  CHECK_IS(gipc_pool_cancel(pool, running), -ENOENT);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  end_pool(pool);
}

static void a_task_that_ignores_sigterm_is_killed(void **state) {
  gipc_pool *pool = new_pool("most=1 grace=0.01");
  char path[128], task[140];
  sprintf(task, "i%s", scratch("ignores", path));
  uint64_t running = put(pool, task);
  run_until_running(pool);
  while (access(path, F_OK) != 0)
    ev_run(got.loop, EVRUN_NOWAIT);
  CHECK_OK(gipc_pool_cancel(pool, running));
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_CANCELLED);
  CHECK_IS(got.last.info.signal, SIGKILL);
  CHECK_OK(remove(path));
  end_pool(pool);
}

static void silence_is_stopped(void **state) {
  gipc_pool *pool = new_pool("most=1 silence=0.2 dump=300");
  CHECK_OK(gipc_pool_set_dump_signal(pool, SIGUSR1)); /* ends it here */
  CHECK_IS(do_task(pool, "w"), GIPC_WHY_DIED);
  CHECK_IS(got.last.info.signal, SIGUSR1);
  end_pool(pool);
  pool = new_pool("most=1 silence=0.2 dump=0.01");
  CHECK_IS(do_task(pool, "w"), GIPC_WHY_SILENT);
  CHECK_IS(got.last_off.why, GIPC_WHY_SILENT);
  end_pool(pool);
}

static void a_worker_without_a_task_may_be_silent(void **state) {
  gipc_pool *pool = new_pool("most=2 least=2 silence=0.05 dump=0.01");
  gipc_policy_stats stats = {.size = sizeof stats};
  while (got.ready < 2)
    ev_run(got.loop, EVRUN_ONCE);
  /* The other one says as little, and for longer. */
  CHECK_IS(do_task(pool, "w"), GIPC_WHY_SILENT);
  CHECK_OK(gipc_pool_stats(pool, &stats));
  CHECK(got.off == 1 && stats.failures == 1);
  end_pool(pool);
}

static void signs_of_life_are_no_silence(void **state) {
  gipc_pool *pool = new_pool("most=1 silence=10 dump=300");
  char path[128], task[140];
  gipc_policy_stats stats = {.size = sizeof stats};
  sprintf(task, "a%s", scratch("go", path));
  put(pool, task);
  run_until_running(pool);
  for (int i = 0; i < 100; i++) /* each is a message, or some */
    ev_run(got.loop, EVRUN_ONCE);
  fclose(fopen(path, "w"));
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_DONE);
  CHECK_OK(gipc_pool_stats(pool, &stats));
  CHECK(stats.failures == 0);
  CHECK_OK(remove(path));
  end_pool(pool);
}

/* ---- Retirement ---------------------------------------------------------- */

static void workers_retire_after_so_many_tasks(void **state) {
  gipc_pool *pool = new_pool("most=1 retire_tasks=3");
  for (int i = 0; i < 9; i++)
    CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  end_pool(pool);
  CHECK_IS((long)got.started, 3);
}

static void workers_retire_at_their_memory(void **state) {
  if (portable())
    skip_because("the portable half does not know the memory of a process");
  not_under_valgrind();
  gipc_pool *pool = new_pool("most=1 retire_memory=67108864");
  CHECK_IS(do_task(pool, "p"), GIPC_WHY_DONE);
  pid_t first = got.last.pid;
  CHECK_IS(do_task(pool, "m"), GIPC_WHY_DONE);
  CHECK_IS(got.last.pid, first);
  CHECK_IS(do_task(pool, "p"), GIPC_WHY_DONE);
  CHECK(got.last.pid != first);
  CHECK_IS(got.last_off.why, GIPC_WHY_RETIRED);
  CHECK_IS(got.last_off.info.code, 0);
  end_pool(pool);
}

static void stop_when_off(gipc_pool *pool, const gipc_worker_change *change) {
  if (change->state == GIPC_WORKER_OFF)
    ev_break(got.loop, EVBREAK_ONE);
}

static void idle_workers_end(void **state) {
  gipc_pool *pool = new_pool("most=1 idle=0.01");
  got.on_worker = stop_when_off;
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  while (got.off == 0)
    ev_run(got.loop, EVRUN_ONCE);
  CHECK_IS(got.last_off.why, GIPC_WHY_IDLE);
  CHECK_IS(got.last_off.info.code, 0);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  end_pool(pool);
}

/* ---- Starts that fail ---------------------------------------------------- */

static void a_prepare_that_always_fails_is_given_up(void **state) {
  gipc_pool *pool =
      pool_of(serve_commands, &fails_to_prepare,
              "most=2 prepare_failures=3 first_delay=0.001 jitter=-1");
  start_pool(pool);
  put(pool, "e");
  put(pool, "e");
  put(pool, "e");
  ev_run(got.loop, 0);
  CHECK_IS((long)got.by_why[GIPC_WHY_GAVE_UP], 3);
  CHECK(got.ends == 1 && got.end_why == GIPC_WHY_GAVE_UP);
  CHECK(got.last_off.has_info && got.last_off.info.code == 5);
  CHECK(got.started >= 3 && got.started <= 6);
  uint64_t task;
  CHECK_IS(gipc_pool_try_put(pool, "e", 1, NULL, &task), GIPC_ECLOSED);
  drop_pool(pool);
}

static void a_program_that_is_not_there_is_given_up(void **state) {
  const char *const argv[] = {"/nonexistent/program", NULL};
  gipc_rules rules = {.size = sizeof rules, .most = 1, .first_delay = 0.001};
  gipc_pool *pool = NULL;
  CHECK_OK(gipc_pool_exec(argv, &rules, NULL, &pool));
  start_pool(pool);
  put(pool, "e");
  ev_run(got.loop, 0);
  CHECK_IS(got.last.why, GIPC_WHY_GAVE_UP);
  CHECK_IS(got.end_why, GIPC_WHY_GAVE_UP);
  CHECK_IS(got.last_off.error, -ENOENT);
  CHECK(!got.last_off.has_info && got.started == 0);
  drop_pool(pool);
}

/* ---- Programs ------------------------------------------------------------ */

static void workers_are_programs(void **state) {
  const char *const argv[] = {PROGRAM("child_worker"), "worker", NULL};
  gipc_rules rules = {.size = sizeof rules, .most = 2, .least = 2};
  gipc_pool *pool = NULL;
  CHECK_OK(gipc_pool_exec(argv, &rules, NULL, &pool));
  start_pool(pool);
  for (int i = 0; i < 20; i++)
    put(pool, "abc");
  run_until(20);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 20);
  CHECK(strcmp(got.data, "cba") == 0);
  end_pool(pool);
  CHECK_IS(got.last_off.info.code, 0);
}

/* Of workers that a shell starts. */
static gipc_pool *pool_of_shells(const char *script, const char *argument) {
  const char *const argv[] = {"/bin/sh", "-c", script, PROGRAM("child_worker"),
                              argument,  NULL};
  gipc_rules rules = {.size = sizeof rules, .most = 1, .first_delay = 0.01};
  gipc_options *o = new_options();
  gipc_pool *pool = NULL;
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_NULL, -1));
  CHECK_OK(gipc_pool_exec(argv, &rules, o, &pool));
  gipc_options_free(o); /* they were copied */
  start_pool(pool);
  return pool;
}

static void workers_are_behind_a_launcher(void **state) {
  gipc_pool *pool = pool_of_shells("exec \"$0\" stdio", NULL);
  CHECK_IS(do_task(pool, "abc"), GIPC_WHY_DONE);
  CHECK(strcmp(got.data, "cba") == 0);
  CHECK_IS(do_task(pool, "die"), GIPC_WHY_DIED);
  CHECK_IS(got.last.info.code, 4);
  CHECK_IS(do_task(pool, "xyz"), GIPC_WHY_DONE);
  end_pool(pool);
}

/* It lives, and its stdout is open. */
static void a_worker_that_closes_its_stdin_is_stopped(void **state) {
  gipc_policy_stats stats = {.size = sizeof stats};
  char path[128];
  /* Before its first task, the second one in a task that it does not answer. */
  gipc_pool *pool = pool_of_shells(
      "ready() { printf '\\0\\0\\0\\2R\\1'; };"
      "mkdir \"$1\" && { exec <&-; ready; exec sleep 1000; };"
      "mkdir \"$1/2\" && { ready; head -c 1 >&2; exec sleep 1000 <&-; };"
      "exec \"$0\" stdio",
      scratch("stdin", path));
  CHECK_IS(do_task(pool, "abc"), GIPC_WHY_PROTOCOL);
  CHECK_IS(got.last.attempt, 1);
  CHECK_OK(gipc_pool_stats(pool, &stats));
  CHECK_IS(stats.failures, 2);
  CHECK_IS(do_task(pool, "abc"), GIPC_WHY_DONE);
  end_pool(pool);
  sprintf(path + strlen(path), "/2");
  CHECK_OK(rmdir(path));
  *strrchr(path, '/') = '\0';
  CHECK_OK(rmdir(path));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_worker_that_ends_fails_its_task_only),
      TEST(a_task_is_retried_where_asked_for),
      TEST(a_poison_task_is_given_up),
      TEST(a_timeout_stops_the_worker),
      TEST(a_cancelled_task_is_stopped),
      TEST(a_task_that_ignores_sigterm_is_killed),
      TEST(silence_is_stopped),
      TEST(a_worker_without_a_task_may_be_silent),
      TEST(signs_of_life_are_no_silence),
      TEST(workers_retire_after_so_many_tasks),
      TEST(workers_retire_at_their_memory),
      TEST(idle_workers_end),
      TEST(a_prepare_that_always_fails_is_given_up),
      TEST(a_program_that_is_not_there_is_given_up),
      TEST(workers_are_programs),
      TEST(workers_are_behind_a_launcher),
      TEST(a_worker_that_closes_its_stdin_is_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
