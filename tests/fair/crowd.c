/* Many handles and children: idle, and each used once. */
#include "measure.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ev_loop *loop;
static size_t got, expected;

static gipc_options *daemon_options(gipc_handle *h) {
  gipc_options *o;
  must(gipc_options_new(&o), "options");
  must(gipc_options_set_daemon(o, 1), "daemon");
  if (h != NULL)
    must(gipc_options_pass(o, "h", h), "pass");
  return o;
}

static int sleeper(struct ev_loop *fresh, void *argument) {
  gipc_handle *h = argument;
  const void *data;
  size_t size;
  (void)fresh;
  must(gipc_put(h, "here", 4, -1), "put");
  return gipc_get(h, -1, &data, &size) == GIPC_EOF ? 0 : 1;
}

static int pauses(struct ev_loop *fresh, void *argument) {
  (void)fresh;
  (void)argument;
  pause();
  return 0;
}

static int works(struct ev_loop *fresh, void *argument) {
  must(gipc_ready(), "ready");
  return pauses(fresh, argument);
}

static int echo(const gipc_worker_message *task, gipc_worker_message *answer,
                void *user) {
  (void)user;
  answer->data = task->data;
  answer->data_size = task->data_size;
  return 0;
}

static int serve(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  (void)fresh;
  return gipc_worker_serve(h, echo, argument);
}

static gipc_process *start_child(int is_program, gipc_handle **mine) {
  const char *argv[] = {getenv("GIPC_FAIR_PEER"), "answer", NULL};
  gipc_handle *its;
  gipc_process *p;
  must(gipc_pipe_duplex(mine, &its), "pipe");
  gipc_options *o = daemon_options(its);
  must(is_program ? gipc_exec_process(argv, o, &p)
                  : gipc_start_process(sleeper, its, o, &p),
       "start");
  gipc_options_free(o);
  gipc_handle_free(its);
  return p;
}

static void get_here(gipc_handle *h) {
  const void *data;
  size_t size;
  must(gipc_get(h, -1, &data, &size), "get");
}

/* Half of them functions, half programs. */
static gipc_process **start_children(size_t count, gipc_handle ***handles) {
  gipc_process **children = calloc(count + 1, sizeof(gipc_process *));
  *handles = calloc(count + 1, sizeof(gipc_handle *));
  for (size_t i = 0; i < count; i++)
    children[i] = start_child(i % 2, &(*handles)[i]);
  for (size_t i = 0; i < count; i++)
    get_here((*handles)[i]);
  return children;
}

static void make_pipes(size_t count, gipc_handle **readers,
                       gipc_handle **writers) {
  for (size_t i = 0; i < count; i++)
    must(gipc_pipe(&readers[i], &writers[i]), "pipe");
}

/* ---- Idle ---------------------------------------------------------------- */

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  (void)pool;
  (void)user;
  must(result->why == GIPC_WHY_DONE ? 0 : result->error, "task");
  ev_break(loop, EVBREAK_ALL);
}

static void on_service(gipc_keeper *keeper, const gipc_service_change *change,
                       void *user) {
  (void)keeper;
  (void)user;
  if (change->kind == GIPC_SERVICE_READY)
    ev_break(loop, EVBREAK_ALL);
}

static void start_pool_and_keeper(void) {
  static const gipc_pool_events pool_events = {.size = sizeof pool_events,
                                               .on_result = on_result};
  static const gipc_keeper_events keeper_events = {.size = sizeof keeper_events,
                                                   .on_service = on_service};
  static const gipc_rules notify = {.size = sizeof notify, .notify = 1};
  gipc_pool *pool;
  gipc_keeper *keeper;
  gipc_rules rules = {.size = sizeof rules};
  uint64_t task;
  size_t service;
  must(gipc_rules_set(&rules, "most", 2), "rules");
  must(gipc_rules_set(&rules, "least", 2), "rules");
  must(gipc_pool_new(serve, NULL, &rules, NULL, &pool), "pool");
  must(gipc_pool_start(pool, loop, &pool_events, NULL), "start");
  must(gipc_pool_try_put(pool, "x", 1, NULL, &task), "task");
  ev_run(loop, 0);
  must(gipc_keeper_new(GIPC_ONE_FOR_ONE, &keeper), "keeper");
  must(gipc_keeper_add(keeper, "works", works, NULL, &notify, NULL, &service),
       "add");
  must(gipc_keeper_start(keeper, loop, &keeper_events, NULL), "start");
  ev_run(loop, 0);
}

static void start_template_and_tree(void) {
  static const char *const tree[] = {"sh", "-c", "sleep 600 & wait", NULL};
  gipc_template *t;
  gipc_process *p;
  gipc_options *o = daemon_options(NULL);
  int result = gipc_template_new(NULL, &t);
  if (result == 0)
    must(gipc_template_start(t, pauses, NULL, 0, o, &p), "template");
  must(gipc_options_set_group(o, GIPC_GROUP_TREE), "tree");
  result = gipc_exec_process(tree, o, &p);
  gipc_options_free(o);
}

/* A duplex pipe over rings, in use and then idle. */
static const char *use_ring(gipc_handle **mine) {
  gipc_handle *its;
  must(gipc_pipe_duplex(mine, &its), "pipe");
  for (int i = 0; i < 200; i++) {
    must(gipc_put(*mine, "x", 1, -1), "put");
    get_here(its);
    must(gipc_put(its, "x", 1, -1), "put");
    get_here(*mine);
  }
  return transport_of(*mine);
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  (void)h;
  (void)data;
  (void)user;
  got += size;
  if (got == expected)
    ev_break(loop, EVBREAK_ALL);
}
static const gipc_events events = {sizeof events, on_message, NULL, NULL};

static void on_exit_of_child(gipc_process *p, void *user) {
  (void)p;
  (void)user;
  exit(1);
}

static void wait_in_set(gipc_handle **handles, size_t handle_count,
                        gipc_process **children, size_t child_count) {
  gipc_wait_set *set;
  must(gipc_wait_set_new(&set), "set");
  for (size_t i = 0; i < handle_count; i++)
    must(gipc_wait_set_add_handle(set, handles[i], GIPC_READ), "add");
  for (size_t i = 0; i < child_count; i++)
    must(gipc_wait_set_add_process(set, children[i]), "add");
  must(gipc_wait(set, -1), "wait");
}

int idle(const char *name, size_t handle_count, size_t child_count) {
  gipc_handle **handles, *duplex;
  int is_push = strcmp(name, "push") == 0;
  loop = ev_loop_new(EVFLAG_AUTO);
  gipc_process **children = start_children(child_count, &handles);
  start_template_and_tree();
  if (is_push)
    start_pool_and_keeper();
  const char *transport = use_ring(&duplex);
  gipc_handle **readers = calloc(2 * handle_count, sizeof(gipc_handle *));
  make_pipes(handle_count, readers, readers + handle_count);
  printf("idle transport=%s\n", transport);
  fflush(stdout);
  if (!is_push)
    wait_in_set(readers, handle_count, children, child_count);
  must(gipc_start(duplex, loop, &events, NULL), "start");
  for (size_t i = 0; i < handle_count; i++)
    must(gipc_start(readers[i], loop, &events, NULL), "start");
  for (size_t i = 0; i < child_count; i++)
    must(gipc_process_watch(children[i], loop, on_exit_of_child, NULL),
         "watch");
  ev_run(loop, 0);
  return 0;
}

/* ---- Scale --------------------------------------------------------------- */

static void put_all(gipc_handle **writers, size_t count) {
  for (size_t i = 0; i < count; i++)
    must(gipc_put(writers[i], "x", 1, -1), "put");
}

static void get_in_set(gipc_handle **readers, gipc_handle **writers,
                       size_t count) {
  gipc_wait_set *set;
  gipc_handle *h;
  gipc_process *p;
  int directions;
  must(gipc_wait_set_new(&set), "set");
  for (size_t i = 0; i < count; i++)
    must(gipc_wait_set_add_handle(set, readers[i], GIPC_READ), "add");
  put_all(writers, count);
  while (got < count) {
    must(gipc_wait(set, -1), "wait");
    while (gipc_wait_set_next(set, &h, &p, &directions) == 0) {
      get_here(h);
      got++;
      must(gipc_wait_set_remove_handle(set, h), "remove");
    }
  }
  gipc_wait_set_free(set);
}

static void get_on_loop(gipc_handle **readers, gipc_handle **writers,
                        size_t count) {
  loop = ev_loop_new(EVFLAG_AUTO);
  for (size_t i = 0; i < count; i++)
    must(gipc_start(readers[i], loop, &events, NULL), "start");
  put_all(writers, count);
  if (count > 0)
    ev_run(loop, 0);
  for (size_t i = 0; i < count; i++)
    must(gipc_stop(readers[i]), "stop");
  ev_loop_destroy(loop);
}

static void use_children(size_t count) {
  gipc_handle **handles;
  gipc_process **children = start_children(count, &handles);
  for (size_t i = 0; i < count; i++) {
    gipc_handle_free(handles[i]);
    must(gipc_process_join(children[i], -1), "join");
    int code = -1;
    must(gipc_process_exitcode(children[i], &code), "exitcode");
    must(code, "exitcode");
    gipc_process_free(children[i]);
  }
  free(children);
  free(handles);
}

int scale(const char *name, size_t handle_count, size_t child_count) {
  expected = handle_count / 2;
  clock_lap();
  gipc_handle **readers = calloc(handle_count + 1, sizeof(gipc_handle *));
  gipc_handle **writers = readers + expected;
  make_pipes(expected, readers, writers);
  (strcmp(name, "push") == 0 ? get_on_loop : get_in_set)(readers, writers,
                                                         expected);
  for (size_t i = 0; i < 2 * expected; i++)
    gipc_handle_free(readers[i]);
  free(readers);
  struct lap handles_took = clock_lap();
  use_children(child_count);
  struct lap children_took = clock_lap();
  printf("handles=%zu wall=%.3f cpu=%.3f children=%zu children_wall=%.3f "
         "children_cpu=%.3f\n",
         2 * got, handles_took.wall, handles_took.cpu, child_count,
         children_took.wall, children_took.cpu);
  return got == expected ? 0 : 1;
}
