/* Children that threads start, and loops in threads. */
#include "support_process.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio_ext.h>

/* ---- A small stack
 * ------------------------------------------------------------ */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
  *(int *)timer->data = 42;
}

static int run_loop(struct ev_loop *fresh, void *argument) {
  ev_timer timer;
  int result = 0;
  ev_timer_init(&timer, on_timer, 0.001, 0.);
  timer.data = &result;
  ev_timer_start(fresh, &timer);
  ev_run(fresh, 0);
  return result;
}

static void *start_some(void *argument) {
  const char *argv[] = {"/does/not/exist", NULL};
  gipc_process *p = NULL;
  CHECK_IS(in_child(run_loop, NULL, NULL), 42);
  CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
  CHECK_IS(gipc_exec_process(argv, NULL, &p), -ENOENT);
  return NULL;
}

static void a_small_stack_is_enough(void **state) {
  /* H32 */
  pthread_attr_t attributes;
  pthread_t thread;
  const long least = sysconf(_SC_THREAD_STACK_MIN); /* 128 KiB on some */
  size_t size = least > 64 * 1024 ? (size_t)least : 64 * 1024;
  CHECK_OK(pthread_attr_init(&attributes));
  CHECK_OK(pthread_attr_setstacksize(&attributes, size));
  CHECK_OK(pthread_create(&thread, &attributes, start_some, NULL));
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_OK(pthread_attr_destroy(&attributes));
}

/* ---- Busy threads
 * ------------------------------------------------------------- */

static atomic_bool over;

static void *hammer(void *argument) {
  uint64_t seed = (uint64_t)(uintptr_t)&seed;
  void *blocks[64] = {NULL};
  while (!atomic_load(&over)) {
    size_t i = random_next(&seed) % 64;
    free(blocks[i]);
    blocks[i] = malloc(random_next(&seed) % 5000);
    if (i == 0) {
      char text[32];
      snprintf(text, sizeof text, "%zu", i);
      gipc_handle *r, *w;
      CHECK_OK(gipc_pipe(&r, &w));
      gipc_handle_free(r);
      gipc_handle_free(w);
    }
  }
  for (int i = 0; i < 64; i++)
    free(blocks[i]);
  return NULL;
}

static int allocate(struct ev_loop *fresh, void *argument) {
  alarm(300);
  for (int i = 0; i < 100; i++) {
    char *block = malloc((size_t)i * 100 + 1);
    CHECK(block != NULL);
    snprintf(block, (size_t)i * 100 + 1, "%d", i);
    free(block);
  }
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_put(w, "x", 1, 1));
  gipc_handle_free(r);
  gipc_handle_free(w);
  printf("%d", 0); /* takes the lock of stdout */
  __fpurge(stdout);
  return 7;
}

/* Whose malloc is not safe in a child of a process with threads. */
static void not_under_asan(void) {
#ifdef __SANITIZE_ADDRESS__
  skip_because("the malloc of ASan does not support forks with threads");
#endif
}

static void
no_child_hangs_while_threads_of_the_parent_hold_locks(void **state) {
  not_under_asan();
  not_under_valgrind();
  if (getenv("GIPC_TEST_SAN") != NULL)
    skip_because("the malloc of a sanitizer does not support forks");
  pthread_t threads[3]; /* H1 */
  atomic_store(&over, false);
  for (int i = 0; i < 3; i++)
    CHECK_OK(pthread_create(&threads[i], NULL, hammer, NULL));
  for (size_t i = 0; i < many(300, 20); i++)
    if (i % 3 == 0)
      CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
    else
      CHECK_IS(in_child(allocate, NULL, NULL), 7);
  atomic_store(&over, true);
  for (int i = 0; i < 3; i++)
    CHECK_OK(pthread_join(threads[i], NULL));
}

static void *fork_all_the_time(void *argument) {
  while (!atomic_load(&over)) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
      gipc_handle *r, *w;
      alarm(300);
      CHECK_OK(gipc_pipe(&r, &w)); /* holds the registry's lock */
      gipc_handle_free(r);
      gipc_handle_free(w);
      CHECK_IS(in_child(return_argument, INT(4), NULL), 4);
      _exit(0);
    }
    CHECK(pid > 0);
    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK_IS(status, 0);
  }
  return NULL;
}

static void a_fork_at_any_moment_leaves_a_usable_library(void **state) {
  not_under_asan();
  not_under_valgrind();
  pthread_t threads[2]; /* H37 */
  atomic_store(&over, false);
  CHECK_OK(pthread_create(&threads[0], NULL, fork_all_the_time, NULL));
  CHECK_OK(pthread_create(&threads[1], NULL, hammer, NULL));
  for (size_t i = 0; i < many(200, 20); i++)
    if (i % 2)
      CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
    else
      CHECK_IS(in_child(return_argument, INT(4), NULL), 4);
  atomic_store(&over, true);
  for (int i = 0; i < 2; i++)
    CHECK_OK(pthread_join(threads[i], NULL));
}

/* ---- Descriptors that a foreign fork holds
 * ------------------------------------ */

static pid_t holder;
static int hold[2];

/* A fork while all descriptors of the start are open. */
static pid_t fork_twice(void *user) {
  holder = fork();
  if (holder == 0) {
    char byte;
    alarm(300);
    close(hold[1]);
    (void)!read(hold[0], &byte, 1);
    _exit(0);
  }
  return fork();
}

static void
a_foreign_fork_that_holds_descriptors_delays_no_start(void **state) {
  /* H8 */
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  for (int fails = 0; fails < 2; fails++) {
    CHECK_OK(pipe2(hold, O_CLOEXEC));
    CHECK_OK(gipc_options_set_cwd(o, fails ? "/does/not/exist" : "/"));
    CHECK_OK(gipc_options_set_fork(o, fork_twice, NULL));
    double started = now();
    int result = gipc_start_process(return_argument, INT(3), o, &p);
    if (fails)
      CHECK_IS(result, -ENOENT);
    else
      CHECK_IS(end_of(p), 3);
    CHECK(now() - started < 60); /* the other fork would hold it for 300 */
    close(hold[0]);
    close(hold[1]);
    CHECK_IS(waitpid(holder, NULL, 0), holder);
  }
  gipc_options_free(o);
}

/* Programs: threads that fork all the time, and hold what they got. */
static void *fork_and_hold(void *argument) {
  while (!atomic_load(&over)) {
    pid_t pid = fork();
    if (pid == 0) {
      char byte;
      alarm(300);
      close(hold[1]);
      (void)!read(hold[0], &byte, 1);
      _exit(0);
    }
    if (atomic_fetch_add(&(*(atomic_int *)argument), 1) >= 100)
      break;
  }
  return NULL;
}

static void foreign_forks_delay_no_start_of_a_program(void **state) {
  not_under_valgrind();
  const char *argv[] = {"/does/not/exist", NULL};
  gipc_process *p = NULL;
  pthread_t thread;
  atomic_int count = 0;
  CHECK_OK(pipe2(hold, O_CLOEXEC));
  atomic_store(&over, false);
  CHECK_OK(pthread_create(&thread, NULL, fork_and_hold, &count));
  for (size_t i = 0; i < many(100, 20); i++) {
    double started = now();
    CHECK_IS(gipc_exec_process(argv, NULL, &p), -ENOENT);
    CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
    CHECK(now() - started < 60); /* as above */
  }
  atomic_store(&over, true);
  CHECK_OK(pthread_join(thread, NULL));
  close(hold[0]);
  close(hold[1]);
  while (waitpid(-1, NULL, 0) > 0)
    ;
}

/* ---- Loops in threads
 * ---------------------------------------------------------- */

static void on_end(gipc_process *p, void *user) {
  int *ends = user, code = -1;
  CHECK_OK(gipc_process_exitcode(p, &code));
  CHECK_IS(code, *ends % 256);
  gipc_process_free(p);
  (*ends)++;
}

static void *watch_in_loop(void *argument) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  int ends = 0, count = (int)many(150, 20);
  for (int i = 0; i < count; i++) {
    gipc_process *p = start(return_argument, INT(i % 256), NULL);
    CHECK_OK(gipc_process_watch(p, loop, on_end, &ends));
    ev_run(loop, 0);
    CHECK_IS(ends, i + 1);
  }
  gipc_process *p = execute(NULL, "sleep", "60", NULL);
  CHECK_OK(gipc_process_stop(p, 20));
  int code = 0, result = gipc_process_exitcode(p, &code);
  /* The default loop may reap a program first, and take its status. */
  bool kept = (gipc_features() & GIPC_FEATURE_KEPT_STATUS) != 0;
  CHECK((result == 0 && code == -SIGTERM) ||
        (!kept && result == GIPC_ESTATUSLOST));
  gipc_process_free(p);
  ev_loop_destroy(loop);
  return NULL;
}

static void every_thread_may_watch_children_on_a_loop_of_its_own(void **state) {
  not_under_valgrind();
  pthread_t threads[4]; /* H45 */
  for (int i = 0; i < 4; i++)
    CHECK_OK(pthread_create(&threads[i], NULL, watch_in_loop, NULL));
  for (int i = 0; i < 4; i++)
    CHECK_OK(pthread_join(threads[i], NULL));
}

static void threads_watch_children_beside_a_default_loop(void **state) {
  not_under_valgrind();
  /* H40, H45: which takes all statuses of the program. */
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  pthread_t thread;
  ev_timer timer;
  int value = 0;
  CHECK_OK(pthread_create(&thread, NULL, watch_in_loop, NULL));
  ev_timer_init(&timer, on_timer, 0.001, 0.001);
  timer.data = &value;
  ev_timer_start(loop, &timer);
  while (pthread_tryjoin_np(thread, NULL) != 0)
    ev_run(loop, EVRUN_ONCE);
  ev_timer_stop(loop, &timer);
  ev_loop_destroy(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_small_stack_is_enough),
      TEST(no_child_hangs_while_threads_of_the_parent_hold_locks),
      TEST(a_fork_at_any_moment_leaves_a_usable_library),
      TEST(a_foreign_fork_that_holds_descriptors_delays_no_start),
      TEST(foreign_forks_delay_no_start_of_a_program),
      TEST(every_thread_may_watch_children_on_a_loop_of_its_own),
      TEST(threads_watch_children_beside_a_default_loop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
