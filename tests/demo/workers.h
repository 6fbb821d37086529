/* The workers: programs in several languages, each the worker of a pool of its
 * own, which are fed until the work is done. */
#ifndef DEMO_WORKERS_H
#define DEMO_WORKERS_H

#include <ev.h>
#include <gipc.h>

#include <msgpack.h>

#include "job.h"
#include "message.h"
#include "screen.h"

typedef struct crew crew;
typedef struct worker worker;

/* How the worker of a language is run. */
typedef struct program {
  char *name;     /* of the language */
  char *argv[16]; /* NULL follows the last one */
  crew *crew;
  gipc_pool *pool; /* NULL: it has ended */
  worker *last;    /* that was started, or NULL */
  int error;       /* of the last start */
} program;

struct worker {
  int number;
  int pid;
  char language[LANGUAGE_SIZE]; /* of its answers; "" until the first */
  double started;
  double seconds; /* from its start to its end */
  gipc_exit_info exit;
  uint64_t messages; /* answered */
  uint64_t files;    /* of which it counted the beginning */
  uint64_t bytes;
};

enum { MAX_WORKERS = 16, MAX_STARTS = 64 };

struct crew {
  struct ev_loop *loop;
  job *job;
  int unprintable_is_word;
  screen *screen;
  void (*on_home)(void *user); /* all have ended */
  void *user;
  program *programs;
  int program_count;
  int open;                   /* pools that have not ended */
  worker workers[MAX_STARTS]; /* the dead ones too */
  int count;
  int is_going_home;
  uint64_t resent; /* chunks that a dead worker had */
  msgpack_sbuffer message;
  char buffer[CHUNK_SIZE];
};

/* Starts a pool for each program.  One that cannot be run is left out.  The
 * caller sets the members of c up to program_count. */
void crew_start(crew *c);

/* Kills one worker that has a task with SIGKILL.  Returns 0 if there is none.
 */
int crew_kill_one(crew *c);

/* Called after the last chunk: every worker ends, then on_home is called. */
void crew_send_home(crew *c);

void crew_free(crew *c);

#endif
