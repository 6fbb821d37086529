/* Started handles: messages, the queue, and the end on the loop. */
#include "support.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

struct log {
  size_t messages, bytes, drains, ends;
  int why;
  uint64_t hash;
  size_t pause_every; /* pauses itself after that many */
  bool late;          /* a callback after the end */
};

static struct ev_loop *loop;

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  struct log *log = user;
  log->late = log->late || log->ends > 0;
  log->messages++;
  log->bytes += size;
  log->hash = hash_bytes(log->hash, data, size);
  if (log->pause_every != 0 && log->messages % log->pause_every == 0)
    OK(gipc_pause(h));
}
static void on_drain(gipc_handle *h, void *user) {
  struct log *log = user;
  log->late = log->late || log->ends > 0;
  log->drains++;
}
static void on_end(gipc_handle *h, int why, void *user) {
  struct log *log = user;
  log->ends++;
  log->why = why;
}
static const gipc_events events = {sizeof events, on_message, on_drain, on_end};

static int setup(void **state) {
  int result = test_setup(state);
  loop = ev_loop_new(0);
  return result != 0 || loop == NULL;
}
static int end(void **state) {
  ev_loop_destroy(loop);
  return test_end(state);
}

/* Runs until a count is there, or the loop has nothing more to wait for. */
static void run_until(const size_t *count, size_t wanted) {
  while (*count < wanted)
    if (!ev_run(loop, EVRUN_ONCE))
      break;
  assert_int_equal(*count, wanted);
}
/* Some iterations that do not wait. */
static void iterate(int count) {
  while (count-- > 0)
    ev_run(loop, EVRUN_NOWAIT);
}

static void
messages_are_delivered_in_order_before_the_end(void **state) { /* H93 */
  gipc_handle *r, *w;
  struct log log = {0};
  uint64_t hash = 0;
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(r, loop, &events, &log));
  OK(gipc_start(w, loop, &events, &log));
  for (int i = 0; i < 1000; i++) {
    OK(gipc_try_put(w, &i, sizeof i));
    hash = hash_bytes(hash, &i, sizeof i);
  }
  OK(gipc_close(w));
  assert_int_equal(log.messages, 0); /* no callback from within a call */
  ev_run(loop, 0); /* it returns, as nothing is left to wait for */
  assert_int_equal(log.messages, 1000);
  assert_true(log.hash == hash);
  assert_int_equal(log.ends, 1);
  RESULT(log.why, GIPC_EOF);
  assert_false(log.late);
  iterate(5);
  assert_int_equal(log.ends, 1); /* H97 */
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void each_kind_of_end_is_reported_once(void **state) { /* H65, H97 */
  static const struct {
    const char *bytes;
    size_t count;
    int why;
  } ends[] = {{"\0\0\0\1x", 5, GIPC_EOF},
              {"\0\0\0\1x\0\0", 7, GIPC_ETRUNCATED},
              {"\0\0\0\1x\0\0\0\4", 9, GIPC_ETRUNCATED},
              {"\0\0\0\1x\0\2\0\0abc", 12, GIPC_ETRUNCATED},
              {"\0\0\0\1x\xff\xff\xff\xfe", 9, GIPC_EPROTOCOL},
              {"\0\0\0\1x\x7f\xff\xff\xff", 9, GIPC_ETOOBIG}};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    for (int before = 0; before < 2; before++) {
      struct log log = {0};
      gipc_handle *r;
      int s[2];
      assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
      OK(gipc_open(s[0], -1, &r));
      if (before) {
        assert_true(write_all(s[1], ends[i].bytes, ends[i].count));
        close(s[1]);
      }
      OK(gipc_start(r, loop, &events, &log));
      if (!before) {
        iterate(2);
        assert_true(write_all(s[1], ends[i].bytes, ends[i].count));
        close(s[1]);
      }
      ev_run(loop, 0);
      assert_int_equal(log.messages, 1);
      assert_int_equal(log.ends, 1);
      RESULT(log.why, ends[i].why);
      /* The end is permanent: the step tier returns it, too. */
      const void *data;
      size_t size;
      OK(gipc_stop(r));
      RESULT(gipc_try_get(r, &data, &size), ends[i].why);
      OK(gipc_start(r, loop, &events, &log));
      ev_run(loop, 0);
      assert_int_equal(log.ends, 2);
      gipc_handle_free(r);
    }
}

static void messages_received_before_a_start_are_delivered(void **state) {
  gipc_handle *r, *w;
  struct log log = {0};
  const void *data;
  size_t size;
  OK(gipc_pipe(&r, &w));
  for (int i = 0; i < 10; i++)
    OK(gipc_put(w, &i, sizeof i, -1));
  OK(gipc_get(r, 10, &data, &size)); /* reads all ten into memory */
  OK(gipc_start(r, loop, &events, &log));
  run_until(&log.messages, 9); /* H82: the descriptor is quiet */
  gipc_handle_free(w);
  gipc_handle_free(r);
}

static void
a_budget_of_one_message_delivers_all_messages(void **state) { /* H82 */
  gipc_handle *r, *w;
  struct log log = {0};
  gipc_message batch[1000];
  size_t accepted;
  unsigned before;
  OK(gipc_pipe(&r, &w));
  for (int i = 0; i < 1000; i++)
    batch[i] = (gipc_message){"x", 1};
  OK(gipc_set_budget(r, 1, 1 << 20));
  OK(gipc_start(r, loop, &events, &log));
  OK(gipc_put_many(w, batch, 1000, 10, &accepted));
  before = ev_iteration(loop);
  run_until(&log.messages, 1000);
  assert_true(ev_iteration(loop) - before >= 999); /* one an iteration */
  /* The loop sleeps again. */
  iterate(3);
  before = ev_iteration(loop);
  struct log second = {0};
  OK(gipc_stop(r));
  OK(gipc_set_budget(r, 1000, 1)); /* by bytes: one message, too */
  OK(gipc_put_many(w, batch, 1000, 10, &accepted));
  OK(gipc_start(r, loop, &events, &second));
  iterate(1);
  assert_in_range(second.messages, 0, 1);
  run_until(&second.messages, 1000);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

static void time_is_over(struct ev_loop *l, ev_timer *timer, int what) {
  ev_break(l, EVBREAK_ONE);
}

static void a_quiet_handle_lets_the_loop_sleep(void **state) { /* H61 */
  gipc_handle *r, *w;
  struct log log = {0};
  ev_timer timer;
  unsigned before;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_budget(r, 1, 1));
  OK(gipc_start(r, loop, &events, &log));
  OK(gipc_start(w, loop, &events, &log));
  for (int i = 0; i < 3; i++)
    OK(gipc_try_put(w, "x", 1));
  run_until(&log.messages, 3);
  iterate(3);
  before = ev_iteration(loop);
  ev_timer_init(&timer, time_is_over, 0.03, 0.);
  ev_timer_start(loop, &timer);
  ev_run(loop, 0);
  assert_true(ev_iteration(loop) - before < 10);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

static void pausing_at_each_message_loses_none(void **state) { /* H80 */
  for (size_t every = 1; every < 8; every += 3) {
    gipc_handle *r, *w;
    struct log log = {.pause_every = every};
    uint64_t hash = 0;
    size_t sent = many(600, 100);
    OK(gipc_pipe(&r, &w));
    OK(gipc_start(r, loop, &events, &log));
    for (size_t i = 0; i < sent; i++) {
      OK(gipc_try_put(w, &i, sizeof i));
      hash = hash_bytes(hash, &i, sizeof i);
    }
    OK(gipc_close(w));
    while (log.ends == 0) {
      size_t before = log.messages;
      iterate(2);
      /* It takes effect at once, while more messages are buffered. */
      assert_true(log.messages - before <= every);
      if (log.messages % every == 0) {
        iterate(2);
        assert_true(log.messages == before || log.messages % every == 0);
        OK(gipc_pause(r)); /* no effect */
        OK(gipc_resume(r));
        OK(gipc_resume(r));
      }
    }
    assert_int_equal(log.messages, sent);
    assert_true(log.hash == hash);
    assert_false(log.late);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void
the_puts_of_a_peer_block_while_a_handle_is_paused(void **state) { /* H80 */
  gipc_handle *r, *w;
  struct log log = {0};
  static char block[1000];
  size_t put = 0;
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(r, loop, &events, &log));
  OK(gipc_pause(r));
  while (gipc_put(w, block, sizeof block, 0) == 0)
    put++;
  iterate(10);
  assert_int_equal(log.messages, 0);
  ev_run(loop, 0); /* nothing keeps it from returning */
  OK(gipc_resume(r));
  run_until(&log.messages, put);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void
on_drain_is_called_once_after_a_refused_put(void **state) { /* H79 */
  gipc_handle *r, *w;
  struct log out = {0}, in = {0};
  static char block[1000];
  size_t put = 0, pending;
  int result;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_marks(w, 5000, 50000));
  OK(gipc_start(w, loop, &events, &out));
  OK(gipc_start(r, loop, &events, &in));
  for (size_t round = 1; round <= 5; round++) {
    OK(gipc_pause(r));
    size_t before;
    do { /* until the kernel is full as well */
      while ((result = gipc_try_put(w, block, sizeof block)) == 0)
        put++;
      RESULT(result, -EAGAIN);
      RESULT(gipc_try_put(w, block, sizeof block), -EAGAIN);
      before = out.drains;
      iterate(5);
    } while (out.drains != before);
    OK(gipc_resume(r));
    run_until(&out.drains, before + 1);
    OK(gipc_pending(w, GIPC_WRITE, &pending));
    assert_true(pending <= 5000);
    run_until(&in.messages, put);
    iterate(20);
    assert_int_equal(out.drains, before + 1); /* once */
    /* Without a refusal there is none. */
    OK(gipc_try_put(w, block, sizeof block));
    run_until(&in.messages, ++put);
    iterate(5);
    assert_int_equal(out.drains, before + 1);
  }
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void small_puts_of_one_iteration_are_written_together(void **state) {
  gipc_handle *r, *w;
  struct log in = {0}, out = {0};
  gipc_stats stats = {.size = sizeof stats};
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(r, loop, &events, &in));
  OK(gipc_start(w, loop, &events, &out));
  for (int i = 0; i < 500; i++)
    OK(gipc_try_put(w, "small", 5));
  run_until(&in.messages, 500);
  OK(gipc_handle_stats(w, &stats));
  assert_int_equal(stats.writes, 1);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_closed_handle_writes_its_queue_in_the_background(void **state) {
  for (int freed = 0; freed < 2; freed++) {
    gipc_handle *r, *w;
    struct log in = {0}, out = {0};
    static char block[5000];
    size_t put = 0;
    int before = count_fds();
    OK(gipc_pipe(&r, &w));
    OK(gipc_start(w, loop, &events, &out));
    while (gipc_try_put(w, block, sizeof block) == 0)
      put++;
    if (freed)
      gipc_handle_free(w);
    else {
      OK(gipc_close(w));
      RESULT(gipc_close(w), GIPC_ECLOSED);
      RESULT(gipc_try_put(w, "x", 1), GIPC_ECLOSED);
      RESULT(gipc_stop(w), GIPC_ECLOSED);
    }
    iterate(5);
    OK(gipc_start(r, loop, &events, &in));
    ev_run(loop, 0);
    assert_int_equal(in.messages, put);
    RESULT(in.why, GIPC_EOF);
    assert_int_equal(out.drains + out.ends, 0); /* H97 */
    if (!freed)
      gipc_handle_free(w);
    gipc_handle_free(r);
    assert_int_equal(count_fds(), before);
  }
}

static void a_shutdown_writes_its_queue_in_the_background(void **state) {
  gipc_handle *a, *b;
  struct log in = {0}, out = {0};
  static char block[5000];
  size_t put = 0;
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_start(a, loop, &events, &out));
  while (gipc_try_put(a, block, sizeof block) == 0)
    put++;
  OK(gipc_shutdown(a));
  RESULT(gipc_directions(a), GIPC_READ);
  RESULT(gipc_try_put(a, "x", 1), GIPC_ECLOSED);
  RESULT(gipc_shutdown(a), GIPC_ECLOSED);
  OK(gipc_start(b, loop, &events, &in));
  run_until(&in.ends, 1);
  assert_int_equal(in.messages, put);
  RESULT(in.why, GIPC_EOF);
  OK(gipc_put(b, "still", 5, -1));
  run_until(&out.messages, 1);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void a_shutdown_can_be_repeated_after_a_stop(void **state) {
  /* H98: the queue can still be written */
  for (int way = 0; way < 2; way++) {
    gipc_handle *a, *b;
    struct log out = {0};
    static char block[5000];
    size_t put = 0, got = 0, size;
    const void *data;
    int result;
    OK(gipc_pipe_duplex(&a, &b));
    OK(gipc_start(a, loop, &events, &out));
    while (gipc_try_put(a, block, sizeof block) == 0)
      put++;
    OK(gipc_shutdown(a));
    OK(gipc_stop(a));
    if (way == 1) {
      OK(gipc_start(a, loop, &events, &out));
      iterate(2);
    }
    do {
      while ((result = gipc_try_get(b, &data, &size)) == 0)
        got++;
      iterate(1);
      if (result == -EAGAIN) {
        int flushed = gipc_flush_step(a);
        assert_true(flushed == 0 || flushed == -EAGAIN ||
                    flushed == GIPC_ECLOSED);
        if (flushed != -EAGAIN)
          break;
      }
    } while (result == -EAGAIN);
    result = gipc_shutdown(a);
    assert_true(result == 0 || result == GIPC_ECLOSED);
    while ((result = gipc_get(b, 10, &data, &size)) == 0)
      got++;
    RESULT(result, GIPC_EOF);
    assert_int_equal(got, put);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

static void
on_end_is_called_when_the_peer_of_a_writer_is_gone(void **state) { /* H77 */
  gipc_handle *r, *w;
  struct log out = {0};
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(w, loop, &events, &out));
  gipc_handle_free(r);
  OK(gipc_try_put(w, "x", 1));
  run_until(&out.ends, 1);
  RESULT(out.why, -EPIPE);
  RESULT(gipc_try_put(w, "x", 1), -EPIPE);
  iterate(5);
  assert_int_equal(out.ends, 1);
  gipc_handle_free(w);
}

static void memory_borrowed_by_a_started_handle_is_returned(void **state) {
  gipc_handle *r, *w;
  struct log in = {0}, out = {0};
  enum { large = 3 << 20 };
  char *block = malloc(large);
  int result;
  fill(block, large, 1);
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(r, loop, &events, &in));
  OK(gipc_start(w, loop, &events, &out));
  RESULT(gipc_put_start(w, block, large), -EAGAIN);
  run_until(&in.messages, 1); /* the loop sends it */
  assert_true(in.hash == hash_bytes(0, block, large));
  OK(gipc_put_step(w));
  RESULT(gipc_put_start(w, block, large), -EAGAIN);
  result = gipc_put_cancel(w);
  memset(block, 0, large);
  RESULT(result, 1);
  run_until(&in.messages, 2);
  free(block);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void gets_are_locked_and_puts_are_not(void **state) {
  gipc_handle *a, *b;
  struct log log = {0};
  const void *data;
  char buffer[8];
  size_t size;
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_start(a, loop, &events, &log));
  RESULT(gipc_try_get(a, &data, &size), GIPC_ELOCKED);
  RESULT(gipc_get(a, -1, &data, &size), GIPC_ELOCKED);
  RESULT(gipc_next_size(a, &size), GIPC_ELOCKED);
  RESULT(gipc_get_into(a, buffer, 8, &size), GIPC_ELOCKED);
  RESULT(gipc_start(a, loop, &events, &log), GIPC_ELOCKED);
  OK(gipc_put(a, "x", 1, -1));
  OK(gipc_get(b, 10, &data, &size));
  OK(gipc_stop(a));
  OK(gipc_put(b, "step", 4, -1));
  OK(gipc_get(a, 10, &data, &size));
  gipc_handle_free(a);
  gipc_handle_free(b);
}

#define PUSH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      PUSH_TEST(messages_are_delivered_in_order_before_the_end),
      PUSH_TEST(each_kind_of_end_is_reported_once),
      PUSH_TEST(messages_received_before_a_start_are_delivered),
      PUSH_TEST(a_budget_of_one_message_delivers_all_messages),
      PUSH_TEST(a_quiet_handle_lets_the_loop_sleep),
      PUSH_TEST(pausing_at_each_message_loses_none),
      PUSH_TEST(the_puts_of_a_peer_block_while_a_handle_is_paused),
      PUSH_TEST(on_drain_is_called_once_after_a_refused_put),
      PUSH_TEST(small_puts_of_one_iteration_are_written_together),
      PUSH_TEST(a_closed_handle_writes_its_queue_in_the_background),
      PUSH_TEST(a_shutdown_writes_its_queue_in_the_background),
      PUSH_TEST(a_shutdown_can_be_repeated_after_a_stop),
      PUSH_TEST(on_end_is_called_when_the_peer_of_a_writer_is_gone),
      PUSH_TEST(memory_borrowed_by_a_started_handle_is_returned),
      PUSH_TEST(gets_are_locked_and_puts_are_not),
  };
  return cmocka_run_group_tests_name("push", tests, NULL, NULL);
}
