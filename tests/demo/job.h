/* The work: every file cut in chunks, round after round; what was lost is
 * given out again, and each chunk counts once. */
#ifndef DEMO_JOB_H
#define DEMO_JOB_H

#include "input.h"

/* One reading of one file: a tally for each of its chunks, added up in their
 * order when the last is there. */
typedef struct pass {
  struct pass *next; /* of the spare ones */
  input_file *file;
  size_t cut;     /* chunks made so far */
  size_t missing; /* chunks without a tally */
  tally tallies[];
} pass;

typedef struct chunk {
  struct chunk *next;
  pass *pass;
  size_t index;
} chunk;

/* First in, first out. */
typedef struct chunk_list {
  chunk *first;
  chunk *last;
  size_t count;
} chunk_list;

void chunk_list_push(chunk_list *list, chunk *c);
chunk *chunk_list_pop(chunk_list *list);
size_t chunk_size(const chunk *c);

typedef struct job {
  input *in;
  int again;        /* begin another round after this one */
  uint64_t rounds;  /* begun */
  size_t next_file; /* of the round */
  pass *cutting;    /* the file that chunks are made of, or NULL */
  chunk_list lost;
  chunk_list spare; /* used again, as there are so many; see also new_pass() */
  uint64_t unfinished; /* chunks made and not yet counted */
} job;

void job_init(job *j, input *in);
void job_free(job *j);

/* A chunk to count, or NULL while there is none.  It comes back by one of the
 * three calls below. */
chunk *job_take(job *j);
/* It was counted. */
void job_done(job *j, chunk *c, const tally *t);
/* Its worker has ended: another worker gets it. */
void job_lose(job *j, chunk *c);
/* Its file is left out. */
void job_drop(job *j, chunk *c);

int job_is_finished(const job *j);

#endif
