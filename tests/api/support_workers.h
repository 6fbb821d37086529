/* Used by the tests of pools: pools whose tasks are commands, and a count of
 * what they answered. */
#ifndef GIPC_TESTS_SUPPORT_WORKERS_H
#define GIPC_TESTS_SUPPORT_WORKERS_H

#include "support_process.h"

/* A function worker that serves the commands below.  argument: NULL, or what a
 * worker does before it is ready. */
int serve_commands(struct ev_loop *fresh, gipc_handle *handle, void *argument);
extern int fails_to_prepare; /* an argument: exits with 5 */

/* Commands, the first byte of a task:
 *   e...  answers with what follows         f...  fails, with this text
 *   k     ends itself by SIGKILL            x     exits with 3
 *   w     waits indefinitely                i     the same, ignoring SIGTERM;
 *                                                makes the file that follows
 *   o     waits, and answers if the file named by what follows exists
 *   p     answers with its pid              n     answers with the attempt
 *   bN    answers with N filled bytes       m     uses 64 MiB of memory,
 * answers a     shows signs of life until the file exists, then answers */

typedef struct results {
  size_t count;
  size_t by_why[16];
  size_t drains, ends, started, ready, off;
  int end_why;
  gipc_result last; /* its pointers are not valid, but for data */
  char data[256];   /* the beginning of its data, or its text */
  gipc_worker_change last_off;
  struct ev_loop *loop;
  /* What a test does with each result, and with each change of a worker. */
  void (*on_result)(gipc_pool *pool, const gipc_result *result);
  void (*on_worker)(gipc_pool *pool, const gipc_worker_change *change);
  size_t break_at; /* ev_break() at so many results */
} results;
extern results got;
extern const gipc_pool_events pool_events;

/* Starts a pool of the commands on a loop of its own.  text: rules, as "most=2
 * least=1". */
gipc_pool *new_pool(const char *rules);
gipc_pool *pool_of(gipc_worker_function function, void *argument,
                   const char *rules);
void start_pool(gipc_pool *pool);
/* Puts a task, which must be accepted. */
uint64_t put(gipc_pool *pool, const char *command);
uint64_t put_with(gipc_pool *pool, const char *command,
                  const gipc_task_rules *rules);
/* Runs the loop until there are so many results in all. */
void run_until(size_t count);
/* Puts a task and runs until there is one more result: its reason. */
int do_task(gipc_pool *pool, const char *command);
/* Stops, runs until the end, frees pool and loop. */
void end_pool(gipc_pool *pool);
/* Frees it as it is. */
void drop_pool(gipc_pool *pool);

#endif
