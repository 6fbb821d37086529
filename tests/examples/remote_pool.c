/* A pool whose workers are programs behind a launcher, which places them:
 *   remote_pool ssh -T HOST /path/remote_pool
 *   remote_pool srun -Q -n 1 -N 1 --unbuffered /path/remote_pool
 * Without arguments they are here, with an empty environment. */
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <stdio.h>
#include <string.h>

enum { WORKERS = 2, TASKS = 100, WORDS = 32 };

static long sum;

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* As text, which is the same on every machine. */
static long number_in(const void *data, size_t size) {
  char text[32];
  long number;

  snprintf(text, sizeof(text), "%.*s", (int)size, (const char *)data);
  if (sscanf(text, "%ld", &number) != 1)
    errx(1, "not a number");
  return number;
}

static int square(const gipc_worker_message *task, gipc_worker_message *answer,
                  void *user) {
  static char text[32];
  long number = number_in(task->data, task->data_size);

  (void)user;
  answer->data = text;
  answer->data_size =
      (size_t)snprintf(text, sizeof(text), "%ld", number * number);
  return 0;
}

/* The program behind the launcher. */
static int worker(void) {
  gipc_handle *handle;

  must(gipc_stdio(&handle), "gipc_stdio");
  return gipc_worker_serve(handle, square, NULL) == 0 ? 0 : 1;
}

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  (void)pool;
  (void)user;
  if (result->why != GIPC_WHY_DONE)
    errx(1, "a task failed: %d", result->why);
  sum += number_in(result->data, result->data_size);
}

static gipc_pool *new_pool(const char *const command[]) {
  const gipc_rules rules = {.size = sizeof(rules), .most = WORKERS};
  gipc_options *options;
  gipc_pool *pool;

  must(gipc_options_new(&options), "gipc_options_new");
  for (int fd = 0; fd < 2; fd++) /* that is what a launcher carries */
    must(gipc_options_set_stdio(options, fd, GIPC_STDIO_PIPE, -1), "set_stdio");
  must(gipc_pool_exec(command, &rules, options, &pool), "gipc_pool_exec");
  gipc_options_free(options);
  return pool;
}

int main(int argc, char *argv[]) {
  const char *command[WORDS] = {"env", "-i", argv[0]};
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  const gipc_pool_events events = {.size = sizeof(events),
                                   .on_result = on_result};
  const gipc_task_rules once_more = {.size = sizeof(once_more), .retries = 1};
  int words = argc > 1 ? argc - 1 : 3;
  gipc_pool *pool;

  if (argc == 2 && strcmp(argv[1], "worker") == 0)
    return worker();
  if (words > WORDS - 2)
    errx(1, "too many words");
  for (int i = 1; i < argc; i++)
    command[i - 1] = argv[i];
  command[words] = "worker";

  pool = new_pool(command);
  must(gipc_pool_start(pool, loop, &events, NULL), "gipc_pool_start");
  for (long number = 0; number < TASKS; number++) {
    char text[32];
    int size = snprintf(text, sizeof(text), "%ld", number);
    uint64_t task;
    must(gipc_pool_try_put(pool, text, (size_t)size, &once_more, &task),
         "gipc_pool_try_put");
  }
  must(gipc_pool_stop(pool, -1), "gipc_pool_stop"); /* when all are done */
  ev_run(loop, 0);
  gipc_pool_free(pool);
  printf("%ld\n", sum);
  return 0;
}
