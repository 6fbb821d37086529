/* Answers each message that comes on stdin with the same one on stdout, and
 * prints as programs do that know nothing of it.
 *   child_launched CODE     its exit code at the end of the stream */
#include "gipc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  gipc_handle *h;
  const void *data;
  size_t size;
  int result;
  if (!isatty(1))               /* where it would be written at once */
    printf("printed before\n"); /* and still in a buffer */
  result = gipc_stdio(&h);
  if (result < 0) {
    fprintf(stderr, "%s\n", gipc_strerror(result));
    return 100;
  }
  while ((result = gipc_get(h, 60, &data, &size)) == 0) {
    printf("printed with %zu bytes in hand\n", size);
    if (system("echo printed by a program; cat") != 0)
      return 101;
    if ((result = gipc_put(h, data, size, 60)) < 0)
      break;
  }
  gipc_handle_free(h);
  printf("printed after\n");
  if (result != GIPC_EOF)
    fprintf(stderr, "%s\n", gipc_strerror(result));
  return result == GIPC_EOF && argc > 1 ? atoi(argv[1]) : 102;
}
