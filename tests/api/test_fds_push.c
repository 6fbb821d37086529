/* Messages with descriptors on a loop. */
#include "support_fds.h"

enum { small = 16 };

static struct ev_loop *loop;
static gipc_handle *r, *w;

struct log {
  uint32_t got, taken, put, all;
  bool frees; /* the handle, without taking any */
  int why;
};

static size_t count_of(uint32_t number) { return number % 4; }

/* Of every fifth message nothing is taken. */
static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  struct log *log = user;
  if (log->frees) {
    gipc_handle_free(h);
    r = NULL;
    log->got++;
    return;
  }
  if (log->got % 5 != 0) {
    expect_fds(h, data, size, log->got, small, count_of(log->got));
    log->taken++;
  }
  log->got++;
}
static void put_more(gipc_handle *h, void *user) {
  struct log *log = user;
  int result = 0;
  for (; log->put < log->all && result == 0; log->put += result == 0)
    result = try_put_fds(h, log->put, small, count_of(log->put));
  CHECK(result == 0 || result == -EAGAIN);
  if (log->put == log->all)
    CHECK_OK(gipc_close(h));
}
static void on_end(gipc_handle *h, int why, void *user) {
  ((struct log *)user)->why = why;
}
static const gipc_events events = {sizeof events, on_message, put_more, on_end};

static int setup(void **state) {
  int result = test_setup(state);
  loop = ev_loop_new(0);
  return result != 0 || loop == NULL || gipc_pipe(&r, &w) != 0;
}
static int end(void **state) {
  gipc_handle_free(r);
  gipc_handle_free(w);
  ev_loop_destroy(loop);
  return test_end(state);
}

static void a_loop_delivers_and_writes_them(void **state) {
  struct log log = {.all = (uint32_t)many(5000, 300)};
  need_descriptors();
  OK(gipc_set_marks(w, 500, 2000));
  OK(gipc_start(r, loop, &events, &log));
  OK(gipc_start(w, loop, &events, &log));
  put_more(w, &log);
  while (log.why == 0)
    ev_run(loop, EVRUN_ONCE);
  assert_int_equal(log.why, GIPC_EOF);
  assert_int_equal(log.got, log.all);
}

/* While the descriptor is not writable the queue keeps duplicates. */
static void a_queue_of_a_loop_keeps_them(void **state) {
  need_descriptors();
  static char block[4096];
  struct log log = {.all = 0};
  int fd, watched = make_watched(&fd);
  OK(gipc_set_marks(w, 1, 64 << 20));
  OK(gipc_start(w, loop, &events, &log));
  while (gipc_flush_step(w) == 0)
    OK(gipc_try_put(w, block, sizeof block));
  ev_run(loop, EVRUN_NOWAIT);
  for (int i = 0; i < 3; i++)
    OK(gipc_try_put_with(w, "a", 1, &fd, 1));
  close(fd);
  for (int got = 0; got < 3;) {
    const void *data;
    size_t size;
    ev_run(loop, EVRUN_NOWAIT);
    if (gipc_try_get(r, &data, &size) != 0 || size != 1)
      continue;
    got++;
    CHECK_IS(gipc_take_fds(r, &fd, 1), 1);
    assert_false(is_gone(watched));
    close(fd);
  }
  assert_true(is_gone(watched));
  close(watched);
}

static void a_callback_may_free_the_handle_with_them(void **state) { /* H95 */
  need_descriptors();
  struct log log = {.frees = true};
  int fd, watched = make_watched(&fd);
  for (int i = 0; i < 3; i++)
    OK(gipc_put_with(w, "a", 1, &fd, 1, 20));
  close(fd);
  OK(gipc_start(r, loop, &events, &log));
  while (log.got == 0)
    ev_run(loop, EVRUN_ONCE);
  assert_int_equal(log.got, 1);
  assert_true(is_gone(watched));
  close(watched);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_loop_delivers_and_writes_them, setup,
                                      end),
      cmocka_unit_test_setup_teardown(a_queue_of_a_loop_keeps_them, setup, end),
      cmocka_unit_test_setup_teardown(a_callback_may_free_the_handle_with_them,
                                      setup, end),
  };
  return cmocka_run_group_tests_name("fds push", tests, NULL, NULL);
}
