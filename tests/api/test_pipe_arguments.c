/* Wrong arguments: -EINVAL, and nothing changes, neither do the outputs. */
#include "support.h"

#include <ev.h>
#include <math.h>
#include <unistd.h>

static gipc_handle *r, *w;
static gipc_handle *const unset = (gipc_handle *)&r; /* some value */

static int setup(void **state) {
  int result = test_setup(state);
  return result != 0 ? result : gipc_pipe(&r, &w);
}

static int end(void **state) {
  gipc_handle_free(r);
  gipc_handle_free(w);
  return test_end(state);
}

static void every_null_is_refused(void **state) {
  gipc_handle *h = unset, *other = unset;
  const void *data = &h;
  size_t size = 77;
  char buffer[4];
  gipc_message one = {"x", 1};
  gipc_stats stats = {.size = sizeof stats};
  RESULT(gipc_pipe(NULL, &h), -EINVAL);
  RESULT(gipc_pipe(&h, NULL), -EINVAL);
  RESULT(gipc_pipe(&h, &h), -EINVAL);
  RESULT(gipc_pipe_duplex(NULL, &h), -EINVAL);
  RESULT(gipc_pipe_duplex(&h, NULL), -EINVAL);
  RESULT(gipc_open(0, 1, NULL), -EINVAL);
  RESULT(gipc_close(NULL), -EINVAL);
  RESULT(gipc_shutdown(NULL), -EINVAL);
  RESULT(gipc_fd(NULL, GIPC_READ), -EINVAL);
  RESULT(gipc_directions(NULL), -EINVAL);
  RESULT(gipc_set_limit(NULL, 1), -EINVAL);
  RESULT(gipc_set_read_limit(NULL, 1), -EINVAL);
  RESULT(gipc_set_marks(NULL, 1, 2), -EINVAL);
  RESULT(gipc_set_budget(NULL, 1, 1), -EINVAL);
  RESULT(gipc_pending(NULL, GIPC_READ, &size), -EINVAL);
  RESULT(gipc_pending(r, GIPC_READ, NULL), -EINVAL);
  RESULT(gipc_handle_stats(NULL, &stats), -EINVAL);
  RESULT(gipc_handle_stats(r, NULL), -EINVAL);
  RESULT(gipc_try_get(NULL, &data, &size), -EINVAL);
  RESULT(gipc_try_get(r, NULL, &size), -EINVAL);
  RESULT(gipc_try_get(r, &data, NULL), -EINVAL);
  RESULT(gipc_next_size(NULL, &size), -EINVAL);
  RESULT(gipc_next_size(r, NULL), -EINVAL);
  RESULT(gipc_get_into(NULL, buffer, 4, &size), -EINVAL);
  RESULT(gipc_get_into(r, NULL, 4, &size), -EINVAL);
  RESULT(gipc_get_into(r, buffer, 4, NULL), -EINVAL);
  RESULT(gipc_get_cancel(NULL), -EINVAL);
  RESULT(gipc_try_put(NULL, "x", 1), -EINVAL);
  RESULT(gipc_try_put(w, NULL, 1), -EINVAL);
  RESULT(gipc_put_start(NULL, "x", 1), -EINVAL);
  RESULT(gipc_put_start(w, NULL, 1), -EINVAL);
  RESULT(gipc_put_step(NULL), -EINVAL);
  RESULT(gipc_put_cancel(NULL), -EINVAL);
  RESULT(gipc_flush_step(NULL), -EINVAL);
  RESULT(gipc_get(NULL, 0, &data, &size), -EINVAL);
  RESULT(gipc_get(r, 0, NULL, &size), -EINVAL);
  RESULT(gipc_get(r, 0, &data, NULL), -EINVAL);
  RESULT(gipc_put(NULL, "x", 1, 0), -EINVAL);
  RESULT(gipc_put(w, NULL, 1, 0), -EINVAL);
  RESULT(gipc_put_many(NULL, &one, 1, 0, &size), -EINVAL);
  RESULT(gipc_put_many(w, NULL, 1, 0, &size), -EINVAL);
  RESULT(gipc_put_many(w, &one, 1, 0, NULL), -EINVAL);
  RESULT(gipc_flush(NULL, 0), -EINVAL);
  RESULT(gipc_stop(NULL), -EINVAL);
  RESULT(gipc_pause(NULL), -EINVAL);
  RESULT(gipc_resume(NULL), -EINVAL);
  assert_ptr_equal(h, unset);
  assert_ptr_equal(other, unset);
  assert_ptr_equal(data, &h);
  assert_int_equal(size, 77);
}

static void a_refused_put_puts_nothing(void **state) {
  const void *data;
  size_t size, pending = 77;
  RESULT(gipc_put(w, NULL, 1, -1), -EINVAL);
  RESULT(gipc_try_put(w, NULL, 1), -EINVAL);
  RESULT(gipc_put_start(w, "x", (size_t)-1), GIPC_ETOOBIG);
  RESULT(gipc_put(w, "x", 1, NAN), -EINVAL);
  OK(gipc_set_limit(w, GIPC_UNLIMITED));
  RESULT(gipc_put(w, "x", (size_t)-1, -1), -EINVAL);
  RESULT(gipc_try_put(w, "x", (size_t)-20), -EINVAL);
  OK(gipc_pending(w, GIPC_WRITE, &pending));
  assert_int_equal(pending, 0);
  OK(gipc_put(w, "good", 4, -1));
  OK(gipc_get(r, 10, &data, &size));
  assert_int_equal(size, 4);
}

static void not_a_number_is_not_a_time(void **state) {
  const void *data = &r;
  size_t size = 77, accepted = 77;
  gipc_message one = {"x", 1};
  RESULT(gipc_get(r, NAN, &data, &size), -EINVAL);
  RESULT(gipc_put(w, "x", 1, NAN), -EINVAL);
  RESULT(gipc_flush(w, NAN), -EINVAL);
  RESULT(gipc_put_many(w, &one, 1, NAN, &accepted), -EINVAL);
  assert_ptr_equal(data, &r);
  assert_int_equal(size, 77);
  assert_int_equal(accepted, 77);
  /* These are valid timeouts. */
  OK(gipc_put(w, "x", 1, INFINITY));
  OK(gipc_get(r, INFINITY, &data, &size));
  OK(gipc_put(w, "x", 1, -INFINITY));
  OK(gipc_get(r, 1e300, &data, &size));
  RESULT(gipc_get(r, -0.0, &data, &size), -ETIMEDOUT);
  RESULT(gipc_get(r, 1e-300, &data, &size), -ETIMEDOUT);
}

static void outputs_are_untouched_when_a_get_would_block(void **state) {
  const void *data = &r;
  size_t size = 77;
  char buffer[4] = "abc";
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
  RESULT(gipc_next_size(r, &size), -EAGAIN);
  RESULT(gipc_get_into(r, buffer, 4, &size), -EAGAIN);
  OK(gipc_put(w, "12345", 5, -1));
  RESULT(gipc_get_into(r, buffer, 4, &size), GIPC_ETOOBIG);
  assert_string_equal(buffer, "abc");
  OK(gipc_next_size(r, &size));
  assert_int_equal(size, 5);
  size = 77;
  OK(gipc_close(w));
  OK(gipc_try_get(r, &data, &size));
  size = 77;
  data = &r;
  RESULT(gipc_try_get(r, &data, &size), GIPC_EOF);
  RESULT(gipc_next_size(r, &size), GIPC_EOF);
  RESULT(gipc_get_into(r, buffer, 4, &size), GIPC_EOF);
  assert_ptr_equal(data, &r);
  assert_int_equal(size, 77);
}

static void
directions_marks_and_budgets_out_of_range_are_refused(void **state) {
  size_t bytes = 77;
  gipc_stats stats = {.size = sizeof stats.size};
  for (int direction = -3; direction < 8; direction++) {
    if (direction == GIPC_READ || direction == GIPC_WRITE)
      continue;
    RESULT(gipc_fd(r, direction), -EINVAL);
    RESULT(gipc_pending(r, direction, &bytes), -EINVAL);
  }
  RESULT(gipc_set_marks(w, 0, 0), -EINVAL);
  RESULT(gipc_set_marks(w, 5, 5), -EINVAL);
  RESULT(gipc_set_marks(w, 6, 5), -EINVAL);
  OK(gipc_set_marks(w, 0, 1));
  OK(gipc_set_marks(w, 5, (size_t)-1));
  RESULT(gipc_set_budget(r, 0, 1), -EINVAL);
  RESULT(gipc_set_budget(r, 1, 0), -EINVAL);
  OK(gipc_set_budget(r, (size_t)-1, (size_t)-1));
  RESULT(gipc_handle_stats(r, &stats), -EINVAL);
  stats.size = 0;
  RESULT(gipc_handle_stats(r, &stats), -EINVAL);
  assert_int_equal(bytes, 77);
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  (void)h, (void)data, (void)size, (void)user;
}

static void wrong_arguments_of_gipc_start_are_refused(void **state) {
  struct ev_loop *loop = ev_loop_new(0);
  gipc_events events = {.size = sizeof events, .on_message = on_message};
  gipc_events wrong = events, none = {.size = sizeof none};
  wrong.size = sizeof wrong.size;
  RESULT(gipc_start(NULL, loop, &events, NULL), -EINVAL);
  RESULT(gipc_start(r, NULL, &events, NULL), -EINVAL);
  RESULT(gipc_start(r, loop, NULL, NULL), -EINVAL);
  RESULT(gipc_start(r, loop, &wrong, NULL), -EINVAL);
  RESULT(gipc_start(r, loop, &none, NULL), -EINVAL);
  RESULT(gipc_stop(r), -EINVAL);
  RESULT(gipc_pause(r), -EINVAL);
  RESULT(gipc_resume(r), -EINVAL);
  OK(gipc_start(w, loop, &none, NULL)); /* it delivers nothing */
  OK(gipc_start(r, loop, &events, NULL));
  RESULT(gipc_start(r, loop, &events, NULL), GIPC_ELOCKED);
  OK(gipc_stop(r));
  OK(gipc_stop(w));
  ev_loop_destroy(loop);
}

static void steps_without_a_start_are_refused(void **state) {
  RESULT(gipc_put_step(w), -EINVAL);
  RESULT(gipc_put_cancel(w), -EINVAL);
  OK(gipc_get_cancel(r)); /* without a borrowed buffer: no error */
  OK(gipc_flush_step(w));
  OK(gipc_flush(w, 0));
}

#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      PIPE_TEST(every_null_is_refused),
      PIPE_TEST(a_refused_put_puts_nothing),
      PIPE_TEST(not_a_number_is_not_a_time),
      PIPE_TEST(outputs_are_untouched_when_a_get_would_block),
      PIPE_TEST(directions_marks_and_budgets_out_of_range_are_refused),
      PIPE_TEST(wrong_arguments_of_gipc_start_are_refused),
      PIPE_TEST(steps_without_a_start_are_refused),
  };
  return cmocka_run_group_tests_name("pipe arguments", tests, NULL, NULL);
}
