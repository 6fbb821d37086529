/* Used by the tests of keepers: services that follow a script, and a log of
 * what happened to them. */
#ifndef GIPC_TESTS_SUPPORT_KEEPER_H
#define GIPC_TESTS_SUPPORT_KEEPER_H

#include "support_process.h"

/* What the services and the test share. */
enum { SERVICES = 8 };
typedef struct shared {
  int runs[SERVICES]; /* by the first letter of the name, from 'a' on */
  int waits;          /* grows while a service waits */
  int dumps;          /* signals for a dump that a service got */
  int go;             /* see g */
  char environment[200];
} shared;
extern shared *memory;

/* A service is one letter and its script:
 *   r   reports that it is ready      a   reports that it is alive
 *   A   is alive indefinitely         w   waits indefinitely
 *   xN  exits with N                  k   ends itself by SIGKILL
 *   i   ignores SIGTERM from now on   d   exits with 5 at SIGUSR1, and
 *                                     counts that
 *   g   waits until memory->go        e   stores its environment
 *   s   stops itself by SIGSTOP
 *   |   ends the script of the first run; later runs begin after it */
void add(gipc_keeper *keeper, const char *name, const char *script,
         const char *rules);
/* rules: as "grace=1 notify=1". */
void add_with(gipc_keeper *keeper, const char *name, const char *script,
              const char *rules, const gipc_options *options);
gipc_rules rules_of(const char *text);

typedef struct events_log {
  char lines[400][64]; /* "a started", "a ended exit=3", "a stopping silent" */
  size_t count;
  int end_why; /* of on_end, or -1 */
  struct ev_loop *loop;
  /* What a test does in on_service. */
  void (*on_service)(gipc_keeper *keeper, const gipc_service_change *change);
} events_log;
extern events_log happened;
extern const gipc_keeper_events keeper_events;

gipc_keeper *new_keeper(int strategy);
/* On a loop of its own. */
void start_keeper(gipc_keeper *keeper);
/* How often a line is in the log. */
size_t times(const char *line);
/* The place of the nth such line, from 0 on, which must be there. */
size_t place(const char *line, size_t nth);
/* Runs the loop until a line is so often in the log. */
void run_until_log(const char *line, size_t count);
gipc_service_stats service_stats(gipc_keeper *keeper, size_t index);
/* Runs the loop until on_end. */
void run_to_end(int why);
/* Stops, runs to the end, frees keeper and loop. */
void end_keeper(gipc_keeper *keeper);
/* Frees it as it is. */
void drop_keeper(gipc_keeper *keeper);

/* Of a group of tests. */
int share_memory(void **state);

#endif
