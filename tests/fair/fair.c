/* What the push tier and wait sets show of fairness, idleness and scale: see
 * run.
 *
 *   fair fair|control|idle|scale LOOP ... */
#include "measure.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ticks ticks;
static size_t open_readers;
static const char *transport = "none";

const char *transport_of(const gipc_handle *h) {
  gipc_stats stats = {.size = sizeof stats};
  must(gipc_handle_stats(h, &stats), "stats");
  return stats.transport_in == GIPC_TRANSPORT_RING ? "ring" : "plain";
}

gipc_handle *start_flood(size_t handles, const char *size, const char *count,
                         gipc_handle **readers, gipc_process **child) {
  const char *argv[] = {getenv("GIPC_FAIR_PEER"), "flood", size, count, NULL};
  gipc_handle *full, *notice, *writer[64];
  gipc_options *o;
  char name[16];
  must(gipc_options_new(&o), "options");
  must(gipc_options_set_daemon(o, 1), "daemon");
  for (size_t i = 0; i < handles; i++) {
    must(gipc_pipe(&readers[i], &writer[i]), "pipe");
    snprintf(name, sizeof name, "w%zu", i);
    must(gipc_options_pass(o, name, writer[i]), "pass");
  }
  must(gipc_pipe(&full, &notice), "pipe");
  must(gipc_options_pass(o, "full", notice), "pass");
  must(gipc_exec_process(argv, o, child), "exec");
  for (size_t i = 0; i < handles; i++)
    gipc_handle_free(writer[i]);
  gipc_handle_free(notice);
  gipc_options_free(o);
  return full;
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  (void)h;
  (void)data;
  (void)size;
  (void)user;
  ticks.handled++;
}

static void on_end(gipc_handle *h, int why, void *user) {
  struct ev_loop *loop = user;
  must(why == GIPC_EOF ? 0 : why, "end");
  transport = transport_of(h);
  gipc_handle_free(h);
  if (--open_readers == 0)
    ev_break(loop, EVBREAK_ALL);
}

/* With the period 0 in each iteration. */
static void on_tick(struct ev_loop *loop, ev_timer *timer, int events) {
  (void)events;
  ticks_ran(&ticks);
  ev_now_update(loop);
  ev_timer_set(timer, ticks_next(&ticks), 0);
  ev_timer_start(loop, timer);
}

static ev_timer *start_ticks(struct ev_loop *loop, double period) {
  static ev_timer timer;
  ticks_start(&ticks, period);
  ev_timer_init(&timer, on_tick, period, 0);
  ev_timer_start(loop, &timer);
  return &timer;
}

static void wait_until_full(gipc_handle *full) {
  const void *data;
  size_t size;
  must(gipc_get(full, -1, &data, &size), "full");
  gipc_handle_free(full);
}

int fair_push(size_t handles, const char *size, const char *count,
              double period) {
  static const gipc_events events = {sizeof events, on_message, NULL, on_end};
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_handle *readers[64];
  gipc_process *child;
  wait_until_full(start_flood(handles, size, count, readers, &child));
  open_readers = handles;
  for (size_t i = 0; i < handles; i++)
    must(gipc_start(readers[i], loop, &events, loop), "start");
  start_ticks(loop, period);
  ev_run(loop, 0);
  ticks_report(&ticks, transport);
  ev_loop_destroy(loop);
  must(gipc_process_join(child, -1), "join");
  gipc_process_free(child);
  return 0;
}

/* One message of each handle that is ready. */
static void take_each(gipc_wait_set *set) {
  const void *data;
  size_t size;
  gipc_handle *h;
  gipc_process *p;
  int directions;
  while (gipc_wait_set_next(set, &h, &p, &directions) == 0) {
    int result = gipc_try_get(h, &data, &size);
    if (result == 0)
      ticks.handled++;
    else if (result != -EAGAIN) {
      must(result == GIPC_EOF ? 0 : result, "get");
      transport = transport_of(h);
      gipc_handle_free(h);
      open_readers--;
    }
  }
}

int fair_wait(size_t handles, const char *size, const char *count,
              double period) {
  gipc_handle *readers[64];
  gipc_process *child;
  gipc_wait_set *set;
  wait_until_full(start_flood(handles, size, count, readers, &child));
  must(gipc_wait_set_new(&set), "set");
  open_readers = handles;
  for (size_t i = 0; i < handles; i++)
    must(gipc_wait_set_add_handle(set, readers[i], GIPC_READ), "add");
  ticks_start(&ticks, period);
  while (open_readers > 0) {
    int ready = gipc_wait(set, period > 0 ? ticks_next(&ticks) : -1);
    if (period == 0 || ticks_next(&ticks) == 0)
      ticks_ran(&ticks);
    if (ready > 0)
      take_each(set);
  }
  ticks_report(&ticks, transport);
  gipc_wait_set_free(set);
  must(gipc_process_join(child, -1), "join");
  gipc_process_free(child);
  return 0;
}

/* Another watcher keeps the processor so long in each iteration. */
static double busy_for;
static size_t rounds;
static void on_idle(struct ev_loop *loop, ev_idle *idle, int events) {
  double until = now() + busy_for;
  (void)idle;
  (void)events;
  while (now() < until)
    ;
  if (--rounds == 0)
    ev_break(loop, EVBREAK_ALL);
}

static int control(const char *microseconds, const char *count, double period) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  ev_idle idle;
  busy_for = atof(microseconds) / 1e6;
  rounds = strtoul(count, NULL, 10);
  ev_idle_init(&idle, on_idle);
  ev_idle_start(loop, &idle);
  start_ticks(loop, period);
  ev_run(loop, 0);
  ticks_report(&ticks, transport);
  ev_loop_destroy(loop);
  return 0;
}

int main(int argc, char **argv) {
  size_t before = descriptors();
  if (argc < 5)
    return 2;
  const char *body = argv[1], *loop = argv[2];
  size_t number = strtoul(argv[3], NULL, 10);
  int is_push = strcmp(loop, "push") == 0;
  if (strcmp(body, "fair") == 0 && argc == 7)
    return (is_push ? fair_push : fair_wait)(number, argv[4], argv[5],
                                             atof(argv[6]));
  if (strcmp(body, "control") == 0 && argc == 7)
    return control(argv[4], argv[5], atof(argv[6]));
  if (strcmp(body, "idle") == 0)
    return idle(loop, number, strtoul(argv[4], NULL, 10));
  if (strcmp(body, "scale") != 0)
    return 2;
  int result = scale(loop, number, strtoul(argv[4], NULL, 10));
  check_nothing_left(before);
  return result;
}
