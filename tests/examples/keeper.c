/* A keeper of two services: the second starts when the first is ready, is
 * started again when it is killed, and is reloaded without a gap. */
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <signal.h>
#include <stdio.h>

static size_t store, web;
static int times_ready; /* of web */

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

static void on_time(struct ev_loop *loop, ev_timer *timer, int events) {
  (void)loop, (void)timer, (void)events;
  must(gipc_alive(), "gipc_alive");
}

/* In each process of both: serves on its loop until it is asked to end. */
static int serve(struct ev_loop *fresh, void *argument) {
  ev_timer timer;

  (void)argument;
  must(gipc_ready(), "gipc_ready");
  ev_timer_init(&timer, on_time, 1, 1);
  ev_timer_start(fresh, &timer);
  ev_run(fresh, 0);
  return 0;
}

static void on_service(gipc_keeper *keeper, const gipc_service_change *change,
                       void *user) {
  (void)user;
  switch (change->kind) {
  case GIPC_SERVICE_READY:
    printf("%s is ready\n", change->name);
    if (change->service != web)
      break;
    times_ready++;
    if (times_ready == 1)
      must(gipc_keeper_signal(keeper, web, SIGKILL), "signal");
    if (times_ready == 2)
      must(gipc_keeper_reload(keeper, web), "reload");
    break;
  case GIPC_SERVICE_RELOADED:
    printf("%s was reloaded\n", change->name);
    must(gipc_keeper_stop(keeper), "stop");
    break;
  case GIPC_SERVICE_ENDED:
    if (change->why == GIPC_WHY_NONE)
      printf("%s ended by signal %d\n", change->name, change->info.signal);
    break;
  }
}

int main(void) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  const gipc_rules rules = {.size = sizeof(rules),
                            .notify = 1,
                            .ready_within = 60,
                            .silence = 60,
                            .first_delay = 0.01};
  const gipc_keeper_events events = {.size = sizeof(events),
                                     .on_service = on_service};
  gipc_service_stats stats = {.size = sizeof(stats)};
  gipc_keeper *keeper;

  must(gipc_keeper_new(GIPC_ONE_FOR_ONE, &keeper), "gipc_keeper_new");
  must(gipc_keeper_add(keeper, "store", serve, NULL, &rules, NULL, &store),
       "gipc_keeper_add");
  must(gipc_keeper_add(keeper, "web", serve, NULL, &rules, NULL, &web),
       "gipc_keeper_add");
  must(gipc_keeper_start(keeper, loop, &events, NULL), "gipc_keeper_start");
  ev_run(loop, 0); /* until all have ended */
  must(gipc_keeper_stats(keeper, web, &stats), "gipc_keeper_stats");
  gipc_keeper_free(keeper);
  printf("%d starts of web\n", (int)stats.starts);
  return 0;
}
