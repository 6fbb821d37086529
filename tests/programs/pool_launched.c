/* A pool whose workers are behind a launcher, which is killed in a task.
 *   pool_launched FIFO LAUNCHER...    the command that starts a worker there
 *   pool_launched worker              the worker */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <gipc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORKERS = 2, TASKS = 50, LARGE = 1000000 };

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* ---- The worker -----------------------------------------------------------
 */

static int work(const gipc_worker_message *task, gipc_worker_message *answer,
                void *user) {
  static char text[LARGE + 1];
  char byte;

  (void)user;
  if (task->data_size > LARGE)
    return GIPC_ETOOBIG;
  memcpy(text, task->data, task->data_size);
  text[task->data_size] = '\0';
  printf("printed with %zu bytes in hand\n", task->data_size);
  if (strncmp(text, "hold ", 5) == 0) {
    int fd = open(text + 5, O_RDONLY);
    while (read(fd, &byte, 1) > 0) /* until the pool lets it go on */
      ;
  }
  for (size_t i = 0; i < task->data_size; i++)
    text[i] = (char)toupper((unsigned char)text[i]);
  answer->data = text;
  answer->data_size = task->data_size;
  return 0;
}

static int worker(void) {
  gipc_handle *pool;

  if (!isatty(1))
    printf("printed before\n"); /* and still in a buffer */
  must(gipc_stdio(&pool), "gipc_stdio");
  return gipc_worker_serve(pool, work, NULL) == 0 ? 0 : 2;
}

/* ---- The pool -------------------------------------------------------------
 */

static const char *fifo;
static int fifo_fd = -1, finished;
static gipc_pool *pool;
static ev_timer look;

static void put(const char *data, size_t size) {
  const gipc_task_rules rules = {.size = sizeof(rules), .retries = 1};
  uint64_t task;

  must(gipc_pool_try_put(pool, data, size, &rules, &task), "try_put");
}

static void put_all(void) {
  static char large[LARGE];
  char text[32];

  for (int number = 0; number < TASKS; number++)
    put(text, (size_t)snprintf(text, sizeof(text), "task %d", number));
  memset(large, 'x', LARGE);
  put(large, LARGE);
}

static void put_one_that_waits(void) {
  const gipc_task_rules rules = {.size = sizeof(rules)};
  char text[600];
  uint64_t task;
  int size = snprintf(text, sizeof(text), "hold %s", fifo);

  must(gipc_pool_try_put(pool, text, (size_t)size, &rules, &task), "try_put");
}

/* The end of a launcher is that of its worker. */
static void on_time(struct ev_loop *loop, ev_timer *timer, int events) {
  gipc_worker_stats stats = {.size = sizeof(stats)};

  (void)events;
  fifo_fd = open(fifo, O_WRONLY | O_NONBLOCK);
  if (fifo_fd < 0)
    return; /* no worker has it yet */
  ev_timer_stop(loop, timer);
  for (size_t slot = 0; slot < WORKERS; slot++) {
    must(gipc_pool_worker_stats(pool, slot, &stats), "worker_stats");
    if (stats.pid > 0)
      kill(stats.pid, SIGKILL);
  }
}

/* On a busy machine what was killed ends later. */
static void when_all_ended(struct ev_loop *loop, ev_timer *timer, int events) {
  gipc_policy_stats stats = {.size = sizeof(stats)};

  (void)events;
  must(gipc_pool_stats(pool, &stats), "gipc_pool_stats");
  if (stats.failures < WORKERS)
    return;
  ev_timer_stop(loop, timer);
  close(fifo_fd);
  put_all();
}

static void expect_done(const gipc_result *result) {
  const char *data = result->data;

  if (result->why != GIPC_WHY_DONE)
    errx(1, "a task failed: %d, %.*s", result->why, (int)result->text.size,
         result->text.data);
  if (result->data_size == LARGE ? data[LARGE - 1] != 'X'
                                 : memcmp(data, "TASK ", 5) != 0)
    errx(1, "another result");
}

static void on_result(gipc_pool *p, const gipc_result *result, void *user) {
  struct ev_loop *loop = user;

  (void)p;
  finished++;
  if (finished == TASKS + 2) {
    if (result->why != GIPC_WHY_DIED || result->info.signal != SIGKILL)
      errx(1, "the task of a killed launcher: %d", result->why);
    ev_timer_init(&look, when_all_ended, 0.01, 0.01);
    ev_timer_start(loop, &look);
    return;
  }
  expect_done(result);
  if (finished == TASKS + 1) {
    put_one_that_waits();
    ev_timer_init(&look, on_time, 0.01, 0.01);
    ev_timer_start(loop, &look);
  } else if (finished == 2 * (TASKS + 1) + 1) {
    must(gipc_pool_stop(p, -1), "gipc_pool_stop");
  }
}

static gipc_pool *new_pool(char *argv[]) {
  const gipc_rules rules = {
      .size = sizeof(rules), .most = WORKERS, .first_delay = 0.001};
  gipc_options *options;
  gipc_pool *made;

  must(gipc_options_new(&options), "gipc_options_new");
  for (int fd = 0; fd < 2; fd++)
    must(gipc_options_set_stdio(options, fd, GIPC_STDIO_PIPE, -1), "set_stdio");
  must(gipc_pool_exec((const char *const *)argv, &rules, options, &made),
       "gipc_pool_exec");
  gipc_options_free(options);
  return made;
}

int main(int argc, char *argv[]) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  const gipc_pool_events events = {.size = sizeof(events),
                                   .on_result = on_result};
  gipc_policy_stats stats = {.size = sizeof(stats)};

  if (argc == 2 && strcmp(argv[1], "worker") == 0)
    return worker();
  if (argc < 3)
    errx(1, "what is the fifo, and what the launcher?");
  fifo = argv[1];
  if (mkfifo(fifo, 0600) < 0)
    err(1, "%s", fifo);
  pool = new_pool(argv + 2);
  must(gipc_pool_start(pool, loop, &events, loop), "gipc_pool_start");
  put_all();
  ev_run(loop, 0); /* until all are done, and the workers have ended */
  must(gipc_pool_stats(pool, &stats), "gipc_pool_stats");
  gipc_pool_free(pool);
  if (finished != 2 * (TASKS + 1) + 1 || stats.failures != WORKERS ||
      stats.starts > 2 * WORKERS)
    errx(1, "%d tasks, %d failures, %d starts", finished, (int)stats.failures,
         (int)stats.starts);
  return 0;
}
