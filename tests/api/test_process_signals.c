/* Signals at the start of a child: whose they are, and what it starts with. */
#include "support_process.h"

#include <sys/time.h>
#include <time.h>

static void nothing(int number) {}

/* Handlers, ignored and blocked ones, all over. */
static int with_a_wild_parent(int (*body)(void)) {
  sigset_t all, before, after;
  for (int number = 1; number < NSIG; number++)
    if (number != SIGALRM)
      signal(number, number % 3 == 0 ? SIG_IGN : nothing);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);
  sigfillset(&all);
  CHECK_OK(sigprocmask(SIG_SETMASK, &all, NULL));
  memset(&before, 0, sizeof before);
  memset(&after, 0, sizeof after);
  CHECK_OK(sigprocmask(SIG_SETMASK, NULL, &before));
  uint64_t caught = signal_field("SigCgt"), ignored = signal_field("SigIgn");
  CHECK_OK(body());
  CHECK_OK(sigprocmask(SIG_SETMASK, NULL, &after));
  CHECK_OK(memcmp(&before, &after, 8)); /* H105 */
  CHECK(signal_field("SigCgt") == caught);
  CHECK(signal_field("SigIgn") == ignored);
  return 0;
}

static uint64_t bit(int number) { return (uint64_t)1 << (number - 1); }

/* glibc keeps 32 and 33 to itself. */
static const uint64_t glibc = (uint64_t)3 << 31;

static int is_clean(struct ev_loop *fresh, void *argument) {
  CHECK_IS((long)(signal_field("SigBlk") & ~glibc), (intptr_t)argument);
  CHECK_IS((long)(signal_field("SigIgn") & ~glibc), (long)bit(SIGPIPE));
  CHECK_IS((long)(signal_field("SigCgt") & ~glibc), 0);
  return 0;
}

static int function_is_clean(void) {
  gipc_options *o = new_options();
  CHECK_IS(in_child(is_clean, INT(0), NULL), 0);
  CHECK_OK(gipc_options_block_signal(o, SIGUSR1));
  CHECK_OK(gipc_options_block_signal(o, SIGTERM));
  CHECK_IS(in_child(is_clean, INT(bit(SIGUSR1) | bit(SIGTERM)), o), 0);
  gipc_options_free(o);
  return 0;
}

static uint64_t field_of(const char *text, const char *name) {
  const char *at = strstr(text, name);
  CHECK(at != NULL);
  return strtoull(at + strlen(name) + 1, NULL, 16);
}

static int program_is_clean(void) {
  char text[512];
  const char *argv[] = {PROGRAM("child_signals"), NULL};
  gipc_options *o = new_options();
  for (int user = 0; user < 1 + (geteuid() == 0); user++) {
    if (user) /* which is a way of its own to start */
      CHECK_OK(gipc_options_set_user(o, geteuid(), getegid(), NULL, 0));
    CHECK_IS(output_of(o, argv, text, sizeof text), 0);
    CHECK_IS((long)(field_of(text, "SigBlk")), (long)(user ? bit(SIGHUP) : 0));
    CHECK_IS((long)(field_of(text, "SigIgn")), 0); /* SIGPIPE, too */
    CHECK_IS((long)(field_of(text, "SigCgt")), 0);
    CHECK_OK(gipc_options_block_signal(o, SIGHUP));
    CHECK_IS(output_of(o, argv, text, sizeof text), 0);
    CHECK_IS((long)(field_of(text, "SigBlk")), (long)bit(SIGHUP));
  }
  gipc_options_free(o);
  return 0;
}

static int wild(void *argument) {
  return with_a_wild_parent(argument == NULL ? function_is_clean
                                             : program_is_clean);
}

/* H4, H5 */
static void a_function_starts_with_clean_signals(void **state) {
  in_own_fork(wild, NULL);
}

static void a_program_starts_with_clean_signals(void **state) {
  in_own_fork(wild, INT(1));
}

static void only_signals_are_blocked(void **state) {
  gipc_options *o = new_options();
  CHECK_IS(gipc_options_block_signal(o, 0), -EINVAL);
  CHECK_IS(gipc_options_block_signal(o, NSIG), -EINVAL);
  CHECK_IS(gipc_options_block_signal(o, -1), -EINVAL);
  CHECK_IS(in_child(return_argument, NULL, o), 0);
  gipc_options_free(o);
}

/* ---- A storm ----------------------------------------------------------------- */

static volatile sig_atomic_t foreign, taken;
static pid_t own;

static void count(int number) {
  int saved = errno;
  taken = 1;
  if (getpid() != own) /* a vfork child has our memory, but its own pid */
    foreign++;
  errno = saved;
}

static int in_storm(void *argument) {
  struct sigaction action;
  struct sigevent event;
  struct itimerspec often = {{0, 100 * 1000}, {0, 100 * 1000}};
  timer_t timer;
  size_t count_of = many(500, 25);
  const char *argv[] = {"/does/not/exist", NULL};
  gipc_process *p = NULL;
  own = getpid();
  memset(&action, 0, sizeof action);
  memset(&event, 0, sizeof event);
  action.sa_handler = count;
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  CHECK_OK(timer_settime(timer, 0, &often, NULL)); /* 10 kHz */
  for (size_t i = 0; i < count_of; i++) {
    switch (i % 3) {
    case 0:
      CHECK_IS(in_child(return_argument, INT(5), NULL), 5);
      break;
    case 1:
      CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
      break;
    default:
      CHECK_IS(gipc_exec_process(argv, NULL, &p), -ENOENT);
    }
  }
  CHECK(taken != 0);
  CHECK_IS(foreign, 0);
  CHECK_OK(timer_delete(timer));
  return 0;
}

static void no_handler_of_the_parent_runs_in_a_child(void **state) {
  in_own_fork(in_storm, NULL); /* H2, H6 */
}

/* A signal for the child alone, before its target runs. */
static pid_t fork_and_signal(void *user) {
  pid_t pid = fork();
  if (pid > 0)
    kill(pid, SIGUSR1);
  return pid;
}

static int early_signal(void *argument) {
  gipc_options *o = new_options();
  own = getpid();
  signal(SIGUSR1, count);
  CHECK_OK(gipc_options_set_fork(o, fork_and_signal, NULL));
  /* It is the child's to die of, not the parent's handler's to see. */
  for (size_t i = 0; i < many(50, 5); i++)
    CHECK_IS(in_child(wait_for_signal, NULL, o), -SIGUSR1);
  CHECK_IS(foreign, 0);
  gipc_options_free(o);
  return 0;
}

static void an_early_signal_finds_no_handler(void **state) {
  in_own_fork(early_signal, NULL); /* H6 */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_function_starts_with_clean_signals),
      TEST(a_program_starts_with_clean_signals),
      TEST(only_signals_are_blocked),
      TEST(no_handler_of_the_parent_runs_in_a_child),
      TEST(an_early_signal_finds_no_handler),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
