/* Handles that programs inherit by name. */
#include "support_process.h"

#include <sys/stat.h>

static void expect_answers(gipc_handle *to, gipc_handle *from) {
  static char big[300000];
  const void *data;
  size_t size;
  for (int i = 0; i < 100; i++) {
    CHECK_OK(gipc_put(to, &i, sizeof i, 20));
    CHECK_OK(gipc_get(from, 20, &data, &size));
    CHECK(size == sizeof i && memcmp(data, &i, size) == 0);
  }
  fill(big, sizeof big, 7);
  CHECK_OK(gipc_put(to, big, sizeof big, 20));
  CHECK_OK(gipc_get(from, 20, &data, &size));
  CHECK(size == sizeof big && memcmp(data, big, size) == 0);
  CHECK_OK(gipc_put(to, "", 0, 20));
  CHECK_OK(gipc_get(from, 20, &data, &size));
  CHECK_IS((long)size, 0);
}

static void a_program_answers_over_a_duplex_pipe(void **state) {
  for (int shell = 0; shell < 2; shell++) {
    gipc_handle *a, *b;
    gipc_options *o = new_options();
    CHECK_OK(gipc_pipe_duplex(&a, &b));
    CHECK_OK(gipc_options_pass(o, "both-ways", b));
    gipc_process *p =
        shell ? execute(o, "sh", "-c",
                        ": ; " PROGRAM("child_answer") " both-ways; exit $?",
                        NULL)
              : execute(o, PROGRAM("child_answer"), "both-ways", NULL);
    gipc_options_free(o);
    expect_answers(a, a);
    CHECK_OK(gipc_close(a));
    CHECK_IS(end_of(p), 0);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

static void a_program_answers_over_two_one_way_pipes(void **state) {
  gipc_handle *in, *to, *from, *out;
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&in, &to));
  CHECK_OK(gipc_pipe(&from, &out));
  CHECK_OK(gipc_options_pass(o, "in.1", in));
  CHECK_OK(gipc_options_pass(o, "out_2", out));
  gipc_process *p = execute(o, PROGRAM("child_answer"), "in.1", "out_2", NULL);
  gipc_options_free(o);
  expect_answers(to, from);
  CHECK_OK(gipc_close(to));
  CHECK_IS(end_of(p), 0);
  gipc_handle *all[] = {in, to, from, out};
  for (int i = 0; i < 4; i++)
    gipc_handle_free(all[i]);
}

static void
a_program_without_descriptors_of_its_parent_still_answers(void **state) {
  /* keep_all_fds and keep_fds do not affect passed handles. */
  for (int all = 0; all < 2; all++) {
    gipc_handle *a, *b;
    gipc_options *o = new_options();
    CHECK_OK(gipc_pipe_duplex(&a, &b));
    CHECK_OK(gipc_options_pass(o, "it", b));
    CHECK_OK(all ? gipc_options_keep_all_fds(o)
                 : gipc_options_keep_fds(o, NULL, 0));
    CHECK_OK(gipc_options_clear_env(o));
    CHECK_OK(gipc_options_set_daemon(o, 1));
    gipc_process *p = execute(o, PROGRAM("child_answer"), "it", NULL);
    gipc_options_free(o);
    expect_answers(a, a);
    CHECK_OK(gipc_close(a));
    CHECK_IS(end_of(p), 0);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

/* ---- What gipc_inherit() says
 * -------------------------------------------------- */

static void expect_inherit(gipc_options *o, const char *one, const char *two,
                           const char *expected) {
  char text[256];
  const char *argv[] = {PROGRAM("child_inherit"), one, two, NULL};
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  check_at(strcmp(text, expected) == 0, text, __FILE__, __LINE__);
}

static void a_name_is_inherited_once(void **state) {
  gipc_handle *r, *w;
  for (int i = 0; i < 4; i++) {
    static const struct {
      const char *one, *two, *expected;
    } table[] = {{"a", "a", "0 -2 unset\n"},
                 {"b", "a", "-2 0 unset\n"},
                 {"b", NULL, "-2 set\n"},
                 {"", "aa", "-22 -2 set\n"}};
    gipc_options *o = new_options();
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_options_pass(o, "a", w));
    expect_inherit(o, table[i].one, table[i].two, table[i].expected);
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void nothing_is_inherited_without_the_variable(void **state) {
  gipc_handle *h = (gipc_handle *)&h;
  gipc_options *o = new_options();
  expect_inherit(o, "a", NULL, "-2 unset\n");
  gipc_options_free(o);
  CHECK_IS(gipc_inherit("a", &h), -ENOENT);
  CHECK_IS(gipc_inherit(NULL, &h), -EINVAL);
  CHECK_IS(gipc_inherit("a", NULL), -EINVAL);
  CHECK(h == (gipc_handle *)&h);
}

static int with_value(void *argument) {
  gipc_handle *h = (gipc_handle *)&h;
  int fds = count_fds();
  CHECK_OK(setenv("GIPC_HANDLES", argument, 1));
  CHECK_IS(gipc_inherit("a", &h), GIPC_EBADHANDLES);
  CHECK(h == (gipc_handle *)&h && count_fds() == fds);
  CHECK(getenv("GIPC_HANDLES") != NULL);
  return 0;
}

static void a_malformed_or_stale_variable_is_an_error(void **state) {
  /* H94 */
  static const char *const values[] = {
      "", "a", "a=", "=0/r@1:1", "a=0", "a=0/r", "a=0/x@1:1", "a=0/r@1:1 ",
      "a=0/r@1:1,", ",a=0/r@1:1", "a=-1/r@1:1", "a=99999999999/r@1:1",
      "a=0/r@zz:1", "a b=0/r@1:1", "a=0/r@1:1;b=0/r@1:1",
      /* well-formed, but another file */
      "a=0/r@1:1", "a=777/r@1:1"};
  char value[200];
  struct stat info;
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    in_own_fork(with_value, (void *)values[i]);
  CHECK_OK(fstat(0, &info)); /* the same direction twice */
  snprintf(value, sizeof value, "a=0/r@%llx:%llu,a=0/r@%llx:%llu",
           (unsigned long long)info.st_dev, (unsigned long long)info.st_ino,
           (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
  in_own_fork(with_value, value);
  snprintf(value, sizeof value, "a=0/r@%llx:%llu",
           (unsigned long long)info.st_dev,
           (unsigned long long)info.st_ino + 1); /* of the same device */
  in_own_fork(with_value, value);
  snprintf(value, sizeof value, "a=0/r@%llx:%llu",
           (unsigned long long)info.st_dev + 1,
           (unsigned long long)info.st_ino);
  in_own_fork(with_value, value);
}

static void a_grandchild_finds_the_variable_stale(void **state) {
  /* H94: the shell's child has the variable, but not the descriptor. */
  gipc_handle *r, *w;
  char text[256];
  const char *argv[] = {
      "sh", "-c",
      "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; " PROGRAM("child_inherit") " a",
      NULL};
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "a", w));
  CHECK(gipc_fd(w, GIPC_WRITE) < 10);
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  assert_string_equal(text, "-10011 set\n");
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_program_with_more_rights_inherits_nothing(void **state) {
  /* A copy of the program that gets another group by its execution. */
  char path[128], text[256];
  gipc_handle *r, *w;
  if (geteuid() != 0 || under_valgrind())
    skip();
  const char *copy[] = {"cp", PROGRAM("child_inherit"), scratch("sgid", path),
                        NULL};
  CHECK_IS(output_of(NULL, copy, text, sizeof text), 0);
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "a", w));
  CHECK_OK(gipc_options_set_no_new_privileges(o, 0));
  CHECK_OK(chown(path, 0, 65534));
  CHECK_OK(chmod(path, 02755));
  const char *argv[] = {path, "a", NULL};
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  check_at(strcmp(text, "-2 set\n") == 0, text, __FILE__, __LINE__);
  CHECK_OK(unlink(path));
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static int middle(void *argument) {
  /* A parent that was itself passed something. */
  char text[256];
  const char *argv[] = {PROGRAM("child_inherit"), "a", NULL};
  CHECK_OK(setenv("GIPC_HANDLES", "a=0/r@1:1", 1));
  CHECK_IS(output_of(NULL, argv, text, sizeof text), 0);
  CHECK(strcmp(text, "-2 unset\n") == 0);
  return 0;
}

static void
handles_passed_to_a_parent_are_not_inherited_by_its_children(void **state) {
  in_own_fork(middle, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_program_answers_over_a_duplex_pipe),
      TEST(a_program_answers_over_two_one_way_pipes),
      TEST(a_program_without_descriptors_of_its_parent_still_answers),
      TEST(a_name_is_inherited_once),
      TEST(nothing_is_inherited_without_the_variable),
      TEST(a_malformed_or_stale_variable_is_an_error),
      TEST(a_grandchild_finds_the_variable_stale),
      TEST(a_program_with_more_rights_inherits_nothing),
      TEST(handles_passed_to_a_parent_are_not_inherited_by_its_children),
  };
  for (int fd = 3; fd < 10; fd++)
    close(fd); /* what the shell left */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
