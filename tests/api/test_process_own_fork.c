/* A child of the program's own fork that runs an inherited loop with handles
 * and processes: their callbacks are not called, and the parent is not
 * affected. */
#include "support_process.h"

#include <errno.h>
#include <fcntl.h>

static pid_t parent;
static int messages, drained, ended, in_wrong_process;

static void note(int *count) {
  ++*count;
  if (getpid() != parent)
    in_wrong_process++;
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  note(&messages);
}
static void on_end(gipc_handle *h, int error, void *user) { note(&ended); }
static void on_drain(gipc_handle *h, void *user) { note(&drained); }
static void on_exit_of(gipc_process *p, void *user) { note(&ended); }

static const gipc_events events = {sizeof events, on_message, on_drain, on_end};

enum { UNREAD = 3, PROCESSES = 4 };

struct scene {
  struct ev_loop *loop;
  bool in_callback; /* the fork comes while events are pending */
  gipc_handle *reader, *to_reader, *idle, *to_idle, *writer, *from_writer;
  gipc_process *processes[PROCESSES];
  pid_t child;
};

/* ---- The scene ---------------------------------------------------------- */

/* Makes every watcher of the library pending. */
static void set(struct scene *scene) {
  parent = getpid();
  messages = drained = ended = in_wrong_process = 0;
  CHECK_OK(gipc_pipe(&scene->reader, &scene->to_reader));
  CHECK_OK(gipc_pipe(&scene->idle, &scene->to_idle));
  CHECK_OK(gipc_pipe(&scene->from_writer, &scene->writer));
  CHECK_OK(gipc_start(scene->reader, scene->loop, &events, NULL));
  CHECK_OK(gipc_start(scene->idle, scene->loop, &events, NULL));
  CHECK_OK(gipc_start(scene->writer, scene->loop, &events, NULL));
  for (int i = 0; i < UNREAD; i++)
    CHECK_OK(gipc_put(scene->to_reader, "unread", 6, -1));
  static char large[200000];
  int result;
  do
    result = gipc_try_put(scene->writer, large, sizeof large);
  while (result == 0);
  CHECK_IS(result, -EAGAIN); /* full: the remaining bytes are queued */
  for (int i = 0; i < PROCESSES; i++) {
    scene->processes[i] =
        i % 2 ? execute(NULL, i == 1 ? "sleep" : "true", "60", NULL)
              : start(i == 0 ? wait_for_signal : return_argument, NULL, NULL);
    CHECK_OK(
        gipc_process_watch(scene->processes[i], scene->loop, on_exit_of, NULL));
  }
  /* All have ended, and one is in its grace period. */
  CHECK_OK(gipc_process_begin_stop(scene->processes[1], 1000));
  CHECK_OK(kill(gipc_process_pid(scene->processes[0]), SIGKILL));
  for (int i = 0; i < PROCESSES; i++) {
    siginfo_t info;
    /* Its start may have reaped one that ended at once. */
    CHECK(waitid(P_PID, (id_t)gipc_process_pid(scene->processes[i]), &info,
                 WEXITED | WNOWAIT) == 0 ||
          errno == ECHILD);
  }
}

/* ---- The child ---------------------------------------------------------- */

static int own_timers;
static void on_own_timer(struct ev_loop *loop, ev_timer *timer, int e) {
  own_timers++;
}

static void live_in_child(struct scene *scene) {
  ev_timer timer;
  ev_loop_fork(scene->loop);
  ev_timer_init(&timer, on_own_timer, 0.05, 0.);
  ev_timer_start(scene->loop, &timer);
  unsigned before = ev_iteration(scene->loop);
  CHECK_OK(ev_run(scene->loop, 0)); /* until its timer has expired */
  CHECK_IS(own_timers, 1);
  CHECK(ev_iteration(scene->loop) - before < 20);
  CHECK_IS(in_wrong_process, 0);
  CHECK_IS(gipc_process_is_alive(scene->processes[1]), GIPC_EWRONGPROC);
  gipc_handle_free(scene->reader);
  gipc_process_free(scene->processes[1]);
  CHECK_OK(ev_run(scene->loop, 0));
  CHECK_OK(ev_run(scene->loop, EVRUN_ONCE));
  /* It has handles and processes of its own. */
  parent = getpid();
  ended = messages = 0;
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_start(r, scene->loop, &events, NULL));
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_OK(gipc_close(w));
  gipc_process *p = start(return_argument, INT(3), NULL);
  CHECK_OK(gipc_process_watch(p, scene->loop, on_exit_of, NULL));
  CHECK_OK(ev_run(scene->loop, 0));
  CHECK_IS(messages, 1);
  CHECK_IS(ended, 2);
  CHECK_IS(end_of(p), 3);
  gipc_handle_free(r);
  gipc_handle_free(w);
  ev_loop_destroy(scene->loop);
  _exit(0);
}

static void fork_here(struct scene *scene) {
  fflush(NULL);
  scene->child = fork();
  if (scene->child == 0 && !scene->in_callback)
    live_in_child(scene);
}

static void on_check(struct ev_loop *loop, ev_check *check, int e) {
  struct scene *scene = check->data;
  /* Before all other pending watchers of this iteration. */
  if (ev_pending_count(loop) < 2)
    return;
  ev_check_stop(loop, check);
  fork_here(scene);
  if (scene->child == 0)
    ev_break(loop, EVBREAK_ALL);
}

/* ---- The parent --------------------------------------------------------- */

static void drain(struct ev_loop *loop, ev_io *io, int e) {
  struct scene *scene = io->data;
  const void *data;
  size_t size;
  size_t queued;
  while (gipc_try_get(scene->from_writer, &data, &size) == 0)
    ;
  CHECK_OK(gipc_pending(scene->writer, GIPC_WRITE, &queued));
  if (queued == 0)
    ev_io_stop(loop, io);
}

static void go_on(struct scene *scene) {
  ev_io io;
  ev_io_init(&io, drain, gipc_fd(scene->from_writer, GIPC_READ), EV_READ);
  io.data = scene;
  ev_io_start(scene->loop, &io);
  CHECK_OK(gipc_close(scene->to_reader));
  CHECK_OK(gipc_close(scene->to_idle));
  /* Ends by itself when the library has nothing left to do. */
  CHECK_OK(ev_run(scene->loop, 0));
  CHECK_IS(messages, UNREAD);
  CHECK(drained > 0);
  CHECK_IS(ended, PROCESSES + 2);
}

static int play_scene(void *argument) {
  struct scene *scene = argument;
  ev_check check;
  int status = -1;
  set(scene);
  if (scene->in_callback) {
    ev_check_init(&check, on_check);
    ev_set_priority(&check, EV_MAXPRI);
    check.data = scene;
    ev_check_start(scene->loop, &check);
    ev_run(scene->loop, EVRUN_ONCE);
    if (scene->child == 0)
      live_in_child(scene);
    CHECK(scene->child > 0);
  } else {
    fork_here(scene);
  }
  CHECK_IS(waitpid(scene->child, &status, 0), scene->child);
  CHECK_IS(status, 0);
  go_on(scene);
  gipc_handle *handles[] = {scene->reader,    scene->idle,
                            scene->writer,    scene->from_writer,
                            scene->to_reader, scene->to_idle};
  for (int i = 0; i < 6; i++)
    gipc_handle_free(handles[i]);
  for (int i = 0; i < PROCESSES; i++)
    gipc_process_free(scene->processes[i]);
  CHECK_OK(ev_run(scene->loop, 0));
  ev_loop_destroy(scene->loop);
  return has_children();
}

static int play_with(void *argument) {
  const int *how = argument;
  struct scene scene = {.in_callback = how[1] != 0};
  scene.loop = how[0] ? ev_default_loop((unsigned)how[2])
                      : ev_loop_new((unsigned)how[2]);
  CHECK(scene.loop != NULL);
  return play_scene(&scene);
}

static void play(bool is_default, bool in_callback) {
  static const unsigned flags[] = {EVFLAG_AUTO,     EVFLAG_SIGNALFD,
                                   EVBACKEND_POLL,  EVBACKEND_SELECT,
                                   EVBACKEND_EPOLL, EVFLAG_FORKCHECK};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    int how[3] = {is_default, in_callback, (int)flags[i]};
    in_own_fork(play_with, how);
  }
}

/* H25 to H28, and the library's own watchers */
static void a_forked_child_may_run_the_inherited_default_loop(void **state) {
  play(true, false);
}

static void a_forked_child_may_run_another_inherited_loop(void **state) {
  play(false, false);
}

static void a_child_forked_in_a_callback_may_run_the_inherited_loop(void **s) {
  play(true, true);
  play(false, true);
}

/* ---- References --------------------------------------------------------- */

static void a_handle_that_waits_for_nothing_keeps_no_loop_running(void **s) {
  for (int again = 0; again < 2; again++) {
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    gipc_handle *r, *w;
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_start(w, loop, &events, NULL));
    CHECK_OK(ev_run(loop, 0));
    ev_timer timer;
    ev_timer_init(&timer, on_own_timer, 0., 0.);
    ev_timer_start(loop, &timer);
    CHECK_OK(ev_run(loop, 0));
    if (again)
      ev_loop_destroy(loop); /* before the handle */
    gipc_handle_free(w);
    gipc_handle_free(r);
    if (!again) {
      CHECK_OK(ev_run(loop, 0));
      ev_loop_destroy(loop);
    }
  }
}

/* ---- In a child of a child ---------------------------------------------- */

static int has_it(struct ev_loop *fresh, void *argument) {
  return fcntl((int)(intptr_t)argument, F_GETFD) >= 0 ? 0 : 1;
}

/* Closes what a handle of its parent was on, uses the number for a file of its
 * own, and starts a child. */
static int reuse_a_number(void *argument) {
  int fd = (int)(intptr_t)argument;
  gipc_handle *r, *w;
  CHECK_IS(dup2(2, fd), fd);
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_handle_free(r);
  gipc_handle_free(w);
  CHECK_IS(in_child(has_it, INT(fd), NULL), 0);
  return 0;
}

static int fork_by_itself(struct ev_loop *fresh, void *argument) {
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  in_own_fork(reuse_a_number, INT(gipc_fd(r, GIPC_READ)));
  gipc_handle_free(r);
  gipc_handle_free(w);
  return 0;
}

static void a_fork_in_a_function_child_keeps_its_own_files(void **state) {
  CHECK_IS(in_child(fork_by_itself, NULL, NULL), 0); /* H37 */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_forked_child_may_run_the_inherited_default_loop),
      TEST(a_forked_child_may_run_another_inherited_loop),
      TEST(a_child_forked_in_a_callback_may_run_the_inherited_loop),
      TEST(a_handle_that_waits_for_nothing_keeps_no_loop_running),
      TEST(a_fork_in_a_function_child_keeps_its_own_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
