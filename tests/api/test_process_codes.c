/* Ways in which a child ends, and the status that its parent gets. */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

static void the_result_of_the_target_is_the_exit_code(void **state) {
  /* H49 */
  for (int value = 0; value < 256; value++)
    CHECK_IS(in_child(return_argument, INT(value), NULL), value);
  CHECK_IS(in_child(return_argument, INT(256), NULL), 255);
  CHECK_IS(in_child(return_argument, INT(300), NULL), 255);
  CHECK_IS(in_child(return_argument, INT(-1), NULL), 255);
  CHECK_IS(in_child(return_argument, INT(INT32_MIN), NULL), 255);
  CHECK_IS(in_child(return_argument, INT(INT32_MAX), NULL), 255);
}

static int raise_argument(struct ev_loop *fresh, void *argument) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  raise((int)(intptr_t)argument);
  return 1;
}

static bool is_fatal(int number) {
  return number != SIGCHLD && number != SIGCONT && number != SIGSTOP &&
         number != SIGTSTP && number != SIGTTIN && number != SIGTTOU &&
         number != SIGURG && number != SIGWINCH &&
         /* left as it was inherited, and glibc's own */
         (number < 32 ||
          (number >= SIGRTMIN && !is_limited_by("last_signals")));
}

static void a_fatal_signal_is_reported_as_its_negative_number(void **state) {
  not_under_valgrind(); /* which has some of its own */
  /* H49 */
  for (int number = 1; number < NSIG; number++) {
    if (!is_fatal(number))
      continue;
    gipc_process *p = start(raise_argument, INT(number), NULL);
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.code, -1);
    CHECK_IS(info.signal, number);
    CHECK_IS(info.how, GIPC_STATUS_FROM_WAIT);
    CHECK_IS(info.ended, GIPC_ENDED_UNKNOWN);
    CHECK_IS(end_of(p), -number);
  }
}

static void
a_signal_of_another_process_is_reported_as_its_negative_number(void **state) {
  for (int i = 0; i < 2; i++) {
    gipc_process *p = i == 0 ? start(wait_for_signal, NULL, NULL)
                             : execute(NULL, "sleep", "60", NULL);
    CHECK_OK(kill(gipc_process_pid(p), SIGUSR1));
    CHECK_IS(end_of(p), -SIGUSR1);
  }
}

static void the_info_reports_processor_time_and_memory(void **state) {
  gipc_process *p = execute(NULL, "true", NULL);
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.code, 0);
  CHECK_IS(info.signal, 0);
  CHECK_IS(info.core, 0);
  CHECK(info.user >= 0 && info.user < 10);
  CHECK(info.system >= 0 && info.system < 10);
  CHECK(info.max_rss > 0);
  gipc_process_free(p);
}

static void an_info_without_room_for_the_code_is_refused(void **state) {
  gipc_process *p = start(return_argument, NULL, NULL);
  gipc_exit_info info = info_of(p);
  info.size = sizeof info.size;
  info.code = 77;
  CHECK_IS(gipc_process_info(p, &info), -EINVAL);
  CHECK_IS(info.code, 77);
  gipc_process_free(p);
}

/* ---- Ways to end -------------------------------------------------------- */

enum leave { BY_EXIT, BY_GIPC_EXIT, BY__EXIT, BY_PTHREAD_EXIT, BY_CANCEL };

static int leave(struct ev_loop *fresh, void *argument) {
  switch ((enum leave)(intptr_t)argument) {
  case BY_EXIT:
    exit(37);
  case BY_GIPC_EXIT:
    gipc_exit(38);
  case BY__EXIT:
    _exit(39);
  case BY_PTHREAD_EXIT:
    pthread_exit(NULL);
  case BY_CANCEL:
    pthread_cancel(pthread_self());
    pause();
  }
  return 1;
}

static void every_way_to_end_is_reported_as_such(void **state) {
  /* H28, H29 */
  static const struct {
    enum leave how;
    int code, ended;
  } table[] = {{BY_EXIT, 37, GIPC_ENDED_EXIT},
               {BY_GIPC_EXIT, 38, GIPC_ENDED_EXIT},
               {BY__EXIT, 39, GIPC_ENDED_UNKNOWN},
               {BY_PTHREAD_EXIT, GIPC_EXIT_ESCAPED, GIPC_ENDED_UNWOUND},
               {BY_CANCEL, GIPC_EXIT_ESCAPED, GIPC_ENDED_UNWOUND}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    gipc_process *p = start(leave, INT(table[i].how), NULL);
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.code, table[i].code);
    CHECK_IS(info.ended, table[i].ended);
    gipc_process_free(p);
  }
  gipc_process *p = start(return_argument, INT(7), NULL);
  CHECK_IS(info_of(p).ended, GIPC_ENDED_RETURN);
  gipc_process_free(p);
}

static int exit_as_argument(struct ev_loop *fresh, void *argument) {
  gipc_exit_as(5, (int)(intptr_t)argument);
}

static void a_runtime_says_how_its_function_ended(void **state) {
  static const int table[][2] = {{GIPC_ENDED_RETURN, GIPC_ENDED_RETURN},
                                 {GIPC_ENDED_EXIT, GIPC_ENDED_EXIT},
                                 {GIPC_ENDED_EXCEPTION, GIPC_ENDED_EXCEPTION},
                                 {GIPC_ENDED_UNSENT, GIPC_ENDED_EXIT},
                                 {-1, GIPC_ENDED_EXIT}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    gipc_process *p = start(exit_as_argument, INT(table[i][0]), NULL);
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.code, 5);
    CHECK_IS(info.ended, table[i][1]);
    gipc_process_free(p);
  }
}

static int gipc_exit_argument(struct ev_loop *fresh, void *argument) {
  gipc_exit((int)(intptr_t)argument);
}

static int exit_argument(struct ev_loop *fresh, void *argument) {
  exit((int)(intptr_t)argument);
}

static void gipc_exit_bounds_its_code_as_a_result_is_bounded(void **state) {
  CHECK_IS(in_child(gipc_exit_argument, INT(255), NULL), 255);
  CHECK_IS(in_child(gipc_exit_argument, INT(256), NULL), 255);
  CHECK_IS(in_child(gipc_exit_argument, INT(-1), NULL), 255);
  CHECK_IS(in_child(exit_argument, INT(256 + 3), NULL), 3); /* as exit(3) */
}

static void *exit_in_thread(void *argument) { exit(41); }

static int exit_from_thread(struct ev_loop *fresh, void *argument) {
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, exit_in_thread, NULL));
  pthread_join(thread, NULL);
  return 1;
}

static void a_thread_of_the_child_may_call_exit(void **state) {
  CHECK_IS(in_child(exit_from_thread, NULL, NULL), 41);
}

/* ---- atexit and stdio --------------------------------------------------- */

static char marks[128];

static void mark(const char *text) {
  int fd = open(marks, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && write_all(fd, text, strlen(text)));
  close(fd);
}

static pid_t marking_process;

static void parent_handler(void) {
  if (marking_process != 0)
    mark(getpid() == marking_process ? "parent" : "parent's in child");
}

static void child_handler(void) { mark("child"); }

static int with_own_handler(struct ev_loop *fresh, void *argument) {
  atexit(child_handler);
  if (argument != NULL)
    exit(0);
  return 0;
}

static int has_handlers(void *argument) {
  marking_process = getpid();
  atexit(parent_handler);
  CHECK_IS(in_child(return_argument, NULL, NULL), 0);
  CHECK_IS(in_child(exit_argument, NULL, NULL), 0);
  CHECK_IS(in_child(gipc_exit_argument, NULL, NULL), 0);
  CHECK_IS(in_child(leave, INT(BY_PTHREAD_EXIT), NULL), GIPC_EXIT_ESCAPED);
  CHECK_IS(in_child(with_own_handler, INT(0), NULL), 0);
  CHECK_IS(in_child(with_own_handler, INT(1), NULL), 0);
  exit(0);
}

static void
exit_handlers_of_the_parent_run_once_and_not_in_children(void **state) {
  char text[256];
  scratch("marks", marks);
  unlink(marks);
  in_own_fork(has_handlers, NULL); /* H30 */
  read_file(marks, text, sizeof text);
  /* The child's own ran in the one child that called exit(). */
  assert_string_equal(text, "childparent");
}

static int print_line(struct ev_loop *fresh, void *argument) {
  printf("child\n");
  fprintf(stderr, "childs words\n");
  if (argument != NULL)
    exit(0);
  return 0;
}

static int prints_to_file(void *argument) {
  char *path = argument;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  static char buffer[1024];
  CHECK(fd >= 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2);
  setvbuf(stderr, buffer, _IOFBF, sizeof buffer);
  setvbuf(stdout, NULL, _IOFBF, 4096);
  printf("before\n");
  fprintf(stderr, "words\n");
  for (intptr_t i = 0; i < 2; i++)
    CHECK_IS(in_child(print_line, INT(i), NULL), 0);
  printf("after\n");
  fflush(stdout);
  fflush(stderr);
  return 0;
}

static void buffered_output_is_written_once(void **state) {
  char path[128], text[512];
  in_own_fork(prints_to_file, (void *)scratch("output", path)); /* H31 */
  read_file(path, text, sizeof text);
  assert_string_equal(text, "child\nchilds words\nchild\nchilds words\n"
                            "before\nafter\nwords\n");
}

/* ---- Names -------------------------------------------------------------- */

static void a_process_has_a_name(void **state) {
  gipc_options *o = new_options();
  gipc_process *p = start(return_argument, NULL, NULL);
  char expected[32];
  snprintf(expected, sizeof expected, "gipc-%d", gipc_process_pid(p));
  assert_string_equal(gipc_process_name(p), expected);
  CHECK_IS(end_of(p), 0);

  char name[] = "worker with a rather long name, longer than any pid";
  CHECK_OK(gipc_options_set_name(o, name));
  memset(name, 'x', 6); /* it was copied */
  p = start(return_argument, NULL, o);
  gipc_options_free(o);
  assert_string_equal(gipc_process_name(p),
                      "worker with a rather long name, longer than any pid");
  CHECK_IS(end_of(p), 0);
}

static int errno_of_a_start(void *argument) {
  gipc_process *p = NULL;
  int code;
  const char *argv[] = {"/does/not/exist", NULL};
  errno = 4711;
  CHECK_OK(gipc_start_process(return_argument, NULL, NULL, &p));
  CHECK_IS(errno, 4711);
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_IS(errno, 4711);
  CHECK_OK(gipc_process_exitcode(p, &code));
  CHECK_IS(gipc_process_kill(p), GIPC_EDEAD);
  CHECK_IS(errno, 4711);
  gipc_process_free(p);
  CHECK_IS(errno, 4711);
  CHECK_IS(gipc_exec_process(argv, NULL, &p), -ENOENT);
  CHECK_IS(errno, 4711);
  return 0;
}

static void no_call_changes_errno(void **state) {
  in_own_fork(errno_of_a_start, NULL); /* H105 */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_result_of_the_target_is_the_exit_code),
      TEST(a_fatal_signal_is_reported_as_its_negative_number),
      TEST(a_signal_of_another_process_is_reported_as_its_negative_number),
      TEST(the_info_reports_processor_time_and_memory),
      TEST(an_info_without_room_for_the_code_is_refused),
      TEST(every_way_to_end_is_reported_as_such),
      TEST(a_runtime_says_how_its_function_ended),
      TEST(gipc_exit_bounds_its_code_as_a_result_is_bounded),
      TEST(a_thread_of_the_child_may_call_exit),
      TEST(exit_handlers_of_the_parent_run_once_and_not_in_children),
      TEST(buffered_output_is_written_once),
      TEST(a_process_has_a_name),
      TEST(no_call_changes_errno),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
