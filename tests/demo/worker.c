/* A worker of the demo in C; message.h describes the messages. */
#include <err.h>
#include <stdlib.h>

#include <gipc.h>

#include "message.h"

static rule counting;

static int count(const gipc_worker_message *task, gipc_worker_message *answer,
                 void *user) {
  msgpack_sbuffer *message = user;
  const void *data;
  size_t size;
  tally t;

  if (message_to_chunk(task->data, task->data_size, &data, &size) < 0)
    return GIPC_EPROTOCOL;
  tally_count(&t, &counting, data, size);
  message_of_tally(message, &t, "C");
  answer->data = message->data;
  answer->data_size = message->size;
  return 0;
}

int main(void) {
  gipc_handle *pool;
  msgpack_sbuffer message;
  int r = gipc_inherit("worker", &pool);

  if (r < 0)
    errx(1, "gipc_inherit: %s", gipc_strerror(r));
  msgpack_sbuffer_init(&message);
  rule_init(&counting, getenv("UNPRINTABLE_IS_WORD") != NULL);
  if ((r = gipc_worker_serve(pool, count, &message)) < 0)
    errx(1, "gipc_worker_serve: %s", gipc_strerror(r));
  msgpack_sbuffer_destroy(&message);
  gipc_handle_free(pool);
  return 0;
}
