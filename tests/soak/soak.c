/* The work of the soak in C: soak SEED TRIPS CHILDREN.  Prints a line after
 * each batch, as tests/soak/run reads it, and waits for a word. */
#include "soak.h"

#include <errno.h>
#include <ev.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char block[LARGEST];
static uint64_t seed;

void fail(const char *what, int result) {
  fprintf(stderr, "soak: %s: %s\n", what, gipc_strerror(result));
  abort();
}

uint64_t draw(uint64_t limit) { /* xorshift64* */
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return (seed * 0x2545F4914F6CDD1D >> 16) % limit;
}

size_t draw_size(void) {
  if (draw(10) != 0)
    return draw(256);
  return draw((uint64_t)1 << draw(21));
}

void pair_of(int kind, gipc_handle **a, gipc_handle **b) {
  static const int transports[] = {GIPC_TRANSPORT_AUTO, GIPC_TRANSPORT_RING,
                                   GIPC_TRANSPORT_PLAIN};
  if (kind == PIPES) {
    int there[2], back[2];
    CHECK(pipe(there) == 0 && pipe(back) == 0);
    OK(gipc_open(back[0], there[1], a));
    OK(gipc_open(there[0], back[1], b));
    return;
  }
  OK(gipc_pipe_duplex(a, b));
  OK(gipc_set_transport(*a, transports[kind]));
  OK(gipc_set_transport(*b, transports[kind]));
}

void expect(gipc_handle *h, size_t size) {
  const void *data;
  size_t got;
  OK(gipc_get(h, -1, &data, &got));
  CHECK(got == size && memcmp(data, block, size) == 0);
}

/* ---- The other end ---------------------------------------------------------
 */

/* A handle that came with the message; its own answer goes through that. */
static int answer_through_it(gipc_handle *h) {
  gipc_handle *moved;
  if (gipc_take_handle(h, &moved) == -ENOENT)
    return 0;
  OK(gipc_put(moved, block, 5, -1));
  gipc_handle_free(moved);
  return 1;
}

void echo(gipc_handle *h) {
  const void *data;
  size_t size;
  while (gipc_get(h, -1, &data, &size) == 0) {
    if (size == 5 && memcmp(data, "close", 5) == 0)
      break;
    if (answer_through_it(h))
      continue;
    if (gipc_put(h, data, size, -1) != 0)
      break;
  }
  gipc_handle_free(h);
}

static void *echo_thread(void *h) {
  echo(h);
  return NULL;
}

/* ---- Round trips -----------------------------------------------------------
 */

static void exchange(gipc_handle *a) {
  const void *data;
  size_t size = draw_size(), got;
  OK(gipc_put(a, block, size, -1));
  if (draw(50) == 0) { /* in the middle of a message, where it is large */
    int result = gipc_get(a, 0, &data, &got);
    if (result == 0) {
      CHECK(got == size);
      return;
    }
    CHECK(result == -ETIMEDOUT);
  }
  expect(a, size);
}

static void time_out_a_put(gipc_handle *a) {
  int result = gipc_put(a, block, LARGEST, 0);
  if (result == -ETIMEDOUT)
    return;
  CHECK(result == 0 || result == -EINPROGRESS);
  OK(gipc_flush(a, -1));
  expect(a, LARGEST);
}

static void move_a_writer(gipc_handle *a) {
  gipc_handle *reader, *writer;
  OK(gipc_pipe(&reader, &writer));
  OK(gipc_put_handles(a, "moves", 5, &writer, 1, NULL, 0, -1));
  gipc_handle_free(writer);
  expect(reader, 5);
  gipc_handle_free(reader);
}

static void interrupt_a_get(gipc_handle *a) {
  const void *data;
  size_t size;
  OK(gipc_interrupt(a));
  CHECK(gipc_get(a, -1, &data, &size) == -ECANCELED);
}

static void trips_by_calls(gipc_handle *a, int kind, size_t count) {
  int interruptible = draw(3) == 0;
  if (interruptible)
    OK(gipc_set_interruptible(a, 1));
  for (size_t i = 0; i < count; i++) {
    switch (draw(400)) {
    case 0:
      time_out_a_put(a);
      break;
    case 1:
      if (kind != PIPES)
        move_a_writer(a);
      break;
    case 2:
      if (interruptible)
        interrupt_a_get(a);
      break;
    default:
      exchange(a);
    }
  }
}

struct loop_trips {
  struct ev_loop *loop;
  size_t left, size;
};

static void next_on_loop(gipc_handle *a, struct loop_trips *it) {
  int result;
  it->size = draw_size();
  result = gipc_try_put(a, block, it->size);
  CHECK(result == 0);
}

static void on_message(gipc_handle *a, const void *data, size_t size,
                       void *user) {
  struct loop_trips *it = user;
  CHECK(size == it->size && memcmp(data, block, size) == 0);
  if (--it->left == 0)
    ev_break(it->loop, EVBREAK_ALL);
  else
    next_on_loop(a, it);
}

static void trips_on_a_loop(gipc_handle *a, size_t count) {
  static const gipc_events events = {.size = sizeof events,
                                     .on_message = on_message};
  struct loop_trips it = {ev_loop_new(EVFLAG_AUTO), count, 0};
  OK(gipc_start(a, it.loop, &events, &it));
  next_on_loop(a, &it);
  ev_run(it.loop, 0);
  OK(gipc_stop(a));
  ev_loop_destroy(it.loop);
}

static void close_one_end(gipc_handle *a) {
  const void *data;
  size_t size;
  switch (draw(3)) {
  case 0: /* the other end first */
    OK(gipc_put(a, "close", 5, -1));
    CHECK(gipc_get(a, -1, &data, &size) == GIPC_EOF);
    break;
  case 1: /* with an answer that is not got */
    OK(gipc_put(a, block, 5000, -1));
    break;
  }
  gipc_handle_free(a);
}

static void use_a_pipe(size_t count) {
  static int pipes;
  int kind = pipes++ % KINDS;
  gipc_handle *a, *b;
  pthread_t thread;
  pair_of(kind, &a, &b);
  CHECK(pthread_create(&thread, NULL, echo_thread, b) == 0);
  if (draw(4) == 0)
    trips_on_a_loop(a, count);
  else
    trips_by_calls(a, kind, count);
  close_one_end(a);
  CHECK(pthread_join(thread, NULL) == 0);
}

static void run_trips(size_t count) {
  for (; count > 250; count -= 250)
    use_a_pipe(250);
  use_a_pipe(count);
}

/* ---- The batches ------------------------------------------------------------
 */

static int go_on(size_t trips, size_t children) {
  struct mallinfo2 info = mallinfo2();
  char word[16];
  printf("sample %zu %zu %zu 0\n", trips, children,
         info.uordblks + info.hblkhd);
  fflush(stdout);
  return fgets(word, sizeof word, stdin) != NULL && strcmp(word, "go\n") == 0;
}

int main(int argc, char **argv) {
  size_t trips = 0, children = 0, more_trips, more_children;
  if (argc != 4)
    return 2;
  seed = strtoull(argv[1], NULL, 10) + 1;
  more_trips = strtoull(argv[2], NULL, 10);
  more_children = strtoull(argv[3], NULL, 10);
  for (size_t i = 0; i < sizeof block; i++)
    block[i] = (char)draw(256);
  do {
    run_trips(more_trips);
    trips += more_trips;
    if (!go_on(trips, children))
      break;
    run_children(more_children);
    children += more_children;
  } while (go_on(trips, children));
  return 0;
}
