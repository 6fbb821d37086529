/* Ends of children on a loop. */
#include "support_process.h"

#include <fcntl.h>
#include <sched.h>

static int ends, wrong;

static void on_end(gipc_process *p, void *user) {
  int code = -1;
  if (gipc_process_exitcode(p, &code) != 0 || code != (int)(intptr_t)user)
    wrong++;
  ends++;
  gipc_process_free(p); /* H95 */
}

static void keep_end(gipc_process *p, void *user) {
  ends++;
  *(gipc_process **)user = p;
}

static void never(gipc_process *p, void *user) { CHECK(false); }

static void two_thousand_instant_ends(struct ev_loop *loop) {
  size_t count = many(1000, 50);
  ends = wrong = 0;
  for (size_t i = 0; i < count; i++) {
    int code = (int)(i % 256);
    gipc_process *p = start(return_argument, INT(code), NULL);
    if (i % 3 == 0) /* over before it is watched */
      CHECK_OK(gipc_process_join(p, -1));
    CHECK_OK(gipc_process_watch(p, loop, on_end, INT(code)));
    if (i % 16 == 15)
      CHECK_OK(ev_run(loop, 0));
  }
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(ends, (long)count);
  CHECK_IS(wrong, 0);
}

static void every_instant_end_is_reported(void **state) {
  /* H45, H51 */
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  two_thousand_instant_ends(loop);
  ev_loop_destroy(loop);
  loop = ev_default_loop(EVFLAG_AUTO);
  two_thousand_instant_ends(loop);
  ev_loop_destroy(loop);
}

static void the_exit_callback_is_called_once(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_process *p = start(return_argument, INT(2), NULL), *seen = NULL;
  ends = 0;
  CHECK_OK(gipc_process_watch(p, loop, keep_end, &seen));
  CHECK_IS(gipc_process_watch(p, loop, keep_end, &seen), GIPC_ELOCKED);
  CHECK_OK(ev_run(loop, 0));
  CHECK(ends == 1 && seen == p);
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(ends, 1);
  /* A second watch calls its callback, too. */
  CHECK_OK(gipc_process_watch(p, loop, keep_end, &seen));
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(ends, 2);
  CHECK_IS(end_of(p), 2);
  ev_loop_destroy(loop);
}

static void the_callback_of_an_unwatched_process_is_not_called(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_process *p = start(return_argument, INT(2), NULL);
  CHECK_IS(gipc_process_unwatch(p), -EINVAL);
  CHECK_OK(gipc_process_watch(p, loop, never, NULL));
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_OK(gipc_process_unwatch(p));
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(end_of(p), 2);
  ev_loop_destroy(loop);
}

static void join_in_callback(gipc_process *p, void *user) {
  ends++;
  CHECK_OK(gipc_process_join(p, -1)); /* H56 */
  CHECK_IS(gipc_process_unwatch(p), -EINVAL);
  CHECK_IS(gipc_process_is_alive(p), 0);
  CHECK_IS(gipc_process_kill(p), GIPC_EDEAD);
  gipc_process_free(p);
  /* Starts another from here. */
  if (ends < 5)
    CHECK_OK(gipc_process_watch(start(return_argument, NULL, NULL), user,
                                join_in_callback, user));
}

static void a_callback_may_do_anything_with_its_process(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  ends = 0;
  CHECK_OK(gipc_process_watch(start(return_argument, NULL, NULL), loop,
                              join_in_callback, loop));
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(ends, 5);
  ev_loop_destroy(loop);
}

static void free_sibling(gipc_process *p, void *user) {
  gipc_process **both = user;
  ends++;
  for (int i = 0; i < 2; i++)
    gipc_process_free(both[i]);
}

static void
a_callback_may_free_another_process_whose_callback_is_pending(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  for (int i = 0; i < 20; i++) {
    gipc_process *both[2];
    ends = 0;
    for (int j = 0; j < 2; j++) {
      both[j] = start(return_argument, NULL, NULL);
      CHECK_OK(gipc_process_join(both[j], -1));
      CHECK_OK(gipc_process_watch(both[j], loop, free_sibling, both));
    }
    CHECK_OK(ev_run(loop, 0));
    CHECK_IS(ends, 1); /* H95: none after the free */
  }
  ev_loop_destroy(loop);
}

static void a_loop_may_be_destroyed_before_its_watched_process(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  gipc_process *freed = start(return_argument, NULL, NULL);
  CHECK_OK(gipc_process_watch(p, loop, never, NULL));
  CHECK_OK(gipc_process_watch(freed, loop, never, NULL));
  pid_t pid = gipc_process_pid(freed);
  gipc_process_free(freed);
  ev_loop_destroy(loop); /* H98 */
  CHECK_IS(gipc_process_unwatch(p), -EINVAL);
  destroy(p);
  siginfo_t info;
  (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
  gipc_process_free(NULL);
  CHECK(!has_children());
}

/* ---- Freed while running --------------------------------------------------
 */

/* Waits until all children have ended, reaping none. */
static void wait_for_zombies(size_t count) {
  while ((size_t)count_zombies() < count)
    sched_yield();
}

static void processes_freed_while_they_run_are_reaped_later(void **state) {
  /* H52 */
  size_t count = many(300, 30);
  int gate[2];
  CHECK_OK(pipe2(gate, O_CLOEXEC));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_FD, gate[0]));
  for (size_t i = 0; i < count; i++)
    gipc_process_free(execute(o, "cat", NULL));
  gipc_options_free(o);
  close(gate[0]);
  close(gate[1]);
  wait_for_zombies(count);
  gipc_process *p = start(return_argument, NULL, NULL); /* any such call */
  CHECK_IS(count_zombies() <= 1, 1);
  CHECK_IS(end_of(p), 0);
  CHECK_IS(count_zombies(), 0);
}

static void freed_watched_ones_are_reaped_without_their_loop_too(void **state) {
  /* H52: as the header says, by any call that starts, joins or frees. */
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  pid_t pids[10];
  for (int i = 0; i < 10; i++) {
    gipc_process *p = execute(NULL, "true", NULL);
    pids[i] = gipc_process_pid(p);
    CHECK_OK(gipc_process_watch(p, loop, never, NULL));
    gipc_process_free(p);
  }
  for (int i = 0; i < 10; i++) {
    siginfo_t info;
    (void)waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT);
  }
  gipc_process_free(NULL);
  CHECK_IS(count_zombies(), 0);
  CHECK_OK(ev_run(loop, 0)); /* no watcher is left on it */
  ev_loop_destroy(loop);
}

static void a_freed_process_does_not_keep_a_loop_running(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  pid_t pids[10];
  for (int i = 0; i < 10; i++) {
    gipc_process *p = start(wait_for_signal, NULL, NULL);
    pids[i] = gipc_process_pid(p);
    CHECK_OK(gipc_process_watch(p, loop, never, NULL));
    gipc_process_free(p);
  }
  CHECK_OK(ev_run(loop, 0)); /* returns at once */
  ev_loop_destroy(loop);
  for (int i = 0; i < 10; i++) {
    siginfo_t info;
    CHECK_OK(kill(pids[i], SIGKILL));
    CHECK_OK(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT));
  }
  gipc_process_free(NULL);
  CHECK(!has_children());
}

/* ---- Messages and ends ----------------------------------------------------
 */

static int put_and_die(struct ev_loop *fresh, void *argument) {
  gipc_handle *w = argument;
  for (int i = 0; i < 100; i++)
    CHECK_OK(gipc_put(w, &i, sizeof i, 10));
  raise(SIGKILL);
  return 0;
}

static int queue_and_return(struct ev_loop *fresh, void *argument) {
  gipc_handle *w = argument;
  for (int i = 0; i < 100; i++) {
    int result;
    while ((result = gipc_try_put(w, &i, sizeof i)) == -EAGAIN)
      CHECK_OK(gipc_flush(w, 10));
    CHECK_OK(result);
  }
  return 0; /* the queue is written first */
}

static void messages_outlive_their_sender(void **state) {
  /* H53 */
  static const target_function targets[] = {put_and_die, queue_and_return};
  for (int i = 0; i < 2; i++) {
    gipc_handle *r, *w;
    const void *data;
    size_t size;
    gipc_options *o = new_options();
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_options_pass(o, NULL, w));
    gipc_process *p = start(targets[i], w, o);
    gipc_options_free(o);
    CHECK_OK(gipc_process_join(p, 20)); /* that much fits in */
    for (int j = 0; j < 100; j++) {
      CHECK_OK(gipc_get(r, 10, &data, &size));
      CHECK(size == sizeof j && memcmp(data, &j, size) == 0);
    }
    CHECK_IS(gipc_get(r, 10, &data, &size), GIPC_EOF);
    CHECK_IS(end_of(p), i == 0 ? -SIGKILL : 0);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static int leave_grandchild(struct ev_loop *fresh, void *argument) {
  int *fds = argument;
  pid_t pid = fork();
  if (pid == 0) {
    /* Inherits every descriptor, the control socket too. */
    char byte;
    alarm(300);
    close(fds[1]);
    (void)!read(fds[0], &byte, 1);
    _exit(0);
  }
  return 6;
}

static void
a_grandchild_that_holds_every_descriptor_delays_no_end(void **state) {
  /* H54 */
  int fds[2];
  gipc_handle *r, *w;
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_options *o = new_options();
  CHECK_OK(pipe2(fds, O_CLOEXEC));
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  CHECK_OK(gipc_options_set_cwd(o, "/"));
  double started = now();
  gipc_process *p = start(leave_grandchild, fds, o);
  ends = wrong = 0;
  CHECK_OK(gipc_process_watch(p, loop, on_end, INT(6)));
  CHECK_OK(ev_run(loop, 0));
  CHECK(now() - started < 60); /* the grandchild would hold it for 300 */
  CHECK(ends == 1 && wrong == 0);
  close(fds[0]);
  close(fds[1]); /* ends the grandchild */
  const void *data;
  size_t size;
  CHECK_IS(gipc_get(r, 20, &data, &size), GIPC_EOF);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
  ev_loop_destroy(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_instant_end_is_reported),
      TEST(the_exit_callback_is_called_once),
      TEST(the_callback_of_an_unwatched_process_is_not_called),
      TEST(a_callback_may_do_anything_with_its_process),
      TEST(a_callback_may_free_another_process_whose_callback_is_pending),
      TEST(a_loop_may_be_destroyed_before_its_watched_process),
      TEST(processes_freed_while_they_run_are_reaped_later),
      TEST(freed_watched_ones_are_reaped_without_their_loop_too),
      TEST(a_freed_process_does_not_keep_a_loop_running),
      TEST(messages_outlive_their_sender),
      TEST(a_grandchild_that_holds_every_descriptor_delays_no_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
