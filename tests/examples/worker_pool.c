/* Three workers of a pool share a hundred tasks.  One task ends its worker: it
 * is the only one that fails. */
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { WORKERS = 3, TASKS = 100, UNLUCKY = 13 };

static uint64_t sum;
static int died;

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* Both ends are this program, so numbers go as they are in memory; a message
 * need not be aligned. */
static uint64_t number_in(const void *data, size_t size) {
  uint64_t number;

  if (size != sizeof(number))
    errx(1, "not a number");
  memcpy(&number, data, sizeof(number));
  return number;
}

/* Task n: the sum of the squares below n. */
static int add_squares(const gipc_worker_message *task,
                       gipc_worker_message *answer, void *user) {
  static uint64_t squares;
  uint64_t n = number_in(task->data, task->data_size);

  (void)user;
  if (n == UNLUCKY)
    raise(SIGKILL);
  squares = 0;
  for (uint64_t i = 0; i < n; i++)
    squares += i * i;
  answer->data = &squares;
  answer->data_size = sizeof(squares);
  return 0;
}

static int work(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  (void)fresh;
  (void)argument;
  return gipc_worker_serve(handle, add_squares, NULL) == 0 ? 0 : 1;
}

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  (void)pool;
  (void)user;
  if (result->why == GIPC_WHY_DONE)
    sum += number_in(result->data, result->data_size);
  else if (result->why == GIPC_WHY_DIED && result->info.signal == SIGKILL)
    died++;
}

int main(void) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  const gipc_rules rules = {.size = sizeof(rules), .most = WORKERS};
  const gipc_pool_events events = {.size = sizeof(events),
                                   .on_result = on_result};
  gipc_pool *pool;
  uint64_t task;

  must(gipc_pool_new(work, NULL, &rules, NULL, &pool), "gipc_pool_new");
  must(gipc_pool_start(pool, loop, &events, NULL), "gipc_pool_start");
  for (uint64_t n = 1; n <= TASKS; n++)
    must(gipc_pool_try_put(pool, &n, sizeof(n), NULL, &task), "try_put");
  must(gipc_pool_stop(pool, -1), "gipc_pool_stop");
  ev_run(loop, 0); /* until all are done, and the workers have ended */
  gipc_pool_free(pool);
  printf("%d died\n%" PRIu64 "\n", died, sum);
  return 0;
}
