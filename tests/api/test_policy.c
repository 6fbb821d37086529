/* The functions of policies: arguments, structs of other versions, wrong rules,
 * and what a driver may report too late or twice.  What they decide is tested
 * in tests/unit/test_pool_*. */
#include "support.h"

#include <math.h>

static gipc_policy *pool;

static const gipc_rules two = {
    .size = sizeof two, .most = 2, .least = 2, .queue_limit = 4};

static int setup(void **state) {
  int result = test_setup(state);
  return result != 0 ? result : gipc_policy_new_pool(&two, &pool);
}

static int end(void **state) {
  gipc_policy_free(pool);
  pool = NULL;
  return test_end(state);
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

/* ---- Helpers ------------------------------------------------------------- */

/* The next action must be of this kind. */
static gipc_action next(int kind) {
  gipc_action action = {.size = sizeof action};
  RESULT(gipc_policy_next(pool, 1, &action), 1);
  assert_int_equal(action.kind, kind);
  return action;
}
static void nothing(void) {
  gipc_action action = {.size = sizeof action};
  RESULT(gipc_policy_next(pool, 1, &action), 0);
}

static int received(uint64_t worker, const char *bytes, size_t size) {
  gipc_worker_message message = {.size = sizeof message};
  return gipc_policy_received(pool, worker, bytes, size, 1, &message);
}

static int answer(uint64_t worker, int kind, uint64_t task) {
  gipc_worker_message message = {
      .size = sizeof message, .kind = kind, .task = task};
  char bytes[64];
  size_t size;
  OK(gipc_worker_encode(&message, bytes, sizeof bytes, &size));
  return received(worker, bytes, size);
}

/* Two workers that are ready. */
static void start_both(void) {
  for (uint64_t worker = 1; worker <= 2; worker++) {
    assert_int_equal(next(GIPC_ACTION_START).worker, worker);
    OK(gipc_policy_started(pool, worker, 100 + (int)worker, 1));
    OK(received(worker, "R\1", 2));
  }
  nothing();
}

static uint64_t submit(void) {
  uint64_t task = 0;
  OK(gipc_policy_submit(pool, NULL, &task));
  return task;
}

/* ---- Arguments ----------------------------------------------------------- */

static void every_null_is_refused(void **state) {
  gipc_policy *unset = (gipc_policy *)&pool, *policy = unset;
  const gipc_rules *rules[] = {&two};
  gipc_rules set = two;
  gipc_exit_info info = {.size = sizeof info};
  gipc_action action = {.size = sizeof action};
  gipc_policy_stats stats = {.size = sizeof stats};
  gipc_worker_stats worker = {.size = sizeof worker};
  gipc_worker_message message = {.size = sizeof message};
  uint64_t task = 77;
  RESULT(gipc_policy_new_pool(NULL, NULL), -EINVAL);
  RESULT(gipc_policy_new_keeper(0, NULL, 1, &policy), -EINVAL);
  RESULT(gipc_policy_new_keeper(0, rules, 0, &policy), -EINVAL);
  RESULT(gipc_policy_new_keeper(0, rules, 1, NULL), -EINVAL);
  RESULT(gipc_policy_new_keeper(-1, rules, 1, &policy), -EINVAL);
  RESULT(gipc_policy_new_keeper(3, rules, 1, &policy), -EINVAL);
  RESULT(gipc_rules_set(NULL, "most", 1), -EINVAL);
  RESULT(gipc_rules_set(&set, NULL, 1), -EINVAL);
  assert_null(gipc_rules_wrong(NULL));
  gipc_policy_free(NULL);
  RESULT(gipc_policy_submit(NULL, NULL, &task), -EINVAL);
  RESULT(gipc_policy_submit(pool, NULL, NULL), -EINVAL);
  RESULT(gipc_policy_cancel(NULL, 1, 0), -EINVAL);
  RESULT(gipc_policy_started(NULL, 1, 1, 0), -EINVAL);
  RESULT(gipc_policy_start_failed(NULL, 1, -ENOENT, 0), -EINVAL);
  RESULT(gipc_policy_start_failed(pool, 1, 0, 0), -EINVAL);
  RESULT(gipc_policy_ended(NULL, 1, &info, 0), -EINVAL);
  RESULT(gipc_policy_ended(pool, 1, NULL, 0), -EINVAL);
  RESULT(gipc_policy_ready(NULL, 1, 0), -EINVAL);
  RESULT(gipc_policy_alive(NULL, 1, 0), -EINVAL);
  RESULT(gipc_policy_memory(NULL, 1, 1, 0), -EINVAL);
  RESULT(gipc_policy_misbehaved(NULL, 1, 0), -EINVAL);
  RESULT(gipc_policy_refused(NULL, 1, 1, -EPIPE, 0), -EINVAL);
  RESULT(gipc_policy_refused(pool, 1, 1, 0, 0), -EINVAL);
  RESULT(gipc_policy_received(NULL, 1, "A", 1, 0, &message), -EINVAL);
  RESULT(gipc_policy_received(pool, 1, NULL, 1, 0, &message), -EINVAL);
  RESULT(gipc_policy_received(pool, 1, "A", 1, 0, NULL), -EINVAL);
  RESULT(gipc_policy_reload(NULL, 0, 0), -EINVAL);
  RESULT(gipc_policy_stop(NULL, 0, 0), -EINVAL);
  RESULT(gipc_policy_next(NULL, 0, &action), -EINVAL);
  RESULT(gipc_policy_next(pool, 0, NULL), -EINVAL);
  assert_true(isinf(gipc_policy_next_time(NULL)));
  RESULT(gipc_policy_get_stats(NULL, &stats), -EINVAL);
  RESULT(gipc_policy_get_stats(pool, NULL), -EINVAL);
  RESULT(gipc_policy_worker_stats(NULL, 0, &worker), -EINVAL);
  RESULT(gipc_policy_worker_stats(pool, 0, NULL), -EINVAL);
  assert_ptr_equal(policy, unset);
  assert_int_equal(task, 77);
}

static void a_time_that_is_no_number_is_refused(void **state) {
  gipc_exit_info info = {.size = sizeof info};
  gipc_action action = {.size = sizeof action};
  gipc_worker_message message = {.size = sizeof message};
  double nan = NAN;
  RESULT(gipc_policy_next(pool, nan, &action), -EINVAL);
  start_both();
  uint64_t task = submit();
  RESULT(gipc_policy_cancel(pool, task, nan), -EINVAL);
  RESULT(gipc_policy_started(pool, 1, 1, nan), -EINVAL);
  RESULT(gipc_policy_start_failed(pool, 1, -1, nan), -EINVAL);
  RESULT(gipc_policy_ended(pool, 1, &info, nan), -EINVAL);
  RESULT(gipc_policy_ready(pool, 1, nan), -EINVAL);
  RESULT(gipc_policy_alive(pool, 1, nan), -EINVAL);
  RESULT(gipc_policy_memory(pool, 1, 1, nan), -EINVAL);
  RESULT(gipc_policy_misbehaved(pool, 1, nan), -EINVAL);
  RESULT(gipc_policy_refused(pool, 1, 1, -EPIPE, nan), -EINVAL);
  RESULT(gipc_policy_received(pool, 1, "A", 1, nan, &message), -EINVAL);
  RESULT(gipc_policy_stop(pool, nan, 1), -EINVAL);
  RESULT(gipc_policy_stop(pool, 1, nan), -EINVAL);
  next(GIPC_ACTION_SEND); /* nothing was changed */
  nothing();
}

static void a_keeper_is_no_pool_and_a_pool_no_keeper(void **state) {
  const gipc_rules *rules[] = {&two, NULL};
  gipc_policy *keeper = NULL;
  gipc_policy_stats stats = {.size = sizeof stats};
  gipc_worker_message message = {.size = sizeof message};
  uint64_t task;
  OK(gipc_policy_new_keeper(GIPC_ONE_FOR_ONE, rules, 2, &keeper));
  RESULT(gipc_policy_submit(keeper, NULL, &task), -EINVAL);
  RESULT(gipc_policy_cancel(keeper, 1, 0), -EINVAL);
  RESULT(gipc_policy_memory(keeper, 1, 1, 0), -EINVAL);
  RESULT(gipc_policy_misbehaved(keeper, 1, 0), -EINVAL);
  RESULT(gipc_policy_refused(keeper, 1, 1, -EPIPE, 0), -EINVAL);
  RESULT(gipc_policy_received(keeper, 1, "A", 1, 0, &message), -EINVAL);
  RESULT(gipc_policy_get_stats(keeper, &stats), -EINVAL);
  RESULT(gipc_policy_reload(keeper, 2, 0), -EINVAL);
  RESULT(gipc_policy_reload(keeper, 1, 0), GIPC_EDEAD);
  RESULT(gipc_policy_reload(pool, 0, 0), -EINVAL);
  gipc_policy_free(keeper);
}

/* ---- Rules --------------------------------------------------------------- */

static void a_wrong_rule_is_named(void **state) {
  static const struct {
    const char *name;
    double value;
  } wrong[] = {{"least", 3},        {"queue_low", 4},
               {"poison", -1},      {"prepare_failures", -1},
               {"restart", 3},      {"restart", -1},
               {"first_delay", 31}, {"growth", 0.5},
               {"jitter", 1.5},     {"healthy", -1},
               {"limit", -1},       {"limit", 100001},
               {"window", -1},      {"notify", 2},
               {"notify", -1},      {"ahead", 1 << 20}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    gipc_rules rules = two;
    gipc_policy *policy = NULL;
    const gipc_rules *one[] = {&rules};
    OK(gipc_rules_set(&rules, wrong[i].name, wrong[i].value));
    const char *name = gipc_rules_wrong(&rules);
    assert_non_null(name);
    /* The longest delay is below the first one, which has its name. */
    assert_string_equal(name, strcmp(wrong[i].name, "first_delay") == 0
                                  ? "longest_delay"
                                  : wrong[i].name);
    RESULT(gipc_policy_new_pool(&rules, &policy), -EINVAL);
    RESULT(gipc_policy_new_keeper(0, one, 1, &policy), -EINVAL);
    assert_null(policy);
  }
}

static void every_rule_has_its_name(void **state) {
  static const char *const names[] = {
      "most",         "least",   "queue_limit",      "queue_low",
      "retire_tasks", "idle",    "retire_memory",    "poison",
      "grace",        "restart", "prepare_failures", "ready_within",
      "silence",      "dump",    "first_delay",      "longest_delay",
      "growth",       "jitter",  "healthy",          "window",
      "limit",        "seed",    "notify",           "ahead"};
  gipc_rules rules = {.size = sizeof rules};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    gipc_rules before = rules;
    OK(gipc_rules_set(&rules, names[i], 1));
    assert_memory_not_equal(&rules, &before, sizeof rules);
  }
  assert_true(rules.most == 1 && rules.seed == 1 && rules.limit == 1);
  assert_true(rules.idle == 1 && rules.poison == 1);
  RESULT(gipc_rules_set(&rules, "mosts", 1), -ENOENT);
  RESULT(gipc_rules_set(&rules, "size", 1), -ENOENT);
  RESULT(gipc_rules_set(&rules, "", 1), -ENOENT);
}

static void a_value_that_a_rule_cannot_have_is_refused(void **state) {
  gipc_rules rules = two, before = rules;
  const double counts[] = {-1, 0.5, NAN, INFINITY, 18446744073709551616.0};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    RESULT(gipc_rules_set(&rules, "most", counts[i]), -EINVAL);
  const double numbers[] = {0.5, NAN, -INFINITY, 2147483648.0, -2147483649.0};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    RESULT(gipc_rules_set(&rules, "limit", numbers[i]), -EINVAL);
  RESULT(gipc_rules_set(&rules, "grace", NAN), -EINVAL);
  assert_memory_equal(&rules, &before, sizeof rules);
  OK(gipc_rules_set(&rules, "grace", INFINITY));
  OK(gipc_rules_set(&rules, "limit", 2147483647));
}

static void rules_of_a_task_are_checked(void **state) {
  uint64_t task = 0;
  gipc_task_rules good = {.size = sizeof good,
                          .timeout = -1,
                          .priority = -5,
                          .retries = 2,
                          .retry_for = 7};
  gipc_task_rules rules = good;
  rules.retries = -1;
  RESULT(gipc_policy_submit(pool, &rules, &task), -EINVAL);
  rules = good;
  rules.retry_for = 8;
  RESULT(gipc_policy_submit(pool, &rules, &task), -EINVAL);
  rules = good;
  rules.timeout = NAN;
  RESULT(gipc_policy_submit(pool, &rules, &task), -EINVAL);
  assert_int_equal(task, 0);
  OK(gipc_policy_submit(pool, &good, &task));
  assert_int_equal(task, 1);
}

/* ---- Structs of other versions ------------------------------------------- */

typedef int (*filling)(void *out);
static int fill_stats(void *out) { return gipc_policy_get_stats(pool, out); }
static int fill_worker(void *out) {
  return gipc_policy_worker_stats(pool, 0, out);
}
static int fill_message(void *out) {
  return gipc_worker_decode("T\0\0\0\0\0\0\0\7\0\0\0\1x", 14, out);
}

static void try_sizes(filling fill_it, size_t least, size_t known) {
  unsigned char full[600], out[600];
  memset(full, 0xEE, sizeof full);
  memcpy(full, &known, sizeof known);
  OK(fill_it(full));
  for (size_t size = 0; size <= known + 16; size++) {
    size_t filled = size < known ? size : known;
    memset(out, 0xEE, sizeof out);
    memcpy(out, &size, sizeof size);
    RESULT(fill_it(out), size < least ? -EINVAL : 0);
    for (size_t at = sizeof size; at < sizeof out; at++)
      assert_int_equal(out[at], size < least || at >= size ? 0xEE
                                : at < filled              ? full[at]
                                                           : 0);
  }
  size_t absurd = 4097;
  memcpy(out, &absurd, sizeof absurd);
  RESULT(fill_it(out), -E2BIG);
}

#define END_OF(type, member) (offsetof(type, member) + sizeof((type){0}.member))

static void structs_are_filled_up_to_the_size_of_the_program(void **state) {
  start_both();
  submit();
  try_sizes(fill_stats, END_OF(gipc_policy_stats, queued),
            sizeof(gipc_policy_stats));
  try_sizes(fill_worker, END_OF(gipc_worker_stats, worker),
            sizeof(gipc_worker_stats));
  try_sizes(fill_message, offsetof(gipc_worker_message, attempt),
            sizeof(gipc_worker_message));
}

static void an_action_is_not_lost_to_a_wrong_size(void **state) {
  gipc_action action = {.size = sizeof action.size};
  RESULT(gipc_policy_next(pool, 1, &action), -EINVAL);
  action.size = 4097;
  RESULT(gipc_policy_next(pool, 1, &action), -E2BIG);
  assert_int_equal(next(GIPC_ACTION_START).worker, 1);
  action.size = END_OF(gipc_action, worker);
  RESULT(gipc_policy_next(pool, 1, &action), 1);
  assert_int_equal(action.kind, GIPC_ACTION_START);
  assert_int_equal(action.worker, 2);
}

static void structs_that_are_read_may_be_older_or_newer(void **state) {
  struct {
    gipc_rules now;
    uint64_t later;
  } newer = {.now = two};
  gipc_policy *policy = NULL;
  newer.now.size = sizeof newer;
  OK(gipc_policy_new_pool(&newer.now, &policy));
  gipc_policy_free(policy);
  policy = NULL;
  newer.later = 1;
  RESULT(gipc_policy_new_pool(&newer.now, &policy), -E2BIG);
  assert_string_equal(gipc_rules_wrong(&newer.now), "size");
  newer.now.size = END_OF(gipc_rules, least);
  OK(gipc_policy_new_pool(&newer.now, &policy));
  gipc_policy_free(policy);
  RESULT(gipc_rules_set(&newer.now, "grace", 1), -ENOENT);
  newer.now.size = 0;
  RESULT(gipc_policy_new_pool(&newer.now, &policy), -EINVAL);
  RESULT(gipc_rules_set(&newer.now, "most", 1), -EINVAL);
  gipc_task_rules task_rules = {.size = 1};
  uint64_t task;
  RESULT(gipc_policy_submit(pool, &task_rules, &task), -EINVAL);
  task_rules.size = END_OF(gipc_task_rules, timeout);
  OK(gipc_policy_submit(pool, &task_rules, &task));
  gipc_exit_info info = {.size = 1};
  next(GIPC_ACTION_START);
  RESULT(gipc_policy_ended(pool, 1, &info, 1), -EINVAL);
}

/* ---- Reports out of turn ------------------------------------------------- */

static void an_answer_before_ready_costs_the_worker(void **state) {
  next(GIPC_ACTION_START);
  next(GIPC_ACTION_START);
  nothing();
  OK(gipc_policy_started(pool, 1, 101, 1));
  uint64_t task = submit();
  RESULT(answer(1, GIPC_MESSAGE_DONE, task), GIPC_EPROTOCOL);
  gipc_action stop = next(GIPC_ACTION_STOP);
  assert_int_equal(stop.worker, 1);
  assert_int_equal(stop.why, GIPC_WHY_PROTOCOL);
  assert_int_equal(stop.pid, 101);
  nothing();
}

static void a_wrong_answer_costs_the_worker_and_its_task(void **state) {
  start_both();
  uint64_t task = submit();
  uint64_t worker = next(GIPC_ACTION_SEND).worker;
  RESULT(answer(worker, GIPC_MESSAGE_DONE, task + 1), GIPC_EPROTOCOL);
  assert_int_equal(next(GIPC_ACTION_STOP).why, GIPC_WHY_PROTOCOL);
  /* The right answer comes too late. */
  RESULT(answer(worker, GIPC_MESSAGE_DONE, task), -ENOENT);
  nothing();
}

static void two_answers_cost_the_worker_only(void **state) {
  start_both();
  uint64_t task = submit();
  uint64_t worker = next(GIPC_ACTION_SEND).worker;
  OK(answer(worker, GIPC_MESSAGE_FAILED, task));
  gipc_action finish = next(GIPC_ACTION_FINISH);
  assert_int_equal(finish.task, task);
  assert_int_equal(finish.why, GIPC_WHY_FAILED);
  RESULT(answer(worker, GIPC_MESSAGE_DONE, task), GIPC_EPROTOCOL);
  assert_int_equal(next(GIPC_ACTION_STOP).worker, worker);
}

static void ready_twice_costs_the_worker(void **state) {
  start_both();
  RESULT(received(1, "R\1", 2), GIPC_EPROTOCOL);
  assert_int_equal(next(GIPC_ACTION_STOP).worker, 1);
}

static void what_is_malformed_costs_the_worker(void **state) {
  static const struct {
    const char *bytes;
    size_t size;
  } malformed[] = {
      {"", 0}, {"X", 1}, {"R\2", 2}, {"A\0", 2}, {"D\0\0\0\0\0\0\0", 8}};
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    gipc_policy_free(pool);
    OK(gipc_policy_new_pool(&two, &pool));
    start_both();
    RESULT(received(2, malformed[i].bytes, malformed[i].size), GIPC_EPROTOCOL);
    assert_int_equal(next(GIPC_ACTION_STOP).worker, 2);
    /* Stopped already, it costs nothing more. */
    RESULT(received(2, malformed[i].bytes, malformed[i].size), GIPC_EPROTOCOL);
    nothing();
  }
  /* A task is nothing that a worker sends. */
  RESULT(answer(1, GIPC_MESSAGE_TASK, 1), GIPC_EPROTOCOL);
}

static void who_has_ended_is_not_known(void **state) {
  gipc_exit_info info = {.size = sizeof info, .signal = 9};
  start_both();
  OK(gipc_policy_ended(pool, 1, &info, 1));
  nothing(); /* the next start is delayed */
  for (uint64_t gone = 0; gone <= 1; gone++) {
    RESULT(gipc_policy_ended(pool, gone, &info, 1), -ENOENT);
    RESULT(gipc_policy_started(pool, gone, 1, 1), -ENOENT);
    RESULT(gipc_policy_start_failed(pool, gone, -1, 1), -ENOENT);
    RESULT(gipc_policy_ready(pool, gone, 1), -ENOENT);
    RESULT(gipc_policy_alive(pool, gone, 1), -ENOENT);
    RESULT(gipc_policy_memory(pool, gone, 1, 1), -ENOENT);
    RESULT(gipc_policy_misbehaved(pool, gone, 1), -ENOENT);
    RESULT(received(gone, "A", 1), -ENOENT);
    RESULT(received(gone, "?", 1), -ENOENT);
  }
  RESULT(gipc_policy_cancel(pool, 1, 1), -ENOENT);
  RESULT(gipc_policy_ready(pool, UINT64_MAX, 1), -ENOENT);
}

/* ---- Driven by hand ------------------------------------------------------ */

static void a_task_ends_with_how_its_worker_ended(void **state) {
  gipc_exit_info info = {.size = sizeof info, .signal = 11, .max_rss = 5};
  gipc_worker_stats worker = {.size = sizeof worker};
  gipc_policy_stats stats = {.size = sizeof stats};
  int user;
  gipc_task_rules rules = {.size = sizeof rules, .user = &user};
  uint64_t task;
  start_both();
  OK(gipc_policy_submit(pool, &rules, &task));
  gipc_action send = next(GIPC_ACTION_SEND);
  assert_ptr_equal(send.user, &user);
  assert_int_equal(send.attempt, 1);
  OK(gipc_policy_worker_stats(pool, send.worker - 1, &worker));
  assert_int_equal(worker.task, task);
  assert_int_equal(worker.pid, 100 + (int)send.worker);
  assert_int_equal(worker.state, GIPC_WORKER_READY);
  RESULT(gipc_policy_worker_stats(pool, 2, &worker), -ENOENT);
  OK(gipc_policy_ended(pool, send.worker, &info, 1));
  gipc_action finish = next(GIPC_ACTION_FINISH);
  assert_ptr_equal(finish.user, &user);
  assert_int_equal(finish.why, GIPC_WHY_DIED);
  assert_int_equal(finish.has_info, 1);
  assert_int_equal(finish.info.signal, 11);
  assert_int_equal(finish.info.max_rss, 5);
  OK(gipc_policy_get_stats(pool, &stats));
  assert_int_equal(stats.failures, 1);
  assert_int_equal(stats.finished[GIPC_WHY_DIED], 1);
}

static void a_full_queue_says_when_it_drained(void **state) {
  uint64_t task = 0;
  for (int i = 0; i < 4; i++)
    submit();
  RESULT(gipc_policy_submit(pool, NULL, &task), -EAGAIN);
  assert_int_equal(task, 0);
  for (uint64_t i = 4; i > 2; i--) {
    OK(gipc_policy_cancel(pool, i, 1));
    assert_int_equal(next(GIPC_ACTION_FINISH).why, GIPC_WHY_CANCELLED);
  }
  next(GIPC_ACTION_START);
  next(GIPC_ACTION_START);
  next(GIPC_ACTION_DRAINED);
  OK(gipc_policy_stop(pool, 0, 1));
  RESULT(gipc_policy_submit(pool, NULL, &task), GIPC_ECLOSED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      POOL_TEST(every_null_is_refused),
      POOL_TEST(a_time_that_is_no_number_is_refused),
      POOL_TEST(a_keeper_is_no_pool_and_a_pool_no_keeper),
      POOL_TEST(a_wrong_rule_is_named),
      POOL_TEST(every_rule_has_its_name),
      POOL_TEST(a_value_that_a_rule_cannot_have_is_refused),
      POOL_TEST(rules_of_a_task_are_checked),
      POOL_TEST(structs_are_filled_up_to_the_size_of_the_program),
      POOL_TEST(an_action_is_not_lost_to_a_wrong_size),
      POOL_TEST(structs_that_are_read_may_be_older_or_newer),
      POOL_TEST(an_answer_before_ready_costs_the_worker),
      POOL_TEST(a_wrong_answer_costs_the_worker_and_its_task),
      POOL_TEST(two_answers_cost_the_worker_only),
      POOL_TEST(ready_twice_costs_the_worker),
      POOL_TEST(what_is_malformed_costs_the_worker),
      POOL_TEST(who_has_ended_is_not_known),
      POOL_TEST(a_task_ends_with_how_its_worker_ended),
      POOL_TEST(a_full_queue_says_when_it_drained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
