/* The children of this room.
 *   peer flood SIZE COUNT   puts COUNT messages of SIZE bytes into each of the
 *                           writers w0, w1, ...; one into `full` when no pipe
 *                           can take more
 *   peer answer             one message into `h`, then waits for its end */
#include <gipc.h>

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static struct writer {
  gipc_handle *h;
  size_t left;
} writers[MOST];
static size_t size, writer_count;
static char *message;
static gipc_handle *full;

static void must(int result, const char *call) {
  if (result >= 0)
    return;
  fprintf(stderr, "peer: %s: %s\n", call, gipc_strerror(result));
  exit(1);
}

static void fill(gipc_handle *h, void *user) {
  struct writer *writer = user;
  int result = 0;
  while (writer->left > 0 && (result = gipc_try_put(h, message, size)) == 0)
    writer->left--;
  if (writer->left == 0)
    must(gipc_close(h), "close");
  else if (result != -EAGAIN)
    exit(0); /* the reader has gone */
}

static void ended(gipc_handle *h, int why, void *user) {
  (void)h;
  (void)why;
  (void)user;
  exit(0);
}

/* Runs when nothing can be written any more. */
static void on_idle(struct ev_loop *loop, ev_idle *idle, int events) {
  (void)events;
  ev_idle_stop(loop, idle);
  must(gipc_put(full, "", 0, -1), "full");
  gipc_handle_free(full);
}

static int flood(size_t count) {
  static const gipc_events events = {sizeof events, NULL, fill, ended};
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  ev_idle idle;
  char name[16];
  message = calloc(size + 1, 1);
  must(gipc_inherit("full", &full), "full");
  for (; writer_count < MOST; writer_count++) {
    struct writer *writer = &writers[writer_count];
    snprintf(name, sizeof name, "w%zu", writer_count);
    if (gipc_inherit(name, &writer->h) < 0)
      break;
    writer->left = count;
    must(gipc_start(writer->h, loop, &events, writer), "start");
    fill(writer->h, writer);
  }
  ev_idle_init(&idle, on_idle);
  ev_idle_start(loop, &idle);
  ev_run(loop, 0);
  return 0;
}

static int answer(void) {
  gipc_handle *h;
  const void *data;
  size_t got;
  must(gipc_inherit("h", &h), "inherit");
  must(gipc_put(h, "here", 4, -1), "put");
  return gipc_get(h, -1, &data, &got) == GIPC_EOF ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "flood") == 0) {
    size = strtoul(argv[2], NULL, 10);
    return flood(strtoul(argv[3], NULL, 10));
  }
  return argc == 2 && strcmp(argv[1], "answer") == 0 ? answer() : 2;
}
