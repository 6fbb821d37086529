/* A thread with a pending cancellation makes calls that do not wait: they
 * complete, nothing leaks, and the thread ends later (H117). */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

static gipc_handle *r, *w;
static gipc_process *p;
static gipc_options *o;
static int done; /* a thread's body */

/* ---- A thread with a cancellation pending ---------------------------- */

static void *cancel_and_call(void *argument) {
  void (*body)(void) = *(void (**)(void))argument;
  /* The cancellation takes effect at the first cancellation point. */
  CHECK_OK(pthread_cancel(pthread_self()));
  done = 0;
  body();
  done = 1;
  pthread_testcancel();
  CHECK(false);
  return NULL;
}

/* Waits until the freed children have ended and were reaped. */
static void reap(void) {
  do
    gipc_process_free(NULL);
  while (has_children());
}

static void with_pending_cancel(void (*body)(void)) {
  pthread_t thread;
  void *result = NULL;
  int fds = count_fds();
  CHECK_OK(pthread_create(&thread, NULL, cancel_and_call, &body));
  CHECK_OK(pthread_join(thread, &result));
  CHECK(result == PTHREAD_CANCELED);
  CHECK_IS(done, 1);
  reap();
  CHECK_IS(count_fds(), fds);
}

/* ---- Handles --------------------------------------------------------- */

static void make_and_free(void) {
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_handle_free(r);
  CHECK_OK(gipc_close(w));
  gipc_handle_free(w);
  CHECK_OK(gipc_pipe_duplex(&r, &w));
  CHECK_OK(gipc_shutdown(w));
  gipc_handle_free(w);
  gipc_handle_free(r);
}

static void
calls_on_handles_complete_when_the_thread_is_cancelled(void **state) {
  with_pending_cancel(make_and_free);
}

/* A ring, whose reader has one more descriptor, is there before the count. */
static void make_used_pipe(void) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe(&r, &w));
  for (int i = 0; i < 20; i++) {
    CHECK_OK(gipc_put(w, "one", 3, 30));
    CHECK_OK(gipc_get(r, 30, &data, &size));
  }
}

static void step(void) {
  static char large[5000000], into[5000000]; /* more than a ring holds */
  const void *data;
  size_t size;
  CHECK_OK(gipc_try_put(w, "small", 5));
  CHECK_OK(gipc_flush_step(w));
  CHECK_OK(gipc_try_put(w, "small", 5));
  CHECK_OK(gipc_try_put(w, large, sizeof large));
  CHECK_IS(gipc_flush_step(w), -EAGAIN);
  CHECK_OK(gipc_try_get(r, &data, &size));
  CHECK_OK(gipc_read_ahead(r)); /* of the large one */
  CHECK_OK(gipc_try_get(r, &data, &size));
  CHECK_OK(gipc_next_size(r, &size));
  CHECK_IS(gipc_get_into(r, into, sizeof into, &size), -EAGAIN);
  CHECK_OK(gipc_get_cancel(r));
  while (gipc_try_get(r, &data, &size) != 0)
    CHECK(gipc_flush_step(w) == 0 || gipc_flush_step(w) == -EAGAIN);
  CHECK_IS(size, sizeof large);
  CHECK_IS(gipc_put_start(w, large, sizeof large), -EAGAIN);
  CHECK_IS(gipc_put_cancel(w), 1);
}

static void steps_complete_when_the_thread_is_cancelled(void **state) {
  make_used_pipe();
  CHECK_OK(gipc_set_marks(w, 1, 2000000));
  with_pending_cancel(step);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void block(void) {
  const void *data;
  size_t size, accepted;
  gipc_message two[] = {{"many", 4}, {"more", 4}};
  CHECK_OK(gipc_put(w, "one", 3, -1)); /* there is room: no wait */
  CHECK_OK(gipc_put(w, "two", 3, 30));
  CHECK_OK(gipc_put_many(w, two, 2, 30, &accepted));
  CHECK_OK(gipc_flush(w, -1));
  for (int i = 0; i < 4; i++)
    CHECK_OK(gipc_get(r, 30, &data, &size)); /* it is there: no wait */
  CHECK_IS(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
}

static void
blocking_calls_that_need_not_wait_complete_when_the_thread_is_cancelled(
    void **state) {
  make_used_pipe();
  with_pending_cancel(block);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* The write raises SIGPIPE, which is removed by further system calls. */
static void put_on_closed_pipe(void) {
  CHECK_IS(gipc_put(w, "lost", 4, 30), -EPIPE);
}

static void a_sigpipe_is_removed_when_the_thread_is_cancelled(void **state) {
  for (int flags = 0; flags < 2; flags++) {
    int ends[2];
    CHECK_OK(pipe2(ends, O_CLOEXEC | (flags ? O_NONBLOCK : 0)));
    close(ends[0]);
    CHECK_OK(gipc_open(-1, ends[1], &w));
    with_pending_cancel(put_on_closed_pipe);
    gipc_handle_free(w);
  }
}

/* ---- Processes ------------------------------------------------------- */

static void start_each(void) {
  const char *const argv[] = {"true", NULL}, *const none[] = {"/no/such", NULL};
  gipc_exit_info info = {.size = sizeof info};
  CHECK_OK(gipc_start_process(return_argument, INT(3), o, &p));
  (void)!gipc_process_is_alive(p);
  (void)!gipc_process_info(p, &info);
  (void)!gipc_process_kill(p);
  gipc_process_free(p);
  CHECK_OK(gipc_exec_process(argv, o, &p));
  gipc_process_free(p);
  CHECK_IS(gipc_exec_process(none, o, &p), -ENOENT);
}

static void starts_complete_when_the_thread_is_cancelled(void **state) {
  o = new_options();
  /* Pipes, and a list of descriptors that is read where one call is refused. */
  for (int which = 0; which < 3; which++)
    CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_PIPE, -1));
  for (size_t i = 0; i < many(20, 3); i++)
    with_pending_cancel(start_each);
  gipc_options_free(o);
}

static int with_an_old_kernel(void *none) {
#ifdef SYS_close_range
  if (!fail_call(SYS_close_range, ENOSYS))
    return 0;
#endif
  starts_complete_when_the_thread_is_cancelled(NULL);
  return 0;
}

static void
descriptors_are_closed_one_by_one_when_the_thread_is_cancelled(void **state) {
  in_own_fork(with_an_old_kernel, NULL);
}

static void fail_to_start(void) {
  const char *const argv[] = {"true", NULL};
  gipc_fork_context *f = NULL;
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -ENOENT);
  CHECK_IS(gipc_exec_process(argv, o, &p), -ENOENT);
  CHECK_OK(gipc_fork_prepare(o, &f));
  pid_t pid = fork();
  if (pid == 0) {
    CHECK_IS(gipc_fork_child(f), -ENOENT);
    gipc_exit(1);
  }
  CHECK_IS(gipc_fork_parent(f, pid, &p), -ENOENT);
}

static void
a_failed_start_is_undone_when_the_thread_is_cancelled(void **state) {
  o = new_options();
  CHECK_OK(gipc_options_set_cwd(o, "/no/such/folder"));
  with_pending_cancel(fail_to_start);
  gipc_options_free(o);
}

static pid_t fork_slowly(void *user) {
  CHECK_OK(poll(NULL, 0, 1)); /* a runtime's hooks: system calls */
  return fork();
}

static void start_by_function(void) {
  CHECK_OK(gipc_start_process(return_argument, INT(3), o, &p));
  gipc_process_free(p);
}

static void
a_fork_of_a_runtime_completes_when_the_thread_is_cancelled(void **state) {
  o = new_options();
  CHECK_OK(gipc_options_set_fork(o, fork_slowly, NULL));
  with_pending_cancel(start_by_function);
  gipc_options_free(o);
}

/* ---- The end of a process -------------------------------------------- */

static int end_cancelled(struct ev_loop *fresh, void *by_exit) {
  CHECK_OK(gipc_try_put(w, "first", 5));
  CHECK_OK(gipc_try_put(w, "queued", 6));
  printf("in the buffer of stdout, which is written at the end");
  CHECK_OK(pthread_cancel(pthread_self()));
  if (by_exit != NULL)
    gipc_exit(6);
  return 6;
}

static void
a_child_with_a_pending_cancellation_returns_its_exit_code(void **state) {
  for (int by_exit = 0; by_exit < 2; by_exit++) {
    char text[100];
    const void *data;
    size_t size;
    o = new_options();
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_options_pass(o, NULL, w));
    CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
    p = start(end_cancelled, by_exit ? &by_exit : NULL, o);
    CHECK_IS(read_text(gipc_process_stdio(p, 1), text, sizeof text), 52);
    CHECK_OK(gipc_get(r, 30, &data, &size));
    CHECK_OK(gipc_get(r, 30, &data, &size));
    CHECK_IS(gipc_get(r, 30, &data, &size), GIPC_EOF);
    CHECK_IS(end_of(p), 6);
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static int wait_cancelled(struct ev_loop *fresh, void *argument) {
  CHECK_OK(pthread_cancel(pthread_self()));
  (void)!gipc_get(r, -1, &(const void *){NULL}, &(size_t){0});
  return 0;
}

static void a_cancelled_target_is_reported_as_unwound(void **state) {
  o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, r));
  p = start(wait_cancelled, NULL, o);
  CHECK_IS(info_of(p).ended, GIPC_ENDED_UNWOUND);
  CHECK_IS(end_of(p), GIPC_EXIT_ESCAPED);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(calls_on_handles_complete_when_the_thread_is_cancelled),
      TEST(steps_complete_when_the_thread_is_cancelled),
      TEST(
          blocking_calls_that_need_not_wait_complete_when_the_thread_is_cancelled),
      TEST(a_sigpipe_is_removed_when_the_thread_is_cancelled),
      TEST(starts_complete_when_the_thread_is_cancelled),
      TEST(descriptors_are_closed_one_by_one_when_the_thread_is_cancelled),
      TEST(a_failed_start_is_undone_when_the_thread_is_cancelled),
      TEST(a_fork_of_a_runtime_completes_when_the_thread_is_cancelled),
      TEST(a_child_with_a_pending_cancellation_returns_its_exit_code),
      TEST(a_cancelled_target_is_reported_as_unwound),
  };
  return cmocka_run_group_tests_name("cancel at entry", tests, NULL, NULL);
}
