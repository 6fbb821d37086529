/* A child in C, for a parent in any language.
 *   child script CODE   all that parents do with a child, then ends with CODE
 *   child cut           puts a message that is larger than a pipe holds
 *   child end           ends with 0 at the end of the stream
 *   child absent        inherits a handle that was not passed
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static gipc_handle *inherit(const char *name) {
  gipc_handle *h;
  check(gipc_inherit(name, &h), name);
  return h;
}

static void check_closed_on_exec(const gipc_handle *h, int direction) {
  if (!(fcntl(gipc_fd(h, direction), F_GETFD) & FD_CLOEXEC))
    fail("a handle is not closed on exec");
}

/* Until the end of the stream. */
static void echo(gipc_handle *h) {
  const void *data;
  size_t size;
  int r;
  while ((r = gipc_get(h, -1, &data, &size)) == 0)
    check(gipc_put(h, data, size, -1), "gipc_put");
  if (r != GIPC_EOF)
    check(r, "gipc_get");
  gipc_handle_free(h);
}

static int script(int code) {
  gipc_handle *in = inherit("in"), *out = inherit("out"),
              *both = inherit("both"), *msgpack = inherit("msgpack"),
              *json = inherit("json"), *nothing;
  check_closed_on_exec(in, GIPC_READ);
  check_closed_on_exec(out, GIPC_WRITE);
  check_closed_on_exec(both, GIPC_READ);
  check_closed_on_exec(both, GIPC_WRITE);
  if (getenv("GIPC_HANDLES") != NULL || system(getenv("GRANDCHILD")) != 0)
    fail("something is left for a grandchild");
  if (gipc_inherit("in", &nothing) != -ENOENT)
    fail("a handle was inherited twice");

  get_stream(in);
  put_stream(out, 2);
  echo(both);
  echo(msgpack); /* C has no values: bytes are what it carries */
  echo(json);
  gipc_handle_free(in);
  gipc_handle_free(out);
  return code;
}

static int cut(void) {
  gipc_handle *out = inherit("out");
  char *large = calloc(1, LARGE);
  if (large == NULL)
    fail("no memory");
  check(gipc_put(out, "now", 3, -1), "gipc_put");
  check(gipc_put(out, large, LARGE, -1), "gipc_put");
  fail("the message was not cut");
}

static int end(void) {
  echo(inherit("both"));
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "script") == 0)
    return script(atoi(argv[2]));
  if (argc == 2 && strcmp(argv[1], "cut") == 0)
    return cut();
  if (argc == 2 && strcmp(argv[1], "end") == 0)
    return end();
  if (argc == 2 && strcmp(argv[1], "absent") == 0)
    inherit("nothing");
  fail("child script CODE | cut | end | absent");
}
