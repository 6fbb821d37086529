/* What callbacks of a keeper may do: free, stop and reload it, run its loop,
 * change what is started, and end the loop; and what a fork of the program
 * leaves of it. */
#include "support_keeper.h"

#define QUICK "first_delay=0.001 longest_delay=0.01 jitter=-1 "

/* ---- Freed, stopped, reloaded inside ------------------------------------- */

static int free_at; /* a kind of change */
static void free_when(gipc_keeper *keeper, const gipc_service_change *change) {
  if (change->kind != free_at)
    return;
  gipc_keeper_free(keeper);
  free_at = 0;
}

static void a_keeper_is_freed_in_on_service(void **state) {
  for (int kind = GIPC_SERVICE_STARTED; kind <= GIPC_SERVICE_GAVE_UP; kind++) {
    gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
    add(keeper, "a", "riw|rw",
        QUICK "notify=1 silence=0.05 dump=0.001 grace=0.01");
    add(keeper, "b", "x0", QUICK "restart=1");
    add(keeper, "c", "x1", QUICK "limit=1");
    bool reloads = kind == GIPC_SERVICE_RELOADED;
    add(keeper, "d", reloads ? "rw" : "rw|x0", QUICK "notify=1");
    start_keeper(keeper);
    free_at = kind;
    happened.on_service = free_when;
    if (reloads || kind == GIPC_SERVICE_RELOAD_FAILED) {
      run_until_log("d ready", 1);
      OK(gipc_keeper_reload(keeper, 3));
    }
    while (free_at != 0)
      CHECK(ev_run(happened.loop, EVRUN_ONCE) || free_at == 0);
    size_t count = happened.count;
    ev_run(happened.loop, 0); /* nothing is left on it */
    CHECK(happened.count == count && happened.end_why == -1);
    drop_keeper(NULL);
  }
}

static void free_at_end(gipc_keeper *keeper, int why, void *user) {
  gipc_keeper_free(keeper);
  happened.end_why = why;
}

static int free_at_start(gipc_keeper *keeper, size_t service,
                         gipc_options *options, void *user) {
  gipc_keeper_free(keeper);
  return 0;
}

static void start_with(gipc_keeper *keeper, gipc_keeper_events events) {
  memset(&happened, 0, sizeof happened);
  happened.end_why = -1;
  happened.loop = ev_loop_new(EVFLAG_AUTO);
  OK(gipc_keeper_start(keeper, happened.loop, &events, &happened));
}

static void a_keeper_is_freed_in_its_other_callbacks(void **state) {
  gipc_keeper_events events = keeper_events;
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "x0", "restart=2");
  events.on_end = free_at_end;
  start_with(keeper, events);
  run_to_end(GIPC_WHY_DONE);
  drop_keeper(NULL);
  keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "w", "");
  events = keeper_events;
  events.on_start = free_at_start;
  start_with(keeper, events);
  ev_run(happened.loop, 0);
  CHECK(happened.count == 0 && !has_children());
  drop_keeper(NULL);
}

static void stop_it(gipc_keeper *keeper, const gipc_service_change *change) {
  if (change->kind == GIPC_SERVICE_STARTED && change->service == 1)
    CHECK_OK(gipc_keeper_stop(keeper));
}

static void a_keeper_is_stopped_in_on_service(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "w", "");
  add(keeper, "b", "w", "");
  add(keeper, "c", "w", "");
  start_keeper(keeper);
  happened.on_service = stop_it;
  run_to_end(GIPC_WHY_STOPPED);
  CHECK(times("c started") == 0);
  CHECK(place("b stopping stopped", 0) < place("a stopping stopped", 0));
  drop_keeper(keeper);
}

static void reload_it(gipc_keeper *keeper, const gipc_service_change *change) {
  if (change->kind == GIPC_SERVICE_READY && times("a ready") == 1)
    CHECK_OK(gipc_keeper_reload(keeper, 0));
}

static void a_service_is_reloaded_in_on_service(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "rw", "notify=1");
  start_keeper(keeper);
  happened.on_service = reload_it;
  run_until_log("a ended signal=15", 1);
  CHECK(times("a reloaded") == 1 && times("a ready") == 2);
  end_keeper(keeper);
}

static int depth, deepest;
static void run_nested(gipc_keeper *keeper, const gipc_service_change *change) {
  gipc_service_change before = *change;
  if (depth == 3)
    return;
  deepest = deepest > ++depth ? deepest : depth;
  ev_run(happened.loop, EVRUN_NOWAIT);
  CHECK_OK(memcmp(&before, change, sizeof before));
  depth--;
}

static void a_callback_may_run_the_loop(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  deepest = 0;
  add(keeper, "a", "rx1", QUICK "notify=1 limit=20");
  add(keeper, "b", "x1", QUICK "limit=20");
  add(keeper, "c", "rx0", QUICK "notify=1 limit=20");
  start_keeper(keeper);
  happened.on_service = run_nested;
  run_to_end(GIPC_WHY_GAVE_UP);
  CHECK(times("a gave_up") == 1 && times("b started") == 21);
  CHECK(deepest > 1);
  drop_keeper(keeper);
}

/* ---- What is started ----------------------------------------------------- */

static int echo(struct ev_loop *fresh, void *argument) {
  gipc_handle *h = *(gipc_handle **)argument;
  const void *data;
  size_t size;
  if (gipc_get(h, -1, &data, &size) != 0)
    return 1;
  return gipc_put(h, data, size, -1) == 0 ? 0 : 2;
}

static gipc_handle *ours, *theirs;
static int starts;
static int pass_a_handle(gipc_keeper *keeper, size_t service,
                         gipc_options *options, void *user) {
  if (starts++ == 1)
    return -EMFILE; /* it could not make one */
  CHECK_OK(gipc_pipe_duplex(&ours, &theirs));
  return gipc_options_pass(options, NULL, theirs);
}

static void each_start_may_have_a_handle_of_its_own(void **state) {
  gipc_keeper_events events = keeper_events;
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  gipc_rules rules = rules_of(QUICK);
  const void *data;
  size_t service, size;
  starts = 0;
  OK(gipc_keeper_add(keeper, "a", echo, &theirs, &rules, NULL, &service));
  events.on_start = pass_a_handle;
  start_with(keeper, events);
  for (size_t i = 1; i <= 2; i++) {
    run_until_log("a ready", i);
    gipc_handle_free(theirs);
    OK(gipc_put(ours, "hello", 5, 60));
    OK(gipc_get(ours, 60, &data, &size));
    CHECK(size == 5 && memcmp(data, "hello", 5) == 0);
    gipc_handle_free(ours);
  }
  CHECK_IS(times("a ended error=24"), 1); /* EMFILE */
  OK(gipc_keeper_stop(keeper));
  run_to_end(GIPC_WHY_STOPPED);
  drop_keeper(keeper);
}

/* ---- The end of the loop, and forks -------------------------------------- */

static void a_keeper_survives_its_loop(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "raw", "notify=1 silence=30");
  start_keeper(keeper);
  run_until_log("a ready", 1);
  ev_loop_destroy(happened.loop);
  OK(gipc_keeper_signal(keeper, 0, 0));
  OK(gipc_keeper_reload(keeper, 0));
  OK(gipc_keeper_stop(keeper));
  happened.loop = ev_loop_new(EVFLAG_AUTO);
  RESULT(gipc_keeper_start(keeper, happened.loop, &keeper_events, &happened),
         GIPC_ELOCKED);
  CHECK(service_stats(keeper, 0).pid > 0);
  drop_keeper(keeper);
}

static int use_in_fork(void *argument) {
  gipc_service_stats stats = {.size = sizeof stats};
  gipc_keeper *keeper = argument;
  size_t service;
  CHILD_CHECK(gipc_keeper_add(keeper, "z", return_argument, NULL, NULL, NULL,
                              &service) == GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_keeper_start(keeper, happened.loop, &keeper_events, NULL) ==
              GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_keeper_reload(keeper, 0) == GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_keeper_signal(keeper, 0, SIGKILL) == GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_keeper_stop(keeper) == GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_keeper_stats(keeper, 0, &stats) == GIPC_EWRONGPROC);
  CHILD_CHECK(gipc_keeper_set_dump_signal(keeper, 0) == GIPC_EWRONGPROC);
  ev_loop_fork(happened.loop);
  ev_run(happened.loop, EVRUN_NOWAIT);
  gipc_keeper_free(keeper);
  return 0;
}

static int use_in_child(struct ev_loop *fresh, void *argument) {
  CHECK_IS(gipc_keeper_stop(argument), GIPC_EWRONGPROC);
  gipc_keeper_free(argument);
  return 3;
}

static void a_child_touches_no_process_of_a_keeper(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "rgaw", "notify=1 silence=30");
  add(keeper, "b", "w", "");
  start_keeper(keeper);
  run_until_log("b ready", 1);
  in_own_fork(use_in_fork, keeper);
  CHECK_IS(in_child(use_in_child, keeper, NULL), 3);
  memory->go = 1; /* it still reports to us */
  for (int i = 0; i < 10; i++)
    ev_run(happened.loop, EVRUN_NOWAIT);
  CHECK_IS((long)happened.count, 4);
  OK(gipc_keeper_reload(keeper, 0));
  run_until_log("a ended signal=15", 1);
  CHECK_IS(times("a ready"), 2);
  end_keeper(keeper);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_keeper_is_freed_in_on_service),
      TEST(a_keeper_is_freed_in_its_other_callbacks),
      TEST(a_keeper_is_stopped_in_on_service),
      TEST(a_service_is_reloaded_in_on_service),
      TEST(a_callback_may_run_the_loop),
      TEST(each_start_may_have_a_handle_of_its_own),
      TEST(a_keeper_survives_its_loop),
      TEST(a_child_touches_no_process_of_a_keeper),
  };
  return cmocka_run_group_tests_name("keeper_callbacks", tests, share_memory,
                                     NULL);
}
