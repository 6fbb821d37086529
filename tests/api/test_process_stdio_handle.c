/* Descriptors 0 to 2 of a child whose parent has some of them closed, or a
 * handle there. */
#include "support_process.h"

#include <fcntl.h>
#include <sys/socket.h>

enum { NONE = -1 };

/* One way to start a child. */
struct way {
  int closed;  /* the descriptors that the parent lacks, as bits */
  int adopted; /* the one that is a handle of the parent, or NONE */
  bool passed, redirected, program;
  gipc_handle *handle;
};

static int saved_stderr;

/* Fd 2 may be the handle's. */
static void check_here(bool holds, const char *what, int line) {
  char text[200];
  if (holds)
    return;
  snprintf(text, sizeof text, "line %d: %s (errno %d)\n", line, what, errno);
  (void)!write(saved_stderr, text, strlen(text));
  _exit(1);
}
#define HERE(condition) check_here((condition), #condition, __LINE__)

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static bool is_in(int bits, int fd) { return (bits >> fd & 1) != 0; }

/* Of 0 to 2, as bits. */
static int open_ones(void) {
  int bits = 0;
  for (int fd = 0; fd < 3; fd++)
    bits |= is_open(fd) ? 1 << fd : 0;
  return bits;
}

static bool same_as(const void *data, size_t size, const char *text) {
  return size == strlen(text) && memcmp(data, text, size) == 0;
}

/* ---- In the child ------------------------------------------------------- */

/* A program that may be run with the name of its handle. */
static const char script[] =
    "for i in 0 1 2; do [ -e /proc/$$/fd/$i ] || exit 10; done\n"
    "echo stray; echo stray >&2\n"
    "[ $# = 0 ] || exec \"$@\"\n";

static int target(struct ev_loop *fresh, void *argument) {
  const struct way *way = argument;
  if (open_ones() != 7)
    return 10;
  if (!write_all(1, "stray\n", 6) || !write_all(2, "stray\n", 6))
    return 13;
  int opened = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (opened < 3)
    return 14;
  if (!way->passed)
    return way->handle == NULL ||
                   gipc_fd(way->handle, GIPC_WRITE) == GIPC_EWRONGPROC
               ? 0
               : 15;
  if (gipc_fd(way->handle, GIPC_READ) < 3 ||
      gipc_fd(way->handle, GIPC_WRITE) < 3)
    return 16;
  const void *data;
  size_t size;
  if (gipc_get(way->handle, 30, &data, &size) != 0 ||
      gipc_put(way->handle, data, size, 30) != 0)
    return 17;
  return gipc_get(way->handle, 30, &data, &size) == GIPC_EOF ? 0 : 18;
}

/* ---- In the parent ------------------------------------------------------ */

static gipc_process *start_as(const struct way *way, const gipc_options *o) {
  gipc_process *p = NULL;
  const char *argv[] = {"sh", "-c", script, "sh", NULL, NULL, NULL};
  if (way->passed) {
    argv[4] = PROGRAM("child_answer");
    argv[5] = "it";
  }
  int result = way->program ? gipc_exec_process(argv, o, &p)
                            : gipc_start_process(target, (void *)way, o, &p);
  HERE(result == 0);
  return p;
}

/* Nothing but whole messages is in the handle's stream. */
static void talk(const struct way *way, gipc_handle *peer) {
  const void *data;
  size_t size;
  if (way->passed) {
    HERE(gipc_fd(way->handle, GIPC_READ) == GIPC_ECLOSED);
    HERE(gipc_put(peer, "ping", 4, 30) == 0);
    HERE(gipc_get(peer, 30, &data, &size) == 0 && same_as(data, size, "ping"));
    HERE(gipc_close(peer) == 0);
    return;
  }
  HERE(gipc_fd(way->handle, GIPC_READ) == way->adopted);
  HERE(gipc_put(way->handle, "mine", 4, 30) == 0);
  HERE(gipc_get(peer, 30, &data, &size) == 0 && same_as(data, size, "mine"));
  HERE(gipc_put(peer, "yours", 5, 30) == 0);
  HERE(gipc_get(way->handle, 30, &data, &size) == 0 &&
       same_as(data, size, "yours"));
}

static gipc_handle *adopt(struct way *way) {
  int ends[2];
  gipc_handle *peer = NULL;
  HERE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  HERE(dup3(ends[0], way->adopted, O_CLOEXEC) == way->adopted);
  int high = fcntl(ends[1], F_DUPFD_CLOEXEC, 50);
  close(ends[0]);
  close(ends[1]);
  HERE(gipc_open(high, high, &peer) == 0);
  HERE(gipc_open(way->adopted, way->adopted, &way->handle) == 0);
  return peer;
}

static void check_output(gipc_process *p) {
  char text[64];
  int out = gipc_process_stdio(p, 1);
  HERE(out > 2);
  read_text(out, text, sizeof text);
  HERE(strcmp(text, "stray\nstray\n") == 0);
}

static int play(void *argument) {
  struct way way = *(struct way *)argument;
  gipc_handle *peer = NULL;
  gipc_options *o = new_options();
  const void *data;
  size_t size;
  int code = -1, adopted_bit = way.adopted != NONE ? 1 << way.adopted : 0;
  saved_stderr = fcntl(2, F_DUPFD_CLOEXEC, 60);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++)
    HERE(null == fd || dup2(null, fd) == fd);
  if (null > 2)
    close(null);
  if (way.adopted != NONE)
    peer = adopt(&way);
  for (int fd = 0; fd < 3; fd++)
    if (is_in(way.closed, fd))
      close(fd);
  if (way.passed)
    HERE(gipc_options_pass(o, "it", way.handle) == 0);
  if (way.redirected)
    HERE(gipc_options_set_stdio(o, 0, GIPC_STDIO_NULL, -1) == 0 &&
         gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1) == 0 &&
         gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1) == 0);
  gipc_process *p = start_as(&way, o);
  gipc_options_free(o);
  if (peer != NULL)
    talk(&way, peer);
  if (way.redirected)
    check_output(p);
  HERE(gipc_process_join(p, -1) == 0);
  HERE(gipc_process_exitcode(p, &code) == 0);
  check_here(code == 0, "the code of the child", code);
  gipc_process_free(p);
  HERE((open_ones() & ~adopted_bit) == (7 & ~way.closed & ~adopted_bit));
  if (peer != NULL && !way.passed) {
    HERE(fcntl(way.adopted, F_GETFD) == FD_CLOEXEC);
    HERE(gipc_close(way.handle) == 0);
    HERE(gipc_get(peer, 30, &data, &size) == GIPC_EOF);
  }
  gipc_handle_free(way.handle);
  gipc_handle_free(peer);
  return 0;
}

static void play_all(bool program, bool redirected) {
  not_under_valgrind();
  for (int closed = 0; closed < 8; closed += slow() ? 3 : 1)
    for (int adopted = NONE; adopted < 3; adopted++)
      for (int passed = 0; passed < (adopted == NONE ? 1 : 2); passed++) {
        struct way way = {closed,     adopted, passed != 0,
                          redirected, program, NULL};
        if (adopted != NONE && is_in(closed, adopted))
          continue;
        fflush(NULL);
        pid_t pid = child_start(play, &way);
        int status = -1;
        CHECK_IS(waitpid(pid, &status, 0), pid);
        if (status != 0)
          print_error("closed %d, adopted %d, passed %d\n", closed, adopted,
                      passed);
        CHECK_IS(status, 0);
      }
}

/* H120 */
static void a_function_child_has_stdio_and_no_handle_there(void **state) {
  play_all(false, false);
}

static void a_program_has_stdio_and_no_handle_there(void **state) {
  play_all(true, false);
}

static void a_redirected_function_child_has_no_handle_on_stdio(void **state) {
  play_all(false, true);
}

static void a_redirected_program_has_no_handle_on_stdio(void **state) {
  play_all(true, true);
}

/* ---- Loops on stdio ----------------------------------------------------- */

static int count_open_stdio(struct ev_loop *fresh, void *argument) {
  int count = 0;
  for (int fd = 0; fd < 3; fd++)
    count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

/* What cannot be printed here is the number of the step that failed. */
static int with_loops_on_stdio(void *argument) {
  const char *argv[] = {"/bin/sh", "-c",
                        "for fd in 0 1 2; do test -e /proc/$$/fd/$fd || exit 9;"
                        " done; exit 3",
                        NULL};
  gipc_process *p;
  int code = -1;
  for (int fd = 0; fd < 3; fd++)
    close(fd);
  if (ev_default_loop(EVFLAG_AUTO) == NULL || ev_loop_new(EVFLAG_AUTO) == NULL)
    return 1;
  if (count_open_stdio(NULL, NULL) == 0)
    return 2; /* the loops have no descriptors there */
  if (gipc_start_process(count_open_stdio, NULL, NULL, &p) != 0)
    return 3;
  if (gipc_process_join(p, -1) != 0 || gipc_process_exitcode(p, &code) != 0 ||
      code != 3)
    return 4;
  gipc_process_free(p);
  if (gipc_exec_process(argv, NULL, &p) != 0)
    return 5;
  if (gipc_process_join(p, -1) != 0 || gipc_process_exitcode(p, &code) != 0 ||
      code != 3)
    return 6;
  gipc_process_free(p);
  return 0;
}

static void a_child_has_stdio_where_loops_had_their_descriptors(void **state) {
  not_under_valgrind();
  in_own_fork(with_loops_on_stdio, NULL); /* H120 */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_function_child_has_stdio_and_no_handle_there),
      TEST(a_program_has_stdio_and_no_handle_there),
      TEST(a_redirected_function_child_has_no_handle_on_stdio),
      TEST(a_redirected_program_has_no_handle_on_stdio),
      TEST(a_child_has_stdio_where_loops_had_their_descriptors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
