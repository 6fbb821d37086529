/* Keepers on a libev loop: services are started in order, restarted, reloaded
 * and stopped in reverse order. */
#include "support_keeper.h"

#define QUICK "first_delay=0.001 longest_delay=0.01 jitter=-1 "

/* ---- Start and stop ------------------------------------------------------ */

static void services_start_in_order_when_those_before_are_ready(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "grw", "notify=1");
  add(keeper, "b", "w", "");
  add(keeper, "c", "rw", "notify=1");
  start_keeper(keeper);
  run_until_log("a started", 1);
  for (int i = 0; i < 5; i++)
    ev_run(happened.loop, EVRUN_NOWAIT);
  CHECK_IS((long)happened.count, 1);
  memory->go = 1;
  run_until_log("c ready", 1);
  const char *const order[] = {"a started", "a ready",   "b started",
                               "b ready",   "c started", "c ready"};
  for (size_t i = 0; i < 6; i++)
    assert_string_equal(happened.lines[i], order[i]);
  gipc_service_stats stats = service_stats(keeper, 0);
  CHECK(stats.state == GIPC_WORKER_READY && stats.pid > 0 && stats.is_kept);
  CHECK(stats.starts == 1 && stats.failures == 0 && stats.has_info == 0);
  CHECK(stats.ready_for >= 0 && stats.process != 0);
  end_keeper(keeper);
}

/* H55 */
static void services_stop_in_reverse_order(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "w", "");
  add(keeper, "b", "irw", "notify=1 grace=0.05"); /* ignores SIGTERM */
  add(keeper, "c", "srw", "notify=1");            /* is stopped */
  start_keeper(keeper);
  run_until_log("c started", 1);
  while (state_of(service_stats(keeper, 2).pid) != 'T')
    usleep(1000);
  OK(gipc_keeper_stop(keeper));
  OK(gipc_keeper_stop(keeper));
  CHECK_IS(times("c stopping stopped"), 0); /* no callback within a call */
  run_to_end(GIPC_WHY_STOPPED);
  const char *const order[] = {"c stopping stopped", "c ended signal=15",
                               "b stopping stopped", "b killed",
                               "b ended signal=9",   "a stopping stopped",
                               "a ended signal=15"};
  CHECK_IS((long)happened.count, 5 + 7);
  for (size_t i = 0; i < 7; i++)
    assert_string_equal(happened.lines[happened.count - 7 + i], order[i]);
  gipc_service_stats stats = service_stats(keeper, 1);
  CHECK(stats.state == GIPC_WORKER_OFF && stats.pid == 0 && !stats.is_kept);
  CHECK(stats.why == GIPC_WHY_STOPPED && stats.has_info);
  CHECK(stats.info.signal == SIGKILL && stats.failures == 0);
  RESULT(gipc_keeper_reload(keeper, 0), GIPC_EDEAD);
  RESULT(gipc_keeper_signal(keeper, 0, 0), GIPC_EDEAD);
  OK(gipc_keeper_stop(keeper)); /* has no effect any more */
  drop_keeper(keeper);
}

/* ---- Restarts ------------------------------------------------------------ */

static void the_restart_rule_decides(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "x0", QUICK "restart=0");
  add(keeper, "b", "x3|x0", QUICK "restart=1");
  add(keeper, "c", "x3", QUICK "restart=2");
  start_keeper(keeper);
  run_until_log("a started", 5);
  run_until_log("b finished", 1);
  run_until_log("c finished", 1);
  CHECK(times("b started") == 2 && times("c started") == 1);
  CHECK(times("b ended exit=3") == 1 && times("b ended exit=0") == 1);
  CHECK(place("c ended exit=3", 0) < place("c finished", 0));
  CHECK(!service_stats(keeper, 1).is_kept && service_stats(keeper, 0).is_kept);
  CHECK(service_stats(keeper, 0).failures >= 4);
  end_keeper(keeper);
}

static void a_keeper_ends_when_all_services_have_finished(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "x3|x0", QUICK "restart=1");
  add(keeper, "b", "x0", QUICK "restart=2");
  start_keeper(keeper);
  run_to_end(GIPC_WHY_DONE);
  drop_keeper(keeper);
}

/* H136 */
static void restarts_are_delayed_more_and_more(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "k", "first_delay=0.01 growth=4 jitter=-1 limit=3");
  double began = now();
  start_keeper(keeper);
  run_until_log("a started", 4);
  CHECK(now() - began >= 0.01 + 0.04 + 0.16);
  run_to_end(GIPC_WHY_GAVE_UP);
  CHECK(times("a ended signal=9") == 4 && times("a gave_up") == 1);
  drop_keeper(keeper);
}

static void the_others_run_on_when_one_is_given_up(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "w", "");
  add(keeper, "b", "x1", QUICK "limit=2");
  start_keeper(keeper);
  run_until_log("b gave_up", 1);
  CHECK(times("b started") == 3 && times("a ended signal=15") == 0);
  CHECK(service_stats(keeper, 0).state == GIPC_WORKER_READY);
  end_keeper(keeper);
}

static void strategies_restart_the_others(void **state) {
  for (int strategy = 0; strategy < 3; strategy++) {
    gipc_keeper *keeper = new_keeper(strategy);
    add(keeper, "a", "w", QUICK);
    add(keeper, "b", "gk|w", QUICK);
    add(keeper, "c", "rw", QUICK "notify=1");
    start_keeper(keeper);
    run_until_log("c ready", 1);
    memory->go = 1;
    run_until_log("b ready", 2);
    bool all = strategy == GIPC_ALL_FOR_ONE, none = strategy == 0;
    run_until_log("c ready", none ? 1 : 2);
    CHECK_IS(times("a stopping group"), all ? 1 : 0);
    CHECK_IS(times("c stopping group"), none ? 0 : 1);
    if (all)
      CHECK(place("c stopping group", 0) < place("a stopping group", 0) &&
            place("a started", 1) < place("b started", 1));
    if (!none)
      CHECK(place("b started", 1) < place("c started", 1));
    end_keeper(keeper);
  }
}

/* ---- Readiness and signs of life ----------------------------------------- */

/* H136 */
static void one_that_is_not_ready_in_time_is_stopped(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "w|rw", QUICK "notify=1 ready_within=0.05");
  start_keeper(keeper);
  run_until_log("a ready", 1);
  CHECK(place("a stopping not_ready", 0) < place("a ended signal=15", 0));
  CHECK(service_stats(keeper, 0).starts >= 2);
  end_keeper(keeper);
}

static void readiness_counts_although_the_process_ends_at_once(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "rx0", QUICK "notify=1 restart=2");
  add(keeper, "b", "x0", QUICK "restart=2");
  start_keeper(keeper);
  run_until_log("a started", 1);
  while (state_of(service_stats(keeper, 0).pid) != 'Z')
    usleep(1000);
  run_to_end(GIPC_WHY_DONE);
  CHECK(place("a ready", 0) < place("a ended exit=0", 0));
  drop_keeper(keeper);
}

/* H136 */
static void one_that_is_silent_is_asked_for_a_dump(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "draw|rA", QUICK "notify=1 silence=0.2 dump=60");
  RESULT(gipc_keeper_set_dump_signal(keeper, -1), -EINVAL);
  RESULT(gipc_keeper_set_dump_signal(keeper, 1000), -EINVAL);
  OK(gipc_keeper_set_dump_signal(keeper, SIGUSR1));
  start_keeper(keeper);
  run_until_log("a ready", 2);
  CHECK(place("a ready", 0) < place("a silent", 0));
  CHECK(place("a silent", 0) < place("a ended exit=5", 0));
  CHECK_IS(memory->dumps, 1);
  end_keeper(keeper);
}

static void one_that_is_silent_is_stopped(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "irw", QUICK "notify=1 silence=0.05 dump=0.01 grace=0.01");
  start_keeper(keeper);
  run_until_log("a ready", 2);
  CHECK(place("a ready", 0) < place("a silent", 0));
  CHECK(place("a silent", 0) < place("a stopping silent", 0));
  CHECK(place("a stopping silent", 0) < place("a killed", 0));
  CHECK(place("a killed", 0) < place("a ended signal=9", 0));
  end_keeper(keeper);
}

/* Without notify: ready when it is started, and silent when it is silent. */
static void signs_of_life_count_without_readiness(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "A", "silence=30");
  add(keeper, "b", "w", QUICK "silence=0.05 dump=0.01 grace=0.05");
  start_keeper(keeper);
  run_until_log("b stopping silent", 2);
  CHECK(times("a silent") == 0 && times("a ready") == 1);
  CHECK(times("b ready") == 2);
  end_keeper(keeper);
}

/* ---- Reload -------------------------------------------------------------- */

static void
a_reload_stops_the_old_process_when_the_new_one_is_ready(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "rw|grw", "notify=1");
  start_keeper(keeper);
  run_until_log("a ready", 1);
  int old = service_stats(keeper, 0).pid;
  OK(gipc_keeper_reload(keeper, 0));
  RESULT(gipc_keeper_reload(keeper, 0), GIPC_ELOCKED);
  run_until_log("a started", 2);
  CHECK(service_stats(keeper, 0).pid == old && state_of(old) != 'X');
  memory->go = 1;
  run_until_log("a ended signal=15", 1);
  const char *const order[] = {
      "a started",  "a ready",           "a started",         "a ready",
      "a reloaded", "a stopping reload", "a ended signal=15", NULL};
  for (size_t i = 0; order[i] != NULL; i++)
    assert_string_equal(happened.lines[i], order[i]);
  CHECK(service_stats(keeper, 0).pid != old &&
        service_stats(keeper, 0).starts == 2);
  CHECK(service_stats(keeper, 0).failures == 0);
  end_keeper(keeper);
}

static void a_reload_that_fails_has_no_effect(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "rw|x4", "notify=1");
  start_keeper(keeper);
  run_until_log("a ready", 1);
  int old = service_stats(keeper, 0).pid;
  OK(gipc_keeper_reload(keeper, 0));
  run_until_log("a reload_failed", 1);
  CHECK(place("a ended exit=4", 0) < place("a reload_failed", 0));
  CHECK(service_stats(keeper, 0).pid == old);
  CHECK(service_stats(keeper, 0).state == GIPC_WORKER_READY);
  end_keeper(keeper);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(services_start_in_order_when_those_before_are_ready),
      TEST(services_stop_in_reverse_order),
      TEST(the_restart_rule_decides),
      TEST(a_keeper_ends_when_all_services_have_finished),
      TEST(restarts_are_delayed_more_and_more),
      TEST(the_others_run_on_when_one_is_given_up),
      TEST(strategies_restart_the_others),
      TEST(one_that_is_not_ready_in_time_is_stopped),
      TEST(readiness_counts_although_the_process_ends_at_once),
      TEST(one_that_is_silent_is_asked_for_a_dump),
      TEST(one_that_is_silent_is_stopped),
      TEST(signs_of_life_count_without_readiness),
      TEST(a_reload_stops_the_old_process_when_the_new_one_is_ready),
      TEST(a_reload_that_fails_has_no_effect),
  };
  return cmocka_run_group_tests_name("keeper", tests, share_memory, NULL);
}
