/* Loops of every kind: default or not, each backend, destroyed too early, or
 * inherited by a fork. */
#include "support.h"

#include <ev.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char *program; /* argv[0] */
static size_t got, ended;

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  got++;
}
static void on_end(gipc_handle *h, int why, void *user) { ended++; }
static const gipc_events events = {sizeof events, on_message, NULL, on_end};

static void iterate(struct ev_loop *loop, int count) {
  while (count-- > 0)
    ev_run(loop, EVRUN_NOWAIT);
}

/* ---- Destroyed loops
 * --------------------------------------------------------- */

/* Frees the handles a and b of a pipe, and the loop, in each order. */
static void
a_loop_may_be_destroyed_before_or_after_its_handles(void **state) { /* H98 */
  static const char *const orders[] = {"abl", "alb", "bal",
                                       "bla", "lab", "lba"};
  for (int queued = 0; queued < 2; queued++)
    for (int closed = 0; closed < 2; closed++)
      for (size_t i = 0; i < 6; i++) {
        struct ev_loop *loop = ev_loop_new(0);
        gipc_handle *a, *b;
        static char block[5000];
        const void *data;
        size_t size;
        int fds = count_fds();
        got = ended = 0;
        OK(gipc_pipe_duplex(&a, &b));
        OK(gipc_start(a, loop, &events, NULL));
        OK(gipc_start(b, loop, &events, NULL));
        OK(gipc_put(a, "x", 1, -1));
        if (queued) {
          OK(gipc_pause(b));
          while (gipc_try_put(a, block, sizeof block) == 0)
            ;
          iterate(loop, 2);
        }
        if (closed)
          OK(gipc_close(a));
        for (const char *c = orders[i]; *c != '\0'; c++) {
          if (*c == 'l') {
            ev_loop_destroy(loop);
            loop = NULL;
          } else if (*c == 'a') {
            if (loop == NULL && !closed) {
              /* Stopped, and in the step tier again. */
              RESULT(gipc_stop(a), -EINVAL);
              int result = gipc_try_get(a, &data, &size);
              assert_true(result == -EAGAIN || result == GIPC_EOF);
            }
            gipc_handle_free(a);
          } else
            gipc_handle_free(b);
          if (loop != NULL)
            iterate(loop, 2);
        }
        assert_int_equal(ended > 1, 0);
        assert_true(count_fds() < fds); /* the loop's own are gone, too */
      }
}

static void
a_handle_stopped_by_its_loop_can_be_started_on_another(void **state) {
  struct ev_loop *first = ev_loop_new(0), *second;
  gipc_handle *r, *w;
  got = 0;
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(r, first, &events, NULL));
  ev_loop_destroy(first);
  second = ev_loop_new(0);
  OK(gipc_put(w, "x", 1, -1));
  OK(gipc_start(r, second, &events, NULL));
  ev_run(second, EVRUN_ONCE);
  assert_int_equal(got, 1);
  gipc_handle_free(r);
  gipc_handle_free(w);
  ev_loop_destroy(second);
}

static struct ev_loop *to_destroy;
static void message_stops_all(gipc_handle *h, const void *data, size_t size,
                              void *user) {
  got++;
  ev_break(to_destroy, EVBREAK_ALL);
}

static void a_loop_may_be_destroyed_while_messages_are_delivered(void **state) {
  gipc_events some = {sizeof some, message_stops_all, NULL, NULL};
  gipc_handle *r, *w;
  const void *data;
  size_t size, remaining = 0;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_budget(r, 1, 1));
  got = 0;
  to_destroy = ev_loop_new(0);
  OK(gipc_start(r, to_destroy, &some, NULL));
  for (int i = 0; i < 10; i++)
    OK(gipc_put(w, "x", 1, -1));
  ev_run(to_destroy, 0);
  ev_loop_destroy(to_destroy);
  while (gipc_try_get(r, &data, &size) == 0)
    remaining++;
  assert_int_equal(got + remaining, 10);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* ---- The default loop
 * ---------------------------------------------------------- */

static int on_the_default_loop(void *unused) {
  struct ev_loop *loop = ev_default_loop(0);
  gipc_handle *r, *w;
  got = ended = 0;
  CHILD_CHECK(gipc_pipe(&r, &w) == 0);
  CHILD_CHECK(gipc_start(r, loop, &events, NULL) == 0);
  CHILD_CHECK(gipc_start(w, loop, &events, NULL) == 0);
  for (int i = 0; i < 100; i++)
    CHILD_CHECK(gipc_try_put(w, &i, sizeof i) == 0);
  CHILD_CHECK(gipc_close(w) == 0);
  ev_run(loop, 0);
  CHILD_CHECK(got == 100 && ended == 1);
  ev_loop_destroy(loop);
  gipc_handle_free(r);
  gipc_handle_free(w);
  return 0;
}

static void a_handle_can_be_started_on_the_default_loop(void **state) {
  child_join(child_start(on_the_default_loop, NULL));
}

/* ---- Forks
 * ---------------------------------------------------------------------- */

static void a_child_that_runs_the_inherited_loop_gets_no_message(void **state) {
  /* H37, H25 */
  struct ev_loop *loop = ev_loop_new(0);
  gipc_handle *a, *b;
  const void *data;
  size_t size;
  for (int calls_loop_fork = 0; calls_loop_fork < 2; calls_loop_fork++) {
    OK(gipc_pipe_duplex(&a, &b));
    OK(gipc_start(a, loop, &events, NULL));
    for (int i = 0; i < 10; i++) {
      OK(gipc_put(b, "in", 2, -1));
      OK(gipc_try_put(a, "out", 3));
    }
    got = 0;
    pid_t pid = fork();
    if (pid == 0) {
      if (calls_loop_fork)
        ev_loop_fork(loop);
      iterate(loop, 10);
      CHILD_CHECK(got == 0);
      if (calls_loop_fork)
        ev_loop_destroy(loop);
      _exit(0);
    }
    child_join(pid);
    iterate(loop, 10);
    assert_int_equal(got, 10);
    for (int i = 0; i < 10; i++)
      OK(gipc_get(b, 10, &data, &size));
    RESULT(gipc_get(b, 0, &data, &size), -ETIMEDOUT); /* not sent twice */
    for (int i = 0; i < 1000; i++)
      OK(gipc_put(b, "in", 2, -1)), iterate(loop, 1);
    iterate(loop, 5);
    assert_int_equal(got, 1010);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
  ev_loop_destroy(loop);
}

static void over(struct ev_loop *loop, ev_timer *timer, int what) {
  ev_break(loop, EVBREAK_ALL);
}

static void a_copy_in_a_child_does_not_keep_the_loop_busy(void **state) {
  /* H91: the epoll set still has what a child holds a copy of */
  struct ev_loop *loop = ev_loop_new(0);
  gipc_handle *r, *w;
  int gate[2];
  char byte;
  ev_timer timer;
  assert_int_equal(pipe(gate), 0);
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(r, loop, &events, NULL));
  iterate(loop, 2);
  pid_t pid = fork();
  if (pid == 0) {
    close(gate[1]);
    _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(gate[0]);
  OK(gipc_put(w, "x", 1, -1)); /* readable for as long as the child lives */
  OK(gipc_close(r));
  unsigned before = ev_iteration(loop);
  ev_timer_init(&timer, over, 0.03, 0.);
  ev_timer_start(loop, &timer);
  ev_run(loop, 0);
  assert_true(ev_iteration(loop) - before < 20);
  close(gate[1]);
  child_join(pid);
  gipc_handle_free(r);
  gipc_handle_free(w);
  ev_loop_destroy(loop);
}

/* ---- Backends
 * -------------------------------------------------------------------- */

static int run_sibling(const char *name, const char *backend) {
  char path[4096];
  char *copy = strdup(program);
  int status;
  snprintf(path, sizeof path, "%s/%s", dirname(copy), name);
  free(copy);
  if (access(path, X_OK) != 0)
    return -1;
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR);
    setenv("LIBEV_FLAGS", backend, 1);
    dup2(null, 1);
    dup2(null, 2);
    execl(path, path, (char *)NULL);
    _exit(127);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (status != 0)
    print_error("LIBEV_FLAGS=%s %s: status %#x\n", backend, name, status);
  return status;
}

/* Whether libev uses this backend if LIBEV_FLAGS requests it. */
static bool available(const char *backend) {
  struct ev_loop *loop;
  bool same;
  setenv("LIBEV_FLAGS", backend, 1);
  loop = ev_loop_new(0);
  unsetenv("LIBEV_FLAGS");
  same = loop != NULL && ev_backend(loop) == (unsigned)atoi(backend);
  if (loop != NULL)
    ev_loop_destroy(loop);
  if (!same)
    print_message("backend %s: not measured\n", backend);
  return same;
}

static void
a_child_that_runs_the_inherited_loop_gets_no_message_on_every_backend(
    void **state) { /* H92 */
  static const char *const backends[] = {"1", "2", "4", "64"};
  int failed = 0, missing = 0;
  if (getenv("LIBEV_FLAGS") != NULL)
    skip_because("this is one of the backends");
  for (size_t i = 0; i < 4; i++) {
    if (!available(backends[i]))
      continue;
    int push = run_sibling("test_push", backends[i]);
    int callbacks = run_sibling("test_push_callbacks", backends[i]);
    missing += (push == -1) + (callbacks == -1);
    failed += (push > 0) + (callbacks > 0);
  }
  assert_int_equal(failed, 0);
  if (missing > 0)
    skip_because("the programs are not built");
}

static void descriptors_over_1024_work_on_every_backend(void **state) {
  /* H92 */
  struct rlimit files, more;
  int high[2];
  getrlimit(RLIMIT_NOFILE, &files);
  more = files;
  more.rlim_cur = files.rlim_max < 3000 ? files.rlim_max : 3000;
  setrlimit(RLIMIT_NOFILE, &more);
  for (unsigned backend = 1; backend <= 64; backend *= backend < 4 ? 2 : 16) {
    struct ev_loop *loop = ev_loop_new(backend);
    int s[2];
    gipc_handle *r, *w;
    if (loop == NULL)
      continue;
    if (backend == EVBACKEND_SELECT && is_limited_by("large_select")) {
      print_message("backend %u: not measured\n", backend);
      ev_loop_destroy(loop);
      continue;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    for (int i = 0; i < 2; i++) {
      high[i] = fcntl(s[i], F_DUPFD_CLOEXEC, 1500 + i);
      close(s[i]);
    }
    if (high[0] < 0 || high[1] < 0) {
      ev_loop_destroy(loop);
      skip_because("no descriptors over 1024");
    }
    OK(gipc_open(high[0], -1, &r));
    OK(gipc_open(-1, high[1], &w));
    got = ended = 0;
    OK(gipc_start(r, loop, &events, NULL));
    OK(gipc_start(w, loop, &events, NULL));
    static char block[1000];
    size_t put = 0;
    while (gipc_try_put(w, block, sizeof block) == 0)
      put++;
    OK(gipc_close(w));
    ev_run(loop, 0);
    assert_int_equal(got, put);
    assert_int_equal(ended, 1);
    gipc_handle_free(r);
    gipc_handle_free(w);
    ev_loop_destroy(loop);
  }
  setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      TEST(a_loop_may_be_destroyed_before_or_after_its_handles),
      TEST(a_handle_stopped_by_its_loop_can_be_started_on_another),
      TEST(a_loop_may_be_destroyed_while_messages_are_delivered),
      TEST(a_handle_can_be_started_on_the_default_loop),
      TEST(a_child_that_runs_the_inherited_loop_gets_no_message),
      TEST(a_copy_in_a_child_does_not_keep_the_loop_busy),
      TEST(
          a_child_that_runs_the_inherited_loop_gets_no_message_on_every_backend),
      TEST(descriptors_over_1024_work_on_every_backend),
  };
  (void)argc;
  program = argv[0];
  return cmocka_run_group_tests_name("push loops", tests, NULL, NULL);
}
