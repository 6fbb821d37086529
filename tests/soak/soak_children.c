/* The children of the soak in C: functions, programs, trees, those of a
 * template and those of a pool, which end in every way. */
#include "soak.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How a function child ends. */
enum { RETURN, EXIT, QUIT, SIGNAL, KILLED, WAYS };

struct orders {
  gipc_handle *handle; /* of a child of a template: by name */
  int how, number;
};

static int answer_and_end(struct ev_loop *fresh, void *argument) {
  struct orders orders;
  const void *data;
  size_t size;
  memcpy(&orders, argument, sizeof orders);
  (void)fresh;
  if (orders.handle == NULL)
    OK(gipc_inherit("handle", &orders.handle));
  for (int i = 0; i < 3; i++) {
    OK(gipc_get(orders.handle, -1, &data, &size));
    OK(gipc_put(orders.handle, data, size, -1));
  }
  switch (orders.how) {
  case EXIT:
    gipc_exit(orders.number);
  case QUIT:
    _exit(orders.number);
  case SIGNAL:
    raise(SIGTERM);
    break;
  case KILLED: /* in the middle of a put, where its reader kills before it reads
                */
    (void)!gipc_put(orders.handle, block, LARGEST, -1);
    pause();
  }
  return orders.number;
}

static int code_of(gipc_process *p) {
  int code;
  OK(gipc_process_join(p, -1));
  OK(gipc_process_exitcode(p, &code));
  gipc_process_free(p);
  return code;
}

/* On a loop, as an event. */
static void stop_loop(gipc_process *p, void *loop) {
  (void)p;
  ev_break(loop, EVBREAK_ALL);
}

static void wait_on_a_loop(gipc_process *p) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  OK(gipc_process_watch(p, loop, stop_loop, loop));
  ev_run(loop, 0);
  ev_loop_destroy(loop);
}

static void run_a_function(gipc_template *t) {
  gipc_handle *mine, *theirs;
  gipc_options *o;
  gipc_process *p;
  struct orders orders = {NULL, (int)draw(WAYS), (int)draw(256)};
  int code = orders.number;
  pair_of((int)draw(PIPES), &mine, &theirs);
  OK(gipc_options_new(&o));
  OK(gipc_options_pass(o, "handle", theirs));
  if (t == NULL) {
    orders.handle = theirs;
    OK(gipc_start_process(answer_and_end, &orders, o, &p));
  } else
    OK(gipc_template_start(t, answer_and_end, &orders, sizeof orders, o, &p));
  gipc_options_free(o);
  gipc_handle_free(theirs);
  for (int i = 0; i < 3; i++) {
    size_t size = draw_size();
    OK(gipc_put(mine, block, size, -1));
    expect(mine, size);
  }
  if (orders.how == KILLED) {
    OK(gipc_process_kill(p));
    code = -SIGKILL;
  } else if (orders.how == SIGNAL)
    code = -SIGTERM;
  if (draw(2) == 0)
    wait_on_a_loop(p);
  CHECK(code_of(p) == code);
  gipc_handle_free(mine);
}

static void run_a_program(bool tree) {
  static const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
  static const char *const sleeps[] = {"sleep", "60", NULL};
  static const char *const forks[] = {"sh", "-c", "sleep 60 & exit 3", NULL};
  const char *const *argv = tree ? forks : draw(2) ? killed : sleeps;
  gipc_options *o;
  gipc_process *p;
  OK(gipc_options_new(&o));
  if (tree)
    OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  OK(gipc_exec_process(argv, o, &p));
  gipc_options_free(o);
  if (argv == sleeps)
    OK(gipc_process_stop(p, 60));
  CHECK(code_of(p) == (tree ? 3 : argv == sleeps ? -SIGTERM : -SIGKILL));
}

/* Its object is freed while it runs: later calls reap it. */
static pid_t detach_a_program(void) {
  static const char *const sleeps[] = {"sleep", "0", NULL};
  gipc_process *p;
  pid_t pid;
  OK(gipc_exec_process(sleeps, NULL, &p));
  pid = gipc_process_pid(p);
  gipc_process_free(p);
  return pid;
}

static int works(const gipc_worker_message *task, gipc_worker_message *answer,
                 void *user) {
  (void)user;
  answer->data = task->data;
  answer->data_size = task->data_size;
  return task->data_size == 1 ? -1 : 0; /* some fail */
}

static int serves(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  (void)fresh;
  return gipc_worker_serve(handle, works, argument);
}

static void pool_has_ended(gipc_pool *pool, int why, void *loop) {
  (void)pool;
  CHECK(why == GIPC_WHY_STOPPED);
  ev_break(loop, EVBREAK_ALL);
}

static void run_a_pool(void) {
  static const gipc_rules rules = {.size = sizeof rules, .most = 2};
  static const gipc_pool_events events = {.size = sizeof events,
                                          .on_end = pool_has_ended};
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_pool *pool;
  uint64_t task;
  OK(gipc_pool_new(serves, NULL, &rules, NULL, &pool));
  for (size_t i = 0; i < 10; i++)
    OK(gipc_pool_try_put(pool, block, i, NULL, &task));
  OK(gipc_pool_start(pool, loop, &events, loop));
  OK(gipc_pool_stop(pool, -1));
  ev_run(loop, 0);
  gipc_pool_free(pool);
  ev_loop_destroy(loop);
}

void run_children(size_t count) {
  static gipc_template *t;
  pid_t detached = 0;
  if (t == NULL)
    OK(gipc_template_new(NULL, &t));
  for (size_t i = 0; i < count; i++) {
    if (i == 0)
      detached = detach_a_program();
    else if (i % 5 < 2)
      run_a_function(NULL);
    else if (i % 5 < 4)
      run_a_function(t);
    else
      run_a_program(i % 20 == 9);
  }
  run_a_pool();
  while (kill(detached, 0) == 0) /* not reaped */
    run_a_program(false);
}
