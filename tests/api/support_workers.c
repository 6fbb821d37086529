/* Used by the tests of pools. */
#include "support_workers.h"

results got;
int fails_to_prepare;

/* ---- Workers ------------------------------------------------------------- */

static void describe_failure(gipc_worker_message *answer, const char *text,
                             size_t size) {
  answer->kind = GIPC_MESSAGE_FAILED;
  answer->type = (gipc_text){"TestError", 9};
  answer->text = (gipc_text){text, size};
  answer->trace = (gipc_text){"here", 4};
}

static void wait_for_file(const char *path, gipc_handle *h) {
  while (access(path, F_OK) != 0) {
    if (h != NULL)
      CHECK_OK(gipc_worker_alive(h));
    usleep(2000);
  }
}

static int command(const gipc_worker_message *task, gipc_worker_message *answer,
                   void *handle) {
  static char text[64];
  static char *big;
  const char *name = (const char *)task->data + 1;
  char argument[200];
  answer->data = argument;
  snprintf(argument, sizeof argument, "%.*s",
           task->data_size < 190 ? (int)task->data_size - 1 : 0, name);
  switch (*(const char *)task->data) {
  case 'e':
    answer->data = name;
    answer->data_size = task->data_size - 1;
    return 0;
  case 'f':
    describe_failure(answer, name, task->data_size - 1);
    return 0;
  case 'k':
    raise(SIGKILL);
    return 0;
  case 'x':
    _exit(3);
  case 'i':
    signal(SIGTERM, SIG_IGN);
    if (argument[0] != '\0')
      fclose(fopen(argument, "w"));
    /* fall through */
  case 'w':
    for (;;)
      pause();
  case 'o':
    wait_for_file(argument, NULL);
    break;
  case 'a':
    wait_for_file(argument, handle);
    break;
  case 'p':
    break;
  case 'm':
    big = malloc(64 << 20);
    memset(big, 1, 64 << 20);
    break;
  case 'b':
    free(big);
    answer->data_size = (size_t)atol(argument);
    big = malloc(answer->data_size + 1);
    fill(big, answer->data_size, 3);
    answer->data = big;
    return 0;
  case 'n':
    answer->data_size = (size_t)sprintf(text, "%d", (int)task->attempt);
    answer->data = text;
    return 0;
  default:
    return -ENOSYS;
  }
  answer->data_size = (size_t)sprintf(text, "%d", (int)getpid());
  answer->data = text;
  return 0;
}

int serve_commands(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  if (argument == &fails_to_prepare)
    return 5;
  return gipc_worker_serve(handle, command, handle) == 0 ? 0 : 1;
}

/* ---- Events -------------------------------------------------------------- */

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  CHECK(user == &got);
  got.count++;
  got.by_why[result->why]++;
  got.last = *result;
  bool failed = result->why == GIPC_WHY_FAILED;
  size_t size = failed ? result->text.size : result->data_size;
  got.last.data = got.data;
  size_t kept = size < 250 ? size : 250;
  if (kept > 0)
    memcpy(got.data, failed ? result->text.data : result->data, kept);
  got.data[kept] = '\0';
  if (got.on_result != NULL)
    got.on_result(pool, result);
  if (got.count == got.break_at)
    ev_break(got.loop, EVBREAK_ONE);
}

static void on_drain(gipc_pool *pool, void *user) { got.drains++; }

static void on_worker(gipc_pool *pool, const gipc_worker_change *change,
                      void *user) {
  got.started += change->state == GIPC_WORKER_STARTING;
  got.ready += change->state == GIPC_WORKER_READY;
  if (change->state == GIPC_WORKER_OFF) {
    got.off++;
    got.last_off = *change;
  }
  if (got.on_worker != NULL)
    got.on_worker(pool, change);
}

static void on_end(gipc_pool *pool, int why, void *user) {
  got.ends++;
  got.end_why = why;
}

const gipc_pool_events pool_events = {sizeof pool_events, on_result, on_drain,
                                      on_worker, on_end};

/* ---- Pools --------------------------------------------------------------- */

gipc_pool *pool_of(gipc_worker_function function, void *argument,
                   const char *text) {
  gipc_rules rules = {.size = sizeof rules};
  gipc_pool *pool = NULL;
  char name[32];
  double value;
  for (int size; sscanf(text, " %31[^=]=%lf%n", name, &value, &size) == 2;
       text += size)
    CHECK_OK(gipc_rules_set(&rules, name, value));
  CHECK_OK(gipc_pool_new(function, argument, &rules, NULL, &pool));
  return pool;
}

void start_pool(gipc_pool *pool) {
  got = (results){.loop = ev_loop_new(EVFLAG_AUTO)};
  CHECK_OK(gipc_pool_start(pool, got.loop, &pool_events, &got));
}

gipc_pool *new_pool(const char *rules) {
  gipc_pool *pool = pool_of(serve_commands, NULL, rules);
  start_pool(pool);
  return pool;
}

uint64_t put_with(gipc_pool *pool, const char *text,
                  const gipc_task_rules *rules) {
  uint64_t task = 0;
  CHECK_OK(gipc_pool_try_put(pool, text, strlen(text), rules, &task));
  CHECK(task != 0);
  return task;
}

uint64_t put(gipc_pool *pool, const char *text) {
  return put_with(pool, text, NULL);
}

void run_until(size_t count) {
  got.break_at = count;
  if (got.count < count)
    ev_run(got.loop, 0);
  CHECK_IS((long)got.count, (long)count);
}

int do_task(gipc_pool *pool, const char *text) {
  put(pool, text);
  run_until(got.count + 1);
  return got.last.why;
}

void end_pool(gipc_pool *pool) {
  CHECK_OK(gipc_pool_stop(pool, -1));
  got.break_at = 0;
  ev_run(got.loop, 0);
  CHECK_IS((long)got.ends, 1);
  drop_pool(pool);
}

void drop_pool(gipc_pool *pool) {
  gipc_pool_free(pool);
  ev_loop_destroy(got.loop);
  /* Workers that it killed are reaped by the next start, join or free. */
  while (has_children()) {
    gipc_process_free(NULL);
    usleep(1000);
  }
  gipc_process_free(NULL); /* of one that another reaper took */
}
