/* The descriptors of children. */
#include "support_process.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* A descriptor of the application at this number, which survives an exec. */
static void open_at(int number) {
  int fd = open("/dev/null", O_RDWR);
  CHECK(fd >= 0);
  if (fd != number) {
    CHECK(dup2(fd, number) == number);
    close(fd);
  }
}

static void expect_fds(gipc_options *o, const char *expected) {
  const char *argv[] = {PROGRAM("child_fds"), NULL};
  char text[2048];
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  check_at(strcmp(text, expected) == 0, text, __FILE__, __LINE__);
}

static int is_open(struct ev_loop *fresh, void *argument) {
  return fcntl((int)(intptr_t)argument, F_GETFD) >= 0;
}

static void a_program_keeps_only_stdio(void **state) {
  not_under_valgrind();
  /* H11, H12 */
  gipc_handle *r, *w;
  open_at(50);
  open_at(200);
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_process *other = start(wait_for_signal, NULL, NULL);
  expect_fds(NULL, "0 1 2 \n");
  destroy(other);
  gipc_handle_free(r);
  gipc_handle_free(w);
  close(50);
  close(200);
}

static void a_program_keeps_the_listed_descriptors(void **state) {
  not_under_valgrind();
  /* H12; 51 is the only one between two that are kept */
  gipc_options *o = new_options();
  const int keep[] = {200, 52, 50, 50, 1, 0};
  open_at(50);
  open_at(51);
  open_at(52);
  open_at(200);
  CHECK_OK(fcntl(200, F_SETFD, FD_CLOEXEC));
  CHECK_OK(gipc_options_keep_fds(o, keep, 6));
  expect_fds(o, "0 1 2 50 52 200 \n");
  CHECK_IS(fcntl(200, F_GETFD), FD_CLOEXEC);
  CHECK_OK(gipc_options_keep_fds(o, NULL, 0));
  expect_fds(o, "0 1 2 \n");
  gipc_options_free(o);
  for (int fd = 50; fd <= 200; fd++)
    close(fd);
}

static void a_program_keeps_all_that_is_not_closed_on_exec(void **state) {
  not_under_valgrind();
  gipc_options *o = new_options();
  const int keep[] = {50};
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w)); /* the library's own are */
  open_at(50);
  open_at(51);
  open_at(60);
  CHECK_OK(fcntl(60, F_SETFD, FD_CLOEXEC));
  CHECK_OK(gipc_options_keep_fds(o, keep, 1));
  CHECK_OK(gipc_options_keep_all_fds(o)); /* the last call takes effect */
  expect_fds(o, "0 1 2 50 51 \n");
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
  close(50);
  close(51);
  close(60);
}

static void keeping_a_closed_descriptor_is_an_error_of_the_start(void **state) {
  gipc_options *o = new_options();
  const char *argv[] = {"true", NULL};
  const int keep[] = {777};
  gipc_process *p = NULL;
  CHECK_OK(gipc_options_keep_fds(o, keep, 1));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EBADF);
  CHECK(p == NULL);
  gipc_options_free(o);
}

/* ---- Function children -------------------------------------------------- */

struct expected {
  int count;
  int fds[512];
};

/* The control socket of the child itself is allowed, and its loop's. */
static int has_only(struct ev_loop *fresh, void *argument) {
  const struct expected *expected = argument;
  int fds[512], extra = 0, count;
  ev_loop_destroy(fresh);
  count = list_fds(fds, 512);
  for (int i = 0; i < count; i++) {
    bool known = false;
    for (int j = 0; j < expected->count; j++)
      known |= fds[i] == expected->fds[j];
    if (!known) {
      char path[64], target[64] = "";
      snprintf(path, sizeof path, "/proc/self/fd/%d", fds[i]);
      CHECK(readlink(path, target, 63) > 0);
      CHECK(strncmp(target, "socket:", 7) == 0);
      extra++;
    }
  }
  for (int j = 0; j < expected->count; j++)
    CHECK(fcntl(expected->fds[j], F_GETFD) >= 0);
  return 100 + extra; /* 1 is a failed check */
}

static void a_function_child_keeps_descriptors_of_the_program(void **state) {
  not_under_valgrind();
  /* H11, H36 */
  struct expected expected;
  gipc_handle *r, *w, *a, *b;
  open_at(50);
  expected.count = list_fds(expected.fds, 512);
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_daemon(o, 1));
  gipc_process *one = start(wait_for_signal, NULL, o);
  gipc_process *two = execute(o, "sleep", "60", NULL);
  CHECK_IS(in_child(has_only, &expected, NULL), 101);
  gipc_options_free(o);
  destroy(one);
  destroy(two);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_handle_free(a);
  gipc_handle_free(b);
  close(50);
}

static void a_function_child_keeps_only_the_listed_descriptors(void **state) {
  not_under_valgrind();
  /* H12 */
  struct expected expected = {4, {0, 1, 2, 51}};
  gipc_options *o = new_options();
  const int keep[] = {51};
  open_at(50);
  open_at(51);
  open_at(200);
  CHECK_OK(gipc_options_keep_fds(o, keep, 1));
  CHECK_IS(in_child(has_only, &expected, o), 101);
  expected.count = 3;
  CHECK_OK(gipc_options_keep_fds(o, NULL, 0));
  CHECK_IS(in_child(has_only, &expected, o), 101);
  CHECK_IS(in_child(is_open, INT(50), NULL), 1); /* H12: without the option */
  gipc_options_free(o);
  close(50);
  close(51);
  close(200);
}

/* ---- Without close_range ------------------------------------------------ */

static int on_an_old_kernel(void *argument) {
  gipc_options *o = new_options();
  struct expected expected = {3, {0, 1, 2}};
  for (int fd = 100; fd < 400; fd += 2)
    open_at(fd);
  CHECK(fail_call(SYS_close_range, ENOSYS));
  expect_fds(NULL, "0 1 2 \n");
  CHECK_OK(gipc_options_keep_fds(o, (const int[]){200}, 1));
  expect_fds(o, "0 1 2 200 \n");
  CHECK_OK(gipc_options_keep_fds(o, NULL, 0));
  CHECK_IS(in_child(has_only, &expected, o), 101);
  gipc_handle *r, *w;
  expected.count = list_fds(expected.fds, 512);
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_IS(in_child(has_only, &expected, NULL), 101);
  /* A limit of the child does not keep descriptors open. H13 */
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_NOFILE, 60, 60));
  expect_fds(o, "0 1 2 \n");
  gipc_options_free(o);
  return 0;
}

/* H119: nor can the open descriptors be listed. */
static int without_a_list(void *argument) {
  gipc_options *o = new_options();
  open_at(50);
  open_at(900);
  CHECK(fail_call(SYS_close_range, ENOSYS));
  if (argument != NULL)
    CHECK(fail_call(SYS_getdents64, ENOSYS));
  expect_fds(NULL, "0 1 2 \n");
  CHECK_OK(gipc_options_keep_fds(o, (const int[]){900}, 1));
  expect_fds(o, "0 1 2 900 \n");
  CHECK_OK(gipc_options_keep_fds(o, NULL, 0));
  CHECK_IS(in_child(is_open, INT(50), o), 0);
  CHECK_IS(in_child(is_open, INT(900), o), 0);
  gipc_options_free(o);
  return 0;
}

/* Another file system hides /proc. */
static int with_proc_hidden(void *argument) {
  if (getenv("GIPC_TEST_SAN") != NULL)
    return 0; /* a sanitizer reads it */
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("none", "/proc", "tmpfs", 0, NULL) != 0)
    return 0; /* it needs the privilege */
  /* An empty folder does not count as a list. */
  CHECK_OK(mkdir("/proc/self", 0755));
  CHECK_OK(mkdir("/proc/self/fd", 0755));
  return without_a_list(NULL);
}

static int limited_without_close_range(void *argument) {
  gipc_options *o = new_options();
  open_at(40);
  for (int fd = 3; fd < 8; fd++) {
    open_at(fd);
    CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
  }
  CHECK(fail_call(SYS_close_range, ENOSYS));
  /* So low that the child can open nothing, until it has its program. */
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_NOFILE, 8, 8));
  const char *argv[] = {"/bin/sh", "-c",
                        "if [ -e /proc/self/fd/40 ]; then exit 7; fi", NULL};
  gipc_process *p = NULL;
  int result = gipc_exec_process(argv, o, &p);
  gipc_options_free(o);
  if (result == 0) /* an error is right, too */
    CHECK_IS(end_of(p), 0);
  return 0;
}

static int dropped_without_close_range(void *argument) {
  gipc_options *o = new_options();
  open_at(40);
  CHECK(fail_call(SYS_close_range, ENOSYS));
  CHECK_OK(gipc_options_set_user(o, 65534, 65534, NULL, 0));
  const char *argv[] = {"/bin/sh", "-c",
                        "if [ -e /proc/self/fd/40 ]; then exit 7; fi", NULL};
  gipc_process *p = NULL;
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
  return 0;
}

static void any_number_can_be_kept_that_no_descriptor_has(void **state) {
  gipc_options *o = new_options();
  const int keep[] = {INT_MAX, 777, INT_MAX - 1};
  CHECK_OK(gipc_options_keep_fds(o, keep, 3));
  CHECK_IS(in_child(return_argument, (void *)7, o), 7);
  gipc_options_free(o);
}

static void descriptors_are_closed_without_close_range(void **state) {
  not_under_valgrind();
  in_own_fork(on_an_old_kernel, NULL); /* H12 */
}

static void no_descriptor_leaks_where_they_cannot_be_listed(void **state) {
  not_under_valgrind();
  in_own_fork(without_a_list, INT(1)); /* H119 */
  in_own_fork(with_proc_hidden, NULL);
}

static void no_descriptor_leaks_where_the_child_can_open_no_file(void **state) {
  not_under_valgrind();
  in_own_fork(limited_without_close_range, NULL); /* H13 */
}

static void no_descriptor_leaks_into_a_child_of_another_user(void **state) {
  not_under_valgrind();
  if (geteuid() != 0)
    skip_because("only root can become another user");
  in_own_fork(dropped_without_close_range, NULL);
}

/* ---- Many descriptors --------------------------------------------------- */

static int with_a_million(void *argument) {
  struct rlimit limit = {1u << 20, 1u << 20};
  gipc_options *o = new_options();
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return 0; /* it needs the privilege */
  open_at((1 << 20) - 1);
  CHECK_OK(gipc_options_keep_fds(o, NULL, 0));
  for (int i = 0; i < 2; i++) {
    /* One that is disturbed by nothing: a million calls take longer than this
     * on any machine, a few of them less. */
    double best = 1e9;
    for (int tries = 0; tries < 500 && best >= 0.05; tries++) {
      double started = now(), took;
      gipc_process *p = i == 0 ? execute(NULL, "true", NULL)
                               : start(return_argument, NULL, o);
      took = now() - started;
      CHECK_IS(end_of(p), 0);
      best = took < best ? took : best;
    }
    CHECK(best < (slow() ? 1 : 0.05));
  }
  expect_fds(NULL, "0 1 2 \n");
  /* One above a limit that was lowered later is closed, too. */
  limit.rlim_cur = 64;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  const char *argv[] = {"/bin/sh", "-c",
                        "if [ -e /proc/self/fd/1048575 ]; then exit 7; fi",
                        NULL};
  char text[64];
  CHECK_IS(output_of(NULL, argv, text, sizeof text), 0);
  gipc_options_free(o);
  return 0;
}

static void
a_start_is_fast_where_a_million_descriptors_are_allowed(void **state) {
  in_own_fork(with_a_million, NULL); /* H13 */
}

int main(void) {
  for (int fd = 3; fd < 256; fd++)
    close(fd); /* what the shell left */
  const struct CMUnitTest tests[] = {
      TEST(a_program_keeps_only_stdio),
      TEST(a_program_keeps_the_listed_descriptors),
      TEST(a_program_keeps_all_that_is_not_closed_on_exec),
      TEST(keeping_a_closed_descriptor_is_an_error_of_the_start),
      TEST(a_function_child_keeps_descriptors_of_the_program),
      TEST(a_function_child_keeps_only_the_listed_descriptors),
      TEST(any_number_can_be_kept_that_no_descriptor_has),
      TEST(descriptors_are_closed_without_close_range),
      TEST(no_descriptor_leaks_where_they_cannot_be_listed),
      TEST(no_descriptor_leaks_where_the_child_can_open_no_file),
      TEST(no_descriptor_leaks_into_a_child_of_another_user),
      TEST(a_start_is_fast_where_a_million_descriptors_are_allowed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
