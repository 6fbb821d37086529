/* See measure.h. */
#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

enum { MOST_RUNS = 1 << 22 };

static double clock_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now(void) { return clock_of(CLOCK_MONOTONIC); }

void must(int result, const char *call) {
  if (result >= 0)
    return;
  fprintf(stderr, "fair: %s: %s\n", call, gipc_strerror(result));
  exit(1);
}

void ticks_start(struct ticks *ticks, double period) {
  *ticks = (struct ticks){.period = period, .due = now() + period};
  ticks->worked = clock_of(CLOCK_PROCESS_CPUTIME_ID);
  ticks->late = calloc(MOST_RUNS, sizeof(*ticks->late));
  ticks->work = calloc(MOST_RUNS, sizeof(*ticks->work));
}

double ticks_next(const struct ticks *ticks) {
  double left = ticks->due - now();
  return ticks->period > 0 && left > 0 ? left : 0;
}

static void see(struct ticks *ticks) {
  size_t handled = ticks->handled - ticks->seen;
  ticks->worst = handled > ticks->worst ? handled : ticks->worst;
  ticks->seen = ticks->handled;
}

void ticks_ran(struct ticks *ticks) {
  double time = now();
  double worked = clock_of(CLOCK_PROCESS_CPUTIME_ID);
  if (ticks->runs < MOST_RUNS) {
    ticks->late[ticks->runs] = (float)(time - ticks->due);
    ticks->work[ticks->runs++] = (float)(worked - ticks->worked);
  }
  ticks->worked = worked;
  ticks->due += ticks->period;
  if (ticks->due < time)
    ticks->due = time;
  see(ticks);
}

static int compare(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* How long it works without a run, for 99 of 100 moments of its work. */
static double longest_work(struct ticks *ticks) {
  double sum = 0, total = 0;
  qsort(ticks->work, ticks->runs, sizeof(*ticks->work), compare);
  for (size_t i = 0; i < ticks->runs; i++)
    total += ticks->work[i];
  for (size_t i = 0; i < ticks->runs; i++)
    if ((sum += ticks->work[i]) >= 0.99 * total)
      return ticks->work[i];
  return 0;
}

void ticks_report(struct ticks *ticks, const char *transport) {
  see(ticks);
  qsort(ticks->late, ticks->runs, sizeof(*ticks->late), compare);
  printf("messages=%zu worst=%zu runs=%zu p50=%.3f p99=%.3f work=%.3f "
         "transport=%s\n",
         ticks->handled, ticks->worst, ticks->runs,
         1000 * ticks->late[ticks->runs / 2],
         1000 * ticks->late[ticks->runs * 99 / 100], 1000 * longest_work(ticks),
         transport);
  free(ticks->late);
  free(ticks->work);
}

struct lap clock_lap(void) {
  static struct lap at;
  struct lap lap = {now(), clock_of(CLOCK_PROCESS_CPUTIME_ID)}, before = at;
  at = lap;
  return (struct lap){lap.wall - before.wall, lap.cpu - before.cpu};
}

size_t descriptors(void) {
  DIR *dir = opendir("/proc/self/fd");
  size_t count = 0;
  while (dir != NULL && readdir(dir) != NULL)
    count++;
  if (dir != NULL)
    closedir(dir);
  return count;
}

void check_nothing_left(size_t before) {
  size_t left = descriptors();
  if (left != before || waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
    fprintf(stderr, "fair: %zu descriptors, before %zu, or a child is left\n",
            left, before);
    exit(1);
  }
}
