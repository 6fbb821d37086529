/* The workers: programs in several languages, started, fed, replaced when they
 * die, sent home. */
#ifndef DEMO_WORKERS_H
#define DEMO_WORKERS_H

#include <ev.h>
#include <gipc.h>

#include <msgpack.h>

#include "job.h"
#include "screen.h"

typedef struct crew crew;

/* How the worker of a language is run. */
typedef struct program {
  char *name;     /* of the language */
  char *argv[16]; /* NULL follows the last one */
} program;

typedef struct worker {
  crew *crew;
  const program *program;
  int number;
  int pid;
  gipc_process *process;
  gipc_handle *pipe; /* chunks go out, tallies come in */
  char language[32]; /* from its greeting; "" until then */
  chunk_list sent;   /* without answer; answers come in this order */
  chunk *refused;    /* read into buffer, but the queue was full */
  int is_full;       /* wait for on_drain */
  int has_exited;    /* it is gone when both have come: */
  int has_ended;     /* the exit, and the end of the pipe */
  double started;
  double seconds; /* from its start to its end */
  gipc_exit_info exit;
  uint64_t messages; /* answered */
  uint64_t files;    /* of which it counted the beginning */
  uint64_t bytes;
  msgpack_sbuffer message; /* the chunk in buffer, or another message */
  char buffer[CHUNK_SIZE];
} worker;

enum { MAX_WORKERS = 16, MAX_REPLACED = 8 };

struct crew {
  struct ev_loop *loop;
  job *job;
  int unprintable_is_word;
  screen *screen;
  void (*on_home)(void *user); /* all have ended */
  void *user;
  ev_idle feeder;
  worker *workers[MAX_WORKERS + MAX_REPLACED]; /* the dead ones too */
  int count;
  int alive;
  int left_out; /* that never began */
  int replaced;
  int is_going_home;
  int wants_kill;
  double wants_kill_since;
  uint64_t resent; /* chunks that a dead worker had */
};

/* Starts one worker of each program, and skips those that cannot be started.
 * The caller sets the other members of c. */
void crew_start(crew *c, const program programs[], int count);

/* Kills one worker with SIGKILL, at the next moment when one has certainly not
 * finished its work. */
void crew_kill_one(crew *c);

/* Called after the last chunk: every worker ends, then on_home is called. */
void crew_send_home(crew *c);

void crew_free(crew *c);

#endif
