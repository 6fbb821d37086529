/* Answers each message of the handle it was passed with the same message.
 *   child_answer DUPLEX | child_answer READER WRITER
 * Its exit code says what went wrong. */
#include "gipc.h"

int main(int argc, char **argv) {
  gipc_handle *in = NULL, *out = NULL;
  const void *data;
  size_t size;
  int result;
  if (argc < 2 || gipc_inherit(argv[1], &in) != 0)
    return 2;
  out = in;
  if (argc > 2 && gipc_inherit(argv[2], &out) != 0)
    return 3;
  while ((result = gipc_get(in, 30, &data, &size)) == 0)
    if (gipc_put(out, data, size, 30) != 0)
      return 4;
  if (out != in)
    gipc_handle_free(out);
  gipc_handle_free(in);
  return result == GIPC_EOF ? 0 : 5;
}
