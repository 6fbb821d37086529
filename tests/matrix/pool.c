/* A pool in C, of workers in any language.
 *   pool TABLE COMMAND...
 * TABLE is that of parent.c, for the workers' language.  COMMAND starts a
 * worker.  Each step is named on stdout before it begins.
 */
#include "peer.h"

#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  WORDS = 16,
  MANY = 100,
  VALUES = 512,
  ONE_MIB = 1 << 20,
  LONGEST = 4096
};

typedef struct task task;
/* What a result must be. */
struct task {
  int why; /* GIPC_WHY_NONE: expect() looks at it */
  void (*expect)(const task *t, const gipc_result *result);
  const char *data; /* of the result, or of the table */
  size_t size;
  const char *may_be; /* of the table */
};

static const char *command[WORDS];
static task tasks[VALUES];
static int added, finished;

static void step(const char *name) {
  puts(name);
  fflush(stdout);
}

static void put(gipc_pool *pool, const void *data, size_t size, task expected,
                double timeout) {
  task *t = &tasks[added++ % VALUES];
  gipc_task_rules rules = {.size = sizeof rules, .timeout = timeout, .user = t};
  uint64_t number;
  *t = expected;
  check(gipc_pool_try_put(pool, data, size, &rules, &number), "try_put");
}

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  const task *t = result->user;
  (void)pool;
  (void)user;
  if (t->why != GIPC_WHY_NONE && result->why != t->why) {
    fprintf(stderr, "task %d: why is %d, not %d: %.*s\n", (int)result->task,
            result->why, t->why, (int)result->text.size, result->text.data);
    exit(1);
  }
  if (t->expect != NULL)
    t->expect(t, result);
  finished++;
}

/* A worker that nobody killed has ended by itself, with 0. */
static void on_worker(gipc_pool *pool, const gipc_worker_change *change,
                      void *user) {
  (void)pool;
  (void)user;
  if (change->why == GIPC_WHY_STOPPED && change->has_info &&
      (change->info.signal != 0 || change->info.code != 0))
    fail("a worker did not end at the end of the stream");
}

/* Runs the tasks that add() puts, until all have finished. */
static void run(const char *codec, void (*add)(gipc_pool *, const char *),
                const char *table) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_rules rules = {
      .size = sizeof rules, .most = 2, .first_delay = 0.001, .grace = 600};
  gipc_pool_events events = {
      .size = sizeof events, .on_result = on_result, .on_worker = on_worker};
  gipc_pool *pool;
  int n = 0;
  while (command[n] != NULL)
    n++;
  command[n] = codec;
  check(gipc_pool_exec(command, &rules, NULL, &pool), "gipc_pool_exec");
  command[n] = NULL;
  check(gipc_pool_start(pool, loop, &events, NULL), "gipc_pool_start");
  add(pool, table);
  check(gipc_pool_stop(pool, -1), "gipc_pool_stop");
  ev_run(loop, 0);
  gipc_pool_free(pool);
  ev_loop_destroy(loop);
  if (added == 0 || finished != added)
    fail("a task has no result");
}

/* ---- Bytes ----------------------------------------------------------------
 */

static void expect_reverse(const task *t, const gipc_result *result) {
  const char *got = result->data;
  size_t i = 0;
  while (i < t->size && i < result->data_size &&
         got[i] == t->data[t->size - 1 - i])
    i++;
  if (i < t->size || result->data_size != t->size)
    fail("a result is not the task in reverse");
}

static void expect_refusal(const task *t, const gipc_result *result) {
  char text[LONGEST];
  (void)t;
  snprintf(text, sizeof text, "%.*s: %.*s", (int)result->type.size,
           result->type.data, (int)result->text.size, result->text.data);
  if (strstr(text, "Refused: too gro\303\237") == NULL)
    fail(text);
  snprintf(text, sizeof text, "%.*s", (int)result->trace.size,
           result->trace.data);
  if (strstr(text, "worker.") == NULL)
    fail(text);
}

static void expect_code(const task *t, const gipc_result *result) {
  (void)t;
  if (result->attempt != 1 || !result->has_info || result->info.code != 7)
    fail("the worker did not exit with 7");
}

static void expect_kill(const task *t, const gipc_result *result) {
  (void)t;
  if (!result->has_info || result->info.signal != SIGKILL)
    fail("the worker was not killed");
}

/* SIGTERM ends the worker; SIGKILL would take ten minutes. */
static void expect_term(const task *t, const gipc_result *result) {
  (void)t;
  if (!result->has_info || result->info.signal != SIGTERM)
    fail("the worker did not end by SIGTERM");
}

static void put_word(gipc_pool *pool, const char *word, int why,
                     void (*expect)(const task *, const gipc_result *),
                     double timeout) {
  task expected = {.why = why, .expect = expect};
  put(pool, word, strlen(word), expected, timeout);
}

static void put_bytes(gipc_pool *pool, const char *table) {
  static char many[MANY][16], large[ONE_MIB];
  task expected = {.why = GIPC_WHY_DONE, .expect = expect_reverse};
  (void)table;
  for (int i = 0; i < MANY; i++) {
    expected.data = many[i];
    expected.size = (size_t)snprintf(many[i], sizeof many[i], "task %d", i);
    put(pool, expected.data, expected.size, expected, -1);
    if (i == 20)
      put_word(pool, "fail", GIPC_WHY_FAILED, expect_refusal, -1);
    if (i == 40)
      put_word(pool, "exit", GIPC_WHY_DIED, expect_code, -1);
    if (i == 60)
      put_word(pool, "kill", GIPC_WHY_DIED, expect_kill, -1);
    if (i == 80)
      put_word(pool, "hang", GIPC_WHY_TIMED_OUT, expect_term, 0.05);
  }
  for (size_t i = 0; i < sizeof large; i++)
    large[i] = (char)(i * 31 >> 3);
  expected.data = large;
  expected.size = sizeof large;
  put(pool, expected.data, expected.size, expected, -1);
}

/* ---- Values ---------------------------------------------------------------
 */

static size_t from_hex(const char *hex, char *bytes) {
  size_t size = 0;
  for (unsigned byte; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
    bytes[size] = (char)byte;
  return size;
}

static bool is_same(const gipc_result *result, const char *hex) {
  char bytes[LONGEST];
  size_t size = from_hex(hex, bytes);
  return result->why == GIPC_WHY_DONE && result->data_size == size &&
         memcmp(result->data, bytes, size) == 0;
}

static void expect_value(const task *t, const gipc_result *result) {
  bool is_refused = result->why == GIPC_WHY_FAILED && *t->may_be == '-';
  if (!is_refused && !is_same(result, t->data) && !is_same(result, t->may_be))
    fail(t->data);
}

static void put_values(gipc_pool *pool, const char *table) {
  static char sent[VALUES][LONGEST / 2], may_be[VALUES][LONGEST / 2];
  char codec[16], bytes[LONGEST];
  FILE *file = fopen(table, "r");
  if (file == NULL)
    fail(table);
  for (int i = 0; i < VALUES && fscanf(file, "%15s %2047s %2047s", codec,
                                       sent[i], may_be[i]) == 3;
       i++) {
    task expected = {
        .expect = expect_value, .data = sent[i], .may_be = may_be[i]};
    if (strcmp(codec, "msgpack") == 0)
      put(pool, bytes, from_hex(sent[i], bytes), expected, -1);
  }
  fclose(file);
}

int main(int argc, char **argv) {
  if (argc < 3 || argc >= WORDS)
    fail("pool TABLE COMMAND...");
  for (int i = 2; i < argc; i++)
    command[i - 2] = argv[i];
  step("tasks");
  run("raw", put_bytes, NULL);
  step("values");
  run("msgpack", put_values, argv[1]);
  return 0;
}
