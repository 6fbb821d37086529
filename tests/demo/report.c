/* The report at the end: the work of each worker, and the totals next to wc's.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "basics.h"
#include "report.h"

#define MEGABYTE 1e6

static void print_end(const gipc_exit_info *end) {
  if (end->how == GIPC_STATUS_LOST)
    printf("status lost\n");
  else if (end->signal == SIGKILL)
    printf("SIGKILL\n");
  else if (end->signal != 0)
    printf("signal %d\n", end->signal);
  else
    printf("exit %d\n", end->code);
}

void report_workers(const crew *c) {
  uint64_t files = 0, bytes = 0, messages = 0;
  const worker *w;
  int i;

  printf("\nworker  language                 pid   files         MB  messages"
         "  messages/s  ended by\n");
  for (i = 0; i < c->count; i++) {
    w = &c->workers[i];
    if (w->language[0] == '\0')
      continue; /* it never began */
    printf("%6d  %-18s  %8d  %6" PRIu64 "  %9.1f  %8" PRIu64 "  %10.0f  ",
           w->number, w->language, w->pid, w->files,
           (double)w->bytes / MEGABYTE, w->messages,
           (double)w->messages / w->seconds);
    print_end(&w->exit);
    files += w->files;
    bytes += w->bytes;
    messages += w->messages;
  }
  printf("   all                                %6" PRIu64 "  %9.1f  %8" PRIu64
         "              %" PRIu64 " messages were resent to another worker\n",
         files, (double)bytes / MEGABYTE, messages, c->resent);
}

void report_lateness(const ticker *t) {
  printf("\nThe timer of 100 Hz ticked %" PRIu64
         " times in the same loop; the worst tick was %.1f ms late.\n",
         t->ticks, t->worst * 1000);
}

static int is_same(const tally *a, const tally *b) {
  return a->lines == b->lines && a->words == b->words && a->bytes == b->bytes;
}

static void print_tally(const char *name, const tally *t) {
  printf("%-22s  %13" PRIu64 "  %13" PRIu64 "  %15" PRIu64 "\n", name, t->lines,
         t->words, t->bytes);
}

static tally times(const tally *t, uint64_t factor) {
  return (tally){.lines = t->lines * factor,
                 .words = t->words * factor,
                 .bytes = t->bytes * factor};
}

/* Adds one file to both sums; returns 1 where they differ in it. */
static size_t compare(const job *j, wc *w, const input_file *file,
                      tally *counted, tally *judged) {
  tally one;

  if (wc_next(w, &one) < 0)
    one = (tally){0};
  if (file->left_out)
    return 0;
  one = times(&one, j->rounds);
  tally_add(counted, &file->total);
  tally_add(judged, &one);
  if (is_same(&file->total, &one))
    return 0;
  print_tally("differs: counted", &file->total);
  print_tally("         wc", &one);
  printf("         in %s\n", file->path);
  return 1;
}

size_t report_totals(const job *j, wc *w) {
  tally counted = {0}, judged = {0};
  size_t i, different = 0;
  char name[64];

  if (w->exit_code != 0) { /* then lines are missing in its output */
    warnx("wc ended with %d: there is nothing to compare with", w->exit_code);
    return w->count;
  }
  printf("\n%-22s  %13s  %13s  %15s\n", "", "lines", "words", "bytes");
  for (i = 0; i < w->count; i++)
    different += compare(j, w, w->given[i], &counted, &judged);
  print_tally("counted by the workers", &counted);
  snprintf(name, sizeof(name), "wc, times %" PRIu64, j->rounds);
  print_tally(name, &judged);
  if (different == 0)
    printf("Totals equal wc(1) in all %zu file%s.\n", w->count,
           plural(w->count));
  else
    printf("DIFFERENT in %zu of %zu file%s.\n", different, w->count,
           plural(w->count));
  return different;
}
