/* Waiting for children, signalling and stopping them. */
#include "support_process.h"

#include <math.h>
#include <sched.h>
#include <time.h>

/* Reports on stdout that it is ready. */
static int ready_then_wait(struct ev_loop *fresh, void *argument) {
  if (argument != NULL)
    signal(SIGTERM, SIG_IGN);
  alarm(300);
  CHECK(write(1, "x", 1) == 1);
  return wait_for_signal(fresh, NULL);
}

static gipc_process *start_ready(bool ignores_term, bool program) {
  char byte;
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  gipc_process *p =
      program ? execute(o, PROGRAM("child_stubborn"), NULL)
              : start(ready_then_wait, ignores_term ? INT(1) : NULL, o);
  gipc_options_free(o);
  int fd = gipc_process_stdio(p, 1);
  CHECK(read_all(fd, &byte, 1));
  close(fd);
  return p;
}

/* ---- Joins ----------------------------------------------------------------
 */

static void a_join_ends_with_the_child_or_at_its_deadline(void **state) {
  /* H56 */
  gipc_process *p = start_ready(false, false);
  int code = 77;
  double started = now();
  CHECK_IS(gipc_process_join(p, 0), -ETIMEDOUT);
  CHECK(now() - started < 30); /* until its alarm, if it waited */
  CHECK_IS(gipc_process_join(p, 0.05), -ETIMEDOUT);
  CHECK(now() - started >= 0.05);
  CHECK_IS(gipc_process_join(p, NAN), -EINVAL);
  CHECK_IS(gipc_process_exitcode(p, &code), -EAGAIN);
  CHECK_IS(code, 77);
  gipc_exit_info info = {.size = sizeof info, .code = 77};
  CHECK_IS(gipc_process_info(p, &info), -EAGAIN);
  CHECK_IS(info.code, 77);
  CHECK_IS(gipc_process_is_alive(p), 1);
  CHECK_OK(gipc_process_terminate(p));
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_OK(gipc_process_join(p, 0));
  CHECK_OK(gipc_process_join(p, 1e300));
  CHECK_IS(gipc_process_is_alive(p), 0);
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gipc_process_exitcode(p, &code));
    CHECK_IS(code, -SIGTERM);
  }
  gipc_process_free(p);
}

static void the_descriptor_of_a_process_becomes_readable(void **state) {
  gipc_process *p = start_ready(false, false);
  int fd = gipc_process_fd(p);
  if (fd == -EOPNOTSUPP) {
    destroy(p);
    skip_because("pidfds are not supported");
  }
  CHECK(!wait_fd(fd, POLLIN, 0));
  CHECK_OK(gipc_process_kill(p));
  CHECK(wait_fd(fd, POLLIN, 20000));
  CHECK_IS(gipc_process_is_alive(p), 0);
  CHECK(wait_fd(fd, POLLIN, 0)); /* it stays so */
  CHECK_IS(end_of(p), -SIGKILL);
}

static void interrupt(int number) {}

static void a_signal_handler_interrupts_no_join(void **state) {
  struct sigaction action, old;
  struct timespec often = {0, 200 * 1000};
  struct sigevent event;
  timer_t timer;
  memset(&action, 0, sizeof action);
  memset(&event, 0, sizeof event);
  action.sa_handler = interrupt; /* without SA_RESTART; H60 */
  CHECK_OK(sigaction(SIGUSR2, &action, &old));
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR2;
  CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec spec = {often, often};
  CHECK_OK(timer_settime(timer, 0, &spec, NULL));
  for (size_t i = 0; i < many(50, 5); i++) {
    gipc_process *p = execute(NULL, "sh", "-c", "exit 3", NULL);
    CHECK_IS(end_of(p), 3);
    CHECK_IS(in_child(return_argument, INT(4), NULL), 4);
  }
  gipc_process *p = start_ready(true, false);
  CHECK_IS(gipc_process_join(p, 0.02), -ETIMEDOUT);
  CHECK_OK(gipc_process_stop(p, 0.02));
  CHECK_IS(end_of(p), -SIGKILL);
  CHECK_OK(timer_delete(timer));
  CHECK_OK(sigaction(SIGUSR2, &old, NULL));
}

/* ---- Signals --------------------------------------------------------------
 */

static void a_signal_after_the_end_is_an_error(void **state) {
  /* H57 */
  gipc_process *p = execute(NULL, "true", NULL);
  siginfo_t info;
  /* Ended, but not reaped yet. */
  CHECK_OK(waitid(P_PID, (id_t)gipc_process_pid(p), &info, WEXITED | WNOWAIT));
  CHECK_IS(gipc_process_signal(p, 0), GIPC_EDEAD);
  CHECK_IS(gipc_process_kill(p), GIPC_EDEAD);
  CHECK_IS(gipc_process_terminate(p), GIPC_EDEAD);
  CHECK_IS(end_of(p), 0);
}

static void signals_that_race_with_the_end_have_two_results(void **state) {
  /* H57 */
  for (size_t i = 0; i < many(500, 50); i++) {
    gipc_process *p = start(return_argument, INT(3), NULL);
    int result, code;
    for (int j = 0; j < 20; j++) {
      result = gipc_process_signal(p, 0);
      CHECK(result == 0 || result == GIPC_EDEAD);
    }
    result = gipc_process_kill(p);
    CHECK(result == 0 || result == GIPC_EDEAD);
    code = end_of(p);
    CHECK(code == 3 || (result == 0 && code == -SIGKILL));
  }
}

static void only_signals_are_sent(void **state) {
  gipc_process *p = start_ready(false, false);
  CHECK_IS(gipc_process_signal(p, -1), -EINVAL);
  CHECK_IS(gipc_process_signal(p, NSIG), -EINVAL);
  CHECK_IS(gipc_process_signal(p, 100000), -EINVAL);
  CHECK_OK(gipc_process_signal(p, 0));
  CHECK_IS(gipc_process_is_alive(p), 1);
  CHECK_OK(gipc_process_signal(p, SIGRTMIN + 3));
  CHECK_IS(end_of(p), -(SIGRTMIN + 3));
}

static int number_is_given_again(void *argument) {
  /* H47: another process may have the ID of a reaped child. */
  gipc_process *p = start(return_argument, NULL, NULL);
  pid_t pid = gipc_process_pid(p), other = -1;
  CHECK_OK(gipc_process_join(p, -1));
  FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
  if (last != NULL) {
    fprintf(last, "%d", (int)pid - 1);
    fclose(last);
    other = fork();
    if (other == 0) {
      wait_for_signal(NULL, NULL);
      _exit(0);
    }
  }
  CHECK_IS(gipc_process_kill(p), GIPC_EDEAD);
  CHECK_OK(gipc_process_stop(p, 0));
  if (other > 0) {
    int status;
    CHECK_IS(waitpid(other, &status, WNOHANG), 0);
    kill(other, SIGKILL);
    waitpid(other, &status, 0);
  }
  gipc_process_free(p);
  return 0;
}

static void
a_process_that_reuses_the_id_of_a_child_gets_no_signal(void **state) {
  in_own_fork(number_is_given_again, NULL);
}

/* ---- Stop ------------------------------------------------------------------
 */

static void a_stop_ends_every_child(void **state) {
  /* H55 */
  gipc_process *p = start_ready(false, false);
  double started = now();
  CHECK_IS(gipc_process_stop(p, -1), -EINVAL);
  CHECK_IS(gipc_process_stop(p, NAN), -EINVAL);
  CHECK_IS(gipc_process_is_alive(p), 1);
  CHECK_OK(gipc_process_stop(p, 60));
  CHECK(now() - started < 30); /* half of the grace */
  CHECK_OK(gipc_process_stop(p, 60));
  CHECK_IS(end_of(p), -SIGTERM);
  for (int program = 0; program < 2; program++) {
    p = start_ready(true, program);
    started = now();
    CHECK_OK(gipc_process_stop(p, 0.1));
    CHECK(now() - started >= 0.1);
    CHECK_IS(end_of(p), -SIGKILL);
    p = start_ready(true, program);
    CHECK_OK(gipc_process_stop(p, 0));
    CHECK_IS(end_of(p), -SIGKILL);
  }
}

static void a_stopped_child_is_ended_too(void **state) {
  for (int ignores = 0; ignores < 2; ignores++) {
    gipc_process *p = start_ready(ignores, false);
    CHECK_OK(gipc_process_signal(p, SIGSTOP));
    while (state_of(gipc_process_pid(p)) != 'T')
      sched_yield();
    CHECK_OK(gipc_process_stop(p, ignores ? 0.05 : 60));
    CHECK_IS(end_of(p), ignores ? -SIGKILL : -SIGTERM);
  }
}

static int ends;
static double ended_at;

static void on_end(gipc_process *p, void *user) {
  int code = 0;
  CHECK_OK(gipc_process_exitcode(p, &code));
  CHECK_IS(code, (int)(intptr_t)user);
  ended_at = now();
  ends++;
  gipc_process_free(p);
}

static void begin(struct ev_loop *loop, bool ignores, bool stopped,
                  double grace) {
  gipc_process *p = start_ready(ignores, false);
  if (stopped) {
    CHECK_OK(gipc_process_signal(p, SIGSTOP));
    while (state_of(gipc_process_pid(p)) != 'T')
      sched_yield();
  }
  CHECK_IS(gipc_process_begin_stop(p, grace), -EINVAL); /* not watched */
  CHECK_OK(
      gipc_process_watch(p, loop, on_end, INT(ignores ? -SIGKILL : -SIGTERM)));
  CHECK_IS(gipc_process_begin_stop(p, -1), -EINVAL);
  CHECK_IS(gipc_process_begin_stop(p, NAN), -EINVAL);
  CHECK_OK(gipc_process_begin_stop(p, grace));
}

static void a_stop_on_a_loop_is_reported_by_the_exit_callback(void **state) {
  /* H55 */
  for (int i = 0; i < 2; i++) {
    struct ev_loop *loop =
        i ? ev_default_loop(EVFLAG_AUTO) : ev_loop_new(EVFLAG_AUTO);
    ends = 0;
    for (int stopped = 0; stopped < 2; stopped++) {
      begin(loop, false, stopped, 60);
      begin(loop, true, stopped, 0.05);
      begin(loop, true, stopped, 0);
    }
    double started = now();
    CHECK_OK(ev_run(loop, 0));
    CHECK_IS(ends, 6);
    CHECK(now() - started < 30); /* half of the longest grace */
    ev_loop_destroy(loop);
  }
}

static void the_grace_counts_from_the_call(void **state) {
  /* H70: the loop's own idea of now is old. */
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  ends = 0;
  ev_now_update(loop);
  gipc_process *sleeper = execute(NULL, "sleep", "0.2", NULL);
  CHECK_IS(end_of(sleeper), 0);
  double started = now();
  begin(loop, true, false, 0.15);
  CHECK_OK(ev_run(loop, 0));
  CHECK(ended_at - started >= 0.14);
  CHECK_IS(ends, 1);
  ev_loop_destroy(loop);
}

static void a_second_begin_of_a_stop_changes_nothing(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_process *p = start_ready(true, false);
  ends = 0;
  CHECK_OK(gipc_process_watch(p, loop, on_end, INT(-SIGKILL)));
  CHECK_OK(gipc_process_begin_stop(p, 60));
  CHECK_OK(gipc_process_begin_stop(p, 0.02)); /* less patience */
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(ends, 1);
  ev_loop_destroy(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_join_ends_with_the_child_or_at_its_deadline),
      TEST(the_descriptor_of_a_process_becomes_readable),
      TEST(a_signal_handler_interrupts_no_join),
      TEST(a_signal_after_the_end_is_an_error),
      TEST(signals_that_race_with_the_end_have_two_results),
      TEST(only_signals_are_sent),
      TEST(a_process_that_reuses_the_id_of_a_child_gets_no_signal),
      TEST(a_stop_ends_every_child),
      TEST(a_stopped_child_is_ended_too),
      TEST(a_stop_on_a_loop_is_reported_by_the_exit_callback),
      TEST(the_grace_counts_from_the_call),
      TEST(a_second_begin_of_a_stop_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
