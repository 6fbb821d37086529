/* A worker of the demo in C; message.h describes the messages.  A plain program
 * that blocks: it has nothing else to do. */
#include <err.h>

#include <gipc.h>

#include "message.h"

static void put(gipc_handle *demo, const msgpack_sbuffer *message) {
  int r = gipc_put(demo, message->data, message->size, -1);

  if (r < 0)
    errx(1, "gipc_put: %s", gipc_strerror(r));
}

/* Returns 0 after the last one. */
static int get(gipc_handle *demo, const void **message, size_t *size) {
  int r = gipc_get(demo, -1, message, size);

  if (r < 0 && r != GIPC_EOF)
    errx(1, "gipc_get: %s", gipc_strerror(r));
  return r == 0;
}

int main(void) {
  gipc_handle *demo;
  msgpack_sbuffer answer;
  const void *message, *data;
  size_t size;
  rule r;
  tally t;
  int error = gipc_inherit("demo", &demo);

  if (error < 0)
    errx(1, "gipc_inherit: %s", gipc_strerror(error));
  msgpack_sbuffer_init(&answer);
  message_of_greeting(&answer, "C");
  put(demo, &answer);
  if (!get(demo, &message, &size))
    return 0;
  if (message_to_rule(message, size, &r) < 0)
    errx(1, "no rule came");
  while (get(demo, &message, &size)) {
    if (message_to_chunk(message, size, &data, &size) < 0)
      errx(1, "no chunk came");
    tally_count(&t, &r, data, size);
    message_of_tally(&answer, &t);
    put(demo, &answer);
  }
  msgpack_sbuffer_destroy(&answer);
  gipc_handle_free(demo);
  return 0;
}
