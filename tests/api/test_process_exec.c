/* Programs: the errors of exec, the search in PATH, arguments, environment. */
#include "support_process.h"

#include <fcntl.h>
#include <sys/stat.h>

static void make_file(const char *path, mode_t mode, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && write_all(fd, text, strlen(text)));
  CHECK_OK(fchmod(fd, mode));
  close(fd);
}

static void refused(const char *const argv[], const gipc_options *o,
                    int expected) {
  gipc_process *p = (gipc_process *)&p;
  int status;
  CHECK_IS(gipc_exec_process(argv, o, &p), expected);
  CHECK(p == (gipc_process *)&p);
  CHECK_IS(waitpid(-1, &status, WNOHANG), -1);
  CHECK_IS(errno, ECHILD);
}

static void refuse_many(const char *program, const char *cwd, int expected) {
  gipc_options *o = new_options();
  const char *argv[] = {program, NULL};
  if (cwd != NULL)
    CHECK_OK(gipc_options_set_cwd(o, cwd));
  for (size_t i = 0; i < many(100, 10); i++)
    refused(argv, o, expected);
  gipc_options_free(o);
}

static void the_exec_error_comes_from_the_start_call(void **state) {
  /* H7 */
  char plain[128], text[128], loop[128], below[140];
  make_file(scratch("plain", plain), 0644, "#!/bin/sh\n");
  make_file(scratch("text", text), 0755, "echo not a program\n");
  scratch("loop", loop);
  CHECK_OK(symlink(loop, loop));
  snprintf(below, sizeof below, "%s/below", plain);
  refuse_many("/does/not/exist", NULL, -ENOENT);
  refuse_many("no-such-program-anywhere", NULL, -ENOENT);
  refuse_many(plain, NULL, -EACCES);
  refuse_many("/tmp", NULL, -EACCES);
  refuse_many(text, NULL, -ENOEXEC); /* H16: not a script for a shell */
  refuse_many(below, NULL, -ENOTDIR);
  refuse_many(loop, NULL, -ELOOP);
  refuse_many("/bin/true", "/does/not/exist", -ENOENT);
  refuse_many("/bin/true", plain, -ENOTDIR);
  refuse_many("/bin/true", loop, -ELOOP);
}

static void too_long_an_argument_is_an_error_of_the_start_call(void **state) {
  /* H7, H15 */
  not_under_valgrind(); /* which dies of an exec that fails this late */
  size_t size = 128 * 1024, count = 64;
  const char **argv = calloc(count + 2, sizeof *argv);
  char *big = malloc(size + 1);
  memset(big, 'a', size);
  big[size] = '\0'; /* one byte over MAX_ARG_STRLEN */
  argv[0] = "true";
  argv[1] = big;
  for (size_t i = 0; i < many(100, 10); i++)
    refused(argv, NULL, -E2BIG);
  big[size - 1] = '\0'; /* the longest there is */
  gipc_process *p = NULL;
  CHECK_OK(gipc_exec_process(argv, NULL, &p));
  CHECK_IS(end_of(p), 0);
  for (size_t i = 1; i <= count; i++)
    argv[i] = big;
  for (size_t i = 0; i < many(100, 10); i++)
    refused(argv, NULL, -E2BIG); /* the sum exceeds the limit */
  gipc_options *o = new_options();
  argv[1] = NULL;
  big[size - 1] = 'a';
  CHECK_OK(gipc_options_set_env(o, "BIG", big));
  refused(argv, o, -E2BIG);
  gipc_options_free(o);
  free(big);
  free(argv);
}

/* ---- PATH --------------------------------------------------------------- */

static int exec_code(const char *program, const char *path, const char *cwd) {
  gipc_options *o = new_options();
  const char *argv[] = {program, NULL};
  gipc_process *p = NULL;
  if (path != NULL)
    CHECK_OK(gipc_options_set_env(o, "PATH", path));
  if (cwd != NULL)
    CHECK_OK(gipc_options_set_cwd(o, cwd));
  int result = gipc_exec_process(argv, o, &p);
  gipc_options_free(o);
  return result == 0 ? end_of(p) : result;
}

static void a_program_is_searched_in_the_path_of_the_child(void **state) {
  /* H14 */
  char one[128], two[128], path[300], file[300];
  CHECK_OK(mkdir(scratch("one", one), 0755));
  CHECK_OK(mkdir(scratch("two", two), 0755));
  snprintf(file, sizeof file, "%s/gipc-tool", one);
  make_file(file, 0755, "#!/bin/sh\nexit 11\n");
  snprintf(file, sizeof file, "%s/gipc-tool", two);
  make_file(file, 0755, "#!/bin/sh\nexit 22\n");
  snprintf(file, sizeof file, "%s/gipc-plain", one);
  make_file(file, 0644, "#!/bin/sh\nexit 33\n");

  snprintf(path, sizeof path, "%s:%s", one, two);
  CHECK_IS(exec_code("gipc-tool", path, NULL), 11);
  snprintf(path, sizeof path, "%s:%s", two, one);
  CHECK_IS(exec_code("gipc-tool", path, NULL), 22);
  /* Folders that are missing, or are files, are passed over. */
  snprintf(path, sizeof path, "/does/not/exist:%s/gipc-tool:%s", one, two);
  CHECK_IS(exec_code("gipc-tool", path, NULL), 22);
  /* An empty element, anywhere, is the working directory of the child. */
  snprintf(path, sizeof path, ":%s", one);
  CHECK_IS(exec_code("gipc-tool", path, two), 22);
  snprintf(path, sizeof path, "/does/not/exist::%s", one);
  CHECK_IS(exec_code("gipc-tool", path, two), 22);
  CHECK_IS(exec_code("gipc-tool", "/does/not/exist:", two), 22);
  CHECK_IS(exec_code("gipc-tool", "", two), 22);
  CHECK_IS(exec_code("gipc-tool", ".", two), 22);
  CHECK_IS(exec_code("gipc-tool", "one:two", NULL), -ENOENT);
  /* A name with '/' is not searched, and means the child's directory. */
  snprintf(path, sizeof path, "%s", one);
  CHECK_IS(exec_code("./gipc-tool", path, two), 22);
  CHECK_IS(exec_code("../two/gipc-tool", path, one), 22);
  CHECK_IS(exec_code("./gipc-tool", path, "/"), -ENOENT);
  /* A folder that cannot be reached does not end the search. */
  char loop[128], longer[5200];
  CHECK_OK(symlink(loop, scratch("circle", loop)));
  snprintf(longer, sizeof longer, "/%0300d:/%04500d:%s:%s", 0, 0, loop, two);
  CHECK_IS(exec_code("gipc-tool", longer, NULL), 22);
  CHECK_OK(unlink(loop));
  /* A file that may not be executed does not hide a later one; if there is
   * none, it is the error. */
  CHECK_IS(exec_code("gipc-plain", path, NULL), -EACCES);
  snprintf(path, sizeof path, "%s:%s", one, two);
  snprintf(file, sizeof file, "%s/gipc-plain", two);
  make_file(file, 0755, "#!/bin/sh\nexit 44\n");
  CHECK_IS(exec_code("gipc-plain", path, NULL), 44);
  for (int i = 0; i < 2; i++) {
    static const char *const names[] = {"gipc-tool", "gipc-plain"};
    snprintf(file, sizeof file, "%s/%s", one, names[i]);
    unlink(file);
    snprintf(file, sizeof file, "%s/%s", two, names[i]);
    unlink(file);
  }
}

extern char **environ;

static int with_two_paths(void *argument) {
  char path[140];
  snprintf(path, sizeof path, "PATH=%s", (const char *)argument);
  char *twice[] = {path, "PATH=/does/not/exist", NULL};
  const char *argv[] = {"gipc-tool", NULL};
  gipc_process *p = NULL;
  environ = twice;
  CHECK_OK(gipc_exec_process(argv, NULL, &p));
  CHECK_IS(end_of(p), 11);
  return 0;
}

static void the_first_path_of_an_environment_is_used(void **state) {
  /* As it does for getenv(3). */
  char folder[128], file[140];
  CHECK_OK(mkdir(scratch("first", folder), 0755));
  snprintf(file, sizeof file, "%s/gipc-tool", folder);
  make_file(file, 0755, "#!/bin/sh\nexit 11\n");
  in_own_fork(with_two_paths, folder);
  CHECK_OK(unlink(file));
}

static void without_a_path_the_usual_folders_are_searched(void **state) {
  gipc_options *o = new_options();
  const char *argv[] = {"true", NULL};
  gipc_process *p = NULL;
  CHECK_OK(gipc_options_clear_env(o));
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
}

static void an_empty_program_name_is_an_error(void **state) {
  const char *argv[] = {"", NULL}; /* H15 */
  gipc_process *p = NULL;
  int result = gipc_exec_process(argv, NULL, &p);
  CHECK_IS(result, -ENOENT);
  CHECK(p == NULL);
}

/* ---- Arguments and environment ------------------------------------------ */

static void arguments_arrive_as_they_are(void **state) {
  /* H15, H16 */
  char file[128], argument[500], text[4096], expected[1024];
  snprintf(argument, sizeof argument, "$(touch %s)`touch %s`; touch %s",
           scratch("touched", file), file, file);
  const char *argv[] = {PROGRAM("child_arguments"),
                        "",
                        " two  words ",
                        argument,
                        "\"'\\\n\t\x80\xff",
                        "*",
                        "-",
                        NULL};
  CHECK_IS(output_of(NULL, argv, text, sizeof text), 0);
  snprintf(expected, sizeof expected, "[%s][][ two  words ][%s][%s][*][-]\n",
           argv[0], argument, argv[4]);
  CHECK(strncmp(text, expected, strlen(expected)) == 0);
  CHECK_IS(access(file, F_OK), -1);
}

static void the_environment_is_as_asked(void **state) {
  /* H15, H17 */
  char text[65536];
  const char *argv[] = {PROGRAM("child_arguments"), NULL};
  const char *end;
  CHECK_OK(setenv("GIPC_TEST_SECRET", "hunter2", 1));
  CHECK_OK(setenv("GIPC_TEST_OTHER", "old", 1));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_OTHER", "new=value"));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_EMPTY", ""));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_EMPTY", "x"));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_EMPTY", ""));
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  CHECK(strstr(text, "\nGIPC_TEST_SECRET=hunter2\n") != NULL);
  CHECK(strstr(text, "\nGIPC_TEST_OTHER=new=value\n") != NULL);
  CHECK(strstr(text, "GIPC_TEST_OTHER=old") == NULL);
  CHECK((end = strstr(text, "\nGIPC_TEST_EMPTY=\n")) != NULL);
  CHECK(strstr(end + 2, "GIPC_TEST_EMPTY") == NULL);
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_SECRET", NULL));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_NEVER_SET", NULL));
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  CHECK(strstr(text, "GIPC_TEST_SECRET") == NULL);
  CHECK_OK(gipc_options_clear_env(o));
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  assert_string_equal(strchr(text, '\n'),
                      "\nGIPC_TEST_OTHER=new=value\nGIPC_TEST_EMPTY=\n");
  assert_string_equal(getenv("GIPC_TEST_OTHER"), "old");
  gipc_options_free(o);
  unsetenv("GIPC_TEST_SECRET");
  unsetenv("GIPC_TEST_OTHER");
}

static int without_environment(void *argument) {
  const char *argv[] = {"true", NULL};
  char *strange[] = {"no equals sign", "=", "=x", "", "PATH=/bin", NULL};
  gipc_process *p = NULL;
  environ = NULL;
  CHECK_OK(gipc_exec_process(argv, NULL, &p));
  CHECK_IS(end_of(p), 0);
  environ = strange;
  CHECK_OK(gipc_exec_process(argv, NULL, &p));
  CHECK_IS(end_of(p), 0);
  return 0;
}

static void
a_program_starts_with_a_missing_or_malformed_environment(void **state) {
  in_own_fork(without_environment, NULL); /* H15 */
}

static int check_environment(struct ev_loop *fresh, void *argument) {
  extern char **environ;
  const char *value = getenv("GIPC_TEST_GIVEN");
  CHECK(value != NULL && strcmp(value, "1") == 0);
  CHECK(getenv("GIPC_TEST_GONE") == NULL);
  if (argument != NULL)
    CHECK(environ[1] == NULL);
  return 0;
}

static void a_function_child_has_its_environment_too(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(setenv("GIPC_TEST_GONE", "x", 1));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_GIVEN", "1"));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_GONE", NULL));
  CHECK_IS(in_child(check_environment, NULL, o), 0);
  CHECK_OK(gipc_options_clear_env(o));
  CHECK_IS(in_child(check_environment, INT(1), o), 0);
  CHECK(getenv("GIPC_TEST_GONE") != NULL);
  CHECK(getenv("GIPC_TEST_GIVEN") == NULL);
  unsetenv("GIPC_TEST_GONE");
  gipc_options_free(o);
}

/* ---- Working directory -------------------------------------------------- */

static int check_cwd(struct ev_loop *fresh, void *argument) {
  char path[300];
  CHECK(getcwd(path, sizeof path) != NULL && strcmp(path, argument) == 0);
  return 0;
}

static void the_working_directory_is_the_childs_alone(void **state) {
  char text[300], before[300], after[300];
  const char *argv[] = {"pwd", NULL};
  gipc_options *o = new_options();
  CHECK(getcwd(before, sizeof before) != NULL);
  CHECK_OK(gipc_options_set_cwd(o, "/usr"));
  CHECK_IS(in_child(check_cwd, "/usr", o), 0);
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  assert_string_equal(text, "/usr\n");
  CHECK(getcwd(after, sizeof after) != NULL);
  assert_string_equal(before, after); /* H105 */
  gipc_options_free(o);
}

static void
a_function_childs_failed_setup_is_an_error_of_the_start_call(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  for (size_t i = 0; i < many(100, 10); i++) {
    gipc_process *p = NULL;
    CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -ENOENT);
    CHECK(p == NULL && !has_children());
  }
  gipc_options_free(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_exec_error_comes_from_the_start_call),
      TEST(too_long_an_argument_is_an_error_of_the_start_call),
      TEST(a_program_is_searched_in_the_path_of_the_child),
      TEST(the_first_path_of_an_environment_is_used),
      TEST(without_a_path_the_usual_folders_are_searched),
      TEST(an_empty_program_name_is_an_error),
      TEST(arguments_arrive_as_they_are),
      TEST(the_environment_is_as_asked),
      TEST(a_program_starts_with_a_missing_or_malformed_environment),
      TEST(a_function_child_has_its_environment_too),
      TEST(the_working_directory_is_the_childs_alone),
      TEST(a_function_childs_failed_setup_is_an_error_of_the_start_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
