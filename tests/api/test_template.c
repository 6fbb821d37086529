/* Children that a template forks: what they have, and what the parent sees. */
#include "support_calls.h"
#include "support_process.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

static int at_start = 1;

/* ---- Arguments and memory ------------------------------------------------ */

static int return_static(struct ev_loop *fresh, void *argument) {
  return at_start;
}

static void a_child_has_the_memory_of_the_start_of_the_template(void **state) {
  at_start = 1;
  gipc_template *t = new_template(NULL);
  at_start = 2;
  CHECK_IS(run_from(t, return_static, NULL, 0, NULL), 1);
  CHECK_IS(run_from(t, return_argument, INT(7), 0, NULL), 7);
  gipc_template_free(t);
}

struct argument {
  char text[60000];
  long double number;
};

static int check_argument(struct ev_loop *fresh, void *argument) {
  struct argument *it = argument;
  CHECK((uintptr_t)it % _Alignof(struct argument) == 0);
  CHECK(filled(it->text, sizeof it->text, 5));
  return it->number == 3 ? 9 : 1;
}

static int first_byte(struct ev_loop *fresh, void *argument) {
  return *(unsigned char *)argument;
}

static void a_child_gets_a_copy_of_the_argument(void **state) {
  gipc_template *t = new_template(NULL);
  static struct argument it;
  gipc_process *p = NULL;
  fill(it.text, sizeof it.text, 5);
  it.number = 3;
  CHECK_IS(run_from(t, check_argument, &it, sizeof it, NULL), 9);
  CHECK_IS(run_from(t, first_byte, "\x2a", 1, NULL), 42);
  size_t most = 128 << 10;
  char *big = calloc(1, most);
  CHECK_IS(run_from(t, first_byte, big, most - 1024, NULL), 0);
  CHECK_IS(gipc_template_start(t, first_byte, big, most, NULL, &p), -E2BIG);
  CHECK(p == NULL && !count_zombies());
  free(big);
  gipc_template_free(t);
}

/* ---- What a child is ----------------------------------------------------- */

struct contest {
  pthread_mutex_t mutex;
  _Atomic pid_t waiter;
};

static void *lock_and_unlock(void *argument) {
  struct contest *contest = argument;
  contest->waiter = gettid();
  CHECK_OK(pthread_mutex_lock(&contest->mutex));
  CHECK_OK(pthread_mutex_unlock(&contest->mutex));
  return NULL;
}

/* The kernel knows the owner of such a lock by the thread's number, as the C
 * library has it. */
static void lock_with_a_waiter(void) {
  static struct contest contest;
  pthread_mutexattr_t attributes;
  pthread_t thread;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  CHECK_OK(pthread_mutex_init(&contest.mutex, &attributes));
  CHECK_OK(pthread_mutex_lock(&contest.mutex));
  CHECK_OK(pthread_create(&thread, NULL, lock_and_unlock, &contest));
  while (contest.waiter == 0 || state_of(contest.waiter) != 'S')
    sched_yield();
  CHECK_OK(pthread_mutex_unlock(&contest.mutex));
  CHECK_OK(pthread_join(thread, NULL));
}

static int check_all(struct ev_loop *fresh, void *argument) {
  struct sigaction action;
  clockid_t clock; /* made of the number, as the C library has it */
  CHECK_OK(pthread_getcpuclockid(pthread_self(), &clock));
  CHECK_IS(~(clock >> 3), gettid());
  CHECK(fresh != NULL && fresh != ev_default_loop_uc_());
  CHECK_IS(getppid(), *(pid_t *)argument);
  CHECK_IS((long)signal_field("SigBlk"), 0);
  CHECK_OK(sigaction(SIGUSR1, NULL, &action));
  CHECK(action.sa_handler == SIG_DFL);
  lock_with_a_waiter();
  CHECK_IS(in_child(return_argument, INT(4), NULL), 4);
  CHECK(!has_children());
  return 8;
}

static void on_signal(int number) {}

static void a_child_is_one_of_this_process_and_is_reset(void **state) {
  struct sigaction action = {.sa_handler = on_signal}, before;
  pid_t self = getpid();
  CHECK_OK(sigaction(SIGUSR1, &action, &before));
  gipc_template *t = new_template(NULL);
  CHECK_IS(run_from(t, check_all, &self, sizeof self, NULL), 8);
  CHECK_OK(sigaction(SIGUSR1, &before, NULL));
  gipc_template_free(t);
}

static int exit_by_library(struct ev_loop *fresh, void *argument) { exit(6); }

static int return_behind_stdin(struct ev_loop *fresh, void *argument) {
  char byte;
  CHECK(read(0, &byte, 1) == 0);
  return return_argument(fresh, argument);
}

static void statuses_come_from_the_kernel(void **state) {
  gipc_template *t = new_template(NULL);
  gipc_process *p = start_from(t, return_argument, INT(5), 0, NULL);
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.code, 5);
  CHECK_IS(info.how, GIPC_STATUS_FROM_WAIT);
  CHECK_IS(info.ended, GIPC_ENDED_RETURN);
  CHECK(info.user >= 0 && info.max_rss > 0);
  gipc_process_free(p);
  p = start_from(t, exit_by_library, NULL, 0, NULL);
  info = info_of(p);
  CHECK_IS(info.code, 6);
  CHECK_IS(info.ended, GIPC_ENDED_EXIT);
  gipc_process_free(p);
  p = start_from(t, wait_for_signal, NULL, 0, NULL);
  CHECK_IS(gipc_process_join(p, 0), -ETIMEDOUT);
  CHECK_OK(gipc_process_stop(p, 100));
  CHECK_IS(end_of(p), -SIGTERM);
  /* A start may reap a child that ends before it returns. */
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  p = start_from(t, return_behind_stdin, INT(3), 0, o);
  gipc_options_free(o);
  close(gipc_process_stdio(p, 0));
  int status;
  CHECK_IS(waitpid(gipc_process_pid(p), &status, 0), gipc_process_pid(p));
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
  CHECK_OK(gipc_process_report(p, status));
  CHECK_IS(end_of(p), 3);
  gipc_template_free(t);
}

static void on_end(gipc_process *p, void *user) { ++*(int *)user; }

static void a_child_is_watched_on_a_loop(void **state) {
  gipc_template *t = new_template(NULL);
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  int ends = 0;
  gipc_process *p = start_from(t, return_argument, INT(1), 0, NULL);
  CHECK_OK(gipc_process_watch(p, loop, on_end, &ends));
  ev_run(loop, 0);
  CHECK_IS(ends, 1);
  CHECK_IS(end_of(p), 1);
  ev_loop_destroy(loop);
  gipc_template_free(t);
}

/* ---- Handles ------------------------------------------------------------- */

static int answer(struct ev_loop *fresh, void *argument) {
  gipc_handle *pair, *w, *none;
  const void *data;
  size_t size;
  CHECK_IS(gipc_inherit("none", &none), -ENOENT);
  CHECK_OK(gipc_inherit("pair", &pair));
  CHECK_OK(gipc_inherit("w", &w));
  CHECK_IS(gipc_inherit("w", &none), -ENOENT);
  CHECK(getenv("GIPC_HANDLES") == NULL);
  CHECK_OK(gipc_get(pair, 100, &data, &size));
  CHECK_OK(gipc_put(w, data, size, 100));
  return gipc_get(pair, 100, &data, &size) == GIPC_EOF ? 0 : 1;
}

static void handles_pass_by_name(void **state) {
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  gipc_handle *a, *b, *r, *w;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "pair", b));
  CHECK_OK(gipc_options_pass(o, "w", w));
  gipc_process *p = start_from(t, answer, NULL, 0, o);
  CHECK_IS(gipc_directions(b), GIPC_ECLOSED);
  CHECK_OK(gipc_put(a, "to and fro", 10, 100));
  CHECK_OK(gipc_get(r, 100, &data, &size));
  CHECK(size == 10 && memcmp(data, "to and fro", 10) == 0);
  CHECK_OK(gipc_close(a));
  CHECK_IS(gipc_get(r, 100, &data, &size), GIPC_EOF);
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(a);
  gipc_handle_free(b);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
  gipc_template_free(t);
}

static void a_start_that_fails_moves_no_handle(void **state) {
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  CHECK_IS(gipc_template_start(t, answer, NULL, 0, o, &p), -EINVAL);
  CHECK_OK(strcmp(gipc_options_failed(o), "pass"));
  CHECK_OK(gipc_options_clear_passed(o));
  CHECK_OK(gipc_options_pass(o, "w", w));
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(gipc_template_start(t, answer, NULL, 0, o, &p), -ENOENT);
  CHECK_OK(strcmp(gipc_options_failed(o), "cwd"));
  CHECK_OK(gipc_options_set_cwd(o, "/"));
  CHECK_OK(gipc_try_put(w, "queued", 6));
  CHECK_IS(gipc_template_start(t, answer, NULL, 0, o, &p), -EBUSY);
  CHECK_IS(gipc_directions(w), GIPC_WRITE);
  CHECK(p == NULL && !count_zombies());
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
  gipc_template_free(t);
}

static void wrong_arguments_are_refused(void **state) {
  gipc_template *t = new_template(NULL), *none = NULL;
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  CHECK_IS(gipc_template_new(NULL, NULL), -EINVAL);
  CHECK_IS(gipc_template_exec(NULL, NULL, &none), -EINVAL);
  CHECK_IS(gipc_template_start(NULL, answer, NULL, 0, o, &p), -EINVAL);
  CHECK_IS(gipc_template_start(t, NULL, NULL, 0, o, &p), -EINVAL);
  CHECK_IS(gipc_template_start(t, answer, NULL, 1, o, &p), -EINVAL);
  CHECK_IS(gipc_template_start(t, answer, NULL, 0, o, NULL), -EINVAL);
  CHECK_IS(gipc_template_serve(NULL, &size), -EINVAL);
  CHECK_IS(gipc_template_serve(&data, &size), -ENOENT);
  CHECK_OK(gipc_options_keep_all_fds(o));
  CHECK_IS(gipc_template_start(t, answer, NULL, 0, o, &p), -EOPNOTSUPP);
  CHECK_OK(strcmp(gipc_options_failed(o), "keep_fds"));
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "w", w));
  CHECK_IS(gipc_template_new(o, &none), -EINVAL);
  CHECK(p == NULL && none == NULL);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
  gipc_template_free(t);
  gipc_template_free(NULL);
}

/* ---- Kernels and sandboxes that lack something --------------------------- */

struct lack {
  long call;
  int argument; /* -1: always */
  uint32_t value;
  int error, expected;
};

static int live_without(void *argument) {
  const struct lack *lack = argument;
  gipc_template *t = NULL;
  CHECK(lack->argument < 0 ? fail_call(lack->call, lack->error)
                           : fail_call_with(lack->call, lack->argument,
                                            lack->value, lack->error));
  int fds = count_fds();
  CHECK_IS(gipc_template_new(NULL, &t), lack->expected);
  if (lack->expected == 0) {
    CHECK_IS(run_from(t, return_argument, INT(5), 0, NULL), 5);
    gipc_process *p = start_from(t, wait_for_signal, NULL, 0, NULL);
    CHECK_OK(gipc_process_stop(p, 100));
    CHECK_IS(end_of(p), -SIGTERM);
    gipc_template_free(t);
  }
  CHECK_IS(count_fds(), fds);
  CHECK(!has_children());
  return 0;
}

static void a_template_works_or_is_refused_on_an_old_kernel(void **state) {
  enum { get_tid_address = 40 };
  struct lack lacks[] = {
      {SYS_pidfd_open, -1, 0, ENOSYS, 0},
      {SYS_pidfd_send_signal, -1, 0, EPERM, 0},
      {SYS_close_range, -1, 0, ENOSYS, 0},
      {SYS_clone, clone_flags, CLONE_PARENT, ENOSYS, -EOPNOTSUPP},
      {SYS_clone, clone_flags, CLONE_PARENT, EPERM, -EPERM},
      {SYS_prctl, 0, get_tid_address, EINVAL, -EOPNOTSUPP},
  };
  gipc_template_free(new_template(NULL)); /* or skips */
  for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++)
    in_own_fork(live_without, &lacks[i]);
}

/* ---- Programs as templates ----------------------------------------------- */

static gipc_template *execute_template(const char *number) {
  const char *argv[] = {PROGRAM("child_template"), number, NULL};
  gipc_template *t = NULL;
  gipc_template_free(new_template(NULL)); /* or skips */
  CHECK_OK(gipc_template_exec(argv, NULL, &t));
  return t;
}

static void a_program_serves_as_a_template(void **state) {
  gipc_template *t = execute_template("7");
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  CHECK_IS(gipc_template_start(t, answer, NULL, 0, NULL, &p), -EINVAL);
  CHECK_IS(run_from(t, NULL, NULL, 0, NULL), 7);
  CHECK_IS(run_from(t, NULL, "\x21", 1, NULL), 33);
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "w", w));
  p = start_from(t, NULL, "put", 3, o);
  CHECK_OK(gipc_get(r, 100, &data, &size));
  CHECK_IS(gipc_get(r, 100, &data, &size), GIPC_EOF);
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.code, 5);
  CHECK_IS(info.ended, GIPC_ENDED_EXIT);
  gipc_process_free(p);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
  gipc_template_free(t);
}

static void a_program_with_threads_is_no_template(void **state) {
  gipc_template *t = execute_template("99");
  gipc_process *p = NULL;
  CHECK_IS(gipc_template_start(t, NULL, NULL, 0, NULL, &p), -EBUSY);
  CHECK(p == NULL);
  gipc_template_free(t);
}

static void a_program_that_does_not_serve_is_no_template(void **state) {
  const char *argv[] = {"/bin/true", NULL}, *none[] = {"/does/not/exist", NULL};
  gipc_template *t = NULL;
  gipc_process *p = NULL;
  if (portable())
    skip_because("there are no templates here");
  CHECK_IS(gipc_template_exec(none, NULL, &t), -ENOENT);
  CHECK_OK(gipc_template_exec(argv, NULL, &t));
  CHECK_IS(gipc_template_start(t, NULL, NULL, 0, NULL, &p), GIPC_EDEAD);
  gipc_template_free(t);
  argv[0] = PROGRAM("child_template");
  CHECK_IS(end_of(execute(NULL, argv[0], NULL)), 2);
}

static int use_template(struct ev_loop *fresh, void *argument) {
  gipc_template *t = argument;
  gipc_process *p = NULL;
  CHECK_IS(gipc_template_start(t, answer, NULL, 0, NULL, &p), GIPC_EWRONGPROC);
  gipc_template_free(t);
  return 0;
}

static void a_template_belongs_to_one_process(void **state) {
  gipc_template *t = new_template(NULL);
  CHECK_IS(in_child(use_template, t, NULL), 0);
  CHECK_IS(run_from(t, return_argument, INT(2), 0, NULL), 2);
  gipc_template_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_child_has_the_memory_of_the_start_of_the_template),
      TEST(a_child_gets_a_copy_of_the_argument),
      TEST(a_child_is_one_of_this_process_and_is_reset),
      TEST(statuses_come_from_the_kernel),
      TEST(a_child_is_watched_on_a_loop),
      TEST(handles_pass_by_name),
      TEST(a_start_that_fails_moves_no_handle),
      TEST(wrong_arguments_are_refused),
      TEST(a_template_works_or_is_refused_on_an_old_kernel),
      TEST(a_program_serves_as_a_template),
      TEST(a_program_with_threads_is_no_template),
      TEST(a_program_that_does_not_serve_is_no_template),
      TEST(a_template_belongs_to_one_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
