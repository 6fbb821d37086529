/* Receiving ahead on handles that are started, or will be. */
#include "support_peers.h"

#include <ev.h>

static void count_down(gipc_handle *h, const void *got, size_t length,
                       void *user) {
  size_t *left = user;
  if (length != 1000 || !filled(got, length, *left) || --*left == 0)
    ev_break(ev_default_loop(0), EVBREAK_ALL);
}

static void
messages_received_ahead_are_delivered_when_a_loop_starts(void **state) {
  struct ev_loop *loop = ev_default_loop(0);
  gipc_events events = {.size = sizeof events, .on_message = count_down};
  gipc_handle *a, *b;
  char block[1000];
  size_t left = 50;
  OK(gipc_pipe_duplex(&a, &b));
  for (size_t i = left; i > 0; i--) {
    fill(block, sizeof block, i);
    OK(gipc_put(b, block, sizeof block, 60));
  }
  OK(gipc_read_ahead(a));
  RESULT(gipc_read_ahead(a), -EAGAIN);
  assert_int_equal(held(a), left * 1004);
  OK(gipc_start(a, loop, &events, &left));
  ev_run(loop, 0);
  assert_int_equal(left, 0);
  OK(gipc_stop(a));
  gipc_handle_free(a);
  gipc_handle_free(b);
  ev_loop_destroy(loop);
}

/* A started side: puts from a watcher of the program, and gets on the loop. */
struct started {
  struct side side;
  size_t got;
  struct ev_loop *loop;
};

static void on_got(gipc_handle *h, const void *got, size_t length, void *user) {
  struct started *s = user;
  const struct side *o = s->side.other;
  if (length != o->sizes[s->got] || !filled(got, length, o->seed + s->got))
    s->side.result = -EBADMSG;
  if (++s->got == o->count || s->side.result != 0)
    ev_break(s->loop, EVBREAK_ALL);
}

static void on_ended(gipc_handle *h, int why, void *user) {
  struct started *s = user;
  s->side.result = why; /* too early */
  ev_break(s->loop, EVBREAK_ALL);
}

static void put_on_a_loop(struct ev_loop *loop, ev_timer *timer, int revents) {
  struct started *s = timer->data;
  s->side.result = put_all(&s->side);
  if (s->side.result != 0)
    ev_break(loop, EVBREAK_ALL);
}

static void *put_started(void *argument) {
  struct started *s = argument;
  gipc_events events = {
      .size = sizeof events, .on_message = on_got, .on_end = on_ended};
  ev_timer now;
  s->loop = ev_loop_new(0);
  s->side.result = gipc_start(s->side.h, s->loop, &events, s);
  ev_timer_init(&now, put_on_a_loop, 0, 0);
  now.data = s;
  ev_timer_start(s->loop, &now);
  if (s->side.result == 0)
    ev_run(s->loop, 0);
  if (gipc_stop(s->side.h) != 0)
    s->side.result = -EBADF;
  ev_loop_destroy(s->loop);
  return NULL;
}

static void
started_peers_that_put_at_the_same_time_do_not_block_each_other(void **state) {
  /* H78 */
  for (int way = 0; way < way_count; way++) {
    struct started a = {.side = {.count = 3, .seed = 1, .timeout = 60}};
    struct started b = {.side = {.count = 5, .seed = 2, .timeout = -1}};
    for (size_t i = 0; i < 5; i++)
      a.side.sizes[i] = b.side.sizes[i] = 700000 + 1000 * i;
    ways[way](&a.side.h, &b.side.h);
    run(&a.side, &b.side, put_started);
    OK(a.side.result);
    OK(b.side.result);
    assert_int_equal(a.got, 5);
    assert_int_equal(b.got, 3);
    free_both(&a.side, &b.side);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(messages_received_ahead_are_delivered_when_a_loop_starts),
      TEST(started_peers_that_put_at_the_same_time_do_not_block_each_other),
  };
  return cmocka_run_group_tests_name("receiving ahead on a loop", tests, NULL,
                                     NULL);
}
