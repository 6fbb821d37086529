/* A parent in C that starts daemons of every kind, until it is killed.  Prints
 * a line before each start. */
#include <gipc.h>

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST = 8 };

static void must(int result, const char *call) {
  if (result >= 0)
    return;
  fprintf(stderr, "%s: %s\n", call, gipc_strerror(result));
  exit(1);
}

static int waits(struct ev_loop *fresh, void *argument) {
  (void)fresh;
  (void)argument;
  pause();
  return 0;
}

static int works(struct ev_loop *fresh, void *argument) {
  (void)argument;
  (void)fresh;
  must(gipc_ready(), "ready");
  return waits(fresh, argument);
}

static gipc_options *daemon_options(int group) {
  gipc_options *o;
  must(gipc_options_new(&o), "options");
  must(gipc_options_set_daemon(o, 1), "daemon");
  must(gipc_options_set_group(o, group), "group");
  return o;
}

static gipc_keeper *start_keeper(struct ev_loop *loop) {
  static const char *const argv[] = {"sleep", "600", NULL};
  static const gipc_rules rules = {.size = sizeof rules, .notify = 1};
  static const gipc_keeper_events events = {.size = sizeof events};
  gipc_keeper *keeper;
  size_t service;
  must(gipc_keeper_new(GIPC_ONE_FOR_ONE, &keeper), "keeper");
  must(gipc_keeper_add(keeper, "works", works, NULL, &rules, NULL, &service),
       "add");
  must(gipc_keeper_add_exec(keeper, "sleep", argv, NULL, NULL, &service),
       "add");
  must(gipc_keeper_start(keeper, loop, &events, NULL), "start");
  return keeper;
}

static gipc_process *start(unsigned kind, gipc_template *t) {
  static const char *const program[] = {"sleep", "600", NULL};
  static const char *const tree[] = {
      "sh", "-c", "sleep 600 & setsid sleep 600 & (sleep 600 &) & wait", NULL};
  gipc_options *o =
      daemon_options(kind == 2 ? GIPC_GROUP_TREE : GIPC_GROUP_INHERIT);
  gipc_process *p = NULL;
  int result;
  if (kind == 0)
    result = gipc_start_process(waits, NULL, o, &p);
  else if (kind == 3)
    result = gipc_template_start(t, waits, NULL, 0, o, &p);
  else
    result = gipc_exec_process(kind == 1 ? program : tree, o, &p);
  if (result == -EOPNOTSUPP || (kind == 3 && t == NULL))
    p = NULL; /* there are none on this system */
  else
    must(result, "start");
  gipc_options_free(o);
  return p;
}

int main(void) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  gipc_process *last[MOST] = {NULL};
  gipc_template *t = NULL;
  int result = gipc_template_new(NULL, &t);
  if (result != -EOPNOTSUPP)
    must(result, "template");
  (void)start_keeper(loop);
  for (unsigned i = 0;; i++) {
    gipc_process **p = &last[i % MOST];
    printf("%u\n", i);
    fflush(stdout);
    if (*p != NULL) {
      (void)!gipc_process_kill(*p);
      must(gipc_process_join(*p, -1), "join");
      gipc_process_free(*p);
    }
    *p = start(i % 4, t);
    ev_run(loop, EVRUN_NOWAIT);
  }
}
