/* Three workers of a pool share a hundred tasks.  A task that ends its worker,
 * takes too long or is refused fails alone. */
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 3, TASKS = 100 };

static long sum;

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* Both ends are this program, so numbers go as they are in memory; a message
 * need not be aligned. */
static long number_in(const void *data, size_t size) {
  long number;

  if (size != sizeof(number))
    errx(1, "not a number");
  memcpy(&number, data, sizeof(number));
  return number;
}

static int square(const gipc_worker_message *task, gipc_worker_message *answer,
                  void *user) {
  static long result;
  long number = number_in(task->data, task->data_size);

  (void)user;
  if (number == -1)
    exit(3); /* as a worker that crashes */
  while (number == -2)
    pause();
  if (number < 0) {
    answer->kind = GIPC_MESSAGE_FAILED;
    answer->text = (gipc_text){"less than 0", 11};
    return 0;
  }
  result = number * number;
  answer->data = &result;
  answer->data_size = sizeof(result);
  return 0;
}

static int work(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  (void)fresh;
  (void)argument;
  return gipc_worker_serve(handle, square, NULL) == 0 ? 0 : 1;
}

static void put(gipc_pool *pool, long number, double timeout) {
  const gipc_task_rules rules = {.size = sizeof(rules), .timeout = timeout};
  uint64_t task;

  must(gipc_pool_try_put(pool, &number, sizeof(number), &rules, &task),
       "gipc_pool_try_put");
}

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  (void)user;
  switch (result->why) {
  case GIPC_WHY_DONE:
    sum += number_in(result->data, result->data_size);
    break;
  case GIPC_WHY_DIED:
    printf("-1: its worker ended with %d\n", result->info.code);
    put(pool, -2, 0.1);
    break;
  case GIPC_WHY_TIMED_OUT:
    printf("-2: it took too long\n");
    put(pool, -3, -1);
    break;
  default:
    printf("-3: %.*s\n", (int)result->text.size, result->text.data);
    must(gipc_pool_stop(pool, -1), "gipc_pool_stop");
  }
}

int main(void) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  const gipc_rules rules = {.size = sizeof(rules), .most = WORKERS};
  const gipc_pool_events events = {.size = sizeof(events),
                                   .on_result = on_result};
  gipc_pool *pool;

  must(gipc_pool_new(work, NULL, &rules, NULL, &pool), "gipc_pool_new");
  must(gipc_pool_start(pool, loop, &events, NULL), "gipc_pool_start");
  for (long number = 0; number < TASKS; number++)
    put(pool, number, -1);
  put(pool, -1, -1);
  ev_run(loop, 0); /* until all are done, and the workers have ended */
  gipc_pool_free(pool);
  printf("%ld\n", sum);
  return 0;
}
