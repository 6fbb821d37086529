/* The stdin, stdout and stderr of children. */
#include "support_process.h"

#include <fcntl.h>
#include <sys/stat.h>

static gipc_options *redirected(int which, int mode, int fd) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, which, mode, fd));
  return o;
}

static int print_where(struct ev_loop *fresh, void *argument) {
  CHECK(write_all(1, "out\n", 4) && write_all(2, "err\n", 4));
  return 0;
}

static gipc_process *start_either(bool function, const gipc_options *o) {
  return function ? start(print_where, NULL, o)
                  : execute(o, "sh", "-c", "echo out; echo err >&2", NULL);
}

static void output_goes_to_a_pipe(void **state) {
  for (int function = 0; function < 2; function++) {
    char text[64];
    gipc_options *o = redirected(1, GIPC_STDIO_PIPE, -1);
    CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_PIPE, -1));
    gipc_process *p = start_either(function, o);
    gipc_options_free(o);
    int out = gipc_process_stdio(p, 1), err = gipc_process_stdio(p, 2);
    CHECK(out > 2 && err > 2 && out != err);
    CHECK_IS(fcntl(out, F_GETFD), FD_CLOEXEC);
    CHECK_IS(gipc_process_stdio(p, 1), GIPC_ECLOSED);
    CHECK_IS(gipc_process_stdio(p, 0), GIPC_ECLOSED);
    CHECK_IS(gipc_process_stdio(p, 3), -EINVAL);
    CHECK_IS(gipc_process_stdio(p, -1), -EINVAL);
    read_text(out, text, sizeof text);
    assert_string_equal(text, "out\n");
    read_text(err, text, sizeof text);
    assert_string_equal(text, "err\n");
    CHECK_IS(end_of(p), 0);
  }
}

static void stderr_can_be_redirected_to_stdout(void **state) {
  for (int function = 0; function < 2; function++) {
    char text[64];
    gipc_options *o = redirected(1, GIPC_STDIO_PIPE, -1);
    CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1));
    gipc_process *p = start_either(function, o);
    gipc_options_free(o);
    read_text(gipc_process_stdio(p, 1), text, sizeof text);
    assert_string_equal(text, "out\nerr\n");
    CHECK_IS(gipc_process_stdio(p, 2), GIPC_ECLOSED);
    CHECK_IS(end_of(p), 0);
  }
}

static int copy_line(struct ev_loop *fresh, void *argument) {
  char text[64];
  ssize_t size = read(0, text, sizeof text);
  return size == 5 && memcmp(text, "hello", 5) == 0 && read(0, text, 1) == 0;
}

static void input_comes_from_a_pipe(void **state) {
  for (int function = 0; function < 2; function++) {
    gipc_options *o = redirected(0, GIPC_STDIO_PIPE, -1);
    gipc_process *p =
        function ? start(copy_line, NULL, o)
                 : execute(o, "sh", "-c",
                           "test \"$(cat)\" = hello && exit 1; exit 2", NULL);
    gipc_options_free(o);
    int in = gipc_process_stdio(p, 0);
    CHECK(write_all(in, "hello", 5));
    close(in);
    CHECK_IS(end_of(p), 1);
  }
}

static int at_null(struct ev_loop *fresh, void *argument) {
  struct stat null, info;
  char byte;
  CHECK_OK(stat("/dev/null", &null));
  for (int fd = 0; fd < 3; fd++)
    CHECK(fstat(fd, &info) == 0 && info.st_rdev == null.st_rdev);
  CHECK_IS(read(0, &byte, 1), 0);
  CHECK_IS(write(1, "x", 1), 1);
  return 0;
}

static void all_standard_streams_can_be_dev_null(void **state) {
  gipc_options *o = redirected(0, GIPC_STDIO_NULL, -1);
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_NULL, -1));
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_NULL, -1));
  CHECK_IS(in_child(at_null, NULL, o), 0);
  gipc_process *p =
      execute(o, "sh", "-c",
              "for i in 0 1 2; do [ /proc/self/fd/$i -ef /dev/null ] || "
              "exit 1; done",
              NULL);
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
}

static void unclaimed_pipes_are_closed_with_the_process(void **state) {
  gipc_options *o = redirected(0, GIPC_STDIO_PIPE, -1);
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  gipc_process *p = execute(o, "cat", NULL); /* its stdin ends when p goes */
  gipc_options_free(o);
  pid_t pid = gipc_process_pid(p);
  gipc_process_free(p);
  CHECK(gone_within(pid, 20));
  gipc_process_free(NULL);
}

/* ---- Mappings ----------------------------------------------------------- */

static char names[4][128];

static int check_mapping(struct ev_loop *fresh, void *argument) {
  const int *map = argument;
  for (int which = 0; which < 3; which++) {
    struct stat expected, info;
    CHECK_OK(stat(names[map[which]], &expected));
    CHECK_OK(fstat(which, &info));
    CHECK(info.st_ino == expected.st_ino && info.st_dev == expected.st_dev);
    CHECK_IS(fcntl(which, F_GETFD), 0);
  }
  return 0;
}

/* 0 to 3 are four files. */
static int map_everything(void *argument) {
  static const char script[] =
      "for i in 0 1 2; do shift; [ /proc/self/fd/$((i)) -ef \"$1\" ] || "
      "exit 1; done";
  for (int fd = 0; fd < 4; fd++) {
    int opened = open(names[fd], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(opened >= 0);
    if (opened != fd) {
      CHECK(dup2(opened, fd) == fd);
      close(opened);
    }
  }
  for (int code = 0; code < 64; code++) {
    int map[3] = {code & 3, code >> 2 & 3, code >> 4};
    gipc_options *o = new_options();
    for (int which = 0; which < 3; which++)
      CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_FD, map[which]));
    CHECK_IS(in_child(check_mapping, map, o), 0);
    if (code % (int)many(1, 9) == 0) {
      gipc_process *p = execute(o, "sh", "-c", script, "sh", "0", names[map[0]],
                                names[map[1]], names[map[2]], NULL);
      int result = end_of(p);
      CHECK_IS(result, 0);
    }
    gipc_options_free(o);
  }
  /* The parent's are as they were. */
  int same[3] = {0, 1, 2};
  for (int which = 0; which < 3; which++) {
    struct stat expected, info;
    CHECK_OK(stat(names[same[which]], &expected));
    CHECK_OK(fstat(which, &info));
    CHECK(info.st_ino == expected.st_ino);
  }
  return 0;
}

static void every_mapping_of_four_files_to_stdio_works(void **state) {
  for (int i = 0; i < 4; i++) {
    char name[16];
    snprintf(name, sizeof name, "file%d", i);
    scratch(name, names[i]);
  }
  in_own_fork(map_everything, NULL); /* H9 */
}

/* ---- A parent without stdio --------------------------------------------- */

static int lacks_none(struct ev_loop *fresh, void *argument) {
  ev_loop_destroy(fresh);
  for (int fd = 0; fd < 3; fd++)
    CHECK(fcntl(fd, F_GETFD) >= 0);
  return 0;
}

static int without_stdio(void *argument) {
  int closed = (int)(intptr_t)argument;
  char text[64], path[128];
  const void *data;
  size_t size;
  gipc_handle *r, *w, *a, *b;
  strcpy(path, names[0]);
  for (int fd = 0; fd < 3; fd++)
    if (closed >> fd & 1)
      close(fd);
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK(gipc_fd(r, GIPC_READ) > 2 && gipc_fd(w, GIPC_WRITE) > 2);
  gipc_handle_free(r);
  gipc_handle_free(w);
  CHECK_IS(in_child(lacks_none, NULL, NULL), 0);
  gipc_process *p = execute(NULL, PROGRAM("child_stdio"), path, NULL);
  CHECK(gipc_process_fd(p) > 2 || gipc_process_fd(p) == -EOPNOTSUPP);
  CHECK_IS(end_of(p), 0);
  int fd = open(path, O_RDONLY);
  read_text(fd, text, sizeof text);
  check_at(strcmp(text, "blocking blocking blocking ") == 0, text, __FILE__,
           __LINE__);
  /* Redirected ones work nevertheless. */
  gipc_options *o = redirected(1, GIPC_STDIO_PIPE, -1);
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1));
  CHECK_OK(gipc_options_set_daemon(o, 1));
  for (int function = 0; function < 2; function++) {
    p = start_either(function, o);
    int in = gipc_process_stdio(p, 0), out = gipc_process_stdio(p, 1);
    CHECK(in > 2 && out > 2);
    read_text(out, text, sizeof text);
    CHECK(strcmp(text, "out\nerr\n") == 0);
    close(in);
    CHECK_IS(end_of(p), 0);
  }
  /* And so do handles. */
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_options_pass(o, "it", b));
  p = execute(o, PROGRAM("child_answer"), "it", NULL);
  CHECK_OK(gipc_put(a, "ping", 4, 10));
  CHECK_OK(gipc_get(a, 10, &data, &size));
  CHECK_IS((long)size, 4);
  CHECK_OK(gipc_close(a));
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(a);
  gipc_handle_free(b);
  gipc_options_free(o);
  for (int number = 0; number < 3; number++)
    CHECK((fcntl(number, F_GETFD) < 0) == ((closed >> number & 1) != 0));
  return 0;
}

static void
a_child_starts_where_any_standard_stream_of_the_parent_is_closed(void **state) {
  not_under_valgrind();
  scratch("flags", names[0]);
  for (int closed = 0; closed < 8; closed++)
    in_own_fork(without_stdio, INT(closed)); /* H10 */
}

/* ---- Blocking or not ---------------------------------------------------- */

static void a_programs_ends_block(void **state) {
  /* H21 */
  char text[64];
  gipc_options *o = new_options();
  const char *argv[] = {PROGRAM("child_stdio"), names[0], NULL};
  scratch("flags", names[0]);
  for (int which = 0; which < 3; which++)
    CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_PIPE, -1));
  gipc_process *p = NULL;
  CHECK_OK(gipc_exec_process(argv, o, &p));
  gipc_options_free(o);
  int out = gipc_process_stdio(p, 1);
  /* The caller may change the parent's end. */
  CHECK_OK(fcntl(out, F_SETFL, O_NONBLOCK));
  CHECK_IS(end_of(p), 0);
  close(out);
  read_file(names[0], text, sizeof text);
  assert_string_equal(text, "blocking blocking blocking ");
}

static void a_slow_reader_loses_nothing(void **state) {
  /* H21 */
  long last = slow() ? 20000 : 300000, expected = 1;
  char number[16], line[16], buffer[512];
  size_t length = 0;
  gipc_options *o = redirected(1, GIPC_STDIO_PIPE, -1);
  snprintf(number, sizeof number, "%ld", last);
  gipc_process *p = execute(o, "seq", "1", number, NULL);
  gipc_options_free(o);
  int out = gipc_process_stdio(p, 1);
  CHECK_OK(fcntl(out, F_SETFL, O_NONBLOCK));
  for (;;) {
    CHECK(wait_fd(out, POLLIN, 20000));
    ssize_t size = read(out, buffer, sizeof buffer);
    if (size <= 0) {
      CHECK(size == 0);
      break;
    }
    for (ssize_t i = 0; i < size; i++) {
      CHECK(length < sizeof line);
      line[length++] = buffer[i];
      if (buffer[i] == '\n') {
        line[length - 1] = '\0';
        CHECK(atol(line) == expected);
        expected++;
        length = 0;
      }
    }
  }
  CHECK_IS(expected, last + 1);
  CHECK_IS(end_of(p), 0);
  close(out);
}

static void the_callers_descriptor_stays_as_it_was(void **state) {
  int ends[2];
  char text[64];
  CHECK_OK(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
  gipc_options *o = redirected(1, GIPC_STDIO_FD, ends[1]);
  CHECK_IS(end_of(execute(o, "echo", "hello", NULL)), 0);
  gipc_options_free(o);
  CHECK_IS(fcntl(ends[1], F_GETFD), FD_CLOEXEC);
  CHECK((fcntl(ends[1], F_GETFL) & O_NONBLOCK) != 0);
  close(ends[1]);
  read_text(ends[0], text, sizeof text);
  assert_string_equal(text, "hello\n");
}

static void a_closed_descriptor_is_an_error_of_the_start_call(void **state) {
  gipc_options *o = redirected(1, GIPC_STDIO_FD, 999);
  const char *argv[] = {"true", NULL};
  gipc_process *p = NULL;
  CHECK_IS(gipc_exec_process(argv, o, &p), -EBADF);
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EBADF);
  CHECK(p == NULL);
  gipc_options_free(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(output_goes_to_a_pipe),
      TEST(stderr_can_be_redirected_to_stdout),
      TEST(input_comes_from_a_pipe),
      TEST(all_standard_streams_can_be_dev_null),
      TEST(unclaimed_pipes_are_closed_with_the_process),
      TEST(every_mapping_of_four_files_to_stdio_works),
      TEST(a_child_starts_where_any_standard_stream_of_the_parent_is_closed),
      TEST(a_programs_ends_block),
      TEST(a_slow_reader_loses_nothing),
      TEST(the_callers_descriptor_stays_as_it_was),
      TEST(a_closed_descriptor_is_an_error_of_the_start_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
