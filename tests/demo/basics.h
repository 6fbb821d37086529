/* What every file of the demo needs: the clock, and the end of the program. */
#ifndef DEMO_BASICS_H
#define DEMO_BASICS_H

#include <err.h>
#include <stdlib.h>
#include <time.h>

#include <gipc.h>

/* Exit codes: the totals are right, they are not, the input is wrong. */
enum { EXIT_SAME = 0, EXIT_DIFFERENT = 1, EXIT_INPUT = 2 };

static inline double now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* For calls that fail only when the system has nothing left to give.  The
 * workers are daemons, so they do not outlive this. */
static inline int must(int result, const char *call) {
  if (result < 0)
    errx(EXIT_DIFFERENT, "%s: %s", call, gipc_strerror(result));
  return result;
}

/* Zeroed memory. */
static inline void *new_memory(size_t size) {
  void *memory = calloc(1, size);

  if (memory == NULL)
    errx(EXIT_DIFFERENT, "out of memory");
  return memory;
}

/* "1 file", "2 files" */
static inline const char *plural(size_t count) { return count == 1 ? "" : "s"; }

#endif
