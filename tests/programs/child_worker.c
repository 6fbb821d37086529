/* Started as a worker of a pool: answers each task with its bytes in reverse,
 * and in each descriptor of the task, and exits with 4 at the task `die`.  Its
 * argument says where its handle is. */
#include <gipc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reverse(const gipc_worker_message *task, gipc_worker_message *answer,
                   void *user) {
  static char text[64];
  const char *data = task->data;
  int fds[GIPC_MOST_FDS], count;

  if (task->data_size > sizeof text)
    return GIPC_ETOOBIG;
  if (task->data_size == 3 && memcmp(data, "die", 3) == 0)
    exit(4);
  for (size_t i = 0; i < task->data_size; i++)
    text[i] = data[task->data_size - 1 - i];
  count = gipc_take_fds(user, fds, GIPC_MOST_FDS);
  if (count < 0)
    return count;
  while (count-- > 0) {
    (void)!write(fds[count], text, task->data_size);
    close(fds[count]);
  }
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
  return gipc_worker_serve(pool, reverse, pool) == 0 ? 0 : 2;
}
