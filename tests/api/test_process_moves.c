/* Handles that move into children, and those that stay. */
#include "support_process.h"

#include <fcntl.h>

static void expect_closed(gipc_handle *h) {
  const void *data;
  size_t size;
  CHECK_IS(gipc_directions(h), GIPC_ECLOSED);
  CHECK_IS(gipc_fd(h, GIPC_READ), GIPC_ECLOSED);
  CHECK_IS(gipc_try_get(h, &data, &size), GIPC_ECLOSED);
  CHECK_IS(gipc_try_put(h, "x", 1), GIPC_ECLOSED);
  CHECK_IS(gipc_close(h), GIPC_ECLOSED);
}

static void expect_wrong_process(gipc_handle *h) {
  const void *data = &data;
  size_t size = 77;
  CHECK_IS(gipc_directions(h), GIPC_EWRONGPROC);
  CHECK_IS(gipc_fd(h, GIPC_READ), GIPC_EWRONGPROC);
  CHECK_IS(gipc_fd(h, GIPC_WRITE), GIPC_EWRONGPROC);
  CHECK_IS(gipc_try_get(h, &data, &size), GIPC_EWRONGPROC);
  CHECK_IS(gipc_get(h, 1, &data, &size), GIPC_EWRONGPROC);
  CHECK_IS(gipc_try_put(h, "x", 1), GIPC_EWRONGPROC);
  CHECK_IS(gipc_put(h, "x", 1, 1), GIPC_EWRONGPROC);
  CHECK_IS(gipc_flush(h, 1), GIPC_EWRONGPROC);
  CHECK_IS(gipc_shutdown(h), GIPC_EWRONGPROC);
  CHECK_IS(gipc_close(h), GIPC_EWRONGPROC);
  CHECK(data == &data && size == 77);
}

struct all {
  gipc_handle *a, *b; /* duplex: b is passed */
  gipc_handle *r, *w; /* one-way: w is passed */
  gipc_handle *other, *another;
  gipc_process *sibling;
};

static int use_all(struct ev_loop *fresh, void *argument) {
  struct all *all = argument;
  const void *data;
  size_t size;
  int code = 77;
  expect_wrong_process(all->a); /* H36 */
  expect_wrong_process(all->r);
  expect_wrong_process(all->other);
  gipc_handle_free(all->other);
  CHECK_IS(gipc_directions(all->b), GIPC_READ | GIPC_WRITE);
  CHECK_IS(gipc_directions(all->w), GIPC_WRITE);
  CHECK((fcntl(gipc_fd(all->b, GIPC_READ), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_OK(gipc_get(all->b, 20, &data, &size));
  CHECK_OK(gipc_put(all->b, data, size, 20));
  CHECK_OK(gipc_put(all->w, "one way", 7, 20));
  /* Processes of the parent are not the child's. */
  CHECK_IS(gipc_process_pid(all->sibling), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_fd(all->sibling), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_stdio(all->sibling, 0), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_is_alive(all->sibling), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_join(all->sibling, 1), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_exitcode(all->sibling, &code), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_kill(all->sibling), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_stop(all->sibling, 1), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_report(all->sibling, 0), GIPC_EWRONGPROC);
  CHECK_IS(code, 77);
  gipc_process_free(all->sibling);
  /* They can move on. */
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, "it", all->b));
  gipc_process *p = execute(o, PROGRAM("child_answer"), "it", NULL);
  gipc_options_free(o);
  expect_closed(all->b);
  return end_of(p);
}

static void passed_handles_move_and_the_others_stay(void **state) {
  struct all all;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe_duplex(&all.a, &all.b));
  CHECK_OK(gipc_pipe(&all.r, &all.w));
  CHECK_OK(gipc_pipe(&all.other, &all.another));
  all.sibling = start(wait_for_signal, NULL, NULL);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, NULL, all.b));
  CHECK_OK(gipc_options_pass(o, "named", all.w));
  CHECK_IS(gipc_options_pass(o, NULL, all.b), -EINVAL);
  CHECK_IS(gipc_options_pass(o, "named", all.a), -EINVAL);
  gipc_process *p = start(use_all, &all, o);
  expect_closed(all.b);
  expect_closed(all.w);
  CHECK_OK(gipc_put(all.a, "there", 5, 20));
  CHECK_OK(gipc_get(all.a, 20, &data, &size));
  CHECK(size == 5 && memcmp(data, "there", 5) == 0);
  CHECK_OK(gipc_get(all.r, 20, &data, &size));
  CHECK(size == 7 && memcmp(data, "one way", 7) == 0);
  /* Now the program behind it. */
  CHECK_OK(gipc_put(all.a, "further", 7, 20));
  CHECK_OK(gipc_get(all.a, 20, &data, &size));
  CHECK(size == 7 && memcmp(data, "further", 7) == 0);
  CHECK_OK(gipc_close(all.a));
  CHECK_IS(end_of(p), 0);
  CHECK_IS(gipc_get(all.r, 20, &data, &size), GIPC_EOF);
  /* The handles that stayed work. */
  for (int i = 0; i < 1000; i++) {
    CHECK_OK(gipc_put(all.another, &i, sizeof i, 20));
    CHECK_OK(gipc_get(all.other, 20, &data, &size));
    CHECK(size == sizeof i && memcmp(data, &i, size) == 0);
  }
  CHECK_IS(gipc_process_is_alive(all.sibling), 1);
  destroy(all.sibling);
  /* What has moved cannot move again. */
  gipc_process *none = NULL;
  const char *argv[] = {"true", NULL};
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &none), GIPC_ECLOSED);
  gipc_options_free(o);
  o = new_options();
  CHECK_OK(gipc_options_pass(o, "it", all.w));
  CHECK_IS(gipc_exec_process(argv, o, &none), GIPC_ECLOSED);
  CHECK(none == NULL);
  gipc_options_free(o);
  gipc_handle *handles[] = {all.a, all.b, all.r, all.w, all.other, all.another};
  for (int i = 0; i < 6; i++)
    gipc_handle_free(handles[i]);
}

/* ---- Bytes that go along ----------------------------------------------------
 */

static int take_the_rest(struct ev_loop *fresh, void *argument) {
  const void *data;
  size_t size;
  for (int i = 1; i < 50; i++) {
    CHECK_OK(gipc_get(argument, 20, &data, &size));
    CHECK(size == sizeof i && memcmp(data, &i, size) == 0);
  }
  CHECK_OK(gipc_put(argument, "end", 3, 20));
  return 0;
}

static void received_and_queued_bytes_are_passed_to_a_function(void **state) {
  gipc_handle *a, *b;
  gipc_process *p = NULL;
  const char *argv[] = {"true", NULL};
  const void *data;
  size_t size, bytes = 0;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  for (int i = 0; i < 50; i++)
    CHECK_OK(gipc_try_put(a, &i, sizeof i));
  CHECK_OK(gipc_flush(a, 20));
  CHECK_OK(gipc_get(b, 20, &data, &size)); /* receives more than the first */
  CHECK_OK(gipc_pending(b, GIPC_READ, &bytes));
  CHECK(bytes > 0);
  CHECK_OK(gipc_try_put(b, "queued", 6));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, "it", b));
  /* A program could not be given it. */
  CHECK_IS(gipc_exec_process(argv, o, &p), -EBUSY);
  CHECK(p == NULL && gipc_directions(b) == (GIPC_READ | GIPC_WRITE));
  p = start(take_the_rest, b, o);
  CHECK_OK(gipc_get(a, 20, &data, &size));
  CHECK(size == 6 && memcmp(data, "queued", 6) == 0);
  CHECK_OK(gipc_get(a, 20, &data, &size));
  CHECK(size == 3 && memcmp(data, "end", 3) == 0);
  CHECK_IS(gipc_get(a, 20, &data, &size), GIPC_EOF);
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void a_handle_with_queued_bytes_only_is_busy(void **state) {
  gipc_handle *r, *w;
  gipc_process *p = NULL;
  const char *argv[] = {"true", NULL};
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, "it", w));
  CHECK_OK(gipc_try_put(w, "x", 1));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EBUSY);
  CHECK_OK(gipc_flush(w, 20));
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_program_needs_the_name_of_its_handle(void **state) {
  gipc_handle *r, *w;
  gipc_process *p = NULL;
  const char *argv[] = {"true", NULL};
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_IS(gipc_options_pass(o, "", w), -EINVAL);
  CHECK_IS(gipc_options_pass(o, "a,b", w), -EINVAL);
  CHECK_IS(gipc_options_pass(o, "a=b", w), -EINVAL);
  CHECK_IS(gipc_options_pass(o, "a b", w), -EINVAL);
  CHECK_OK(gipc_options_pass(o, NULL, w));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EINVAL);
  CHECK(p == NULL);
  CHECK_IS(gipc_directions(w), GIPC_WRITE);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* ---- In use
 * ------------------------------------------------------------------ */

static void a_handle_that_borrows_a_buffer_cannot_be_passed(void **state) {
  gipc_handle *a, *b;
  gipc_process *p = NULL;
  static char buffer[1 << 20];
  size_t size;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_put(a, "four", 4, 20));
  /* A header alone, for a get that borrows. */
  CHECK_OK(gipc_get_into(b, buffer, sizeof buffer, &size));
  CHECK(write(gipc_fd(a, GIPC_WRITE), "\0\17\0\0x", 5) == 5);
  CHECK_IS(gipc_get_into(b, buffer, sizeof buffer, &size), -EAGAIN);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, "it", b));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), GIPC_ELOCKED);
  CHECK(p == NULL);
  CHECK_OK(gipc_get_cancel(b));
  CHECK_IS(in_child(return_argument, NULL, o), 0);
  gipc_options_free(o);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static int got;

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  got++;
  CHECK(getpid() == *(pid_t *)user);
}

static void on_end(gipc_handle *h, int why, void *user) { CHECK(false); }

static int answer_one(struct ev_loop *fresh, void *argument) {
  const void *data;
  size_t size;
  CHECK_OK(ev_run(fresh, 0));
  CHECK_OK(gipc_get(argument, 20, &data, &size)); /* no longer started */
  CHECK_OK(gipc_put(argument, data, size, 20));
  return 0;
}

static void a_started_handle_is_stopped_when_it_is_passed(void **state) {
  for (int i = 0; i < 2; i++) {
    struct ev_loop *loop =
        i ? ev_default_loop(EVFLAG_AUTO) : ev_loop_new(EVFLAG_AUTO);
    pid_t self = getpid();
    gipc_events events = {sizeof events, on_message, NULL, on_end};
    gipc_handle *a, *b;
    const void *data;
    size_t size;
    got = 0;
    CHECK_OK(gipc_pipe_duplex(&a, &b));
    CHECK_OK(gipc_start(b, loop, &events, &self));
    CHECK_OK(gipc_put(a, "one", 3, 20));
    ev_run(loop, EVRUN_ONCE);
    CHECK_IS(got, 1);
    gipc_options *o = new_options();
    CHECK_OK(gipc_options_pass(o, "it", b));
    gipc_process *p = start(answer_one, b, o);
    expect_closed(b);
    CHECK_OK(gipc_put(a, "two", 3, 20));
    CHECK_OK(gipc_get(a, 20, &data, &size));
    CHECK(size == 3 && memcmp(data, "two", 3) == 0);
    CHECK_IS(end_of(p), 0);
    CHECK_OK(ev_run(loop, 0)); /* no watcher of it is left */
    CHECK_IS(got, 1);
    gipc_options_free(o);
    gipc_handle_free(a);
    gipc_handle_free(b);
    ev_loop_destroy(loop);
  }
}

static void a_failed_start_moves_nothing(void **state) {
  gipc_handle *r, *w;
  gipc_process *p = NULL;
  const char *argv[] = {"/does/not/exist", NULL};
  const void *data;
  size_t size;
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "it", w));
  CHECK_IS(gipc_exec_process(argv, o, &p), -ENOENT);
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -ENOENT);
  CHECK_OK(gipc_put(w, "here", 4, 20));
  CHECK_OK(gipc_get(r, 20, &data, &size));
  CHECK_IS((long)size, 4);
  CHECK((fcntl(gipc_fd(w, GIPC_WRITE), F_GETFD) & FD_CLOEXEC) != 0);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(passed_handles_move_and_the_others_stay),
      TEST(received_and_queued_bytes_are_passed_to_a_function),
      TEST(a_handle_with_queued_bytes_only_is_busy),
      TEST(a_program_needs_the_name_of_its_handle),
      TEST(a_handle_that_borrows_a_buffer_cannot_be_passed),
      TEST(a_started_handle_is_stopped_when_it_is_passed),
      TEST(a_failed_start_moves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
