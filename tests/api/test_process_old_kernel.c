/* Kernels and sandboxes without pidfds or the calls that use them. */
#include "support_calls.h"
#include "support_process.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

/* ---- Without PIDFD_GET_INFO --------------------------------------------- */

static atomic_bool over;

static void *steal(void *argument) {
  while (!atomic_load(&over))
    if (waitpid(-1, NULL, 0) <= 0)
      sched_yield();
  return NULL;
}

/* A reported code must be right.  Counts the codes that are reported. */
static int judge(gipc_process *p, int expected, int *how) {
  int code = 4711;
  gipc_exit_info info = {.size = sizeof info};
  CHECK_OK(gipc_process_join(p, 20));
  int result = gipc_process_exitcode(p, &code);
  CHECK_OK(gipc_process_info(p, &info));
  if (result == 0)
    CHECK_IS(code, expected);
  else {
    CHECK_IS(result, GIPC_ESTATUSLOST);
    CHECK_IS(code, 4711);
    CHECK_IS(info.how, GIPC_STATUS_LOST);
    CHECK_IS(info.code, -1);
    CHECK_IS(info.signal, 0);
  }
  *how = info.how;
  gipc_process_free(p);
  return result;
}

static void judge_all(size_t functions, size_t programs) {
  int how;
  for (size_t i = 0; i < functions; i++) {
    int code = (int)(i % 256);
    gipc_process *p = start(return_argument, INT(code), NULL);
    CHECK_OK(judge(p, code, &how));
    CHECK(how == GIPC_STATUS_FROM_WAIT || how == GIPC_STATUS_FROM_CHILD);
  }
  for (size_t i = 0; i < programs; i++)
    (void)judge(execute(NULL, "sh", "-c", "exit 7", NULL), 7, &how);
  /* The status of a killed child must not be invented. */
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  CHECK_OK(gipc_process_kill(p));
  (void)judge(p, -SIGKILL, &how);
  CHECK(how == GIPC_STATUS_FROM_WAIT || how == GIPC_STATUS_LOST);
}

static int reaper_without_info(void *argument) {
  pthread_t reaper;
  CHECK(fail_pidfd_info());
  atomic_store(&over, false);
  CHECK_OK(pthread_create(&reaper, NULL, steal, NULL));
  judge_all(many(500, 50), many(100, 10));
  atomic_store(&over, true);
  CHECK_OK(pthread_join(reaper, NULL));
  return 0;
}

static void
another_reaper_on_an_old_kernel_does_not_lose_the_code_of_a_function(
    void **state) {
  in_own_fork(reaper_without_info, NULL); /* H41 */
}

static int leave_at_once(struct ev_loop *fresh, void *argument) { _exit(3); }

static int ignored_without_info(void *argument) {
  int how;
  CHECK(fail_pidfd_info());
  signal(SIGCHLD, SIG_IGN);
  judge_all(many(200, 50), many(20, 5));
  CHECK_IS(judge(start(leave_at_once, NULL, NULL), 3, &how), GIPC_ESTATUSLOST);
  gipc_process *p = execute(NULL, "true", NULL);
  CHECK_IS(judge(p, 0, &how), GIPC_ESTATUSLOST); /* not "0" */
  /* The status that the host collected is reported, before or after. */
  p = execute(NULL, "true", NULL);
  CHECK_OK(gipc_process_report(p, 6 << 8));
  CHECK_OK(judge(p, 6, &how));
  CHECK_IS(how, GIPC_STATUS_FROM_REPORTED);
  p = execute(NULL, "true", NULL);
  CHECK_OK(gipc_process_join(p, 20));
  CHECK_OK(gipc_process_report(p, SIGTERM));
  CHECK_OK(judge(p, -SIGTERM, &how));
  return 0;
}

static void ignored_children_on_an_old_kernel_are_lost_or_right(void **state) {
  in_own_fork(ignored_without_info, NULL); /* H42 */
}

static int ended, wrong;

static void on_end(gipc_process *p, void *user) {
  int code = -1;
  if (gipc_process_exitcode(p, &code) != 0 || code != (int)(intptr_t)user)
    wrong++;
  ended++;
  gipc_process_free(p);
}

static int default_loop_without_info(void *argument) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  size_t count = many(300, 30);
  CHECK(fail_pidfd_info());
  for (size_t i = 0; i < count; i++) {
    int code = (int)(i % 256);
    char script[32];
    snprintf(script, sizeof script, "exit %d", code);
    gipc_process *p = i % 3 ? start(return_argument, INT(code), NULL)
                            : execute(NULL, "sh", "-c", script, NULL);
    CHECK_OK(gipc_process_watch(p, loop, on_end, INT(code)));
    if (i % 10 == 9)
      ev_run(loop, 0);
  }
  ev_run(loop, 0);
  CHECK_IS(ended, (long)count);
  CHECK_IS(wrong, 0); /* H40: the loop's own child watcher reported */
  return 0;
}

static void
the_default_loop_reports_every_status_on_an_old_kernel(void **state) {
  in_own_fork(default_loop_without_info, NULL);
}

/* ---- Without pidfds ----------------------------------------------------- */

struct lack {
  const char *name;
  long call;
  int argument; /* -1: always */
  uint32_t bits;
  int error;
};

static void on_term(struct ev_loop *loop, ev_timer *timer, int events) {
  CHECK_OK(gipc_process_terminate(timer->data));
}

/* All that a program does with processes, with functions and programs. */
static int live_without(void *argument) {
  const struct lack *lack = argument;
  if (lack->argument < 0)
    CHECK(fail_call(lack->call, lack->error));
  else
    CHECK(fail_call_with_bits(lack->call, lack->argument, lack->bits,
                              lack->error));
  for (int program = 0; program < 2; program++) {
    int fds = count_fds();
    gipc_process *p = program ? execute(NULL, "sh", "-c", "exit 5", NULL)
                              : start(return_argument, INT(5), NULL);
    int fd = gipc_process_fd(p);
    CHECK(fd > 2 || fd == -EOPNOTSUPP);
    CHECK_IS(end_of(p), 5);

    p = program ? execute(NULL, "sleep", "60", NULL)
                : start(wait_for_signal, NULL, NULL);
    CHECK_IS(gipc_process_is_alive(p), 1);
    CHECK_IS(gipc_process_join(p, 0.02), -ETIMEDOUT);
    CHECK_OK(gipc_process_signal(p, 0));
    CHECK_OK(gipc_process_kill(p));
    CHECK_OK(gipc_process_join(p, 20));
    CHECK_IS(gipc_process_kill(p), GIPC_EDEAD);
    CHECK_IS(end_of(p), -SIGKILL);

    p = program ? execute(NULL, "sleep", "60", NULL)
                : start(wait_for_signal, NULL, NULL);
    CHECK_OK(gipc_process_stop(p, 20));
    CHECK_IS(end_of(p), -SIGTERM);

    for (int is_default = 0; is_default < 2; is_default++) {
      struct ev_loop *loop =
          is_default ? ev_default_loop(EVFLAG_AUTO) : ev_loop_new(EVFLAG_AUTO);
      ev_timer timer;
      ended = wrong = 0;
      p = program ? execute(NULL, "sleep", "60", NULL)
                  : start(wait_for_signal, NULL, NULL);
      CHECK_OK(gipc_process_watch(p, loop, on_end, INT(-SIGTERM)));
      ev_timer_init(&timer, on_term, 0.01, 0.);
      timer.data = p;
      ev_timer_start(loop, &timer);
      CHECK_OK(ev_run(loop, 0));
      CHECK_IS(ended, 1);
      CHECK_IS(wrong, 0);
      ev_loop_destroy(loop);
    }

    p = program ? execute(NULL, "true", NULL)
                : start(return_argument, NULL, NULL);
    pid_t pid = gipc_process_pid(p);
    gipc_process_free(p);
    siginfo_t info;
    (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    gipc_process_free(NULL);
    CHECK(!has_children());
    CHECK_IS(count_fds(), fds);
  }
  /* The errors of a start are reported, too. */
  const char *argv[] = {"/does/not/exist", NULL};
  gipc_process *p = NULL;
  CHECK_IS(gipc_exec_process(argv, NULL, &p), -ENOENT);
  CHECK(!has_children());
  return 0;
}

static void live(const struct lack *lacks, size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct lack lack = lacks[i];
    fflush(NULL);
    pid_t pid = child_start(live_without, &lack);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
      ;
    if (status != 0)
      print_error("%s: status %#x\n", lack.name, (unsigned)status);
    CHECK_IS(status, 0);
  }
}

/* H46 */
static void children_are_watched_without_pidfd_open(void **state) {
  static const struct lack lacks[] = {
      {"pidfd_open ENOSYS", SYS_pidfd_open, -1, 0, ENOSYS},
      {"pidfd_open EPERM", SYS_pidfd_open, -1, 0, EPERM},
      {"pidfd_open EMFILE", SYS_pidfd_open, -1, 0, EMFILE},
  };
  live(lacks, 3);
}

static void programs_are_started_without_a_pidfd_from_clone(void **state) {
  static const struct lack lacks[] = {
      {"clone EINVAL", SYS_clone, clone_flags, CLONE_PIDFD, EINVAL},
      {"clone EMFILE", SYS_clone, clone_flags, CLONE_PIDFD, EMFILE},
  };
  live(lacks, 2);
}

static void
programs_are_started_where_a_sandbox_refuses_clone_a_pidfd(void **state) {
  static const struct lack lacks[] = {
      {"clone EPERM", SYS_clone, clone_flags, CLONE_PIDFD, EPERM},
      {"clone ENOSYS", SYS_clone, clone_flags, CLONE_PIDFD, ENOSYS},
  };
  live(lacks, 2);
}

static void signals_are_sent_without_pidfd_send_signal(void **state) {
  static const struct lack lacks[] = {
      {"send ENOSYS", SYS_pidfd_send_signal, -1, 0, ENOSYS},
      {"send EPERM", SYS_pidfd_send_signal, -1, 0, EPERM},
  };
  live(lacks, 2);
}

static int without_any_pidfd(void *argument) {
  struct lack lack = {"", SYS_pidfd_open, -1, 0, EMFILE};
  CHECK(fail_call_with_bits(SYS_clone, clone_flags, CLONE_PIDFD, EMFILE));
  return live_without(&lack);
}

static void children_are_watched_without_any_pidfd(void **state) {
  in_own_fork(without_any_pidfd, NULL);
}

static void children_are_waited_for_without_p_pidfd(void **state) {
  /* Linux before 5.4 */
  static const struct lack lacks[] = {
      {"waitid EINVAL", SYS_waitid, 0, 3 /* P_PIDFD; P_ALL is 0 */, EINVAL}};
  if (slow())
    skip_because("it takes too long here");
  struct lack lack = lacks[0];
  lack.bits = 2; /* P_PID, 1, is left */
  live(&lack, 1);
}

/* On machines of either order of bytes. */
static void a_filter_finds_the_lower_half_of_an_argument(void **state) {
  struct seccomp_data call = {0};
  for (uint32_t i = 0; i < 6; i++)
    call.args[i] = (uint64_t)(i + 100) << 32 | i;
  for (int i = 0; i < 6; i++) {
    uint32_t seen;
    memcpy(&seen, (const char *)&call + lower_half(i), sizeof seen);
    CHECK_IS(seen, i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(
          another_reaper_on_an_old_kernel_does_not_lose_the_code_of_a_function),
      TEST(ignored_children_on_an_old_kernel_are_lost_or_right),
      TEST(the_default_loop_reports_every_status_on_an_old_kernel),
      TEST(children_are_watched_without_pidfd_open),
      TEST(programs_are_started_without_a_pidfd_from_clone),
      TEST(programs_are_started_where_a_sandbox_refuses_clone_a_pidfd),
      TEST(signals_are_sent_without_pidfd_send_signal),
      TEST(children_are_watched_without_any_pidfd),
      TEST(children_are_waited_for_without_p_pidfd),
      TEST(a_filter_finds_the_lower_half_of_an_argument),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
