/* What fair.c counts. */
#ifndef MEASURE_H
#define MEASURE_H

#include <gipc.h>
#include <stddef.h>

/* When another watcher of the loop runs, and how many messages were handled
 * since it ran last. */
struct ticks {
  double period, due;
  size_t handled, seen, worst, runs;
  double worked; /* time of the processor at the last run */
  float *late, *work;
};
void ticks_start(struct ticks *ticks, double period);
/* Seconds until it is due. */
double ticks_next(const struct ticks *ticks);
void ticks_ran(struct ticks *ticks);
void ticks_report(struct ticks *ticks, const char *transport);

struct lap {
  double wall, cpu;
};
struct lap clock_lap(void);
double now(void);

void must(int result, const char *call);
size_t descriptors(void);
void check_nothing_left(size_t before);

/* Which loop, by its name. */
int fair_push(size_t handles, const char *size, const char *count, double t);
int fair_wait(size_t handles, const char *size, const char *count, double t);
gipc_handle *start_flood(size_t handles, const char *size, const char *count,
                         gipc_handle **readers, gipc_process **child);
const char *transport_of(const gipc_handle *h);
int idle(const char *loop, size_t handles, size_t children);
int scale(const char *loop, size_t handles, size_t children);

#endif
