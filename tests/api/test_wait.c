/* Waiting for several handles and processes at once, without a loop. */
#include "support_process.h"

static gipc_wait_set *set;
static gipc_handle *r, *w;

static int setup(void **state) {
  int result = test_setup(state);
  result = result != 0 ? result : gipc_wait_set_new(&set);
  return result != 0 ? result : gipc_pipe(&r, &w);
}

static int end(void **state) {
  gipc_wait_set_free(set);
  gipc_handle_free(r);
  gipc_handle_free(w);
  return test_end(state);
}

/* The next ready member is this handle, in these directions. */
static void next_is(gipc_handle *h, int directions) {
  gipc_handle *handle = NULL;
  gipc_process *process = (gipc_process *)&set;
  int ready = 77;
  CHECK_OK(gipc_wait_set_next(set, &handle, &process, &ready));
  CHECK(handle == h && process == NULL);
  CHECK_IS(ready, directions);
}
static void next_is_process(gipc_process *p) {
  gipc_handle *handle = (gipc_handle *)&set;
  gipc_process *process = NULL;
  int ready = 77;
  CHECK_OK(gipc_wait_set_next(set, &handle, &process, &ready));
  CHECK(handle == NULL && process == p);
  CHECK_IS(ready, 0);
}
static void no_more(void) {
  gipc_handle *handle = r;
  gipc_process *process = (gipc_process *)&set;
  int ready = 77;
  CHECK_IS(gipc_wait_set_next(set, &handle, &process, &ready), -EAGAIN);
  CHECK(handle == r && process == (gipc_process *)&set && ready == 77);
}

/* ---- Readers and writers --------------------------------------------------
 */

static void nothing_ready_is_a_timeout(void **state) {
  double began = now();
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_IS(gipc_wait(set, 0.02), -ETIMEDOUT);
  CHECK(now() - began >= 0.02);
  no_more();
}

static void a_message_makes_its_reader_ready(void **state) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is(r, GIPC_READ);
  no_more();
  CHECK_IS(gipc_wait(set, 0), 1); /* until the message is got */
  CHECK_OK(gipc_try_get(r, &data, &size));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
}

static void a_message_in_memory_is_ready_at_once(void **state) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  CHECK_OK(gipc_put(w, "one", 3, -1));
  CHECK_OK(gipc_put(w, "two", 3, -1));
  CHECK_OK(gipc_try_get(r, &data, &size)); /* receives both */
  CHECK(!wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 0));
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is(r, GIPC_READ);
  CHECK_OK(gipc_try_get(r, &data, &size));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
}

static void a_part_of_a_message_in_memory_is_not_ready(void **state) {
  const void *data;
  size_t size;
  CHECK_IS(write(gipc_fd(w, GIPC_WRITE), "\0\0\0\5hel", 7), 7);
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_IS(gipc_wait(set, -1), 1); /* there is something to receive */
  CHECK_IS(gipc_try_get(r, &data, &size), -EAGAIN);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_IS(write(gipc_fd(w, GIPC_WRITE), "lo", 2), 2);
  CHECK_IS(gipc_wait(set, -1), 1);
  CHECK_OK(gipc_try_get(r, &data, &size));
}

static void an_end_and_an_error_are_ready(void **state) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_IS(write(gipc_fd(w, GIPC_WRITE), "\x80\0\0\0", 4), 4);
  CHECK_IS(gipc_wait(set, -1), 1);
  CHECK_IS(gipc_try_get(r, &data, &size), GIPC_EPROTOCOL);
  CHECK_IS(gipc_wait(set, -1), 1); /* permanently */
  CHECK_OK(gipc_wait_set_remove_handle(set, r));
  CHECK_OK(gipc_close(r));
  CHECK_OK(gipc_wait_set_add_handle(set, w, GIPC_WRITE));
  CHECK_IS(gipc_wait(set, -1), 1);
  CHECK_IS(gipc_put(w, "x", 1, -1), -EPIPE);
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is(w, GIPC_WRITE);
}

static void a_writer_is_ready_when_its_descriptor_takes_bytes(void **state) {
  static char block[60 * 1000];
  const void *data;
  size_t size;
  int result;
  CHECK_OK(gipc_wait_set_add_handle(set, w, GIPC_WRITE));
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is(w, GIPC_WRITE);
  while ((result = gipc_try_put(w, block, sizeof block)) == 0)
    ;
  CHECK_IS(result, -EAGAIN);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  while (gipc_wait(set, 0) == -ETIMEDOUT)
    CHECK_OK(gipc_get(r, -1, &data, &size));
  next_is(w, GIPC_WRITE);
  result = gipc_flush_step(w);
  CHECK(result == 0 || result == -EAGAIN);
}

static void directions_are_waited_for_separately(void **state) {
  gipc_handle *a, *b;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_wait_set_add_handle(set, a, GIPC_READ | GIPC_WRITE));
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is(a, GIPC_WRITE);
  CHECK_OK(gipc_put(b, "x", 1, -1));
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is(a, GIPC_READ | GIPC_WRITE);
  /* Added again: the directions change. */
  CHECK_OK(gipc_wait_set_add_handle(set, a, GIPC_READ));
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is(a, GIPC_READ);
  no_more();
  /* What a wait has found is returned for the directions of now. */
  CHECK_OK(gipc_wait_set_add_handle(set, a, GIPC_READ | GIPC_WRITE));
  CHECK_IS(gipc_wait(set, -1), 1);
  CHECK_OK(gipc_wait_set_add_handle(set, a, GIPC_WRITE));
  next_is(a, GIPC_WRITE);
  no_more();
  CHECK_OK(gipc_wait_set_add_handle(set, a, GIPC_READ));
  CHECK_OK(gipc_wait_set_remove_handle(set, a));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void all_ready_members_are_returned_in_order(void **state) {
  enum { pipes = 50 };
  gipc_handle *readers[pipes], *writers[pipes];
  for (int i = 0; i < pipes; i++) {
    CHECK_OK(gipc_pipe(&readers[i], &writers[i]));
    CHECK_OK(gipc_wait_set_add_handle(set, readers[i], GIPC_READ));
    CHECK_OK(gipc_handle_set_user(readers[i], writers[i]));
    if (i % 2 == 0)
      CHECK_OK(gipc_put(writers[i], "x", 1, -1));
  }
  CHECK_IS(gipc_wait(set, -1), pipes / 2);
  for (int i = 0; i < pipes; i += 2)
    next_is(readers[i], GIPC_READ);
  no_more();
  for (int i = 0; i < pipes; i++) {
    CHECK(gipc_handle_user(readers[i]) == writers[i]);
    gipc_handle_free(readers[i]);
    gipc_handle_free(writers[i]);
  }
}

/* ---- Processes ----------------------------------------------------------- */

static int until_the_end(struct ev_loop *fresh, void *h) {
  const void *data;
  size_t size;
  return gipc_get(h, -1, &data, &size) == GIPC_EOF ? 7 : 1;
}

static void a_process_is_ready_when_it_has_ended(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, NULL, r));
  gipc_process *p = start(until_the_end, r, o);
  gipc_process *other = start(wait_for_signal, NULL, NULL);
  int code;
  CHECK_OK(gipc_wait_set_add_process(set, other));
  CHECK_OK(gipc_wait_set_add_process(set, p));
  CHECK_OK(gipc_wait_set_add_process(set, p)); /* once */
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_OK(gipc_close(w));
  CHECK_IS(gipc_wait(set, -1), 1);
  next_is_process(p);
  no_more();
  CHECK_OK(gipc_process_join(p, 0));
  CHECK_OK(gipc_process_exitcode(p, &code));
  CHECK_IS(code, 7);
  CHECK_IS(gipc_wait(set, -1), 1); /* it stays so */
  CHECK_OK(gipc_wait_set_remove_process(set, p));
  CHECK_IS(gipc_wait_set_remove_process(set, p), -ENOENT);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  gipc_process_free(p);
  gipc_options_free(o);
  destroy(other);
}

static void handles_and_processes_are_waited_for_together(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, NULL, w));
  gipc_process *p = start(return_argument, INT(0), o);
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_OK(gipc_wait_set_add_process(set, p));
  /* The end of the pipe and that of the process come in any order. */
  for (int ready = 0; ready < 2;) {
    ready = gipc_wait(set, -1);
    CHECK(ready == 1 || ready == 2);
  }
  next_is(r, GIPC_READ);
  next_is_process(p);
  no_more();
  gipc_process_free(p);
  gipc_options_free(o);
}

/* ---- Waking -------------------------------------------------------------- */

static void a_wake_ends_the_next_wait_once(void **state) {
  for (int i = 0; i < 3; i++)
    CHECK_OK(gipc_wait_set_wake(set)); /* any number is one */
  CHECK_IS(gipc_wait(set, -1), -ECANCELED);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_OK(gipc_wait_set_wake(set));
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_IS(gipc_wait(set, 0), -ECANCELED);
  no_more(); /* no member was checked */
  CHECK_IS(gipc_wait(set, 0), 1);
}

#define SET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      SET_TEST(nothing_ready_is_a_timeout),
      SET_TEST(a_message_makes_its_reader_ready),
      SET_TEST(a_message_in_memory_is_ready_at_once),
      SET_TEST(a_part_of_a_message_in_memory_is_not_ready),
      SET_TEST(an_end_and_an_error_are_ready),
      SET_TEST(a_writer_is_ready_when_its_descriptor_takes_bytes),
      SET_TEST(directions_are_waited_for_separately),
      SET_TEST(all_ready_members_are_returned_in_order),
      SET_TEST(a_process_is_ready_when_it_has_ended),
      SET_TEST(handles_and_processes_are_waited_for_together),
      SET_TEST(a_wake_ends_the_next_wait_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
