/* Services that are programs, what their processes get, how they end with the
 * keeper, and what a keeper refuses. */
#include "support_keeper.h"

#define QUICK "first_delay=0.001 longest_delay=0.01 jitter=-1 "

static void add_program(gipc_keeper *keeper, const char *name,
                        const char *const argv[], const char *text,
                        const gipc_options *options) {
  gipc_rules rules = rules_of(text);
  size_t service;
  OK(gipc_keeper_add_exec(keeper, name, argv, &rules, options, &service));
}

/* ---- Programs ------------------------------------------------------------ */

static void a_program_that_does_not_exist_is_given_up(void **state) {
  const char *const argv[] = {"/no/such/program", NULL};
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add_program(keeper, "a", argv, QUICK "limit=2", NULL);
  start_keeper(keeper);
  run_to_end(GIPC_WHY_GAVE_UP);
  CHECK_IS(times("a ended error=2"), 3); /* ENOENT */
  CHECK(times("a started") == 0 && times("a gave_up") == 1);
  gipc_service_stats stats = service_stats(keeper, 0);
  CHECK(stats.error == -ENOENT && stats.starts == 3 && stats.failures == 3);
  CHECK(!stats.has_info || stats.info.code == -1);
  drop_keeper(keeper);
}

static void programs_are_kept_as_functions_are(void **state) {
  const char *const sleeps[] = {"sleep", "1000", NULL};
  const char *const fails[] = {"sh", "-c", "exit 7", NULL};
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add_program(keeper, "a", sleeps, "", NULL);
  add_program(keeper, "b", fails, QUICK, NULL);
  start_keeper(keeper);
  run_until_log("b ended exit=7", 3);
  end_keeper(keeper);
  CHECK(times("a started") == 1 && times("a ended signal=15") == 1);
}

static void a_script_reports_by_systemd_notify(void **state) {
  const char *const argv[] = {
      "sh", "-c", "systemd-notify --ready && exec sleep 1000", NULL};
  if (system("command -v systemd-notify >/dev/null") != 0)
    skip_because("there is no systemd-notify");
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add_program(keeper, "a", argv, "notify=1", NULL);
  start_keeper(keeper);
  run_until_log("a ready", 1);
  end_keeper(keeper);
}

/* ---- Last lines ---------------------------------------------------------- */

static char last_lines[5000];

static void keep_lines(gipc_keeper *keeper, const gipc_service_change *change) {
  size_t size = change->last_lines.size;
  CHECK(size < sizeof last_lines);
  CHECK(size == 0 || change->kind == GIPC_SERVICE_ENDED);
  if (change->kind == GIPC_SERVICE_ENDED)
    sprintf(last_lines, "%.*s", (int)size, change->last_lines.data);
}

static void free_it(gipc_keeper *keeper, const gipc_service_change *change) {
  keep_lines(keeper, change);
  if (change->kind != GIPC_SERVICE_ENDED)
    return;
  gipc_keeper_free(keeper);
  happened.end_why = GIPC_WHY_DONE;
}

/* Runs the script once, and returns what the end of its process reports. */
static const char *lines_of(const char *script, int mode,
                            void (*on_service)(gipc_keeper *,
                                               const gipc_service_change *)) {
  const char *const argv[] = {"sh", "-c", script, NULL};
  gipc_options *options = new_options();
  OK(gipc_options_set_stdio(options, 2, mode, -1));
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add_program(keeper, "a", argv, "restart=2", options);
  gipc_options_free(options);
  start_keeper(keeper);
  happened.on_service = on_service;
  strcpy(last_lines, "none");
  run_to_end(GIPC_WHY_DONE);
  drop_keeper(on_service == free_it ? NULL : keeper);
  return last_lines;
}

static void the_end_of_a_service_has_its_last_lines(void **state) {
  const char *complain = "echo first >&2; echo last >&2; exit 3";
  assert_string_equal(lines_of(complain, GIPC_STDIO_PIPE, keep_lines),
                      "first\nlast\n");
  assert_string_equal(lines_of(complain, GIPC_STDIO_PIPE, free_it),
                      "first\nlast\n");
  assert_string_equal(lines_of(complain, GIPC_STDIO_NULL, keep_lines), "");
  assert_string_equal(lines_of("exit 3", GIPC_STDIO_PIPE, keep_lines), "");
  /* More than a pipe takes: it is read while the process runs. */
  const char *lot = "yes 'a line of 16 B' | head -n 20000 >&2; echo last >&2";
  const char *lines = lines_of(lot, GIPC_STDIO_PIPE, keep_lines);
  CHECK(strlen(lines) > 4000 && strncmp(lines, "a line", 6) == 0);
  assert_string_equal(lines + strlen(lines) - 5, "last\n");
}

/* ---- The environment ----------------------------------------------------- */

static void check_environment(const char *rules, const gipc_options *options,
                              const char *expected) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add_with(keeper, "a", "ex0", rules, options);
  start_keeper(keeper);
  run_to_end(GIPC_WHY_DONE);
  const char *got = memory->environment;
  if (expected[0] == ';') { /* any address of its own */
    CHECK(got[0] == (portable() ? '/' : '@'));
    CHECK(strncmp(got, "@of our supervisor", 18) != 0);
    got = strchr(got, ';');
  }
  assert_string_equal(got, expected);
  drop_keeper(keeper);
}

/* H132 */
static void no_service_reports_to_the_supervisor_of_its_keeper(void **state) {
  gipc_options *options = new_options();
  setenv("NOTIFY_SOCKET", "@of our supervisor", 1);
  setenv("WATCHDOG_USEC", "12345", 1);
  setenv("WATCHDOG_PID", "1", 1);
  check_environment("restart=2", NULL, "-;-;-;");
  check_environment("restart=2 notify=1", NULL, ";-;-;");
  check_environment("restart=2 silence=30", NULL, ";30000000;-;");
  check_environment("restart=2 silence=0.5 notify=1", NULL, ";500000;-;");
  OK(gipc_options_clear_env(options));
  check_environment("restart=2 notify=1", options, ";-;-;");
  gipc_options_free(options);
  options = new_options();
  /* What the program wants is not changed, unless the keeper needs it. */
  OK(gipc_options_set_env(options, "NOTIFY_SOCKET", "@elsewhere"));
  OK(gipc_options_set_env(options, "WATCHDOG_PID", "3"));
  check_environment("restart=2", options, "@elsewhere;-;3;");
  check_environment("restart=2 notify=1", options, ";-;-;");
  gipc_options_free(options);
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
}

/* ---- Signals, and the end of the keeper ---------------------------------- */

static void a_signal_reaches_the_process_of_a_service(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "drw|rw", QUICK "notify=1");
  start_keeper(keeper);
  RESULT(gipc_keeper_signal(keeper, 0, SIGUSR1), GIPC_EDEAD);
  run_until_log("a ready", 1);
  OK(gipc_keeper_signal(keeper, 0, 0));
  RESULT(gipc_keeper_signal(keeper, 1, 0), -EINVAL);
  OK(gipc_keeper_signal(keeper, 0, SIGUSR1));
  run_until_log("a ready", 2);
  CHECK(times("a ended exit=5") == 1 && memory->dumps == 1);
  end_keeper(keeper);
}

static void a_freed_keeper_leaves_no_process(void **state) {
  const char *const argv[] = {"sleep", "1000", NULL};
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  gipc_keeper_free(NULL);
  gipc_keeper_free(keeper); /* never started */
  keeper = new_keeper(GIPC_ONE_FOR_ONE);
  add(keeper, "a", "irw", "notify=1 silence=30");
  add_program(keeper, "b", argv, "", NULL);
  start_keeper(keeper);
  run_until_log("b ready", 1);
  OK(gipc_keeper_reload(keeper, 0)); /* two processes of it */
  run_until_log("a started", 2);
  drop_keeper(keeper); /* waits for them */
}

/* Keeps two services, says so, and waits for its end. */
static int keep(struct ev_loop *fresh, void *argument) {
  const char *const argv[] = {"sleep", "1000", NULL};
  const gipc_options *options = argument;
  size_t service;
  gipc_keeper *keeper;
  CHECK_OK(gipc_keeper_new(GIPC_ONE_FOR_ONE, &keeper));
  add_with(keeper, "a", "irw", "notify=1", options);
  CHECK_OK(gipc_keeper_add_exec(keeper, "b", argv, NULL, options, &service));
  happened.end_why = -1;
  happened.count = 0;
  happened.loop = fresh;
  CHECK_OK(gipc_keeper_start(keeper, fresh, &keeper_events, &happened));
  run_until_log("b ready", 1);
  int pids[2] = {service_stats(keeper, 0).pid, service_stats(keeper, 1).pid};
  memcpy(memory->environment, pids, sizeof pids);
  __atomic_store_n(&memory->go, 1, __ATOMIC_SEQ_CST);
  ev_run(fresh, 0);
  return 1;
}

/* Kills the keeping process, and stores the pids of its services. */
static void kill_keeper(const gipc_options *options, int pids[2]) {
  memset(memory, 0, sizeof *memory);
  gipc_process *p = start(keep, (void *)(uintptr_t)options, NULL);
  while (!__atomic_load_n(&memory->go, __ATOMIC_SEQ_CST))
    usleep(1000);
  memcpy(pids, memory->environment, 2 * sizeof *pids);
  CHECK(state_of(pids[0]) != 'X' && state_of(pids[1]) != 'X');
  destroy(p);
}

/* H39 */
static void services_end_with_a_keeper_that_is_killed(void **state) {
  int pids[2];
  kill_keeper(NULL, pids);
  CHECK(gone_within(pids[0], 60) && gone_within(pids[1], 60));
}

static void services_that_are_no_daemons_run_on(void **state) {
  gipc_options *options = new_options();
  int pids[2];
  OK(gipc_options_set_daemon(options, 0));
  kill_keeper(options, pids);
  int waits = __atomic_load_n(&memory->waits, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&memory->waits, __ATOMIC_SEQ_CST) < waits + 5)
    usleep(1000);
  for (int i = 0; i < 2; i++) {
    CHECK_OK(kill(pids[i], 0));
    CHECK_OK(kill(pids[i], SIGKILL));
    CHECK(gone_within(pids[i], 60));
  }
  gipc_options_free(options);
}

static void memory_and_descriptors_stay_flat(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  size_t bytes = 0;
  int fds = 0;
  add(keeper, "a", "rax1", QUICK "notify=1 silence=30");
  start_keeper(keeper);
  for (size_t round = 0; round < many(10, 4); round++) {
    size_t before = times("a ended exit=1");
    run_until_log("a ended exit=1", before + 10);
    if (round == 2) {
      bytes = resident();
      fds = count_fds();
    }
  }
  CHECK(count_fds() <= fds + 8); /* a process has a few */
  if (!slow())
    CHECK(resident() < bytes + (4 << 20));
  end_keeper(keeper);
}

/* ---- What is refused ----------------------------------------------------- */

static void what_cannot_be_kept_is_refused(void **state) {
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE), *none = NULL;
  gipc_rules rules = rules_of("notify=2");
  gipc_service_stats stats = {.size = sizeof stats};
  const char *const empty[] = {NULL}, *const argv[] = {"true", NULL};
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_options *options = new_options();
  gipc_handle *reader, *writer;
  size_t service = 77;
  RESULT(gipc_keeper_new(0, NULL), -EINVAL);
  RESULT(gipc_keeper_new(-1, &none), -EINVAL);
  RESULT(gipc_keeper_new(3, &none), -EINVAL);
  assert_null(none);
#define ADD(keeper, name, function, rules, options, service)                   \
  gipc_keeper_add(keeper, name, function, NULL, rules, options, service)
  RESULT(ADD(NULL, "a", return_argument, NULL, NULL, &service), -EINVAL);
  RESULT(ADD(keeper, NULL, return_argument, NULL, NULL, &service), -EINVAL);
  RESULT(ADD(keeper, "", return_argument, NULL, NULL, &service), -EINVAL);
  RESULT(ADD(keeper, "a", NULL, NULL, NULL, &service), -EINVAL);
  RESULT(ADD(keeper, "a", return_argument, NULL, NULL, NULL), -EINVAL);
  RESULT(ADD(keeper, "a", return_argument, &rules, NULL, &service), -EINVAL);
  RESULT(gipc_keeper_add_exec(keeper, "a", NULL, NULL, NULL, &service),
         -EINVAL);
  RESULT(gipc_keeper_add_exec(keeper, "a", empty, NULL, NULL, &service),
         -EINVAL);
  RESULT(gipc_keeper_start(keeper, loop, &keeper_events, NULL), -EINVAL);
  RESULT(gipc_keeper_stop(keeper), -EINVAL);
  for (int which = 0; which < 2; which++) {
    OK(gipc_options_set_stdio(options, which, GIPC_STDIO_PIPE, -1));
    RESULT(ADD(keeper, "a", return_argument, NULL, options, &service), -EINVAL);
    OK(gipc_options_set_stdio(options, which, GIPC_STDIO_NULL, -1));
  }
  OK(gipc_pipe(&reader, &writer));
  OK(gipc_options_pass(options, "w", writer));
  RESULT(ADD(keeper, "a", return_argument, NULL, options, &service), -EINVAL);
  OK(gipc_options_clear_passed(options));
  CHECK_IS((long)service, 77);
  OK(ADD(keeper, "a", return_argument, NULL, options, &service));
  CHECK_IS((long)service, 0);
  RESULT(gipc_keeper_add_exec(keeper, "a", argv, NULL, NULL, &service),
         -EEXIST);
  OK(gipc_keeper_add_exec(keeper, "b", argv, NULL, NULL, &service));
  CHECK_IS((long)service, 1);
  RESULT(gipc_keeper_reload(keeper, 0), GIPC_EDEAD);
  RESULT(gipc_keeper_reload(keeper, 2), -EINVAL);
  RESULT(gipc_keeper_signal(keeper, 0, 0), GIPC_EDEAD);
  OK(gipc_keeper_stats(keeper, 0, &stats));
  CHECK(stats.is_kept && stats.pid == 0 && stats.starts == 0);
  RESULT(gipc_keeper_stats(keeper, 2, &stats), -EINVAL);
  RESULT(gipc_keeper_start(keeper, NULL, &keeper_events, NULL), -EINVAL);
  RESULT(gipc_keeper_start(keeper, loop, NULL, NULL), -EINVAL);
  OK(gipc_keeper_start(keeper, loop, &keeper_events, NULL));
  RESULT(gipc_keeper_start(keeper, loop, &keeper_events, NULL), GIPC_ELOCKED);
  RESULT(ADD(keeper, "c", return_argument, NULL, NULL, &service), GIPC_ELOCKED);
  gipc_keeper_free(keeper);
  gipc_options_free(options);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
  ev_loop_destroy(loop);
}

/* Of a program that knows fewer members, or more (H137). */
static void structs_may_have_other_sizes(void **state) {
  struct {
    gipc_service_stats now;
    uint64_t later;
  } stats;
  struct {
    gipc_keeper_events now;
    void (*later)(void);
  } events = {{sizeof events, NULL, NULL, NULL}, abort};
  gipc_keeper *keeper = new_keeper(GIPC_ONE_FOR_ONE);
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  add(keeper, "a", "w", "");
  for (size_t size = 0; size <= sizeof stats; size++) {
    memset(&stats, 0xEE, sizeof stats);
    stats.now.size = size;
    bool is_enough = size >= offsetof(gipc_service_stats, pid);
    RESULT(gipc_keeper_stats(keeper, 0, &stats.now), is_enough ? 0 : -EINVAL);
    for (size_t i = size > sizeof size ? size : sizeof size; i < sizeof stats;
         i++)
      CHECK(((unsigned char *)&stats)[i] == 0xEE);
  }
  CHECK(stats.now.is_kept && stats.later == 0);
  RESULT(gipc_keeper_start(keeper, loop, &events.now, NULL), -E2BIG);
  events.now.size = sizeof events.now.size;
  RESULT(gipc_keeper_start(keeper, loop, &events.now, NULL), -EINVAL);
  events.now.size = offsetof(gipc_keeper_events, on_start);
  OK(gipc_keeper_start(keeper, loop, &events.now, NULL));
  gipc_keeper_free(keeper);
  ev_loop_destroy(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_program_that_does_not_exist_is_given_up),
      TEST(programs_are_kept_as_functions_are),
      TEST(a_script_reports_by_systemd_notify),
      TEST(the_end_of_a_service_has_its_last_lines),
      TEST(no_service_reports_to_the_supervisor_of_its_keeper),
      TEST(a_signal_reaches_the_process_of_a_service),
      TEST(a_freed_keeper_leaves_no_process),
      TEST(services_end_with_a_keeper_that_is_killed),
      TEST(services_that_are_no_daemons_run_on),
      TEST(memory_and_descriptors_stay_flat),
      TEST(what_cannot_be_kept_is_refused),
      TEST(structs_may_have_other_sizes),
  };
  return cmocka_run_group_tests_name("keeper_programs", tests, share_memory,
                                     NULL);
}
