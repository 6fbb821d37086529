/* A child whose setup fails owns nothing: the queues of the handles passed to
 * it are written by the parent, once (H115). */
#include "support_process.h"

#include <grp.h>
#include <pthread.h>
#include <sys/resource.h>

/* ---- What can fail in a child ---------------------------------------- */

static int fd_here;

static int leads_already(void) { return setsid() < 0; }

static void fail_cwd(gipc_options *o) {
  CHECK_OK(gipc_options_set_cwd(o, "/no/such/folder"));
}

static void fail_user(gipc_options *o) {
  /* More than any system allows. */
  enum { count = 70000 };
  static gid_t groups[count];
  for (gid_t i = 0; i < count; i++)
    groups[i] = i;
  CHECK_OK(gipc_options_set_user(o, getuid(), getgid(), groups, count));
}

static void fail_rlimit(gipc_options *o) {
  /* Over fs.nr_open, for root too. */
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_NOFILE, 1u << 31, 1u << 31));
}

static void fail_number(gipc_options *o) {
  CHECK_OK(gipc_options_map_fd(o, fd_here, 1 << 30));
}

static void fail_terminal(gipc_options *o) {
  CHECK_OK(gipc_options_set_terminal(o, fd_here));
}

static void fail_session(gipc_options *o) {
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_SESSION));
}

static void fail_environment(gipc_options *o) {
  enum { size = 70000000 }; /* more than a heap of a thread has */
  char *value = malloc(size);
  memset(value, 'x', size - 1);
  value[size - 1] = '\0';
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_AS, 4096, RLIM_INFINITY));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_LARGE", value));
  free(value);
}

static const struct failure {
  const char *name;
  void (*choose)(gipc_options *o);
  int (*before)(void); /* in the child, right after the fork */
} failures[] = {
    {"cwd", fail_cwd, NULL},
    {"user", fail_user, NULL},
    {"rlimit", fail_rlimit, NULL},
    {"descriptor", fail_number, NULL},
    {"terminal", fail_terminal, NULL},
    {"session", fail_session, leads_already},
    {"environment", fail_environment, NULL},
};

/* ---- Starts that fail ------------------------------------------------ */

static const struct failure *failing;

static pid_t fork_for_it(void *user) {
  pid_t pid = fork();
  if (pid == 0 && failing->before != NULL)
    CHECK_OK(failing->before());
  return pid;
}

static int never(struct ev_loop *fresh, void *argument) { return 99; }

static int start_function(gipc_options *o, gipc_handle *w, gipc_process **p) {
  CHECK_OK(gipc_options_set_fork(o, fork_for_it, NULL));
  return gipc_start_process(never, NULL, o, p);
}

/* As gipc_fork(3) shows it. */
static int start_own_fork(gipc_options *o, gipc_handle *w, gipc_process **p) {
  gipc_fork_context *f = NULL;
  CHECK_OK(gipc_fork_prepare(o, &f));
  pid_t pid = fork_for_it(NULL);
  if (pid == 0) {
    if (gipc_fork_child(f) < 0 || gipc_put(w, "here", 4, -1) < 0)
      gipc_exit(1);
    gipc_exit(0);
  }
  return gipc_fork_parent(f, pid, p);
}

/* A child that runs on after the failure, and uses handles it does not own. */
static int start_stubborn(gipc_options *o, gipc_handle *w, gipc_process **p) {
  gipc_fork_context *f = NULL;
  CHECK_OK(gipc_fork_prepare(o, &f));
  pid_t pid = fork_for_it(NULL);
  if (pid == 0) {
    CHECK(gipc_fork_child(f) < 0);
    CHECK_IS(gipc_try_put(w, "mine", 4), GIPC_EWRONGPROC);
    CHECK_IS(gipc_flush(w, -1), GIPC_EWRONGPROC);
    CHECK_IS(gipc_close(w), GIPC_EWRONGPROC);
    gipc_handle_free(w);
    exit(1);
  }
  return gipc_fork_parent(f, pid, p);
}

/* ---- The stream ------------------------------------------------------ */

enum { message_size = 30000 };

static size_t put_queue(gipc_handle *w) {
  char message[message_size];
  size_t count = 0, queued = 0;
  do
    fill(message, sizeof message, count);
  while (gipc_try_put(w, message, sizeof message) == 0 && ++count);
  CHECK_OK(gipc_pending(w, GIPC_WRITE, &queued));
  CHECK(queued > message_size);
  return count;
}

struct reader {
  gipc_handle *r;
  size_t count;
  int wrong, end;
};

/* Reads all the time, so that either process can write. */
static void *read_all_messages(void *argument) {
  struct reader *reader = argument;
  const void *data;
  size_t size;
  while ((reader->end = gipc_get(reader->r, 50, &data, &size)) == 0) {
    if (size != message_size || !filled(data, size, reader->count))
      reader->wrong++;
    reader->count++;
  }
  return NULL;
}

static const gipc_events no_events = {.size = sizeof no_events};

static void fail_a_start(int (*begin)(gipc_options *, gipc_handle *,
                                      gipc_process **),
                         int on_loop) {
  struct ev_loop *loop = ev_loop_new(0);
  struct reader reader = {0};
  gipc_options *o = new_options();
  gipc_handle *w;
  gipc_process *p = NULL;
  pthread_t thread;
  CHECK_OK(gipc_pipe(&reader.r, &w));
  if (on_loop)
    CHECK_OK(gipc_start(w, loop, &no_events, NULL));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  failing->choose(o);
  size_t count = put_queue(w);
  CHECK_OK(pthread_create(&thread, NULL, read_all_messages, &reader));
  int error = begin(o, w, &p);
  if (error >= 0)
    print_error("%s did not fail\n", failing->name);
  CHECK(error < 0 && p == NULL && !has_children());
  CHECK_IS(gipc_directions(w), GIPC_WRITE);
  if (on_loop)
    ev_run(loop, EVRUN_NOWAIT);
  CHECK_OK(gipc_flush(w, 50));
  CHECK_OK(gipc_close(w));
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_IS(reader.count, count);
  CHECK_IS(reader.wrong, 0);
  CHECK_IS(reader.end, GIPC_EOF);
  gipc_options_free(o);
  gipc_handle_free(reader.r);
  gipc_handle_free(w);
  ev_loop_destroy(loop);
}

static void fail_each(int (*begin)(gipc_options *, gipc_handle *,
                                   gipc_process **)) {
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    failing = &failures[i];
    /* A sanitizer needs its memory. */
    if (failing->choose == fail_environment &&
        (getenv("GIPC_TEST_SAN") != NULL || is_limited_by("memory_limit")))
      continue;
    fail_a_start(begin, 0);
    fail_a_start(begin, 1);
  }
}

static void a_failed_start_leaves_the_queue_to_the_parent(void **state) {
  fd_here = 2;
  fail_each(start_function);
}

static void a_failed_fork_child_leaves_the_queue_to_the_parent(void **state) {
  fd_here = 2;
  fail_each(start_own_fork);
}

static void a_child_whose_setup_failed_owns_no_handle(void **state) {
  fd_here = 2;
  fail_each(start_stubborn);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_failed_start_leaves_the_queue_to_the_parent),
      TEST(a_failed_fork_child_leaves_the_queue_to_the_parent),
      TEST(a_child_whose_setup_failed_owns_no_handle),
  };
  return cmocka_run_group_tests_name("failed adoption", tests, NULL, NULL);
}
