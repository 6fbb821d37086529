/* Progress on standard output: on a terminal one line that is rewritten,
 * elsewhere a plain line from time to time. */
#ifndef DEMO_SCREEN_H
#define DEMO_SCREEN_H

typedef struct screen {
  int is_terminal;
  int is_dirty; /* a progress line stands there */
  double start;
  double next_progress;
} screen;

void screen_init(screen *s);

/* A line that stays, with the time since the start before it. */
void screen_say(screen *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The progress, often enough to be seen to move; is dropped when it is too
 * early for another one. */
void screen_progress(screen *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Nothing but lines that stay from here on. */
void screen_end(screen *s);

#endif
