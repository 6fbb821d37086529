/* A parent in C, for a child in any language.
 *   parent TABLE COMMAND...
 * TABLE has a line for each golden value: the codec, the bytes to send, and
 * others that the child's language may answer; "-" if it may refuse.
 * COMMAND starts the child.  Each step is named on stdout before it begins.
 */
#include "peer.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODE = 7, WORDS = 16, PASSED = 5 };

static const char *command[WORDS];
/* What moves into the next child. */
static gipc_handle *passed[PASSED];
static int passing;

static void step(const char *name) {
  puts(name);
  fflush(stdout);
}

/* Starts the command with two more words, and the named handles. */
static gipc_process *start(const char *word, const char *more,
                           gipc_options *options) {
  int n = 0;
  while (command[n] != NULL)
    n++;
  command[n] = word;
  command[n + 1] = more;
  gipc_process *p;
  check(gipc_exec_process(command, options, &p), command[0]);
  command[n] = NULL;
  gipc_options_free(options);
  while (passing > 0)
    gipc_handle_free(passed[--passing]);
  return p;
}

static void expect_end(gipc_process *p, int expected) {
  int code;
  check(gipc_process_join(p, -1), "gipc_process_join");
  check(gipc_process_exitcode(p, &code), "gipc_process_exitcode");
  if (code != expected) {
    fprintf(stderr, "the child ended with %d\n", code);
    exit(1);
  }
  gipc_process_free(p);
}

static gipc_options *new_options(void) {
  gipc_options *options;
  check(gipc_options_new(&options), "gipc_options_new");
  return options;
}

static void pass(gipc_options *o, const char *name, gipc_handle *h) {
  check(gipc_options_pass(o, name, h), name);
  passed[passing++] = h;
}

/* The parent's ends of new pipes, whose other ends are passed by name. */
static gipc_handle *pipe_to(gipc_options *o, const char *name) {
  gipc_handle *reader, *writer;
  check(gipc_pipe(&reader, &writer), "gipc_pipe");
  pass(o, name, reader);
  return writer;
}

static gipc_handle *pipe_from(gipc_options *o, const char *name) {
  gipc_handle *reader, *writer;
  check(gipc_pipe(&reader, &writer), "gipc_pipe");
  pass(o, name, writer);
  return reader;
}

static gipc_handle *pipe_both(gipc_options *o, const char *name) {
  gipc_handle *mine, *theirs;
  check(gipc_pipe_duplex(&mine, &theirs), "gipc_pipe_duplex");
  pass(o, name, theirs);
  return mine;
}

/* ---- Messages ----------------------------------------------------------- */

static void expect_echo(gipc_handle *h, const void *data, size_t size) {
  const void *back;
  size_t size_back;
  check(gipc_put(h, data, size, -1), "gipc_put");
  check(gipc_get(h, -1, &back, &size_back), "gipc_get");
  if (size_back != size || memcmp(back, data, size) != 0)
    fail("the child gave something else back");
}

static void large(gipc_handle *h) {
  char *data = malloc(LARGE);
  if (data == NULL)
    fail("no memory");
  for (size_t i = 0; i < LARGE; i++)
    data[i] = (char)(i * 31 >> 3);
  expect_echo(h, "", 0);
  expect_echo(h, data, LARGE);
  expect_echo(h, "end", 3);
  free(data);
}

/* Whether many messages went through a ring, which a stock peer does not know,
 * the portable half of the library does not have, and machines of other orders
 * of bytes (GIPC_TEST_TRANSPORT=plain) do not share. */
static void expect_transport(const gipc_handle *h, int direction) {
  const char *half = getenv("GIPC_TEST_OS");
  const char *known = getenv("GIPC_TEST_TRANSPORT");
  bool plain = (half != NULL && strcmp(half, "posix") == 0) ||
               (known != NULL && strcmp(known, "plain") == 0);
  uint64_t expected = plain ? GIPC_TRANSPORT_PLAIN : GIPC_TRANSPORT_RING;
  for (int i = 0; command[i] != NULL; i++)
    if (strstr(command[i], "child_stock") != NULL)
      expected = GIPC_TRANSPORT_PLAIN;
  gipc_stats stats = {.size = sizeof stats};
  check(gipc_handle_stats(h, &stats), "gipc_handle_stats");
  if ((direction == GIPC_READ ? stats.transport_in : stats.transport_out) !=
      expected)
    fail("the transport is not the expected one");
}

/* ---- Values ------------------------------------------------------------- */

static size_t from_hex(const char *hex, char *bytes) {
  size_t size = 0;
  for (unsigned byte; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
    bytes[size] = (char)byte;
  return size;
}

/* JSON does not define how a fraction is written. */
static bool same_fraction(const char *a, const char *b) {
  char *end_a, *end_b;
  if (strpbrk(a, ".eE") == NULL || strpbrk(b, ".eE") == NULL)
    return false;
  double x = strtod(a, &end_a), y = strtod(b, &end_b);
  return *end_a == '\0' && *end_b == '\0' && x == y;
}

static bool same(const char *a, size_t size, const char *b, size_t size_b) {
  return (size == size_b && memcmp(a, b, size) == 0) || same_fraction(a, b);
}

static void expect_value(gipc_handle *h, const char *sent, const char *may_be) {
  char bytes[4096] = "", other[4096] = "", got[4096] = "";
  const void *data;
  size_t size, size_sent = from_hex(sent, bytes);
  size_t size_other = from_hex(may_be, other);
  check(gipc_put(h, bytes, size_sent, -1), "gipc_put");
  check(gipc_get(h, -1, &data, &size), "gipc_get");
  memcpy(got, data, size < sizeof got ? size : sizeof got - 1);
  if (same(got, size, bytes, size_sent) ||
      (*may_be == '-' ? strstr(got, "refused") != NULL
                      : same(got, size, other, size_other)))
    return;
  fprintf(stderr, "for %s the child gave ", sent);
  for (size_t i = 0; i < size; i++)
    fprintf(stderr, "%02x", (unsigned char)got[i]);
  fprintf(stderr, " back, not %s\n", may_be);
  exit(1);
}

/* Until the end of the values of one codec, which is the end of the pipe. */
static void values(const char *table, const char *name, gipc_handle *h) {
  char codec[16], sent[2048], may_be[2048];
  FILE *file = fopen(table, "r");
  int count = 0;
  if (file == NULL)
    fail(table);
  while (fscanf(file, "%15s %2047s %2047s", codec, sent, may_be) == 3)
    if (strcmp(codec, name) == 0) {
      expect_value(h, sent, may_be);
      count++;
    }
  if (count == 0)
    fail("no golden values");
  fclose(file);
  gipc_handle_free(h);
}

/* ---- Steps -------------------------------------------------------------- */

static void run_script(const char *table) {
  gipc_options *o = new_options();
  gipc_handle *to = pipe_to(o, "in"), *from = pipe_from(o, "out"),
              *both = pipe_both(o, "both"), *msgpack = pipe_both(o, "msgpack"),
              *json = pipe_both(o, "json");
  gipc_process *p = start("script", "7", o);
  put_stream(to, 1);
  get_stream(from);
  step("transport");
  expect_transport(to, GIPC_WRITE);
  expect_transport(from, GIPC_READ);
  step("large");
  large(both);
  gipc_handle_free(both);
  step("values");
  values(table, "msgpack", msgpack);
  values(table, "json", json);
  step("code");
  expect_end(p, CODE);
  gipc_handle_free(to);
  gipc_handle_free(from);
}

static void kill_inside_a_message(void) {
  gipc_options *o = new_options();
  gipc_handle *from = pipe_from(o, "out");
  gipc_process *p = start("cut", NULL, o);
  const void *data;
  size_t size;
  check(gipc_get(from, -1, &data, &size), "gipc_get");
  struct pollfd arrived = {.fd = gipc_fd(from, GIPC_READ), .events = POLLIN};
  if (poll(&arrived, 1, -1) != 1)
    fail("poll");
  check(gipc_process_kill(p), "gipc_process_kill");
  if (gipc_get(from, -1, &data, &size) != GIPC_ETRUNCATED)
    fail("a message that was cut is not an error");
  expect_end(p, -9);
  gipc_handle_free(from);
}

static void close_at_once(void) {
  gipc_options *o = new_options();
  gipc_handle *both = pipe_both(o, "both");
  gipc_process *p = start("end", NULL, o);
  check(gipc_close(both), "gipc_close");
  expect_end(p, 0);
  gipc_handle_free(both);
}

int main(int argc, char **argv) {
  if (argc < 3 || argc >= WORDS)
    fail("parent TABLE COMMAND...");
  for (int i = 2; i < argc; i++)
    command[i - 2] = argv[i];
  step("stream");
  run_script(argv[1]);
  step("cut");
  kill_inside_a_message();
  step("end");
  close_at_once();
  return 0;
}
