/* The demo of libgipc: counts the lines, words and bytes of files in workers of
 * several languages over pipes, kills one of them while it works, and compares
 * the totals with those of wc(1).
 *
 * One thread and one loop, which waits for nothing but events.  The files:
 *
 *   demo            the course of events
 *   workers         the pools of workers: start reading here
 *   worker.*        a worker in each language
 *   message         the messages between them
 *   count           what a worker does with a message
 *   wc              the judge, a program that is executed
 *   input           the files that are counted, read in chunks
 *   job             which chunk is next, which is lost, which is done
 *   ticker          how late the loop is at worst
 *   screen, report  what you see
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "basics.h"
#include "report.h"

#define DEFAULT_SECONDS 3.0

typedef struct demo {
  struct ev_loop *loop;
  screen screen;
  input input;
  job job;
  crew crew;
  ticker ticker;
  wc wc;
  double seconds;    /* begin rounds for so long */
  double kill_after; /* seconds */
  program programs[MAX_WORKERS];
  int count;
  int has_killed;
} demo;

/* ---- Options ------------------------------------------------------------- */

static void usage(int code) {
  fprintf(code == 0 ? stdout : stderr,
          "usage: demo -w language=command ... [-k seconds] [-s seconds] "
          "[file ...]\n"
          "  -w  start a worker with this command (repeatable)\n"
          "  -k  kill a worker after this many seconds (half of -s)\n"
          "  -s  repeat the files for this many seconds (3)\n"
          "Without files: the licences of the system and the sources here.\n");
  exit(code);
}

static double to_number(const char *text) {
  char *end;
  double number = strtod(text, &end);

  if (end == text || *end != '\0' || !(number >= 0 && number < 1e6))
    usage(EXIT_INPUT);
  return number;
}

/* "Lua=lua5.4 worker.lua" */
static void add_program(demo *d, char *text) {
  program *p = &d->programs[d->count];
  size_t words = 0;

  p->name = strtok(text, "=");
  while (words < sizeof(p->argv) / sizeof(*p->argv) - 1 &&
         (p->argv[words] = strtok(NULL, " ")) != NULL)
    words++;
  if (words == 0 || ++d->count == MAX_WORKERS)
    usage(EXIT_INPUT);
}

static void parse(demo *d, int argc, char *argv[]) {
  int option;

  d->seconds = DEFAULT_SECONDS;
  d->kill_after = -1;
  while ((option = getopt(argc, argv, "hw:k:s:")) != -1) {
    if (option == 'w')
      add_program(d, optarg);
    else if (option == 'k')
      d->kill_after = to_number(optarg);
    else if (option == 's')
      d->seconds = to_number(optarg);
    else
      usage(option == 'h' ? EXIT_SAME : EXIT_INPUT);
  }
  if (d->count == 0)
    usage(EXIT_INPUT);
  if (d->kill_after < 0)
    d->kill_after = d->seconds / 2;
}

/* ---- The course of events ------------------------------------------------ */

static void on_judged(void *user) {
  demo *d = user;

  ticker_stop(&d->ticker, d->loop); /* the last watcher: ev_run() returns */
}

/* All workers have ended. */
static void on_home(void *user) {
  demo *d = user;

  input_verify(&d->input);
  if (d->input.left_out == d->input.count) {
    ticker_stop(&d->ticker, d->loop);
    return;
  }
  screen_say(&d->screen, "the workers have ended; now wc counts the files");
  wc_start(&d->wc, d->loop, &d->input, on_judged, d);
}

static void show_progress(demo *d, double elapsed) {
  uint64_t bytes = 0, messages = 0;
  int i;

  for (i = 0; i < d->crew.count; i++) {
    bytes += d->crew.workers[i].bytes;
    messages += d->crew.workers[i].messages;
  }
  screen_progress(&d->screen,
                  "round %" PRIu64 ", %.1f MB, %.0f messages/s, "
                  "worst tick %.1f ms late",
                  d->job.rounds, (double)bytes / 1e6,
                  (double)messages / elapsed, d->ticker.worst * 1000);
}

static void on_tick(void *user) {
  demo *d = user;
  double elapsed = now() - d->screen.start;

  if (d->crew.is_going_home)
    return;
  show_progress(d, elapsed);
  if (!d->has_killed && elapsed >= d->kill_after)
    d->has_killed = crew_kill_one(&d->crew);
  /* Until a worker has been killed there is work. */
  if (d->has_killed && elapsed >= d->seconds)
    d->job.again = 0;
  if (job_is_finished(&d->job))
    crew_send_home(&d->crew);
}

static void show_programs(const demo *d) {
  char *const *word;
  int i;

  for (i = 0; i < d->count; i++) {
    printf("  %-7s", d->programs[i].name);
    for (word = d->programs[i].argv; *word != NULL; word++)
      printf(" %s", *word);
    putchar('\n');
  }
  fflush(stdout);
}

static void start(demo *d) {
  if ((d->loop = ev_loop_new(EVFLAG_AUTO)) == NULL)
    errx(EXIT_DIFFERENT, "no event loop");
  job_init(&d->job, &d->input);
  screen_init(&d->screen);
  printf("%zu file%s of %.1f MB together, again and again for %.1f s, with %d "
         "worker%s:\n",
         d->input.count, plural(d->input.count), (double)d->input.bytes / 1e6,
         d->seconds, d->count, plural((size_t)d->count));
  show_programs(d);
  d->crew.loop = d->loop;
  d->crew.job = &d->job;
  d->crew.unprintable_is_word = wc_unprintable_is_word();
  d->crew.screen = &d->screen;
  d->crew.on_home = on_home;
  d->crew.user = d;
  d->crew.programs = d->programs;
  d->crew.program_count = d->count;
  crew_start(&d->crew);
  ticker_start(&d->ticker, d->loop, on_tick, d);
}

/* ---- The result ---------------------------------------------------------- */

static int report(demo *d) {
  size_t different = 0;

  screen_end(&d->screen);
  report_workers(&d->crew);
  report_lateness(&d->ticker);
  input_verify(&d->input); /* wc may have read another text */
  if (d->wc.count > 0)
    different = report_totals(&d->job, &d->wc);
  if (d->input.left_out > 0)
    printf("%zu file%s skipped (see above).\n", d->input.left_out,
           plural(d->input.left_out));
  return different > 0 || d->input.left_out > 0 ? EXIT_DIFFERENT : EXIT_SAME;
}

int main(int argc, char *argv[]) {
  static demo d; /* it is zero */
  int code;

  parse(&d, argc, argv);
  if (input_init(&d.input, argv + optind, (size_t)(argc - optind)) < 0) {
    input_free(&d.input);
    return EXIT_INPUT;
  }
  start(&d);
  ev_run(d.loop, 0);
  code = report(&d);

  wc_free(&d.wc);
  crew_free(&d.crew);
  job_free(&d.job);
  input_free(&d.input);
  ev_loop_destroy(d.loop);
  if (fflush(stdout) != 0 || ferror(stdout))
    err(EXIT_DIFFERENT, "standard output");
  return code;
}
