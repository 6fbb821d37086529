/* gipc_features() returns the features of the kernel that work. */
#include "support_calls.h"
#include "support_process.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

enum {
  all = GIPC_FEATURE_PIDFD | GIPC_FEATURE_KEPT_STATUS |
        GIPC_FEATURE_SHARED_START | GIPC_FEATURE_CLOSE_RANGE |
        GIPC_FEATURE_WIPE_ON_FORK | GIPC_FEATURE_PIPE_READ |
        GIPC_FEATURE_PIPE_WRITE
};

/* The features of this kernel, from another process, as a process keeps the
 * result. */
static int ask(void *out) {
  int mask = gipc_features();
  CHECK(mask >= 0);
  CHECK_IS(gipc_features(), mask);
  *(int *)out = mask;
  return 0;
}
static int features_here(void) {
  int *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  in_own_fork(ask, shared);
  int mask = *shared;
  munmap(shared, sizeof *shared);
  return mask;
}

/* ---- Missing features ---------------------------------------------------- */

struct lack {
  long call;
  int argument; /* -1: always */
  uint32_t value;
  int error;
  int features; /* missing then */
};

static int without(void *argument) {
  const struct lack *lack = argument;
  CHECK(lack->argument < 0 ? fail_call(lack->call, lack->error)
                           : fail_call_with_bits(lack->call, lack->argument,
                                                 lack->value, lack->error));
  int mask = gipc_features();
  CHECK(mask >= 0);
  CHECK_IS(mask & lack->features, 0);
  return 0;
}

static int without_kept_status(void *here) {
  CHECK(fail_pidfd_info());
  CHECK_IS(gipc_features(), *(int *)here & ~GIPC_FEATURE_KEPT_STATUS);
  return 0;
}

static void a_feature_that_the_kernel_lacks_is_not_reported(void **state) {
  struct lack lacks[] = {
      {SYS_close_range, -1, 0, ENOSYS, GIPC_FEATURE_CLOSE_RANGE},
      {SYS_madvise, 2, MADV_WIPEONFORK, EINVAL, GIPC_FEATURE_WIPE_ON_FORK},
      {SYS_preadv2, -1, 0, EOPNOTSUPP, GIPC_FEATURE_PIPE_READ},
      {SYS_pwritev2, -1, 0, EOPNOTSUPP, GIPC_FEATURE_PIPE_WRITE},
      {SYS_clone, clone_flags, CLONE_VM, EPERM, GIPC_FEATURE_SHARED_START},
      {SYS_waitid, -1, 0, ENOSYS,
       GIPC_FEATURE_PIDFD | GIPC_FEATURE_KEPT_STATUS},
  };
  not_under_valgrind();
  int here = features_here();
  for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++)
    in_own_fork(without, &lacks[i]);
  in_own_fork(without_kept_status, &here);
}

static int without_descriptors(void *argument) {
  struct rlimit none = {0, 0};
  struct rlimit before;
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &before));
  none.rlim_max = before.rlim_max;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &none));
  int result = gipc_features();
  CHECK(portable() ? result == 0 : result == -EMFILE);
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &before));
  CHECK(gipc_features() >= 0); /* a shortage is not remembered */
  return 0;
}
static void a_shortage_is_an_error_and_not_remembered(void **state) {
  not_under_valgrind();
  in_own_fork(without_descriptors, NULL);
}

/* ---- Reported features --------------------------------------------------- */

static void the_portable_fallback_reports_no_feature(void **state) {
  int mask = features_here();
  CHECK_IS(mask & ~all, 0);
  if (portable())
    CHECK_IS(mask, 0);
}

static void a_status_is_lost_only_without_its_feature(void **state) {
  not_under_valgrind();
  int mask = features_here(), code = 77;
  gipc_process *p = execute(NULL, "sh", "-c", "exit 3", NULL);
  /* Another reaper is first. */
  while (waitpid(gipc_process_pid(p), NULL, 0) < 0)
    CHECK_IS(errno, EINTR);
  CHECK_OK(gipc_process_join(p, -1));
  int result = gipc_process_exitcode(p, &code);
  if ((mask & GIPC_FEATURE_KEPT_STATUS) != 0)
    CHECK(result == 0 && code == 3);
  else
    CHECK(result == GIPC_ESTATUSLOST && code == 77);
  gipc_process_free(p);
}

static void a_process_has_a_descriptor_with_its_feature(void **state) {
  gipc_process *p = start(return_argument, INT(0), NULL);
  bool has = gipc_process_fd(p) >= 0;
  if ((features_here() & GIPC_FEATURE_PIDFD) != 0)
    CHECK(has);
  CHECK_IS(end_of(p), 0);
}

/* ---- Side effects ------------------------------------------------------- */

static volatile sig_atomic_t child_signals;
static void on_child(int signal) { child_signals++; }

static int ask_in_silence(void *argument) {
  struct sigaction action = {.sa_handler = on_child};
  sigset_t before, after;
  int fds = count_fds();
  CHECK_OK(sigaction(SIGCHLD, &action, NULL));
  CHECK_OK(sigprocmask(SIG_SETMASK, NULL, &before));
  CHECK(gipc_features() >= 0);
  CHECK_OK(sigprocmask(SIG_SETMASK, NULL, &after));
  for (int signal = 1; signal < NSIG; signal++)
    CHECK_IS(sigismember(&after, signal), sigismember(&before, signal));
  CHECK(child_signals == 0 && count_fds() == fds && !has_children());
  return 0;
}
static void finding_the_features_has_no_side_effect(void **state) {
  in_own_fork(ask_in_silence, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_portable_fallback_reports_no_feature),
      TEST(a_feature_that_the_kernel_lacks_is_not_reported),
      TEST(a_shortage_is_an_error_and_not_remembered),
      TEST(a_status_is_lost_only_without_its_feature),
      TEST(a_process_has_a_descriptor_with_its_feature),
      TEST(finding_the_features_has_no_side_effect),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
