/* Starts a command whose messages are on its stdin and stdout, and tries it.
 *   launcher echo CODE COMMAND...
 *     messages of all sizes are echoed, and the stream ends on request
 *   launcher cut-get CODE CUT COMMAND...
 *   launcher cut-put CODE CUT COMMAND...
 *     the shell command CUT cuts the connection, within an answer or a question
 * CODE is how COMMAND must end.  What goes wrong is on stderr, and the exit
 * code is 1. */

#include <gipc.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 20, HUGE = 64 << 20, PATIENCE = 60 };

static unsigned char *bytes; /* HUGE of them, no two places alike for long */

static void check(int result, int expected, const char *what) {
  if (result != expected)
    errx(1, "%s: %s, not %s", what, gipc_strerror(result),
         gipc_strerror(expected));
}

static gipc_process *start(char **command, gipc_handle **pipe) {
  gipc_process *p;
  check(gipc_launch((const char *const *)command, NULL, &p, pipe), 0,
        command[0]);
  return p;
}

static void expect_end(gipc_process *p, int expected) {
  int code;
  check(gipc_process_join(p, PATIENCE), 0, "gipc_process_join");
  check(gipc_process_exitcode(p, &code), 0, "gipc_process_exitcode");
  gipc_process_free(p);
  if (code != expected)
    errx(1, "exit code %d, not %d", code, expected);
}

/* ---- Messages there and back ----------------------------------------------
 */

static void put(gipc_handle *h, size_t size) {
  check(gipc_put(h, bytes + size % 1000, size, PATIENCE), 0, "gipc_put");
}

static void expect(gipc_handle *h, size_t size) {
  const void *data;
  size_t got;
  check(gipc_get(h, PATIENCE, &data, &got), 0, "gipc_get");
  if (got != size || memcmp(data, bytes + size % 1000, size) != 0)
    errx(1, "%zu other bytes came back for %zu", got, size);
}

static void echo(gipc_handle *h) {
  static const size_t ahead[] = {0, 1, 4096, 4095, 0, 65536, 3};
  enum { AHEAD = sizeof ahead / sizeof *ahead };
  const void *data;
  size_t size;
  for (size = 1; size <= LARGEST; size *= 2) {
    put(h, size - 1);
    expect(h, size - 1);
  }
  for (int i = 0; i < AHEAD; i++)
    put(h, ahead[i]);
  for (int i = 0; i < AHEAD; i++)
    expect(h, ahead[i]);
  put(h, LARGEST);
  expect(h, LARGEST);
  check(gipc_shutdown(h), 0, "gipc_shutdown");
  check(gipc_get(h, PATIENCE, &data, &size), GIPC_EOF, "the end");
}

/* ---- A connection that is cut ----------------------------------------------
 */

static void run(const char *cut) {
  if (system(cut) != 0)
    errx(1, "cannot cut: %s", cut);
}

/* The header of the answer is received; the whole answer cannot be, as it does
 * not fit into all the buffers on the way. */
static void cut_get(gipc_handle *h, const char *cut) {
  struct pollfd wait = {.fd = gipc_fd(h, GIPC_READ), .events = POLLIN};
  const void *data;
  size_t size;
  int result;
  put(h, HUGE - 1000);
  while ((result = gipc_next_size(h, &size)) == -EAGAIN)
    poll(&wait, 1, PATIENCE * 1000);
  check(result, 0, "gipc_next_size");
  run(cut);
  check(gipc_get(h, PATIENCE, &data, &size), GIPC_ETRUNCATED, "a cut answer");
}

/* The same, the other way. */
static void cut_put(gipc_handle *h, const char *cut) {
  const void *data;
  size_t size;
  put(h, 5);
  expect(h, 5); /* it has begun */
  check(gipc_put_start(h, bytes, HUGE), -EAGAIN, "gipc_put_start");
  check(gipc_put_cancel(h), 1, "gipc_put_cancel"); /* a part is written */
  run(cut);
  check(gipc_flush(h, PATIENCE), -EPIPE, "a cut question");
  check(gipc_get(h, PATIENCE, &data, &size), GIPC_EOF, "no answer");
}

int main(int argc, char **argv) {
  if (argc < 5 || (bytes = malloc(HUGE)) == NULL)
    return 2;
  for (size_t i = 0; i < HUGE; i++)
    bytes[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);
  gipc_handle *h;
  bool is_cut = strcmp(argv[1], "echo") != 0;
  gipc_process *p = start(argv + (is_cut ? 4 : 3), &h);
  if (!is_cut)
    echo(h);
  else if (strcmp(argv[1], "cut-get") == 0)
    cut_get(h, argv[3]);
  else
    cut_put(h, argv[3]);
  gipc_handle_free(h);
  expect_end(p, atoi(argv[2]));
  return 0;
}
