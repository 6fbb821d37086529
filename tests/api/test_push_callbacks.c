/* What callbacks may do: each operation in each callback, on the handle itself
 * and on a sibling; loops in loops. */
#include "support.h"

#include <ev.h>

enum callback { in_message, in_drain, in_end, callbacks };

struct side {
  gipc_handle *h;
  size_t messages, drains, ends;
  bool dead; /* closed, freed or stopped: no callback may come */
  bool spoke_when_dead;
};

static struct ev_loop *loop;
static struct side self, sibling; /* a and c */
static gipc_handle *peer, *sibling_peer;
static enum callback when;
static bool acted;
static void (*act)(struct side *target);
static struct side *target;

static void maybe_act(struct side *side, enum callback now_in) {
  side->spoke_when_dead = side->spoke_when_dead || side->dead;
  if (acted || side != &self || when != now_in)
    return;
  acted = true;
  act(target);
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  struct side *side = user;
  char copy[4];
  size_t number = side->messages++;
  assert_int_equal(size, 4);
  memcpy(copy, data, 4);
  assert_int_equal(copy[0], number); /* in order, each once */
  maybe_act(side, in_message);
  if (!side->dead || side->h != NULL)
    assert_memory_equal(data, copy, 4); /* borrowed until this returns */
}
static void on_drain(gipc_handle *h, void *user) {
  struct side *side = user;
  side->drains++;
  maybe_act(side, in_drain);
}
static void on_end(gipc_handle *h, int why, void *user) {
  struct side *side = user;
  side->ends++;
  maybe_act(side, in_end);
}
static const gipc_events events = {sizeof events, on_message, on_drain, on_end};

static void iterate(int count) {
  while (count-- > 0)
    ev_run(loop, EVRUN_NOWAIT);
}

static int setup(void **state) {
  int result = test_setup(state);
  loop = ev_loop_new(0);
  return result != 0 || loop == NULL;
}
static int end(void **state) {
  ev_loop_destroy(loop);
  return test_end(state);
}

/* ---- The operations
 * ---------------------------------------------------------- */

static void do_nothing(struct side *t) { (void)t; }
static void do_close(struct side *t) {
  int result = gipc_close(t->h);
  assert_true(result == 0 || result == -EPIPE);
  t->dead = true;
}
static void do_free(struct side *t) {
  gipc_handle_free(t->h);
  t->h = NULL;
  t->dead = true;
}
static void do_close_and_free(struct side *t) {
  do_close(t);
  do_free(t);
}
static void do_stop(struct side *t) {
  OK(gipc_stop(t->h));
  RESULT(gipc_stop(t->h), -EINVAL);
  t->dead = true;
}
static void do_restart(struct side *t) {
  OK(gipc_stop(t->h));
  OK(gipc_start(t->h, loop, &events, t));
}
static void do_start(struct side *t) {
  RESULT(gipc_start(t->h, loop, &events, t), GIPC_ELOCKED);
}
static void do_pause(struct side *t) { OK(gipc_pause(t->h)); }
static void do_pause_and_resume(struct side *t) {
  OK(gipc_pause(t->h));
  OK(gipc_resume(t->h));
}
static void do_shutdown(struct side *t) {
  int result = gipc_shutdown(t->h);
  assert_true(result == 0 || result == -EPIPE || result == GIPC_ECLOSED);
}
static void do_put(struct side *t) {
  int result = gipc_try_put(t->h, "back", 4);
  assert_true(result == 0 || result == -EPIPE || result == -EAGAIN);
}
static void do_blocking_put(struct side *t) {
  int result = gipc_put(t->h, "back", 4, 0);
  assert_true(result == 0 || result == -EPIPE || result == -ETIMEDOUT);
}
static void do_get(struct side *t) {
  const void *data;
  size_t size;
  RESULT(gipc_try_get(t->h, &data, &size), GIPC_ELOCKED);
}
static void do_set_budget(struct side *t) { OK(gipc_set_budget(t->h, 1, 1)); }
static void do_run(struct side *t) { /* H99 */
  size_t before = self.messages;
  (void)t;
  iterate(5);
  /* The view of its message is still in use, so no other is delivered. */
  assert_int_equal(self.messages, before);
}
static void do_restart_and_run(struct side *t) { /* H99 */
  do_restart(t);
  iterate(5);
}
static void do_run_and_close(struct side *t) {
  iterate(5);
  do_close(t);
}
static void do_run_and_free(struct side *t) {
  iterate(5);
  do_free(t);
}
static void do_stop_and_run(struct side *t) {
  do_stop(t);
  iterate(5);
}
static void do_close_and_run(struct side *t) {
  do_close(t);
  iterate(5);
}
static void do_free_and_run(struct side *t) {
  do_free(t);
  iterate(5);
}
static void do_break(struct side *t) {
  (void)t;
  ev_break(loop, EVBREAK_ONE);
}
static void do_break_all(struct side *t) {
  (void)t;
  ev_break(loop, EVBREAK_ALL);
}

static const struct {
  const char *name;
  void (*act)(struct side *);
} operations[] = {
    {"nothing", do_nothing},
    {"close", do_close},
    {"free", do_free},
    {"close and free", do_close_and_free},
    {"stop", do_stop},
    {"restart", do_restart},
    {"start", do_start},
    {"pause", do_pause},
    {"pause and resume", do_pause_and_resume},
    {"shutdown", do_shutdown},
    {"put", do_put},
    {"blocking put", do_blocking_put},
    {"get", do_get},
    {"set budget", do_set_budget},
    {"run", do_run},
    {"restart and run", do_restart_and_run},
    {"run and close", do_run_and_close},
    {"run and free", do_run_and_free},
    {"stop and run", do_stop_and_run},
    {"close and run", do_close_and_run},
    {"free and run", do_free_and_run},
    {"break", do_break},
    {"break all", do_break_all},
};

/* ---- Each of them in each callback
 * ------------------------------------------- */

static void put_numbers(gipc_handle *h, char first, char last) {
  for (char i = first; i <= last; i++) {
    char message[4] = {i, 'a', 'b', 'c'};
    OK(gipc_put(h, message, 4, 10));
  }
}

/* Everything that is still to come; then all is freed. */
static void finish_side(struct side *side, size_t expected) {
  const void *data;
  size_t size;
  if (side->h != NULL && side->dead && gipc_directions(side->h) >= 0) {
    /* Stopped: the step tier continues with the next message. */
    while (gipc_try_get(side->h, &data, &size) == 0) {
      assert_int_equal(*(const char *)data, side->messages);
      side->messages++;
    }
  } else if (side->h == NULL || side->dead)
    expected = 0; /* closed: any number may have come */
  if (expected > 0)
    assert_int_equal(side->messages, expected);
  assert_false(side->spoke_when_dead); /* H97 */
}

static void scene(const char *name, bool on_self) {
  gipc_handle *a, *c;
  bool paused = act == do_pause;
  OK(gipc_pipe_duplex(&a, &peer));
  OK(gipc_pipe_duplex(&c, &sibling_peer));
  self = (struct side){.h = a};
  sibling = (struct side){.h = c};
  target = on_self ? &self : &sibling;
  acted = false;
  OK(gipc_start(a, loop, &events, &self));
  OK(gipc_start(c, loop, &events, &sibling));
  put_numbers(peer, 0, 2);
  put_numbers(sibling_peer, 0, 2);
  if (when == in_drain) {
    OK(gipc_set_marks(a, 1, 2));
    OK(gipc_try_put(a, "fill", 4));
    RESULT(gipc_try_put(a, "full", 4), -EAGAIN);
  }
  if (when == in_end)
    OK(gipc_close(peer));
  for (int i = 0; i < 10 && !acted; i++)
    iterate(1);
  assert_true(acted);
  iterate(10);
  if (paused) {
    OK(gipc_resume(target->h));
    iterate(10);
  }
  if (when != in_end && self.h != NULL && !self.dead) {
    put_numbers(peer, 3, 5);
    iterate(10);
    assert_int_equal(self.messages, 6);
  }
  finish_side(&self, when != in_end && !self.dead ? 6 : 3);
  finish_side(&sibling, 3);
  if (when == in_end && act != do_restart && act != do_restart_and_run)
    assert_int_equal(self.ends, 1);
  gipc_handle_free(self.h);
  gipc_handle_free(sibling.h);
  gipc_handle_free(peer);
  gipc_handle_free(sibling_peer);
  iterate(3);
  (void)name;
}

static void
every_callback_may_call_every_function(void **state) { /* H95, H97 */
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
    for (when = in_message; when < callbacks; when++)
      for (int on_self = 0; on_self < 2; on_self++) {
        act = operations[i].act;
        print_message("%s, callback %d, %s\n", operations[i].name, (int)when,
                      on_self ? "itself" : "a sibling");
        scene(operations[i].name, on_self);
      }
}

/* ---- Deeper -----------------------------------------------------------------
 */

/* The nested loop's callback frees the handle whose callback runs it. */
static struct side outer, inner;
static void inner_message(gipc_handle *h, const void *data, size_t size,
                          void *user) {
  inner.messages++;
  gipc_handle_free(outer.h);
  outer.h = NULL;
}
static void outer_message(gipc_handle *h, const void *data, size_t size,
                          void *user) {
  outer.messages++;
  OK(gipc_put(user, "free", 4, -1));
  while (inner.messages == 0)
    ev_run(loop, EVRUN_NOWAIT);
}

static void
a_nested_loop_may_free_the_handle_whose_callback_runs(void **state) {
  /* H95, H99 */
  gipc_handle *b, *d;
  gipc_events first = {sizeof first, outer_message, NULL, NULL};
  gipc_events second = {sizeof second, inner_message, NULL, NULL};
  outer = inner = (struct side){0};
  OK(gipc_pipe(&outer.h, &b));
  OK(gipc_pipe(&inner.h, &d));
  OK(gipc_start(outer.h, loop, &first, d));
  OK(gipc_put(b, "one", 3, -1));
  OK(gipc_put(b, "two", 3, -1));
  OK(gipc_start(inner.h, loop, &second, NULL));
  iterate(5);
  assert_int_equal(outer.messages, 1);
  assert_int_equal(inner.messages, 1);
  iterate(5);
  gipc_handle_free(inner.h);
  gipc_handle_free(b);
  gipc_handle_free(d);
}

/* Each level runs the loop again. */
enum { depth = 20 };
static struct side levels[depth];
static gipc_handle *writers[depth];
static int deepest, level;
static void level_message(gipc_handle *h, const void *data, size_t size,
                          void *user) {
  struct side *side = user;
  side->messages++;
  if (++level > deepest)
    deepest = level;
  iterate(2);
  level--;
}

static void loops_nest_as_deep_as_there_are_handles(void **state) { /* H99 */
  gipc_events all = {sizeof all, level_message, NULL, NULL};
  deepest = level = 0;
  for (int i = 0; i < depth; i++) {
    levels[i] = (struct side){0};
    OK(gipc_pipe(&levels[i].h, &writers[i]));
    OK(gipc_start(levels[i].h, loop, &all, &levels[i]));
    for (int j = 0; j < 3; j++)
      OK(gipc_put(writers[i], "x", 1, -1));
  }
  iterate(100);
  assert_int_equal(deepest, depth);
  for (int i = 0; i < depth; i++) {
    assert_int_equal(levels[i].messages, 3);
    gipc_handle_free(levels[i].h);
    gipc_handle_free(writers[i]);
  }
}

/* Messages that arrive while on_drain runs the loop. */
static size_t after_drain;
static void later_message(gipc_handle *h, const void *data, size_t size,
                          void *user) {
  after_drain++;
}
static void drain_runs(gipc_handle *h, void *user) {
  OK(gipc_put(user, "in drain", 8, -1));
  iterate(5);
}

static void
a_loop_nested_in_on_drain_delays_nothing_afterwards(void **state) { /* H99 */
  gipc_handle *a, *b;
  gipc_events all = {sizeof all, later_message, drain_runs, NULL};
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_set_marks(a, 1, 2));
  after_drain = 0;
  OK(gipc_start(a, loop, &all, b));
  OK(gipc_try_put(a, "xx", 2));
  RESULT(gipc_try_put(a, "xx", 2), -EAGAIN);
  iterate(5);
  OK(gipc_put(b, "later", 5, -1));
  iterate(5);
  assert_int_equal(after_drain, 2);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void broken_loops_lose_nothing(void **state) { /* H99 */
  gipc_handle *b;
  OK(gipc_pipe(&self.h, &b));
  for (int way = 0; way < 2; way++) {
    gipc_handle *h = self.h;
    self = (struct side){.h = h};
    when = in_message;
    act = way ? do_break_all : do_break;
    acted = false;
    if (way == 0)
      OK(gipc_start(self.h, loop, &events, &self));
    put_numbers(b, 0, 100);
    ev_run(loop, 0); /* returns at the break */
    assert_true(acted);
    iterate(3);
    assert_int_equal(self.messages, 101);
  }
  gipc_handle_free(self.h);
  gipc_handle_free(b);
}

#define PUSH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      PUSH_TEST(every_callback_may_call_every_function),
      PUSH_TEST(a_nested_loop_may_free_the_handle_whose_callback_runs),
      PUSH_TEST(loops_nest_as_deep_as_there_are_handles),
      PUSH_TEST(a_loop_nested_in_on_drain_delays_nothing_afterwards),
      PUSH_TEST(broken_loops_lose_nothing),
  };
  return cmocka_run_group_tests_name("push callbacks", tests, NULL, NULL);
}
