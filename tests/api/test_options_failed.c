/* gipc_options_failed(): the option that a start failed for. */
#include "support_process.h"

#include <fcntl.h>
#include <string.h>

static const char *const program[] = {"true", NULL};

/* Both kinds of start fail with this error, for this part. */
static void expect(gipc_options *o, int error, const char *part) {
  gipc_process *p = NULL;
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), error);
  CHECK(gipc_options_failed(o) != NULL);
  assert_string_equal(gipc_options_failed(o), part);
  CHECK_IS(gipc_exec_process(program, o, &p), error);
  CHECK(gipc_options_failed(o) != NULL);
  assert_string_equal(gipc_options_failed(o), part);
  CHECK(p == NULL && !has_children());
}

static int closed_fd(void) {
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  close(fd);
  return fd;
}

static void a_missing_program_and_a_missing_directory_differ(void **state) {
  /* H58 */
  const char *missing[] = {"/no/such/program", NULL};
  const char *forbidden[] = {"/etc/passwd", NULL};
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK(gipc_options_failed(o) == NULL);
  CHECK_IS(gipc_exec_process(missing, o, &p), -ENOENT);
  assert_string_equal(gipc_options_failed(o), "program");
  CHECK_IS(gipc_exec_process(forbidden, o, &p), -EACCES);
  assert_string_equal(gipc_options_failed(o), "program");
  CHECK_OK(gipc_options_set_cwd(o, "/no/such/directory"));
  expect(o, -ENOENT, "cwd");
  CHECK_IS(gipc_exec_process(missing, o, &p), -ENOENT);
  assert_string_equal(gipc_options_failed(o), "cwd");
  gipc_options_free(o);
}

static void a_start_that_succeeds_reports_no_failed_option(void **state) {
  const char *missing[] = {"/no/such/program", NULL};
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK(gipc_options_failed(NULL) == NULL);
  CHECK_IS(gipc_exec_process(missing, o, &p), -ENOENT);
  CHECK_OK(gipc_exec_process(program, o, &p));
  CHECK(gipc_options_failed(o) == NULL);
  CHECK_IS(end_of(p), 0);
  CHECK_IS(gipc_exec_process(missing, o, &p), -ENOENT);
  CHECK_IS(in_child(return_argument, INT(3), o), 3);
  CHECK(gipc_options_failed(o) == NULL);
  gipc_options_free(o);
}

static void a_closed_descriptor_is_reported_by_its_option(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_FD, closed_fd()));
  expect(o, -EBADF, "stdio");
  gipc_options_free(o);
  o = new_options();
  CHECK_OK(gipc_options_map_fd(o, closed_fd(), 7));
  expect(o, -EBADF, "map_fd");
  gipc_options_free(o);
}

static void a_handle_that_cannot_be_passed_is_reported_as_pass(void **state) {
  gipc_handle *reader, *writer;
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&reader, &writer));
  CHECK_OK(gipc_options_pass(o, "writer", writer));
  CHECK_OK(gipc_close(writer));
  expect(o, GIPC_ECLOSED, "pass");
  gipc_options_free(o);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

static void
a_file_that_is_not_a_terminal_is_reported_as_terminal(void **state) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_terminal(o, fd));
  expect(o, -ENOTTY, "terminal");
  gipc_options_free(o);
  close(fd);
}

static int without_privileges(void *argument) {
  if (geteuid() == 0 && setuid(65534) != 0)
    return 1;
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_user(o, 0, 0, NULL, 0));
  expect(o, -EPERM, "user");
  gipc_options_free(o);
  return 0;
}

static void a_user_that_is_not_permitted_is_reported_as_user(void **state) {
  not_under_valgrind();
  in_own_fork(without_privileges, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_missing_program_and_a_missing_directory_differ),
      TEST(a_start_that_succeeds_reports_no_failed_option),
      TEST(a_closed_descriptor_is_reported_by_its_option),
      TEST(a_handle_that_cannot_be_passed_is_reported_as_pass),
      TEST(a_file_that_is_not_a_terminal_is_reported_as_terminal),
      TEST(a_user_that_is_not_permitted_is_reported_as_user),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
