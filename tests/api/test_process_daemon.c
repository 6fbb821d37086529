/* Daemons end with their parent, however it ends; other children do not. */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>

enum kind { ASLEEP, BUSY, BLOCKING, PROGRAM_ASLEEP, PROGRAM_BUSY };

static int stay(struct ev_loop *fresh, void *argument) {
  volatile int spin = 0;
  alarm(300);
  if ((enum kind)(intptr_t)argument == BLOCKING) {
    sigset_t all;
    signal(SIGTERM, SIG_IGN);
    sigfillset(&all);
    sigdelset(&all, SIGALRM);
    sigprocmask(SIG_SETMASK, &all, NULL);
  }
  CHECK(write(1, "x", 1) == 1);
  while ((enum kind)(intptr_t)argument == BUSY)
    (void)spin;
  return wait_for_signal(fresh, NULL);
}

static gipc_process *start_kind(enum kind kind, gipc_options *o) {
  char byte;
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  gipc_process *p =
      kind == PROGRAM_ASLEEP ? execute(o, PROGRAM("child_stubborn"), NULL)
      : kind == PROGRAM_BUSY ? execute(o, PROGRAM("child_stubborn"), "1", NULL)
                             : start(stay, INT(kind), o);
  int fd = gipc_process_stdio(p, 1);
  CHECK(read_all(fd, &byte, 1));
  close(fd);
  return p;
}

/* ---- Lives of parents -------------------------------------------------------
 */

struct life {
  int report; /* where the parent writes the pids of its children */
  int daemon;
  bool in_thread;
  bool exits;
};

static void *start_all(void *argument) {
  struct life *life = argument;
  for (int kind = ASLEEP; kind <= PROGRAM_BUSY; kind++) {
    gipc_options *o = new_options();
    CHECK_OK(gipc_options_set_daemon(o, life->daemon));
    pid_t pid = gipc_process_pid(start_kind((enum kind)kind, o));
    CHECK(write_all(life->report, &pid, sizeof pid));
    gipc_options_free(o);
  }
  return NULL;
}

static int live(void *argument) {
  struct life *life = argument;
  if (life->in_thread) {
    pthread_t thread;
    CHECK_OK(pthread_create(&thread, NULL, start_all, life));
    CHECK_OK(pthread_join(thread, NULL)); /* H19: it has ended */
  } else {
    start_all(life);
  }
  /* Another child must not keep the descriptors open. */
  gipc_options *o = new_options();
  pid_t pid = gipc_process_pid(start_kind(ASLEEP, o));
  CHECK(write_all(life->report, &pid, sizeof pid));
  gipc_options_free(o);
  if (life->exits)
    exit(0);
  return wait_for_signal(NULL, NULL);
}

static void parent_lives(struct life *life, pid_t pids[6]) {
  int report[2], status;
  CHECK_OK(pipe2(report, O_CLOEXEC));
  life->report = report[1];
  fflush(NULL);
  pid_t parent = child_start(live, life);
  close(report[1]);
  CHECK(read_all(report[0], pids, 6 * sizeof *pids));
  close(report[0]);
  for (int i = 0; i < 6 && !life->exits; i++)
    CHECK(!gone_within(pids[i], 0));
  if (!life->exits)
    CHECK_OK(kill(parent, SIGKILL));
  CHECK_IS(waitpid(parent, &status, 0), parent);
}

/* Children that outlive their parent are reparented here, and reaped. */
static void end_leftover(pid_t pid) {
  int status;
  kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
}

static void lives(struct life life, bool survive) {
  pid_t pids[6];
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  parent_lives(&life, pids);
  /* What never comes can only be waited for in vain; what comes is there long
   * before the alarm of the children. */
  for (int i = 0; i < 5; i++)
    if (survive)
      CHECK(!gone_within(pids[i], 0.02));
    else
      CHECK(gone_within(pids[i], 60));
  CHECK(!gone_within(pids[5], 0));
  for (int i = 0; i < 6; i++)
    end_leftover(pids[i]);
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
}

/* H39 */
static void daemons_end_with_a_parent_that_was_killed(void **state) {
  lives((struct life){.daemon = 1}, false);
}

static void daemons_end_with_a_parent_that_exits(void **state) {
  lives((struct life){.daemon = 1, .exits = true}, false);
}

static void daemons_outlive_the_thread_that_started_them(void **state) {
  lives((struct life){.daemon = 1, .in_thread = true}, false); /* H19 */
}

static void other_children_outlive_their_parent(void **state) {
  lives((struct life){.daemon = 0}, true);
}

/* ---- Death signals
 * ------------------------------------------------------------ */

static int report_fd;

static void on_term(int number) {
  ssize_t ignored = write(report_fd, "t", 1);
  (void)ignored;
  _exit(0);
}

static int wait_for_term(struct ev_loop *fresh, void *argument) {
  report_fd = (int)(intptr_t)argument;
  signal(SIGTERM, on_term);
  alarm(300);
  CHECK(write(report_fd, "x", 1) == 1);
  return wait_for_signal(fresh, NULL);
}

static int start_with_death_signal(void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_death_signal(o, SIGTERM)); /* implies daemon */
  start(wait_for_term, argument, o);
  return wait_for_signal(NULL, NULL);
}

static void a_daemon_gets_the_signal_that_was_asked_for(void **state) {
  int fds[2], status;
  char byte;
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  CHECK_OK(pipe2(fds, O_CLOEXEC));
  pid_t parent = child_start(start_with_death_signal, INT(fds[1]));
  close(fds[1]);
  CHECK(read_all(fds[0], &byte, 1) && byte == 'x');
  CHECK_OK(kill(parent, SIGKILL));
  CHECK_IS(waitpid(parent, &status, 0), parent);
  CHECK(read_all(fds[0], &byte, 1) && byte == 't');
  CHECK(wait(&status) > 0 && status == 0);
  close(fds[0]);
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
}

static void the_last_call_of_set_daemon_takes_effect(void **state) {
  gipc_options *o = new_options();
  CHECK_IS(gipc_options_set_death_signal(o, 0), -EINVAL);
  CHECK_IS(gipc_options_set_death_signal(o, NSIG), -EINVAL);
  CHECK_IS(gipc_options_set_death_signal(o, -1), -EINVAL);
  CHECK_OK(gipc_options_set_death_signal(o, SIGUSR1));
  CHECK_OK(gipc_options_set_daemon(o, 1));
  CHECK_OK(gipc_options_set_daemon(o, 0));
  gipc_options_free(o);
}

/* ---- While the parent lives -------------------------------------------------
 */

static int return_soon(struct ev_loop *fresh, void *argument) {
  gipc_handle *h = argument;
  const void *data;
  size_t size;
  if (h != NULL)
    while (gipc_get(h, 20, &data, &size) == 0)
      CHECK_OK(gipc_put(h, data, size, 20));
  return 9;
}

static void a_daemon_lives_a_normal_life(void **state) {
  gipc_options *o = new_options();
  gipc_handle *a, *b;
  const void *data;
  size_t size;
  CHECK_OK(gipc_options_set_daemon(o, 1));
  for (size_t i = 0; i < many(200, 20); i++)
    CHECK_IS(in_child(return_soon, NULL, o), 9);
  CHECK_IS(end_of(execute(o, "sh", "-c", "exit 8", NULL)), 8);
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_options_pass(o, NULL, b));
  gipc_process *p = start(return_soon, b, o);
  for (int i = 0; i < 1000; i++) {
    CHECK_OK(gipc_put(a, &i, sizeof i, 20));
    CHECK_OK(gipc_get(a, 20, &data, &size));
  }
  CHECK_OK(gipc_close(a));
  CHECK_IS(end_of(p), 9);
  gipc_options_free(o);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void a_freed_daemon_continues_to_run(void **state) {
  /* The process object is not the lifeline; the process is. */
  gipc_options *o = new_options();
  gipc_process *p = start_kind(ASLEEP, o);
  CHECK_OK(gipc_options_set_daemon(o, 1));
  gipc_process *daemon = start_kind(ASLEEP, o);
  pid_t pid = gipc_process_pid(daemon);
  gipc_process_free(daemon);
  CHECK(!gone_within(pid, 0.05));
  CHECK_OK(kill(pid, SIGKILL));
  CHECK(gone_within(pid, 20));
  destroy(p);
  gipc_options_free(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(daemons_end_with_a_parent_that_was_killed),
      TEST(daemons_end_with_a_parent_that_exits),
      TEST(daemons_outlive_the_thread_that_started_them),
      TEST(other_children_outlive_their_parent),
      TEST(a_daemon_gets_the_signal_that_was_asked_for),
      TEST(the_last_call_of_set_daemon_takes_effect),
      TEST(a_daemon_lives_a_normal_life),
      TEST(a_freed_daemon_continues_to_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
