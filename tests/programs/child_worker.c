/* Started as a worker of a pool: answers each task with its bytes in reverse,
 * and exits with 4 at the task `die`.  Its argument says where its handle is.
 */
#include <gipc.h>
#include <stdlib.h>
#include <string.h>

static int reverse(const gipc_worker_message *task, gipc_worker_message *answer,
                   void *user) {
  static char text[64];
  const char *data = task->data;

  (void)user;
  if (task->data_size > sizeof text)
    return GIPC_ETOOBIG;
  if (task->data_size == 3 && memcmp(data, "die", 3) == 0)
    exit(4);
  for (size_t i = 0; i < task->data_size; i++)
    text[i] = data[task->data_size - 1 - i];
  answer->data = text;
  answer->data_size = task->data_size;
  return 0;
}

int main(int argc, char **argv) {
  gipc_handle *pool;

  if (argc != 2 ||
      (strcmp(argv[1], "stdio") == 0 ? gipc_stdio(&pool)
                                     : gipc_inherit(argv[1], &pool)) < 0)
    return 1;
  return gipc_worker_serve(pool, reverse, NULL) == 0 ? 0 : 2;
}
