/* Programs that exchange messages over stdin and stdout. */
#include "support_process.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- With a parent ------------------------------------------------------ */

static gipc_process *launch(const char *code, int stderr_mode, int stderr_fd,
                            gipc_handle **h) {
  const char *argv[] = {PROGRAM("child_launched"), code, NULL};
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 2, stderr_mode, stderr_fd));
  CHECK_OK(gipc_launch(argv, o, &p, h));
  gipc_options_free(o);
  return p;
}

static void expect_echo(gipc_handle *h, size_t bytes) {
  char *text = malloc(bytes + 1);
  const void *data;
  size_t size;
  CHECK(text != NULL);
  fill(text, bytes, bytes);
  CHECK_OK(gipc_put(h, text, bytes, 30));
  CHECK_OK(gipc_get(h, 30, &data, &size));
  CHECK(size == bytes && memcmp(data, text, size) == 0);
  free(text);
}

static void output_of_a_program_is_not_in_its_stream(void **state) {
  static const char *const printed[] = {
      "printed before\n", "printed with 0 bytes in hand\n",
      "printed with 1048576 bytes in hand\n", "printed by a program\n",
      "printed after\n"};
  char path[128], text[4096];
  const void *data;
  size_t size;
  int log = open(scratch("stderr", path),
                 O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  gipc_handle *h = NULL;
  gipc_process *p = launch("7", GIPC_STDIO_FD, log, &h);
  CHECK(log > 2);
  for (size_t bytes = 0; bytes < 5; bytes++)
    expect_echo(h, bytes);
  expect_echo(h, 1 << 20);
  CHECK_OK(gipc_shutdown(h));
  CHECK_IS(gipc_get(h, 30, &data, &size), GIPC_EOF);
  CHECK_IS(end_of(p), 7);
  gipc_handle_free(h);
  read_file(path, text, sizeof text);
  for (size_t i = 0; i < sizeof printed / sizeof *printed; i++)
    CHECK(strstr(text, printed[i]) != NULL);
  close(log);
}

static void output_is_discarded_without_stderr(void **state) {
  gipc_handle *h = NULL;
  gipc_process *p = launch("8", GIPC_STDIO_NULL, -1, &h);
  expect_echo(h, 1000);
  gipc_handle_free(h);
  CHECK_IS(end_of(p), 8);
}

static void a_stream_that_is_also_stderr_is_refused(void **state) {
  gipc_options *o = new_options();
  for (int which = 0; which < 2; which++)
    CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1));
  gipc_process *p = execute(o, PROGRAM("child_launched"), "0", NULL);
  gipc_options_free(o);
  char text[256];
  close(gipc_process_stdio(p, 0));
  read_text(gipc_process_stdio(p, 1), text, sizeof text);
  CHECK(strstr(text, gipc_strerror(-EINVAL)) != NULL);
  CHECK_IS(end_of(p), 100);
}

/* The bits of `refused` are the streams that the options redirect. */
static void expect_no_launch(const char *program, int refused, int expected) {
  const char *argv[] = {program, NULL};
  gipc_process *p = (gipc_process *)&p;
  gipc_handle *h = (gipc_handle *)&h;
  gipc_options *o = new_options();
  int fds = count_fds();
  for (int which = 0; which < 2; which++)
    if ((refused >> which & 1) != 0)
      CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_NULL, -1));
  CHECK_IS(gipc_launch(argv, o, &p, &h), expected);
  CHECK(p == (gipc_process *)&p && h == (gipc_handle *)&h);
  CHECK_IS(count_fds(), fds);
  CHECK(strcmp(gipc_options_failed(o), refused != 0 ? "stdio" : "program") ==
        0);
  gipc_options_free(o);
}

static void a_launch_that_fails_leaves_nothing(void **state) {
  const char *const argv[] = {"true", NULL}, *const none[] = {NULL};
  gipc_process *p;
  gipc_handle *h;
  for (int refused = 1; refused < 4; refused++)
    expect_no_launch("true", refused, -EINVAL);
  expect_no_launch("/nonexistent/launcher", 0, -ENOENT);
  CHECK_IS(gipc_launch(NULL, NULL, &p, &h), -EINVAL);
  CHECK_IS(gipc_launch(none, NULL, &p, &h), -EINVAL);
  CHECK_IS(gipc_launch(argv, NULL, NULL, &h), -EINVAL);
  CHECK_IS(gipc_launch(argv, NULL, &p, NULL), -EINVAL);
}

static void a_launcher_that_ends_ends_the_stream(void **state) {
  const char *const argv[] = {"sh", "-c", "exit 255", NULL};
  gipc_process *p = NULL;
  gipc_handle *h = NULL;
  const void *data;
  size_t size;
  CHECK_OK(gipc_launch(argv, NULL, &p, &h));
  CHECK_IS(gipc_get(h, 30, &data, &size), GIPC_EOF);
  CHECK_IS(end_of(p), 255);
  CHECK_IS(gipc_put(h, "x", 1, 30), -EPIPE);
  gipc_handle_free(h);
}

/* The launcher is killed while a message comes, and before it has got one. */
static void a_launcher_that_dies_in_a_message_cuts_it(void **state) {
  const char *const argv[] = {
      "sh", "-c", "printf '\\000\\000\\000\\005ab'; kill -9 $$", NULL};
  int fds = count_fds();
  gipc_process *p = NULL;
  gipc_handle *h = NULL;
  const void *data;
  size_t size;
  CHECK_OK(gipc_launch(argv, NULL, &p, &h));
  CHECK_IS(gipc_get(h, 30, &data, &size), GIPC_ETRUNCATED);
  CHECK_IS(end_of(p), -SIGKILL);
  CHECK_IS(gipc_put(h, "x", 1, 30), -EPIPE);
  gipc_handle_free(h);
  CHECK_IS(count_fds(), fds);
}

static void no_descriptor_goes_through_a_launcher(void **state) {
  const char *const argv[] = {"cat", NULL};
  int fds = count_fds();
  const int fd = 0;
  gipc_process *p = NULL;
  gipc_handle *h = NULL;
  CHECK_OK(gipc_launch(argv, NULL, &p, &h));
  CHECK_IS(gipc_put_with(h, "x", 1, &fd, 1, 30), -EOPNOTSUPP);
  CHECK_IS(gipc_try_put_with(h, "x", 1, &fd, 1), -EOPNOTSUPP);
  expect_echo(h, 100); /* and no part of it was put */
  gipc_handle_free(h);
  CHECK_IS(end_of(p), 0);
  CHECK_IS(count_fds(), fds);
}

/* ---- In the program itself ----------------------------------------------- */

/* Puts a stream at 0 and 1, whose other end is returned, and a file at 2. */
static int become_launched(int *log) {
  int s[2];
  char path[128];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  int other = fcntl(s[1], F_DUPFD, 10);
  *log = open(scratch("own", path), O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(other >= 0 && *log > 2);
  CHECK(dup2(s[0], 0) == 0 && dup2(s[0], 1) == 1 && dup2(*log, 2) == 2);
  close(s[0]);
  close(s[1]);
  return other;
}

static bool is_same(int a, int b) {
  struct stat one, two;
  return fstat(a, &one) == 0 && fstat(b, &two) == 0 &&
         one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

static bool is_null(int fd) {
  struct stat info, null;
  return fstat(fd, &info) == 0 && stat("/dev/null", &null) == 0 &&
         S_ISCHR(info.st_mode) && info.st_rdev == null.st_rdev;
}

static int take_it(void *argument) {
  gipc_handle *h = NULL, *again = NULL;
  const void *data;
  size_t size;
  int log, other = become_launched(&log), fds[64];
  int before = list_fds(fds, 64);
  CHECK_OK(gipc_stdio(&h));
  /* Two more: the stream is at 3 or above now. */
  CHECK_IS(list_fds(fds, 64), before + 2);
  for (int direction = GIPC_READ; direction <= GIPC_WRITE; direction++) {
    int fd = gipc_fd(h, direction);
    CHECK(fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  }
  CHECK(gipc_fd(h, GIPC_READ) != gipc_fd(h, GIPC_WRITE));
  CHECK(is_null(0) && is_same(1, 2) && is_same(2, log));
  CHECK(fcntl(0, F_GETFD) == 0 && fcntl(1, F_GETFD) == 0);
  /* Not twice. */
  CHECK_IS(gipc_stdio(&again), GIPC_ECLOSED);
  CHECK(again == NULL && list_fds(fds, 64) == before + 2);
  CHECK_OK(gipc_put(h, "out", 3, 60));
  char frame[7];
  CHECK(read_all(other, frame, 7) && memcmp(frame, "\0\0\0\3out", 7) == 0);
  CHECK(write_all(other, "\0\0\0\2in", 6));
  CHECK_OK(gipc_get(h, 60, &data, &size));
  CHECK(size == 2 && memcmp(data, "in", 2) == 0);
  /* No other process has the stream open. */
  gipc_handle_free(h);
  CHECK_IS(read(other, frame, 1), 0);
  return 0;
}

static void stdin_and_stdout_are_moved_away(void **state) {
  in_own_fork(take_it, NULL);
}

static void expect_refused(int expected) {
  gipc_handle *h = (gipc_handle *)&h;
  struct stat before[3], after[3];
  int is_open[3];
  for (int fd = 0; fd < 3; fd++)
    is_open[fd] = fstat(fd, &before[fd]) == 0;
  int fds = count_fds();
  CHECK_IS(gipc_stdio(&h), expected);
  CHECK(h == (gipc_handle *)&h);
  CHECK_IS(count_fds(), fds);
  for (int fd = 0; fd < 3; fd++) {
    CHECK_IS(fstat(fd, &after[fd]) == 0, is_open[fd]);
    CHECK(!is_open[fd] || before[fd].st_ino == after[fd].st_ino);
  }
}

/* The bits of argument are the descriptors that are closed. */
static int without_some(void *argument) {
  int closed = (int)(intptr_t)argument, log;
  gipc_handle *h;
  become_launched(&log);
  for (int fd = 0; fd < 3; fd++)
    if ((closed >> fd & 1) != 0)
      close(fd);
  if ((closed & 3) != 0) {
    expect_refused(-EBADF);
    return 0;
  }
  CHECK_OK(gipc_stdio(&h));
  CHECK(is_null(0) && is_null(1) == (closed == 4));
  CHECK_IS(fcntl(2, F_GETFD) < 0, closed == 4);
  gipc_handle_free(h);
  return 0;
}

static void closed_standard_streams_are_an_error(void **state) { /* H10 */
  for (intptr_t closed = 0; closed < 8; closed++)
    in_own_fork(without_some, (void *)closed);
}

static int refuse_others(void *argument) {
  int log, other = become_launched(&log), p[2];
  int null = open("/dev/null", O_RDWR), stream = fcntl(0, F_DUPFD, 20);
  CHECK(null >= 0 && stream >= 0 && other >= 0);
  CHECK_IS(gipc_stdio(NULL), -EINVAL);
  /* As with a launcher that does not carry stdin. */
  CHECK(dup2(null, 0) == 0);
  expect_refused(GIPC_ECLOSED);
  CHECK(dup2(stream, 0) == 0 && dup2(null, 1) == 1);
  expect_refused(GIPC_ECLOSED);
  /* The wrong ends of pipes. */
  CHECK_OK(pipe(p));
  CHECK(dup2(p[1], 0) == 0 && dup2(stream, 1) == 1);
  expect_refused(-EINVAL);
  CHECK(dup2(stream, 0) == 0 && dup2(p[0], 1) == 1);
  expect_refused(-EINVAL);
  /* Both, and stderr, are one socket, as inetd does it. */
  CHECK(dup2(stream, 1) == 1 && dup2(stream, 2) == 2);
  expect_refused(-EINVAL);
  return 0;
}

static void a_file_that_carries_no_messages_is_refused(void **state) {
  in_own_fork(refuse_others, NULL);
}

static int on_a_terminal(void *argument) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  CHECK(slave >= 0);
  for (int fd = 0; fd < 3; fd++)
    CHECK(dup2(slave, fd) == fd);
  expect_refused(-EINVAL);
  return 0;
}

static void a_terminal_is_refused(void **state) {
  if (access("/dev/pts/ptmx", F_OK) != 0)
    skip_because("devpts is missing");
  in_own_fork(on_a_terminal, NULL);
}

static int child_of_launched(struct ev_loop *fresh, void *argument) {
  gipc_handle *h;
  CHECK_IS(gipc_stdio(&h), GIPC_ECLOSED);
  CHECK_IS(gipc_put(argument, "x", 1, 0), GIPC_EWRONGPROC);
  return 3;
}

static int start_others(void *argument) {
  gipc_handle *h;
  char byte;
  int log, other = become_launched(&log);
  CHECK_OK(gipc_stdio(&h));
  CHECK_IS(in_child(child_of_launched, h, NULL), 3);
  /* A program started now has the redirected stdout, not the stream. */
  gipc_process *p = execute(NULL, "sh", "-c", "echo printed; ! read x", NULL);
  CHECK_IS(end_of(p), 0);
  CHECK_IS(lseek(log, 0, SEEK_END), 8);
  gipc_handle_free(h);
  CHECK_IS(read(other, &byte, 1), 0);
  return 0;
}

static void children_of_the_program_do_not_inherit_its_stream(void **state) {
  in_own_fork(start_others, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(output_of_a_program_is_not_in_its_stream),
      TEST(output_is_discarded_without_stderr),
      TEST(a_stream_that_is_also_stderr_is_refused),
      TEST(a_launch_that_fails_leaves_nothing),
      TEST(a_launcher_that_ends_ends_the_stream),
      TEST(a_launcher_that_dies_in_a_message_cuts_it),
      TEST(no_descriptor_goes_through_a_launcher),
      TEST(stdin_and_stdout_are_moved_away),
      TEST(closed_standard_streams_are_an_error),
      TEST(a_file_that_carries_no_messages_is_refused),
      TEST(a_terminal_is_refused),
      TEST(children_of_the_program_do_not_inherit_its_stream),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
