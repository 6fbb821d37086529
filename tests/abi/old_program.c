/* A program of version 0.1, compiled with the header of that version: whatever
 * the library is today, it must go on working (H108).
 *
 * It calls every function that 0.1 had.  With an argument it is its own child.
 */
#include <gipc.h>

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *self;

static void expect(int holds, const char *what, int line) {
  if (holds)
    return;
  fprintf(stderr, "old_program.c:%d: not so: %s\n", line, what);
  exit(1);
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)
#define OK(call) EXPECT((call) == 0)

static int says(const void *data, size_t size, const char *text) {
  return size == strlen(text) && memcmp(data, text, size) == 0;
}

/* ---- Handles ------------------------------------------------------------- */

static void handles(void) {
  gipc_handle *a, *b;
  gipc_stats stats;
  const void *data;
  size_t size;
  int ends[2];
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_set_limit(a, GIPC_DEFAULT_LIMIT));
  OK(gipc_set_limit(b, GIPC_UNLIMITED));
  OK(gipc_set_marks(a, 10, 1000));
  OK(gipc_set_budget(a, 10, 1000));
  EXPECT(gipc_fd(a, GIPC_READ) > 2 && gipc_fd(a, GIPC_WRITE) > 2);
  EXPECT(gipc_directions(a) == (GIPC_READ | GIPC_WRITE));
  OK(gipc_put(a, "hello", 5, 10));
  OK(gipc_get(b, 10, &data, &size));
  EXPECT(says(data, size, "hello"));
  OK(gipc_pending(b, GIPC_READ, &size));
  EXPECT(size == 0);
  memset(&stats, 0x55, sizeof stats);
  stats.size = sizeof stats;
  OK(gipc_handle_stats(a, &stats));
  EXPECT(stats.size == sizeof stats && stats.messages_out == 1);
  EXPECT(stats.messages_in == 0 && stats.bytes_out == 9);
  EXPECT(stats.bytes_in == 0 && stats.reads <= 1 && stats.writes == 1);
  OK(gipc_shutdown(a));
  EXPECT(gipc_get(b, 10, &data, &size) == GIPC_EOF);
  OK(gipc_close(a));
  EXPECT(gipc_close(a) == GIPC_ECLOSED);
  EXPECT(gipc_put(a, "x", 1, 0) == GIPC_ECLOSED);
  gipc_handle_free(a);
  gipc_handle_free(b);
  OK(pipe(ends));
  OK(gipc_open(ends[0], -1, &a));
  EXPECT(gipc_put(a, "x", 1, 0) == GIPC_EDIRECTION);
  OK(write(ends[1], "\0\0\0\5hel", 7) != 7);
  OK(close(ends[1]));
  EXPECT(gipc_get(a, 10, &data, &size) == GIPC_ETRUNCATED);
  gipc_handle_free(a);
}

static void steps(void) {
  gipc_handle *reader, *writer;
  gipc_message two[2] = {{"one", 3}, {"two", 3}};
  const void *data;
  char buffer[64], *big = calloc(1, 4 << 20);
  size_t size;
  int result;
  OK(gipc_pipe(&reader, &writer));
  EXPECT(big != NULL && gipc_try_get(reader, &data, &size) == -EAGAIN);
  EXPECT(gipc_get(reader, 0, &data, &size) == -ETIMEDOUT);
  OK(gipc_try_put(writer, "step", 4));
  OK(gipc_flush_step(writer));
  OK(gipc_get_ahead(reader));
  OK(gipc_get_start(reader, &size));
  EXPECT(size == 4);
  EXPECT(gipc_get_into(reader, buffer, 1, &size) == GIPC_ETOOBIG);
  OK(gipc_get_into(reader, buffer, sizeof buffer, &size));
  EXPECT(says(buffer, size, "step"));
  EXPECT(gipc_get_into(reader, buffer, sizeof buffer, &size) == -EAGAIN);
  OK(gipc_get_cancel(reader));
  OK(gipc_put_many(writer, two, 2, 10, &size));
  EXPECT(size == 2);
  OK(gipc_flush(writer, 10));
  OK(gipc_try_get(reader, &data, &size));
  OK(gipc_try_get(reader, &data, &size));
  EXPECT(says(data, size, "two"));
  EXPECT(gipc_put_start(writer, big, 4 << 20) == -EAGAIN);
  EXPECT(gipc_try_put(writer, "x", 1) == GIPC_ELOCKED);
  do {
    result = gipc_try_get(reader, &data, &size);
    EXPECT(result == 0 || result == -EAGAIN);
  } while (gipc_put_step(writer) == -EAGAIN);
  while (result == -EAGAIN)
    result = gipc_try_get(reader, &data, &size);
  EXPECT(result == 0 && size == 4 << 20);
  EXPECT(gipc_put_start(writer, big, 4 << 20) == -EAGAIN);
  EXPECT(gipc_put_cancel(writer) == 1);
  free(big);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

/* ---- On a loop ----------------------------------------------------------- */

static int messages, drains, why_ended;

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  EXPECT(says(data, size, "pushed") && user == &messages);
  if (++messages == 1) {
    OK(gipc_pause(h));
    OK(gipc_resume(h));
  }
}

static void on_drain(gipc_handle *h, void *user) {
  (void)user;
  drains++;
  OK(gipc_close(h));
}

static void on_end(gipc_handle *h, int why, void *user) {
  (void)user;
  why_ended = why;
  OK(gipc_stop(h));
}

static void loops(void) {
  struct ev_loop *loop = ev_loop_new(0);
  gipc_events reading = {sizeof reading, on_message, NULL, on_end};
  gipc_events writing = {sizeof writing, NULL, on_drain, NULL};
  gipc_handle *reader, *writer;
  OK(gipc_pipe(&reader, &writer));
  OK(gipc_set_marks(writer, 1, 2));
  OK(gipc_start(reader, loop, &reading, &messages));
  OK(gipc_start(writer, loop, &writing, NULL));
  OK(gipc_try_put(writer, "pushed", 6));
  EXPECT(gipc_try_put(writer, "pushed", 6) == -EAGAIN);
  ev_run(loop, 0);
  EXPECT(messages == 1 && drains == 1 && why_ended == GIPC_EOF);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
  ev_loop_destroy(loop);
}

/* ---- Children ------------------------------------------------------------ */

static gipc_exit_info info_of(gipc_process *p) {
  gipc_exit_info info;
  memset(&info, 0x55, sizeof info);
  info.size = sizeof info;
  OK(gipc_process_join(p, 60));
  OK(gipc_process_info(p, &info));
  EXPECT(info.size == sizeof info && info.how >= GIPC_HOW_WAIT);
  EXPECT(info.how <= GIPC_HOW_LOST);
  return info;
}

static int target(struct ev_loop *fresh, void *pipe) {
  if (fresh == NULL || gipc_put(pipe, "from the child", 14, -1) != 0)
    return 1;
  gipc_exit(7);
}

static void function_children(void) {
  gipc_handle *reader, *writer;
  gipc_options *o;
  gipc_process *p;
  const void *data;
  gipc_exit_info info;
  size_t size;
  int code;
  OK(gipc_pipe(&reader, &writer));
  OK(gipc_options_new(&o));
  OK(gipc_options_set_name(o, "old"));
  OK(gipc_options_set_daemon(o, 1));
  OK(gipc_options_pass(o, NULL, writer));
  OK(gipc_start_process(target, writer, o, &p));
  EXPECT(strcmp(gipc_process_name(p), "old") == 0);
  OK(gipc_get(reader, 60, &data, &size));
  EXPECT(says(data, size, "from the child"));
  info = info_of(p);
  EXPECT(info.code == 7 && info.signal == 0 && info.core == 0);
  EXPECT(info.ended == GIPC_ENDED_EXIT && info.max_rss != 0);
  EXPECT(info.user >= 0 && info.system >= 0);
  OK(gipc_process_exitcode(p, &code));
  EXPECT(code == 7 && gipc_process_is_alive(p) == 0);
  EXPECT(gipc_process_signal(p, SIGTERM) == GIPC_EDEAD);
  gipc_process_free(p);
  gipc_options_free(o);
  gipc_handle_free(writer);
  gipc_handle_free(reader);
}

static pid_t own_fork(void *user) {
  ++*(int *)user;
  return fork();
}

static void options(gipc_options *o, int *forks) {
  int fds[1] = {2};
  struct rlimit core;
  OK(getrlimit(RLIMIT_CORE, &core));
  OK(gipc_options_set_death_signal(o, SIGTERM));
  OK(gipc_options_clear_env(o));
  OK(gipc_options_set_env(o, "OLD", "0.1"));
  OK(gipc_options_set_cwd(o, "/"));
  OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_NULL, -1));
  OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1));
  OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
  OK(gipc_options_set_rlimit(o, RLIMIT_CORE, 0, core.rlim_max));
  OK(gipc_options_keep_fds(o, fds, 1));
  OK(gipc_options_block_signal(o, SIGUSR1));
  OK(gipc_options_leave_loop(o, ev_default_loop(0)));
  OK(gipc_options_set_fork(o, own_fork, forks));
}

static void program_children(void) {
  const char *argv[] = {NULL, "child", NULL}, *none[] = {"/nowhere", NULL};
  gipc_handle *mine, *its;
  gipc_options *o;
  gipc_process *p;
  char text[16] = "";
  const void *data;
  size_t size;
  int out, forks = 0;
  argv[0] = self;
  OK(gipc_pipe_duplex(&mine, &its));
  OK(gipc_options_new(&o));
  options(o, &forks);
  EXPECT(gipc_exec_process(none, o, &p) == -ENOENT);
  OK(gipc_options_pass(o, "pipe", its));
  if (getenv("LD_LIBRARY_PATH") != NULL)
    OK(gipc_options_set_env(o, "LD_LIBRARY_PATH", getenv("LD_LIBRARY_PATH")));
  OK(gipc_exec_process(argv, o, &p));
  OK(gipc_put(mine, "echo", 4, 60));
  OK(gipc_get(mine, 60, &data, &size));
  EXPECT(says(data, size, "echo"));
  out = gipc_process_stdio(p, 1);
  EXPECT(out > 2 && read(out, text, sizeof text - 1) == 6);
  EXPECT(strcmp(text, "0.1 /\n") == 0);
  close(out);
  EXPECT(info_of(p).code == 5);
  gipc_process_free(p);
  OK(gipc_start_process(target, NULL, NULL, &p));
  gipc_process_free(p);
  gipc_options_free(o);
  gipc_handle_free(mine);
  gipc_handle_free(its);
}

/* What it is as its own child. */
static int child(void) {
  gipc_handle *h, *stdio;
  const void *data;
  char folder[256];
  size_t size;
  if (gipc_inherit("pipe", &h) != 0 || gipc_get(h, -1, &data, &size) != 0 ||
      gipc_put(h, data, size, -1) != 0 || getcwd(folder, sizeof folder) == NULL)
    return 1;
  printf("%s %s\n", getenv("OLD"), folder);
  fflush(stdout);
  /* stdin is /dev/null. */
  return gipc_stdio(&stdio) == GIPC_ECLOSED ? 5 : 1;
}

static int sleeper(struct ev_loop *fresh, void *argument) {
  (void)fresh, (void)argument;
  pause();
  return 1;
}

static int watched_ends;
static void on_exit_of(gipc_process *p, void *user) {
  (void)user;
  watched_ends++;
  gipc_process_free(p);
}

static void signals_and_watches(void) {
  struct ev_loop *loop = ev_loop_new(0);
  gipc_process *p;
  int result;
  OK(gipc_start_process(sleeper, NULL, NULL, &p));
  EXPECT(gipc_process_is_alive(p) == 1 && gipc_process_pid(p) > 0);
  result = gipc_process_fd(p);
  EXPECT(result > 2 || result == -EOPNOTSUPP);
  EXPECT(gipc_process_join(p, 0) == -ETIMEDOUT);
  OK(gipc_process_terminate(p));
  EXPECT(info_of(p).signal == SIGTERM);
  OK(gipc_process_report(p, SIGTERM));
  gipc_process_free(p);
  OK(gipc_start_process(sleeper, NULL, NULL, &p));
  OK(gipc_process_kill(p));
  EXPECT(info_of(p).signal == SIGKILL);
  gipc_process_free(p);
  OK(gipc_start_process(sleeper, NULL, NULL, &p));
  OK(gipc_process_stop(p, 60));
  gipc_process_free(p);
  OK(gipc_start_process(sleeper, NULL, NULL, &p));
  OK(gipc_process_watch(p, loop, on_exit_of, NULL));
  OK(gipc_process_unwatch(p));
  OK(gipc_process_watch(p, loop, on_exit_of, NULL));
  OK(gipc_process_begin_stop(p, 60));
  ev_run(loop, 0);
  EXPECT(watched_ends == 1);
  ev_loop_destroy(loop);
}

static void own_forks(void) {
  gipc_process *p;
  gipc_options *o;
  gipc_fork *f;
  pid_t pid;
  OK(gipc_options_new(&o));
  if (gipc_options_set_no_new_privileges(o, 1) == 0)
    OK(gipc_options_set_no_new_privileges(o, 0));
  EXPECT(gipc_options_set_user(o, 0, 0, NULL, 1) == -EINVAL);
  OK(gipc_options_keep_all_fds(o));
  OK(gipc_fork_prepare(o, &f));
  pid = fork();
  if (pid == 0)
    gipc_exit(gipc_fork_child(f) == 0 ? 9 : 1);
  OK(gipc_fork_parent(f, pid, &p));
  EXPECT(info_of(p).code == 9);
  gipc_process_free(p);
  gipc_options_free(o);
}

int main(int argc, char **argv) {
  self = argv[0];
  if (argc > 1)
    return child();
  EXPECT(gipc_version() >= GIPC_VERSION);
  EXPECT(gipc_strerror(GIPC_EOF)[0] != '\0');
  handles();
  steps();
  loops();
  function_children();
  program_children();
  signals_and_watches();
  own_forks();
  return 0;
}
