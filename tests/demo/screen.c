/* Progress on standard output: on a terminal one line that is rewritten,
 * elsewhere a plain line from time to time. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "basics.h"
#include "screen.h"

#define TERMINAL_SECONDS 0.05
#define PLAIN_SECONDS 1.0

void screen_init(screen *s) {
  s->is_terminal = isatty(STDOUT_FILENO);
  s->is_dirty = 0;
  s->start = now();
  s->next_progress = s->is_terminal ? 0 : s->start + PLAIN_SECONDS;
}

static void wipe(screen *s) {
  if (s->is_dirty)
    fputs("\r\033[K", stdout);
  s->is_dirty = 0;
}

static void print(const screen *s, const char *format, va_list arguments) {
  printf("%6.2f s  ", now() - s->start);
  vprintf(format, arguments);
}

void screen_say(screen *s, const char *format, ...) {
  va_list arguments;

  wipe(s);
  va_start(arguments, format);
  print(s, format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

void screen_progress(screen *s, const char *format, ...) {
  va_list arguments;

  if (now() < s->next_progress)
    return;
  s->next_progress =
      now() + (s->is_terminal ? TERMINAL_SECONDS : PLAIN_SECONDS);
  wipe(s);
  va_start(arguments, format);
  print(s, format, arguments);
  va_end(arguments);
  if (s->is_terminal)
    s->is_dirty = 1;
  else
    putchar('\n');
  fflush(stdout);
}

void screen_end(screen *s) {
  wipe(s);
  fflush(stdout);
}
