/* A worker in C, for a pool in any language; it ends with the pool.
 *   worker raw       reverses each task, but for these:
 *     fail           fails, with the class Refused
 *     exit           exits with 7
 *     kill           ends by SIGKILL
 *     hang           lasts until SIGTERM
 *   worker msgpack   answers with the value that it got
 */
#include "peer.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is(const gipc_worker_message *task, const char *word) {
  return task->data_size == strlen(word) &&
         memcmp(task->data, word, strlen(word)) == 0;
}

static gipc_text text_of(const char *text) {
  gipc_text made = {text, strlen(text)};
  return made;
}

static void refuse(gipc_worker_message *answer) {
  answer->kind = GIPC_MESSAGE_FAILED;
  answer->type = text_of("Refused");
  answer->text = text_of("too gro\303\237");
  answer->trace = text_of("worker.c: refuse");
}

static int reverse(const gipc_worker_message *task, gipc_worker_message *answer,
                   void *user) {
  static char *reversed;
  const char *data = task->data;

  (void)user;
  if (is(task, "fail"))
    return refuse(answer), 0;
  if (is(task, "exit"))
    exit(7);
  if (is(task, "kill"))
    raise(SIGKILL);
  while (is(task, "hang"))
    pause();
  free(reversed);
  if ((reversed = malloc(task->data_size + 1)) == NULL)
    fail("no memory");
  for (size_t i = 0; i < task->data_size; i++)
    reversed[i] = data[task->data_size - 1 - i];
  answer->data = reversed;
  answer->data_size = task->data_size;
  return 0;
}

/* C has no values: bytes are what it carries. */
static int same(const gipc_worker_message *task, gipc_worker_message *answer,
                void *user) {
  (void)user;
  answer->data = task->data;
  answer->data_size = task->data_size;
  return 0;
}

int main(int argc, char **argv) {
  gipc_handle *pool;
  if (argc != 2)
    fail("worker raw | msgpack");
  check(gipc_inherit("worker", &pool), "gipc_inherit");
  check(gipc_worker_serve(pool, argv[1][0] == 'r' ? reverse : same, NULL),
        "gipc_worker_serve");
  return 0;
}
