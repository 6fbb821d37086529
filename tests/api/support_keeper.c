#include "support_keeper.h"

#include <sys/mman.h>

shared *memory;
events_log happened;

int share_memory(void **state) {
  memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? -1 : 0;
}

/* ---- Services ------------------------------------------------------------ */

static void count_dump(int signal) {
  memory->dumps++;
  _exit(5);
}

static void store_environment(void) {
  const char *names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
  char *to = memory->environment;
  for (int i = 0; i < 3; i++) {
    const char *value = getenv(names[i]);
    to += sprintf(to, "%s;", value != NULL ? value : "-");
  }
}

/* A script that lasts, so that each start finds it. */
typedef struct service {
  int number;
  char script[64];
} service;
static service services[SERVICES];

static void wait_for(const int *go) {
  while (!__atomic_load_n(go, __ATOMIC_SEQ_CST)) {
    __atomic_add_fetch(&memory->waits, 1, __ATOMIC_SEQ_CST);
    usleep(1000);
  }
}

static int follow(struct ev_loop *fresh, void *argument) {
  const service *it = argument;
  const char *at = it->script, *later = strchr(at, '|');
  static const int never;
  if (memory->runs[it->number]++ > 0 && later != NULL)
    at = later + 1;
  for (; *at != '\0' && *at != '|'; at++)
    switch (*at) {
    case 'r':
      CHECK_OK(gipc_ready());
      break;
    case 'a':
      CHECK_OK(gipc_alive());
      break;
    case 'A':
      for (int result = 0; result == 0 || result == -EAGAIN;
           result = gipc_alive())
        usleep(5000);
      return 99;
    case 'x':
      return at[1] - '0';
    case 'k':
      raise(SIGKILL);
      break;
    case 's':
      raise(SIGSTOP);
      break;
    case 'i':
      signal(SIGTERM, SIG_IGN);
      break;
    case 'd':
      signal(SIGUSR1, count_dump);
      break;
    case 'g':
      wait_for(&memory->go);
      break;
    case 'e':
      store_environment();
      break;
    case 'w':
      wait_for(&never);
    }
  return 0;
}

gipc_rules rules_of(const char *text) {
  gipc_rules rules = {.size = sizeof rules};
  char name[32];
  double value;
  for (int size; sscanf(text, " %31[^=]=%lf%n", name, &value, &size) == 2;
       text += size)
    CHECK_OK(gipc_rules_set(&rules, name, value));
  return rules;
}

void add_with(gipc_keeper *keeper, const char *name, const char *script,
              const char *text, const gipc_options *options) {
  gipc_rules rules = rules_of(text);
  int number = name[0] - 'a';
  size_t index = SERVICES;
  services[number].number = number;
  strcpy(services[number].script, script);
  CHECK_OK(gipc_keeper_add(keeper, name, follow, &services[number], &rules,
                           options, &index));
  CHECK(index < SERVICES);
}

void add(gipc_keeper *keeper, const char *name, const char *script,
         const char *rules) {
  add_with(keeper, name, script, rules, NULL);
}

/* ---- Events -------------------------------------------------------------- */

static const char *const kinds[] = {
    "?",     "started",  "ready",         "silent",   "stopping", "killed",
    "ended", "reloaded", "reload_failed", "finished", "gave_up"};
static const char *const whys[] = {
    "",          "done",   "failed",    "died",     "poison",  "timed_out",
    "cancelled", "silent", "not_ready", "protocol", "retired", "idle",
    "reload",    "group",  "stopped",   "gave_up"};

static void on_service(gipc_keeper *keeper, const gipc_service_change *change,
                       void *user) {
  CHECK(user == &happened && change->size == sizeof *change);
  CHECK(happened.count < sizeof happened.lines / sizeof *happened.lines);
  char *line = happened.lines[happened.count++];
  int size = snprintf(line, 64, "%s %s", change->name, kinds[change->kind]);
  if (change->kind == GIPC_SERVICE_STOPPING)
    snprintf(line + size, 32, " %s", whys[change->why]);
  if (change->kind == GIPC_SERVICE_ENDED) {
    CHECK(change->has_info || change->error != 0);
    if (change->error != 0)
      snprintf(line + size, 32, " error=%d", -change->error);
    else if (change->info.signal != 0)
      snprintf(line + size, 32, " signal=%d", change->info.signal);
    else
      snprintf(line + size, 32, " exit=%d", change->info.code);
  }
  if (getenv("GIPC_TEST_LOG") != NULL)
    print_message("%s\n", line);
  /* Perhaps before the loop waits. */
  ev_break(happened.loop, EVBREAK_ONE);
  if (happened.on_service != NULL)
    happened.on_service(keeper, change);
}

static void on_end(gipc_keeper *keeper, int why, void *user) {
  CHECK_IS(happened.end_why, -1);
  happened.end_why = why;
}

const gipc_keeper_events keeper_events = {sizeof keeper_events, on_service,
                                          NULL, on_end};

/* ---- Keepers ------------------------------------------------------------- */

gipc_keeper *new_keeper(int strategy) {
  gipc_keeper *keeper;
  memset(memory, 0, sizeof *memory);
  CHECK_OK(gipc_keeper_new(strategy, &keeper));
  return keeper;
}

void start_keeper(gipc_keeper *keeper) {
  memset(&happened, 0, sizeof happened);
  happened.end_why = -1;
  happened.loop = ev_loop_new(EVFLAG_AUTO);
  CHECK_OK(gipc_keeper_start(keeper, happened.loop, &keeper_events, &happened));
}

size_t times(const char *line) {
  size_t count = 0;
  for (size_t i = 0; i < happened.count; i++)
    count += strcmp(happened.lines[i], line) == 0;
  return count;
}

size_t place(const char *line, size_t nth) {
  for (size_t i = 0; i < happened.count; i++)
    if (strcmp(happened.lines[i], line) == 0 && nth-- == 0)
      return i;
  fail_msg("not in the log: %s", line);
  return 0;
}

void run_until_log(const char *line, size_t count) {
  while (times(line) < count)
    CHECK(ev_run(happened.loop, EVRUN_ONCE) || times(line) >= count);
}

gipc_service_stats service_stats(gipc_keeper *keeper, size_t index) {
  gipc_service_stats stats = {.size = sizeof stats};
  CHECK_OK(gipc_keeper_stats(keeper, index, &stats));
  return stats;
}

void run_to_end(int why) {
  while (happened.end_why == -1)
    CHECK(ev_run(happened.loop, EVRUN_ONCE) || happened.end_why != -1);
  CHECK_IS(happened.end_why, why);
}

void end_keeper(gipc_keeper *keeper) {
  CHECK_OK(gipc_keeper_stop(keeper));
  run_to_end(GIPC_WHY_STOPPED);
  drop_keeper(keeper);
}

void drop_keeper(gipc_keeper *keeper) {
  gipc_keeper_free(keeper);
  ev_loop_destroy(happened.loop);
  /* Processes that it killed are reaped by the next start, join or free. */
  while (has_children()) {
    gipc_process_free(NULL);
    usleep(1000);
  }
  gipc_process_free(NULL); /* of one that another reaper took */
}
