/* A child that is started inside a callback of a running libev loop: no
 * callback of that loop is called in the child, and the parent is not affected.
 */
#include "support_process.h"

#include <fcntl.h>
#include <sys/eventfd.h>

enum { PARENT_EVENTS = 40 };

/* Every callback of the parent's loop counts here; in a child it must stay 0.
 */
static int counted[8], pipe_ends[2];
static pid_t parent_pid, foreign_child;
static int calls_in_child;
enum { ON_IO, ON_TIMER, ON_SIGNAL, ON_CHILD, ON_CLEANUP, ON_PREPARE, ON_FORK };

static void count(int what) {
  counted[what]++;
  if (getpid() != parent_pid)
    calls_in_child++;
}

static void on_io(struct ev_loop *loop, ev_io *io, int events) {
  char byte;
  count(ON_IO);
  CHECK(read(io->fd, &byte, 1) == 1);
}
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
  count(ON_TIMER);
}
static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events) {
  count(ON_SIGNAL);
}
static void on_child(struct ev_loop *loop, ev_child *watcher, int events) {
  count(ON_CHILD);
  CHECK_IS(watcher->rstatus, 5 << 8);
  ev_child_stop(loop, watcher);
}
static void on_cleanup(struct ev_loop *loop, ev_cleanup *watcher, int events) {
  count(ON_CLEANUP);
}
static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events) {
  count(ON_PREPARE);
}
static void on_fork(struct ev_loop *loop, ev_fork *watcher, int events) {
  count(ON_FORK);
}

/* ---- In the child ------------------------------------------------------- */

static int own_signals, own_timers, own_children;

static void on_own_signal(struct ev_loop *loop, ev_signal *watcher,
                          int events) {
  own_signals++;
  ev_signal_stop(loop, watcher);
}
static void on_own_timer(struct ev_loop *loop, ev_timer *timer, int events) {
  own_timers++;
}
static void on_own_child(struct ev_loop *loop, ev_child *watcher, int events) {
  own_children++;
  CHECK_IS(watcher->rstatus, 9 << 8);
  ev_child_stop(loop, watcher);
}

/* The loop ends by itself when its own watchers have stopped. */
static void use_loop(struct ev_loop *loop) {
  ev_signal usr1, usr2;
  ev_timer timer;
  own_signals = own_timers = 0;
  ev_signal_init(&usr1, on_own_signal, SIGUSR1);
  ev_signal_init(&usr2, on_own_signal, SIGUSR2);
  ev_timer_init(&timer, on_own_timer, 0.01, 0.);
  ev_signal_start(loop, &usr1);
  ev_signal_start(loop, &usr2);
  ev_timer_start(loop, &timer);
  CHECK_OK(kill(getpid(), SIGUSR1));
  CHECK_OK(kill(getpid(), SIGUSR2));
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(own_signals, 2);
  CHECK_IS(own_timers, 1);
}

static int live_in_child(struct ev_loop *fresh, void *argument) {
  alarm(300);
  CHECK_OK(ev_run(fresh, 0)); /* nothing is on it */
  use_loop(fresh);
  struct ev_loop *own = ev_default_loop(EVFLAG_AUTO);
  CHECK(own != NULL && own != fresh);
  CHECK_IS(ev_pending_count(own), 0);
  CHECK_OK(ev_run(own, 0)); /* H26: it is new */
  use_loop(own);
  /* Its children are its own, too. */
  ev_child child;
  pid_t pid = fork();
  if (pid == 0)
    _exit(9);
  ev_child_init(&child, on_own_child, pid, 0);
  ev_child_start(own, &child);
  CHECK_OK(ev_run(own, 0));
  CHECK_IS(own_children, 1);
  ev_loop_destroy(own);
  CHECK_IS(calls_in_child, 0);
  return 0;
}

/* ---- In the parent ------------------------------------------------------ */

struct scene {
  struct ev_loop *loop;
  bool is_default;
  unsigned flags;
  gipc_process *processes[3];
  int ended;
};

static void on_end(gipc_process *p, void *user) {
  struct scene *scene = user;
  int code = -1;
  CHECK_OK(gipc_process_exitcode(p, &code));
  CHECK_IS(code, 0);
  scene->ended++;
  if (scene->ended == 3)
    ev_break(scene->loop, EVBREAK_ALL);
}

/* Called before all other pending watchers of its iteration. */
static void on_start(struct ev_loop *loop, ev_check *watcher, int events) {
  struct scene *scene = watcher->data;
  if (ev_pending_count(loop) < 3)
    return;
  ev_check_stop(loop, watcher);
  for (int i = 0; i < 3; i++) {
    scene->processes[i] = start(live_in_child, NULL, NULL);
    CHECK_OK(gipc_process_watch(scene->processes[i], loop, on_end, scene));
  }
}

static void never(gipc_process *p, void *user) { CHECK(false); }

/* libev does not report the loop of a signal.  The library releases the signals
 * of the loops that its handles and processes are on. */
static gipc_process *make_known(struct ev_loop *loop) {
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  CHECK_OK(gipc_process_watch(p, loop, never, NULL));
  return p;
}

static int fork_in_callback(void *argument) {
  struct scene *scene = argument;
  gipc_process *known = NULL;
  struct ev_loop *loop;
  ev_io io;
  ev_timer once, often;
  ev_signal usr1, usr2;
  ev_child child;
  ev_cleanup cleanup;
  ev_prepare prepare;
  ev_fork forked;
  ev_check check;

  parent_pid = getpid();
  memset(counted, 0, sizeof counted);
  CHECK_OK(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK));
  loop = scene->is_default ? ev_default_loop(scene->flags)
                           : ev_loop_new(scene->flags);
  CHECK(loop != NULL);
  scene->loop = loop;
  if (!scene->is_default)
    known = make_known(loop);
  ev_io_init(&io, on_io, pipe_ends[0], EV_READ);
  ev_timer_init(&once, on_timer, 0., 0.);
  ev_timer_init(&often, on_timer, 0.001, 0.001);
  ev_signal_init(&usr1, on_signal, SIGUSR1);
  ev_signal_init(&usr2, on_signal, SIGUSR2);
  ev_cleanup_init(&cleanup, on_cleanup);
  ev_prepare_init(&prepare, on_prepare);
  ev_fork_init(&forked, on_fork);
  ev_check_init(&check, on_start);
  ev_set_priority(&check, EV_MAXPRI);
  check.data = scene;
  ev_io_start(loop, &io);
  ev_timer_start(loop, &once);
  ev_timer_start(loop, &often);
  ev_signal_start(loop, &usr1);
  ev_signal_start(loop, &usr2);
  ev_cleanup_start(loop, &cleanup);
  ev_prepare_start(loop, &prepare);
  ev_fork_start(loop, &forked);
  ev_check_start(loop, &check);
  if (scene->is_default) {
    foreign_child = fork();
    if (foreign_child == 0) {
      wait_fd(pipe_ends[1], POLLOUT, 1000);
      _exit(5);
    }
    ev_child_init(&child, on_child, foreign_child, 0);
    ev_child_start(loop, &child);
  }
  for (int i = 0; i < PARENT_EVENTS; i++)
    CHECK(write(pipe_ends[1], "x", 1) == 1);
  raise(SIGUSR1);
  raise(SIGUSR2);
  ev_run(loop, 0);
  CHECK_IS(scene->ended, 3);
  /* The parent's loop has got all its events. H25, H27 */
  raise(SIGUSR1);
  for (int iterations = 0;
       iterations < 60000 &&
       (counted[ON_IO] < PARENT_EVENTS || counted[ON_SIGNAL] < 3 ||
        counted[ON_CHILD] < scene->is_default);
       iterations++)
    ev_run(loop, EVRUN_ONCE);
  CHECK_IS(counted[ON_IO], PARENT_EVENTS);
  CHECK_IS(counted[ON_SIGNAL], 3);
  CHECK_IS(counted[ON_CHILD], scene->is_default);
  CHECK(counted[ON_TIMER] > 1 && counted[ON_PREPARE] > 0);
  CHECK_IS(counted[ON_FORK], 0);
  CHECK_IS(counted[ON_CLEANUP], 0);
  for (int i = 0; i < 3; i++)
    gipc_process_free(scene->processes[i]);
  if (known != NULL) {
    CHECK_OK(gipc_process_unwatch(known));
    destroy(known);
  }
  ev_loop_destroy(loop);
  CHECK_IS(counted[ON_CLEANUP], 1);
  return 0;
}

static void play(bool is_default, unsigned flags) {
  struct scene scene = {NULL, is_default, flags, {NULL, NULL, NULL}, 0};
  in_own_fork(fork_in_callback, &scene);
}

/* H25, H26, H27, H28 */
static void a_start_inside_a_callback_of_the_default_loop(void **state) {
  play(true, EVFLAG_AUTO);
}

static void a_start_inside_a_callback_of_another_loop(void **state) {
  play(false, EVFLAG_AUTO);
}

static void a_start_inside_a_callback_of_a_loop_with_a_signalfd(void **state) {
  play(true, EVFLAG_SIGNALFD);
}

static void
a_start_inside_a_callback_of_another_loop_with_a_signalfd(void **state) {
  play(false, EVFLAG_SIGNALFD);
}

static void a_start_inside_a_callback_with_every_backend(void **state) {
  static const unsigned backends[] = {EVBACKEND_SELECT, EVBACKEND_POLL,
                                      EVBACKEND_EPOLL}; /* H92 */
  for (int i = 0; i < 3; i++)
    if (ev_supported_backends() & backends[i]) {
      play(true, backends[i]);
      play(false, backends[i]);
    }
}

/* ---- The parent's watchers, one at a time ------------------------------- */

static int both_loops(void *argument) {
  /* A signal on the default loop, and one on another loop. */
  struct ev_loop *first = ev_default_loop(EVFLAG_AUTO);
  struct ev_loop *second = ev_loop_new(EVFLAG_AUTO);
  ev_signal one, two;
  parent_pid = getpid();
  memset(counted, 0, sizeof counted);
  ev_signal_init(&one, on_signal, SIGUSR1);
  ev_signal_init(&two, on_signal, SIGUSR2);
  ev_signal_start(first, &one);
  ev_signal_start(second, &two);
  gipc_process *known = make_known(second);
  CHECK_IS(in_child(live_in_child, NULL, NULL), 0);
  raise(SIGUSR1);
  raise(SIGUSR2);
  ev_run(first, EVRUN_NOWAIT);
  ev_run(second, EVRUN_NOWAIT);
  CHECK_IS(counted[ON_SIGNAL], 2);
  CHECK_OK(gipc_process_unwatch(known));
  destroy(known);
  ev_loop_destroy(second);
  ev_loop_destroy(first);
  return 0;
}

static void signals_of_two_loops_are_free_in_the_child(void **state) {
  in_own_fork(both_loops, NULL);
}

static int named_loop(void *argument) {
  struct ev_loop *loops[2] = {ev_loop_new(EVFLAG_AUTO),
                              ev_loop_new(EVFLAG_SIGNALFD)};
  ev_signal one, two;
  gipc_options *o = new_options();
  parent_pid = getpid();
  memset(counted, 0, sizeof counted);
  ev_signal_init(&one, on_signal, SIGUSR1);
  ev_signal_init(&two, on_signal, SIGUSR2);
  ev_signal_start(loops[0], &one);
  ev_signal_start(loops[1], &two);
  CHECK_IS(gipc_options_release_signals(NULL, loops[0]), -EINVAL);
  CHECK_IS(gipc_options_release_signals(o, NULL), -EINVAL);
  for (int i = 0; i < 2; i++)
    CHECK_OK(gipc_options_release_signals(o, loops[i]));
  CHECK_IS(in_child(live_in_child, NULL, o), 0);
  raise(SIGUSR1);
  raise(SIGUSR2);
  for (int i = 0; i < 2; i++) {
    ev_run(loops[i], EVRUN_NOWAIT);
    ev_run(loops[i], EVRUN_NOWAIT);
    CHECK_IS(counted[ON_SIGNAL], i + 1);
    ev_loop_destroy(loops[i]);
  }
  gipc_options_free(o);
  return 0;
}

static void signals_of_a_named_loop_are_free_in_the_child(void **state) {
  in_own_fork(named_loop, NULL);
}

static int unreferenced(void *argument) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  ev_timer timers[3];
  parent_pid = getpid();
  for (int i = 0; i < 3; i++) {
    ev_timer_init(&timers[i], on_timer, 1000., 0.);
    ev_timer_start(loop, &timers[i]);
  }
  ev_unref(loop);
  ev_unref(loop);
  CHECK_IS(in_child(live_in_child, NULL, NULL), 0);
  /* More unreferenced than referenced is legal between iterations. */
  ev_timer_stop(loop, &timers[2]);
  CHECK_IS(in_child(live_in_child, NULL, NULL), 0);
  ev_ref(loop);
  ev_ref(loop);
  return 0;
}

static void references_of_the_parents_watchers_do_not_count(void **state) {
  in_own_fork(unreferenced, NULL);
}

static int idle_loop(void *argument) {
  struct ev_loop *loop = ev_default_loop((unsigned)(intptr_t)argument);
  parent_pid = getpid();
  CHECK(loop != NULL);
  CHECK_IS(in_child(live_in_child, NULL, NULL), 0);
  ev_loop_destroy(loop);
  CHECK_IS(in_child(live_in_child, NULL, NULL), 0);
  return 0;
}

static void an_idle_default_loop_is_new_in_the_child(void **state) {
  in_own_fork(idle_loop, INT(EVFLAG_AUTO));
  in_own_fork(idle_loop, INT(EVFLAG_SIGNALFD));
}

/* ---- Children of children ----------------------------------------------- */

static int descend(struct ev_loop *fresh, void *argument) {
  intptr_t depth = (intptr_t)argument;
  alarm(300);
  if (depth == 0)
    return live_in_child(fresh, NULL);
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  ev_timer timer;
  parent_pid = getpid();
  ev_timer_init(&timer, on_timer, 0., 0.);
  ev_timer_start(loop, &timer);
  gipc_process *p = start(descend, INT(depth - 1), NULL);
  CHECK_OK(gipc_process_join(p, 250));
  CHECK_IS(end_of(p), 0);
  CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
  return 0;
}

static void children_have_children_of_their_own(void **state) {
  CHECK_IS(in_child(descend, INT(4), NULL), 0);
}

/* ---- The flags of the environment ---------------------------------------- */

static int backend_of_child(struct ev_loop *fresh, void *argument) {
  return (int)ev_backend(fresh) & 0xff;
}

static pid_t fork_with_select(void *argument) {
  CHECK_OK(setenv("LIBEV_FLAGS", "1", 1));
  return fork();
}

static int start_with_flags(void *argument) {
  unsigned usual = ev_recommended_backends();
  gipc_options *o = new_options();
  CHECK_OK(unsetenv("LIBEV_FLAGS"));
  CHECK(in_child(backend_of_child, NULL, NULL) & (int)usual);
  CHECK_OK(gipc_options_set_env(o, "LIBEV_FLAGS", "2"));
  CHECK_IS(in_child(backend_of_child, NULL, o), EVBACKEND_POLL);
  CHECK_OK(setenv("LIBEV_FLAGS", "1", 1));
  CHECK_IS(in_child(backend_of_child, NULL, NULL), EVBACKEND_SELECT);
  CHECK_IS(in_child(backend_of_child, NULL, o), EVBACKEND_POLL);
  gipc_options_free(o);
  CHECK_OK(unsetenv("LIBEV_FLAGS"));
  o = new_options();
  CHECK_OK(gipc_options_set_fork(o, fork_with_select, NULL));
  CHECK_IS(in_child(backend_of_child, NULL, o), EVBACKEND_SELECT);
  gipc_options_free(o);
  return 0;
}

static void the_loop_of_a_child_obeys_LIBEV_FLAGS(void **state) { /* H92 */
  in_own_fork(start_with_flags, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_start_inside_a_callback_of_the_default_loop),
      TEST(a_start_inside_a_callback_of_another_loop),
      TEST(a_start_inside_a_callback_of_a_loop_with_a_signalfd),
      TEST(a_start_inside_a_callback_of_another_loop_with_a_signalfd),
      TEST(a_start_inside_a_callback_with_every_backend),
      TEST(signals_of_two_loops_are_free_in_the_child),
      TEST(signals_of_a_named_loop_are_free_in_the_child),
      TEST(an_idle_default_loop_is_new_in_the_child),
      TEST(references_of_the_parents_watchers_do_not_count),
      TEST(children_have_children_of_their_own),
      TEST(the_loop_of_a_child_obeys_LIBEV_FLAGS),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
