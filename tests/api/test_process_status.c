/* Exit statuses, with other reapers in the same process. */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* Whether the kernel keeps the status of a reaped child (Linux 6.15). */
static bool kernel_keeps_status(void) {
  struct {
    uint64_t mask, unused[7];
  } info = {1u << 3, {0}};
  siginfo_t end;
  bool keeps;
  if (portable() || under_valgrind())
    return false;
  pid_t pid = fork();
  if (pid == 0)
    _exit(0);
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  CHECK(fd >= 0 && waitid(P_PID, (id_t)pid, &end, WEXITED) == 0);
  keeps = ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, 64), &info) == 0;
  close(fd);
  return keeps;
}

static size_t how_many(void) { return many(10000, 100); }

/* Starts count children, a few at a time; every code must be right. */
static void codes_are_right(size_t count, bool programs) {
  enum { together = 8 };
  gipc_process *p[together];
  for (size_t i = 0; i < count; i += together) {
    for (size_t j = 0; j < together; j++) {
      char script[32];
      int code = (int)((i + j) % 256);
      snprintf(script, sizeof script, "exit %d", code);
      p[j] = programs ? execute(NULL, "sh", "-c", script, NULL)
                      : start(return_argument, INT(code), NULL);
    }
    for (size_t j = 0; j < together; j++)
      CHECK_IS(end_of(p[j]), (int)((i + j) % 256));
  }
}

/* ---- Another reaper ----------------------------------------------------- */

static atomic_bool over;
static atomic_int stolen;

static void *steal(void *argument) {
  while (!atomic_load(&over))
    if (waitpid(-1, NULL, 0) > 0)
      atomic_fetch_add(&stolen, 1);
    else
      sched_yield();
  return NULL;
}

static int with_another_reaper(void *argument) {
  pthread_t reaper;
  atomic_store(&over, false);
  CHECK_OK(pthread_create(&reaper, NULL, steal, NULL));
  codes_are_right(how_many(), false);
  codes_are_right(many(200, 16), true);
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  CHECK_OK(gipc_process_kill(p));
  CHECK_IS(end_of(p), -SIGKILL);
  atomic_store(&over, true);
  CHECK_OK(pthread_join(reaper, NULL));
  CHECK(atomic_load(&stolen) > 0);
  return 0;
}

static void every_status_is_right_while_another_thread_waits_for_all_children(
    void **state) {
  if (!kernel_keeps_status())
    skip_because("this kernel keeps no status that another reaper took");
  deadline(600);
  in_own_fork(with_another_reaper, NULL); /* H41 */
}

/* ---- SIGCHLD ------------------------------------------------------------ */

static int with_ignored_children(void *argument) {
  struct sigaction action, after;
  memset(&action, 0, sizeof action);
  if (argument != NULL) {
    action.sa_handler = SIG_DFL;
    action.sa_flags = SA_NOCLDWAIT;
  } else {
    action.sa_handler = SIG_IGN;
  }
  CHECK_OK(sigaction(SIGCHLD, &action, NULL));
  memset(&action, 0, sizeof action);
  CHECK_OK(sigaction(SIGCHLD, NULL, &action));
  codes_are_right(how_many() / 2, false);
  codes_are_right(many(100, 16), true);
  memset(&after, 0, sizeof after);
  CHECK_OK(sigaction(SIGCHLD, NULL, &after));
  CHECK(after.sa_handler == action.sa_handler &&
        after.sa_flags == action.sa_flags &&
        memcmp(&after.sa_mask, &action.sa_mask, 8) == 0);
  return 0;
}

static void every_status_is_right_where_sigchld_is_ignored(void **state) {
  if (!kernel_keeps_status())
    skip_because("this kernel keeps no status that another reaper took");
  in_own_fork(with_ignored_children, NULL); /* H42 */
  in_own_fork(with_ignored_children, INT(1));
}

static void blocked_children(bool programs) {
  enum { all = 500 };
  size_t count = many(all, 50);
  static gipc_process *p[all];
  sigset_t chld, old, pending;
  int gate[2];
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  CHECK_OK(sigprocmask(SIG_BLOCK, &chld, &old));
  CHECK_OK(pipe2(gate, O_CLOEXEC));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_FD, gate[0]));
  for (size_t i = 0; i < count; i++)
    p[i] = execute(o, "sh", "-c", i % 2 ? "read x; exit 1" : "read x; exit 2",
                   NULL);
  gipc_options_free(o);
  close(gate[0]);
  close(gate[1]); /* all at once */
  for (size_t i = 0; i < count; i++)
    CHECK_IS(end_of(p[i]), i % 2 ? 1 : 2);
  CHECK_OK(sigpending(&pending));
  CHECK(sigismember(&pending, SIGCHLD));
  CHECK_OK(sigprocmask(SIG_SETMASK, &old, NULL));
}

static void five_hundred_ends_at_once_with_sigchld_blocked(void **state) {
  blocked_children(true); /* H44 */
}

/* ---- The default loop --------------------------------------------------- */

static int ends, wrong;

static void on_end(gipc_process *p, void *user) {
  int code = -1, result = gipc_process_exitcode(p, &code);
  if (result != 0 || code != (int)(intptr_t)user)
    wrong++;
  ends++;
  gipc_process_free(p); /* H95 */
}

static void every_status_is_right_on_the_default_loop(void **state) {
  /* H40 */
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  size_t count = many(1000, 64);
  ends = wrong = 0;
  for (size_t i = 0; i < count; i++) {
    int code = (int)(i % 256);
    gipc_process *p = start(return_argument, INT(code), NULL);
    CHECK_OK(gipc_process_watch(p, loop, on_end, INT(code)));
    if (i % 64 == 63)
      ev_run(loop, 0);
  }
  ev_run(loop, 0);
  CHECK_IS(ends, (long)count);
  CHECK_IS(wrong, 0);
  /* Unwatched ones, while the loop runs and reaps every child. */
  gipc_process *p[32];
  for (int i = 0; i < 32; i++)
    p[i] = start(return_argument, INT(i), NULL);
  while (has_children())
    ev_run(loop, EVRUN_NOWAIT);
  int how =
      kernel_keeps_status() ? GIPC_STATUS_FROM_KERNEL : GIPC_STATUS_FROM_CHILD;
  for (int i = 0; i < 32; i++) {
    CHECK_IS(info_of(p[i]).how, how);
    CHECK_IS(end_of(p[i]), i);
  }
  ev_loop_destroy(loop);
}

/* ---- The application's own children ------------------------------------- */

static void children_of_the_application_are_left_to_it(void **state) {
  /* H43 */
  enum { all = 1000 };
  size_t count = many(all, 50);
  static pid_t own[all];
  for (size_t i = 0; i < count; i++) {
    own[i] = fork();
    if (own[i] == 0)
      _exit((int)(i % 256));
    CHECK(own[i] > 0);
    if (i % 10 == 0) {
      gipc_process *p = start(return_argument, INT(3), NULL);
      CHECK(gipc_process_is_alive(p) >= 0);
      CHECK_IS(end_of(p), 3);
    }
  }
  gipc_process_free(NULL);
  for (size_t i = 0; i < count; i++) {
    int status;
    CHECK_IS(waitpid(own[i], &status, 0), own[i]);
    CHECK_IS(WEXITSTATUS(status), (long)(i % 256));
  }
}

/* ---- Reports ------------------------------------------------------------ */

static void a_report_of_what_is_known_changes_nothing(void **state) {
  gipc_process *p = start(return_argument, INT(4), NULL);
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_OK(gipc_process_report(p, 9 << 8));
  CHECK_IS(info_of(p).how, GIPC_STATUS_FROM_WAIT);
  CHECK_IS(gipc_process_report(p, 0x137f), -EINVAL); /* stopped */
  CHECK_IS(gipc_process_report(p, 0xffff), -EINVAL); /* continued */
  CHECK_IS(end_of(p), 4);
}

static void a_report_before_the_end_does_not_end_it(void **state) {
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  CHECK_OK(gipc_process_report(p, 9 << 8));
  CHECK_IS(gipc_process_is_alive(p), 1);
  CHECK_OK(gipc_process_kill(p));
  CHECK_IS(end_of(p), -SIGKILL);
}

/* ---- Not an end --------------------------------------------------------- */

static void a_stopped_and_continued_child_has_not_ended(void **state) {
  /* H50 */
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  pid_t pid = gipc_process_pid(p);
  ends = wrong = 0;
  CHECK_OK(gipc_process_watch(p, loop, on_end, INT(-SIGTERM)));
  for (size_t i = 0; i < many(1000, 50); i++) {
    CHECK_OK(gipc_process_signal(p, SIGSTOP));
    while (state_of(pid) != 'T')
      sched_yield();
    CHECK_IS(gipc_process_is_alive(p), 1);
    ev_run(loop, EVRUN_NOWAIT); /* which takes the status of a stop */
    CHECK_IS(gipc_process_is_alive(p), 1);
    CHECK_OK(gipc_process_signal(p, SIGCONT));
    CHECK_IS(gipc_process_join(p, 0), -ETIMEDOUT);
    CHECK(ev_run(loop, EVRUN_NOWAIT) != 0);
  }
  CHECK_IS(ends, 0);
  CHECK_OK(gipc_process_terminate(p));
  ev_run(loop, 0);
  CHECK_IS(ends, 1);
  CHECK_IS(wrong, 0);
  ev_loop_destroy(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_status_is_right_while_another_thread_waits_for_all_children),
      TEST(every_status_is_right_where_sigchld_is_ignored),
      TEST(five_hundred_ends_at_once_with_sigchld_blocked),
      TEST(every_status_is_right_on_the_default_loop),
      TEST(children_of_the_application_are_left_to_it),
      TEST(a_report_of_what_is_known_changes_nothing),
      TEST(a_report_before_the_end_does_not_end_it),
      TEST(a_stopped_and_continued_child_has_not_ended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
