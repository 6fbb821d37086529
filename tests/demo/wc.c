/* wc(1), run as a child: the judge of what the workers counted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "basics.h"
#include "wc.h"

/* ---- Its idea of a word -------------------------------------------------- */

static const char example[] = "\200 \001 a\n";
static const char *const example_argv[] = {"wc", "-w", NULL};

static gipc_process *exec_wc(const char *const argv[], int stdin_mode) {
  gipc_options *o;
  gipc_process *process;

  must(gipc_options_new(&o), "gipc_options_new");
  must(gipc_options_set_env(o, "LC_ALL", "C"), "gipc_options_set_env");
  /* Without this, the wc of coreutils 9.7 takes the byte A0 for a space. */
  must(gipc_options_set_env(o, "POSIXLY_CORRECT", "1"), "gipc_options_set_env");
  must(gipc_options_set_stdio(o, 0, stdin_mode, -1), "gipc_options_set_stdio");
  must(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1),
       "gipc_options_set_stdio");
  must(gipc_options_set_daemon(o, 1), "gipc_options_set_daemon");
  must(gipc_exec_process(argv, o, &process), "wc");
  gipc_options_free(o);
  return process;
}

/* A few bytes: neither the write nor the read needs a loop. */
int wc_unprintable_is_word(void) {
  gipc_process *process = exec_wc(example_argv, GIPC_STDIO_PIPE);
  int in = must(gipc_process_stdio(process, 0), "gipc_process_stdio");
  int out = must(gipc_process_stdio(process, 1), "gipc_process_stdio");
  char text[64];
  ssize_t n;

  if (write(in, example, sizeof(example) - 1) < 0)
    err(EXIT_DIFFERENT, "write to wc");
  close(in);
  while ((n = read(out, text, sizeof(text) - 1)) < 0 && errno == EINTR)
    ;
  if (n <= 0)
    errx(EXIT_DIFFERENT, "wc does not answer");
  text[n] = '\0';
  close(out);
  must(gipc_process_join(process, -1), "gipc_process_join");
  gipc_process_free(process);
  return atoi(text) == 3; /* or 1: only the a is printable */
}

/* ---- Its counts ---------------------------------------------------------- */

static const char **new_argv(const wc *w) {
  const char **argv = new_memory((w->count + 6) * sizeof(*argv));
  size_t i, n = 0;

  argv[n++] = "wc";
  argv[n++] = "-l";
  argv[n++] = "-w";
  argv[n++] = "-c";
  argv[n++] = "--";
  for (i = 0; i < w->count; i++) /* - alone would be standard input */
    argv[n++] = strcmp(w->given[i]->path, "-") ? w->given[i]->path : "./-";
  return argv;
}

static void finish_when_done(wc *w) {
  if (w->has_exited && w->has_ended)
    w->on_done(w->user);
}

static void on_exit_of(gipc_process *p, void *user) {
  wc *w = user;

  must(gipc_process_exitcode(p, &w->exit_code), "gipc_process_exitcode");
  gipc_process_free(p);
  w->process = NULL;
  w->has_exited = 1;
  finish_when_done(w);
}

/* Plain text, no messages: read as from any pipe.  It is readable, so one read
 * does not block. */
static void on_output(struct ev_loop *loop, ev_io *output, int revents) {
  enum { PIECE = 4096 };
  wc *w = output->data;
  ssize_t n;

  (void)revents;
  if ((w->text = realloc(w->text, w->size + PIECE + 1)) == NULL)
    errx(EXIT_DIFFERENT, "out of memory");
  n = read(output->fd, w->text + w->size, PIECE);
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return;
  if (n < 0)
    err(EXIT_DIFFERENT, "read from wc");
  w->size += (size_t)n;
  w->text[w->size] = '\0';
  if (n > 0)
    return;
  ev_io_stop(loop, output);
  close(output->fd);
  w->has_ended = 1;
  finish_when_done(w);
}

static void give(wc *w) {
  input_file *file;

  w->given = new_memory((w->in->count + 1) * sizeof(*w->given));
  for (file = w->in->files; file < w->in->files + w->in->count; file++)
    if (!file->left_out)
      w->given[w->count++] = file;
}

void wc_start(wc *w, struct ev_loop *loop, input *in, void (*on_done)(void *),
              void *user) {
  const char **argv;
  int fd;

  *w = (wc){.loop = loop, .in = in, .on_done = on_done, .user = user};
  give(w);
  argv = new_argv(w);
  w->process = exec_wc(argv, GIPC_STDIO_NULL);
  free(argv);
  fd = must(gipc_process_stdio(w->process, 1), "gipc_process_stdio");
  ev_io_init(&w->output, on_output, fd, EV_READ);
  w->output.data = w;
  ev_io_start(loop, &w->output);
  must(gipc_process_watch(w->process, loop, on_exit_of, w),
       "gipc_process_watch");
}

int wc_next(wc *w, tally *t) {
  uint64_t counts[3];
  char *end;
  int i;

  if (w->next == NULL)
    w->next = w->text;
  for (i = 0; i < 3; i++) {
    counts[i] = strtoull(w->next, &end, 10);
    if (end == w->next)
      return -1;
    w->next = end;
  }
  if ((end = strchr(w->next, '\n')) == NULL)
    return -1;
  w->next = end + 1;
  *t = (tally){.lines = counts[0], .words = counts[1], .bytes = counts[2]};
  return 0;
}

void wc_free(wc *w) {
  free(w->given);
  free(w->text);
}
