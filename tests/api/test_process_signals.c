/* Signals at the start of a child: whose they are, and what it starts with. */
#include "support_process.h"

#include <sys/mman.h>
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
  char text[8192];
  const char *argv[] = {"cat", "/proc/self/status", NULL};
  gipc_options *o = new_options();
  for (int user = 0; user < 1 + (geteuid() == 0); user++) {
    if (user) /* which is a way of its own to start */
      CHECK_OK(gipc_options_set_user(o, geteuid(), getegid(), NULL, 0));
    CHECK_IS(output_of(o, argv, text, sizeof text), 0);
    CHECK_IS((long)(field_of(text, "SigBlk")), (long)(user ? bit(SIGHUP) : 0));
    /* SIGPIPE, too.  posix_spawn(3), with which make runs this test, leaves the
     * two of glibc ignored. */
    CHECK_IS((long)(field_of(text, "SigIgn") & ~glibc), 0);
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
  not_under_valgrind();
  in_own_fork(wild, NULL);
}

static void a_program_starts_with_clean_signals(void **state) {
  not_under_valgrind();
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

/* ---- A storm
 * ----------------------------------------------------------------- */

/* Where a child's handler counts, too. */
static volatile sig_atomic_t *foreign;
static volatile sig_atomic_t accepted;
static pid_t own;

static void count(int number) {
  int saved = errno;
  accepted++;
  if (getpid() !=
      own) /* a vfork child shares the memory, but has its own pid */
    (*foreign)++;
  errno = saved;
}

static void handle_with_count(void) {
  struct sigaction action;
  foreign = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
  CHECK(foreign != MAP_FAILED);
  own = getpid();
  memset(&action, 0, sizeof action);
  action.sa_handler = count; /* without SA_RESTART; H60 */
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
}

/* Signals everyone in the group of its parent, some 10,000 times a second. */
static pid_t start_storm(void) {
  pid_t group = getpid(), pid;
  CHECK_OK(setpgid(0, 0));
  pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    struct timespec pause = {0, 50 * 1000};
    setpgid(0, 0);
    alarm(60);
    for (;;) {
      kill(-group, SIGUSR1);
      nanosleep(&pause, NULL);
    }
  }
  setpgid(pid, pid);
  return pid;
}

static int in_storm(void *argument) {
  const char *no_program[] = {"/does/not/exist", NULL};
  const char *program[] = {"/bin/true", NULL};
  size_t starts = many(500, 25);
  handle_with_count();
  pid_t storm = start_storm();
  for (size_t i = 0; i < starts; i++) {
    gipc_process *p = NULL;
    int result;
    if (i % 3 == 0)
      result = gipc_start_process(return_argument, INT(0), NULL, &p);
    else
      result = gipc_exec_process(i % 3 == 1 ? program : no_program, NULL, &p);
    if (i % 3 == 2 && p == NULL) {
      CHECK_IS(result, -ENOENT);
      continue;
    }
    CHECK_OK(result);
    /* The child may die of it, with its own disposition. */
    result = end_of(p);
    CHECK(result == 0 || result == -SIGUSR1);
  }
  CHECK_OK(kill(storm, SIGKILL));
  while (waitpid(storm, NULL, 0) < 0)
    CHECK_IS(errno, EINTR);
  CHECK(accepted > 0);
  CHECK_IS(*foreign, 0);
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
  handle_with_count();
  CHECK_OK(gipc_options_set_fork(o, fork_and_signal, NULL));
  /* It terminates the child, and the parent's handler is not called. */
  for (size_t i = 0; i < many(50, 5); i++)
    CHECK_IS(in_child(wait_for_signal, NULL, o), -SIGUSR1);
  CHECK_IS(*foreign, 0);
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
