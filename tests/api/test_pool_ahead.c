/* Tasks that a worker is sent before it has answered the one that it carries
 * out, and those that it was sent and has not begun. */
#include "support_workers.h"

#include <poll.h>

static void only_the_task_that_it_had_begun_dies_with_a_worker(void **state) {
  gipc_pool *pool = new_pool("most=1 ahead=4 first_delay=0.001");
  gipc_policy_stats stats = {.size = sizeof stats};
  const char *tasks[] = {"e", "k", "n", "n", "e"};
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
    put(pool, tasks[i]);
  run_until(5);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 4);
  CHECK_IS((long)got.by_why[GIPC_WHY_DIED], 1);
  CHECK_OK(gipc_pool_stats(pool, &stats));
  CHECK(stats.retries == 0 && stats.starts == 2);
  end_pool(pool);
}

/* The one behind a task that answers when a file is there. */
static void a_task_that_was_sent_ahead_can_be_cancelled(void **state) {
  char file[128], task[200];
  gipc_pool *pool = new_pool("most=1 ahead=1");
  scratch("answers", file);
  snprintf(task, sizeof task, "o%s", file);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
  put(pool, task);
  uint64_t second = put(pool, "w");
  ev_run(got.loop, EVRUN_NOWAIT);
  CHECK_OK(gipc_pool_cancel(pool, second));
  ev_run(got.loop, EVRUN_NOWAIT);
  CHECK_IS((long)got.count, 1);
  fclose(fopen(file, "w"));
  run_until(3);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], 2);
  CHECK_IS((long)got.by_why[GIPC_WHY_CANCELLED], 1);
  CHECK_OK(remove(file));
  end_pool(pool);
}

/* The write queue of a worker is short: they wait in that of the pool. */
static void large_tasks_are_sent_when_there_is_room(void **state) {
  enum { SIZE = 300000, COUNT = 20 };
  static char task[SIZE];
  gipc_pool *pool = new_pool("most=1 ahead=10");
  uint64_t number;
  memset(task, 'x', sizeof task);
  task[0] = 'e';
  for (int i = 0; i < COUNT; i++)
    CHECK_OK(gipc_pool_try_put(pool, task, sizeof task, NULL, &number));
  run_until(COUNT);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], COUNT);
  CHECK_IS((long)got.started, 1);
  end_pool(pool);
}

static void a_launcher_is_sent_no_task_ahead(void **state) {
  const char *argv[] = {"cat", NULL};
  gipc_rules rules = {.size = sizeof rules, .ahead = 1};
  gipc_options *options = NULL;
  gipc_pool *pool = NULL;
  CHECK_OK(gipc_options_new(&options));
  CHECK_OK(gipc_options_set_stdio(options, 0, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(options, 1, GIPC_STDIO_PIPE, -1));
  CHECK_IS(gipc_pool_exec(argv, &rules, options, &pool), -EINVAL);
  rules.ahead = 0;
  CHECK_OK(gipc_pool_exec(argv, &rules, options, &pool));
  gipc_pool_free(pool);
  gipc_options_free(options);
}

/* ---- A worker that ends after its answer ----------------------------------
 */

/* Pipes, of the worker and of the test, for a step each. */
static int from_worker[2], from_test[2];

static void step(int tell, int await) {
  char byte = 0;
  CHECK(write(tell, &byte, 1) == 1 && read(await, &byte, 1) == 1);
}

/* It closes its stream after its answer to the last task, and ends after that.
 */
static int answer_and_close(struct ev_loop *fresh, gipc_handle *h,
                            void *argument) {
  const void *data;
  size_t size;
  char answer[9] = "D";
  CHECK_OK(gipc_put(h, "R\1", 2, -1));
  for (int left = *(int *)argument; left > 0; left--) {
    CHECK_OK(gipc_get(h, -1, &data, &size));
    memcpy(answer + 1, (const char *)data + 1, 8);
    if (left == 1)
      step(from_worker[1], from_test[0]);
    CHECK_OK(gipc_put(h, answer, sizeof answer, -1));
  }
  CHECK_OK(gipc_close(h));
  step(from_worker[1], from_test[0]);
  return 0;
}

/* Its answer and the end of its stream are there before the pool reads; at
 * first in the socket, then in a ring. */
static void a_worker_that_ends_after_its_answer_costs_no_task(void **state) {
  CHECK(pipe(from_worker) == 0 && pipe(from_test) == 0);
  for (int tasks = 1; tasks <= 41; tasks += 40) {
    gipc_pool *pool = pool_of(answer_and_close, &tasks, "most=1");
    struct pollfd last = {.fd = from_worker[0], .events = POLLIN};
    char byte;
    start_pool(pool);
    for (int i = 0; i < 2 * tasks; i++)
      put(pool, "e");
    for (int round = 1; round <= 2; round++) {
      while (poll(&last, 1, 0) == 0) {
        ev_run(got.loop, EVRUN_NOWAIT);
        CHECK_IS((long)got.by_why[GIPC_WHY_DIED], 0);
      }
      CHECK(read(from_worker[0], &byte, 1) == 1);
      step(from_test[1], from_worker[0]);
      run_until((size_t)(tasks * round));
      ev_run(got.loop, EVRUN_NOWAIT);
      CHECK(write(from_test[1], "", 1) == 1);
    }
    run_until((size_t)tasks * 2);
    CHECK_IS((long)got.by_why[GIPC_WHY_DONE], tasks * 2);
    end_pool(pool);
  }
  for (int i = 0; i < 2; i++)
    CHECK(close(from_worker[i]) == 0 && close(from_test[i]) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(only_the_task_that_it_had_begun_dies_with_a_worker),
      TEST(a_task_that_was_sent_ahead_can_be_cancelled),
      TEST(large_tasks_are_sent_when_there_is_room),
      TEST(a_launcher_is_sent_no_task_ahead),
      TEST(a_worker_that_ends_after_its_answer_costs_no_task),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
