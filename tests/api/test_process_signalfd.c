/* Loops that get their signals from a signalfd, which a child shares with its
 * parent: the parent still gets its signals, also after a failed start. */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mount.h>
#include <sys/resource.h>

struct lack {
  int free; /* descriptors that are left, or -1: enough */
  bool folder;
};

static int got[NSIG];

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events) {
  got[watcher->signum]++;
}

/* The folder of the open descriptors is gone for this process. */
static bool without_folder(void) {
  return unshare(CLONE_NEWNS) == 0 &&
         mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
         mount("none", "/proc", "tmpfs", 0, NULL) == 0;
}

static int try_without_folder(void *argument) {
  return without_folder() ? 0 : 77;
}

static void need_mounts(void) {
  int status = -1;
  fflush(NULL);
  pid_t pid = child_start(try_without_folder, NULL);
  CHECK_IS(waitpid(pid, &status, 0), pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    print_message("skipped: mounts need more rights\n");
    skip();
  }
  CHECK_IS(status, 0);
}

/* Leaves so many descriptors free. */
static void fill_descriptors(int left) {
  int opened[256], count = 0;
  struct rlimit limit = {64, 64};
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  while (count < 256 && (opened[count] = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0)
    count++;
  CHECK(count > left && count < 256);
  while (left-- > 0)
    close(opened[--count]);
}

static int has_three(struct ev_loop *fresh, void *argument) {
  /* Its own are on loops of its own. */
  struct ev_loop *own = ev_default_loop(EVFLAG_AUTO);
  ev_signal one, two;
  if (own == NULL)
    return 11;
  ev_signal_init(&one, on_signal, SIGUSR1);
  ev_signal_init(&two, on_signal, SIGUSR2);
  ev_signal_start(own, &one);
  ev_signal_start(own, &two);
  memset(got, 0, sizeof got);
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR2);
  for (int iterations = 0; iterations < 100 && got[SIGUSR1] + got[SIGUSR2] < 2;
       iterations++)
    ev_run(own, EVRUN_NOWAIT);
  return got[SIGUSR1] == 1 && got[SIGUSR2] == 1 ? 0 : 12;
}

static int any(struct ev_loop *fresh, void *argument) { return 0; }

static void never(gipc_process *p, void *user) { CHECK(false); }

static bool is_of_the_lack(int error) {
  return error == -EMFILE || error == -EOPNOTSUPP;
}

static void ask(struct ev_loop *loop, int number) {
  got[number] = 0;
  CHECK_OK(kill(getpid(), number));
  for (int iterations = 0; iterations < 100 && got[number] == 0; iterations++)
    ev_run(loop, EVRUN_NOWAIT);
  CHECK_IS(got[number], 1);
}

/* The signals of the default loop, of one that is named, and of one that a
 * process is on. */
static int start_lacking(void *argument) {
  const struct lack *lack = argument;
  struct ev_loop *loops[3] = {ev_default_loop(EVFLAG_SIGNALFD),
                              ev_loop_new(EVFLAG_SIGNALFD),
                              ev_loop_new(EVFLAG_SIGNALFD)};
  static const int numbers[3] = {SIGUSR1, SIGUSR2, SIGHUP};
  bool plenty = lack->free < 0 && lack->folder;
  ev_signal watchers[3];
  gipc_options *o = new_options();
  gipc_process *p = NULL, *known = start(wait_for_signal, NULL, NULL);
  CHECK_OK(gipc_process_watch(known, loops[2], never, NULL));
  for (int i = 0; i < 3; i++) {
    ev_signal_init(&watchers[i], on_signal, numbers[i]);
    ev_signal_start(loops[i], &watchers[i]);
    ask(loops[i], numbers[i]);
  }
  CHECK_OK(gipc_options_release_signals(o, loops[1]));
  if (!lack->folder)
    CHECK(without_folder());
  if (lack->free >= 0)
    fill_descriptors(lack->free);
  for (int round = 0; round < 3; round++) {
    int result = gipc_start_process(plenty ? has_three : any, NULL, o, &p);
    CHECK(result == 0 || (!plenty && is_of_the_lack(result)));
    if (result == 0)
      CHECK_IS(end_of(p), 0);
    for (int i = 0; i < 3; i++)
      ask(loops[i], numbers[i]);
  }
  CHECK_OK(gipc_process_unwatch(known));
  destroy(known);
  CHECK(!has_children());
  gipc_options_free(o);
  return 0;
}

static void a_start_leaves_the_signals_of_signalfds_alone(void **state) {
  struct lack lack = {-1, true};
  in_own_fork(start_lacking, &lack); /* H121 */
}

static void
a_start_with_few_descriptors_leaves_the_signals_alone(void **state) {
  not_under_valgrind();
  for (int left = 0; left < 12; left++) {
    struct lack lack = {left, true};
    in_own_fork(start_lacking, &lack); /* H121 */
  }
}

static void a_start_without_proc_leaves_the_signals_alone(void **state) {
  not_under_valgrind();
  need_mounts();
  struct lack lack = {-1, false};
  in_own_fork(start_lacking, &lack); /* H121 */
}

static int start_unsupported(void *argument) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_SIGNALFD);
  gipc_process *p = NULL;
  CHECK(without_folder());
  CHECK_IS(gipc_start_process(any, NULL, NULL, &p), -EOPNOTSUPP);
  CHECK(p == NULL && !has_children());
  /* A program has none of the loops, and needs no folder. */
  CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
  ev_loop_destroy(loop);
  CHECK_IS(in_child(any, NULL, NULL), 0);
  return 0;
}

static void a_signalfd_that_cannot_be_found_is_an_error(void **state) {
  not_under_valgrind();
  need_mounts();
  in_own_fork(start_unsupported, NULL); /* H121 */
}

/* ---- The signals of another thread -------------------------------------- */

static sem_t watching, over;
static struct ev_loop *of_thread;

static void *watch_signals(void *argument) {
  ev_signal watcher;
  of_thread = ev_loop_new(EVFLAG_SIGNALFD);
  ev_signal_init(&watcher, on_signal, SIGUSR2);
  ev_signal_start(of_thread, &watcher);
  sem_post(&watching);
  while (sem_wait(&over) != 0)
    ;
  got[SIGUSR2] = 0;
  CHECK_OK(pthread_kill(pthread_self(), SIGUSR2));
  for (int iterations = 0; iterations < 100 && got[SIGUSR2] == 0; iterations++)
    ev_run(of_thread, EVRUN_NOWAIT);
  CHECK_IS(got[SIGUSR2], 1);
  ev_signal_stop(of_thread, &watcher);
  ev_loop_destroy(of_thread);
  return NULL;
}

/* In this thread the signal is not blocked, and has no handler. */
static int start_beside_a_thread(void *argument) {
  pthread_t thread;
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK_OK(sem_init(&watching, 0, 0));
  CHECK_OK(sem_init(&over, 0, 0));
  CHECK_OK(pthread_create(&thread, NULL, watch_signals, NULL));
  while (sem_wait(&watching) != 0)
    ;
  CHECK_OK(gipc_options_release_signals(o, of_thread));
  CHECK(without_folder());
  for (int round = 0; round < 5; round++) {
    CHECK_IS(gipc_start_process(any, NULL, o, &p), -EOPNOTSUPP);
    CHECK(p == NULL && !has_children());
  }
  sem_post(&over);
  CHECK_OK(pthread_join(thread, NULL));
  gipc_options_free(o);
  return 0;
}

static void a_signalfd_of_another_thread_is_an_error_of_the_start(void **s) {
  not_under_valgrind();
  need_mounts();
  in_own_fork(start_beside_a_thread, NULL); /* H113, H121 */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_start_leaves_the_signals_of_signalfds_alone),
      TEST(a_start_with_few_descriptors_leaves_the_signals_alone),
      TEST(a_start_without_proc_leaves_the_signals_alone),
      TEST(a_signalfd_that_cannot_be_found_is_an_error),
      TEST(a_signalfd_of_another_thread_is_an_error_of_the_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
