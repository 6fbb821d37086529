/* Two sides of a pipe that each put some messages and then get the other's. */
#include "support_peers.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

size_t held(const gipc_handle *h) {
  size_t bytes = 77;
  OK(gipc_pending(h, GIPC_READ, &bytes));
  return bytes;
}

void draw(struct side *s, uint64_t *seed, size_t largest) {
  s->count = random_next(seed) % (most_messages + 1);
  s->seed = random_next(seed);
  for (size_t i = 0; i < s->count; i++)
    s->sizes[i] = random_next(seed) % (random_next(seed) % 3 ? largest : 5000);
}

int get_all(struct side *s) {
  const struct side *o = s->other;
  const void *got;
  size_t length;
  for (size_t i = 0; i < o->count; i++) {
    int result = gipc_get(s->h, s->timeout, &got, &length);
    if (result != 0)
      return result;
    if (length != o->sizes[i] || !filled(got, length, o->seed + i))
      return -EBADMSG;
  }
  return 0;
}

int put_all(struct side *s) {
  static const size_t room = 4 << 20;
  char *block = malloc(room);
  int result = 0;
  for (size_t i = 0; i < s->count && result == 0; i++) {
    fill(block, s->sizes[i], s->seed + i);
    result = gipc_put(s->h, block, s->sizes[i], s->timeout);
  }
  free(block);
  return result;
}

static void pipe_of_its_own(gipc_handle **a, gipc_handle **b) {
  OK(gipc_pipe_duplex(a, b));
}

static void adopted_sockets(gipc_handle **a, gipc_handle **b) {
  int fds[2];
  OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  OK(gipc_open(fds[0], fds[0], a));
  OK(gipc_open(fds[1], fds[1], b));
}

static void two_pipes(gipc_handle **a, gipc_handle **b) {
  int there[2], back[2];
  OK(pipe(there));
  OK(pipe(back));
  OK(gipc_open(back[0], there[1], a));
  OK(gipc_open(there[0], back[1], b));
}

void (*const ways[way_count])(gipc_handle **, gipc_handle **) = {
    pipe_of_its_own, adopted_sockets, two_pipes};
void run(struct side *a, struct side *b, void *(*body)(void *)) {
  pthread_t thread;
  a->other = b;
  b->other = a;
  a->result = b->result = 0;
  assert_int_equal(pthread_create(&thread, NULL, body, b), 0);
  body(a);
  pthread_join(thread, NULL);
}

void free_both(struct side *a, struct side *b) {
  gipc_handle_free(a->h);
  gipc_handle_free(b->h);
}
