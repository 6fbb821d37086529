/* A child that is started again when it dies, and continues where it was. */
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

enum { COUNT = 7 };

typedef struct supervisor {
  struct ev_loop *loop;
  gipc_handle *far_end; /* for the child */
  gipc_process *child;
  bool pipe_is_open, is_running;
  int seen;
} supervisor;

static void start_child(supervisor *s);

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* In the child, with a copy of the supervisor: puts the numbers that have not
 * been seen, if nothing happens to it. */
static int count(struct ev_loop *fresh, void *argument) {
  supervisor *s = argument;
  char number;

  (void)fresh;
  for (number = (char)s->seen; number < COUNT; number++) {
    if (number == 3 && s->seen < 3)
      return 2;
    if (number == 5 && s->seen < 5)
      raise(SIGKILL);
    must(gipc_put(s->far_end, &number, 1, -1), "gipc_put");
  }
  return 0;
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  supervisor *s = user;

  (void)h;
  if (size != 1 || *(const char *)data != s->seen)
    errx(1, "another number than %d", s->seen);
  s->seen++;
}

/* The exit alone is not the end: the pipe may still hold numbers. */
static void go_on_when_both_ended(supervisor *s) {
  int code;

  if (s->pipe_is_open || s->is_running)
    return;
  must(gipc_process_exitcode(s->child, &code), "gipc_process_exitcode");
  gipc_process_free(s->child);
  if (code == 0)
    return; /* nothing is left on the loop */
  printf("after %d numbers: exit code %d, started again\n", s->seen, code);
  start_child(s);
}

static void on_end(gipc_handle *h, int why, void *user) {
  supervisor *s = user;

  (void)why;
  gipc_handle_free(h);
  s->pipe_is_open = false;
  go_on_when_both_ended(s);
}

static void on_exit_of(gipc_process *child, void *user) {
  supervisor *s = user;

  (void)child;
  s->is_running = false;
  go_on_when_both_ended(s);
}

static void start_child(supervisor *s) {
  static const gipc_events events = {sizeof(events), on_message, NULL, on_end};
  gipc_handle *numbers;
  gipc_options *options;

  must(gipc_pipe(&numbers, &s->far_end), "gipc_pipe");
  must(gipc_options_new(&options), "gipc_options_new");
  must(gipc_options_pass(options, NULL, s->far_end), "gipc_options_pass");
  must(gipc_start_process(count, s, options, &s->child), "start");
  gipc_options_free(options);
  gipc_handle_free(s->far_end);
  s->pipe_is_open = s->is_running = true;
  must(gipc_start(numbers, s->loop, &events, s), "gipc_start");
  must(gipc_process_watch(s->child, s->loop, on_exit_of, s), "watch");
}

int main(void) {
  supervisor s = {.loop = ev_default_loop(EVFLAG_AUTO)};

  start_child(&s);
  ev_run(s.loop, 0);
  printf("%d of %d numbers\n", s.seen, COUNT);
  return s.seen == COUNT ? 0 : 1;
}
