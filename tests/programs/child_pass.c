/* Gets a message with a descriptor from the handle "in", writes its text to the
 * descriptor, and puts a message with the end of a pipe to "out"; before that,
 * an empty one, when it is ready. */
#include "gipc.h"

#include <unistd.h>

int main(void) {
  gipc_handle *in, *out;
  const void *data;
  size_t size;
  int fd, ends[2];
  if (gipc_inherit("in", &in) != 0 || gipc_inherit("out", &out) != 0)
    return 1;
  if (gipc_put(out, "", 0, 60) != 0 || gipc_get(in, 60, &data, &size) != 0)
    return 2;
  if (gipc_take_fds(in, &fd, 1) != 1 ||
      write(fd, data, size) != (ssize_t)size || close(fd) != 0)
    return 3;
  if (pipe(ends) != 0 || write(ends[1], data, size) != (ssize_t)size)
    return 4;
  return gipc_put_with(out, "pipe", 4, &ends[0], 1, 60) == 0 ? 0 : 5;
}
