/* wc(1), run as a child: the judge of what the workers counted. */
#ifndef DEMO_WC_H
#define DEMO_WC_H

#include <ev.h>
#include <gipc.h>

#include "input.h"

typedef struct wc {
  struct ev_loop *loop;
  input *in;
  void (*on_done)(void *user); /* its output is there */
  void *user;
  gipc_process *process;
  ev_io output;
  int has_exited;
  int has_ended;      /* the output */
  int exit_code;      /* or minus the signal */
  input_file **given; /* what it was to count */
  size_t count;
  char *text; /* its output */
  size_t size;
  char *next; /* line of wc_next(), or NULL for the first */
} wc;

/* Finds out, by running wc on an example, what wc counts as a word.  Blocks. */
int wc_unprintable_is_word(void);

/* Runs wc over the files of in that are not left out. */
void wc_start(wc *w, struct ev_loop *loop, input *in, void (*on_done)(void *),
              void *user);

/* The counts of the next of the given files; -1 if wc printed none. */
int wc_next(wc *w, tally *t);
void wc_free(wc *w);

#endif
