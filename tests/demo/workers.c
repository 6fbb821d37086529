/* The workers: programs in several languages, started, fed, replaced when they
 * die, sent home. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "basics.h"
#include "message.h"
#include "workers.h"

/* How long one loop iteration feeds before timers and answers are handled. */
#define BUDGET_SECONDS 0.001
/* See is_moment_to_kill(). */
#define PATIENCE_SECONDS 1.0

static void feed(struct ev_loop *loop, ev_idle *feeder, int revents);

/* ---- Start and end ------------------------------------------------------- */

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user);
static void on_drain(gipc_handle *h, void *user);
static void on_end(gipc_handle *h, int why, void *user);
static void on_exit_of(gipc_process *p, void *user);

/* The program finds the pipe by its name, whatever its language.  Returns 0, or
 * the error of the start. */
static int start_process(worker *w) {
  gipc_options *o;
  gipc_handle *far_end;
  int r;

  must(gipc_pipe_duplex(&w->pipe, &far_end), "gipc_pipe_duplex");
  must(gipc_options_new(&o), "gipc_options_new");
  must(gipc_options_set_name(o, w->program->name), "gipc_options_set_name");
  must(gipc_options_set_daemon(o, 1), "gipc_options_set_daemon");
  must(gipc_options_pass(o, "demo", far_end), "gipc_options_pass");
  r = gipc_exec_process((const char *const *)w->program->argv, o, &w->process);
  gipc_options_free(o);
  gipc_handle_free(far_end); /* it has moved into the child */
  return r;
}

static void leave_out(crew *c, const program *p, const char *why) {
  screen_say(c->screen, "%s is left out: %s: %s", p->name, p->argv[0], why);
  c->left_out++;
}

/* Returns NULL when the program cannot be run. */
static worker *start_worker(crew *c, const program *p) {
  static const gipc_events events = {sizeof(events), on_message, on_drain,
                                     on_end};
  worker *w = new_memory(sizeof(*w));
  int r;

  w->crew = c;
  w->program = p;
  if ((r = start_process(w)) < 0) {
    leave_out(c, p, gipc_strerror(r));
    gipc_handle_free(w->pipe);
    free(w);
    return NULL;
  }
  c->workers[c->count++] = w;
  c->alive++;
  w->number = c->count;
  w->started = now();
  w->exit.size = sizeof(w->exit);
  msgpack_sbuffer_init(&w->message);
  w->pid = must(gipc_process_pid(w->process), "gipc_process_pid");
  must(gipc_start(w->pipe, c->loop, &events, w), "gipc_start");
  must(gipc_process_watch(w->process, c->loop, on_exit_of, w),
       "gipc_process_watch");
  return w;
}

void crew_start(crew *c, const program programs[], int count) {
  int i;

  ev_idle_init(&c->feeder, feed);
  /* An idle watcher runs when no watcher of its priority or above is pending.
   * With the highest it runs once in each iteration, even with many answers. */
  ev_set_priority(&c->feeder, EV_MAXPRI);
  c->feeder.data = c;
  for (i = 0; i < count; i++)
    start_worker(c, &programs[i]);
  if (c->alive == 0)
    errx(EXIT_INPUT, "no worker is left");
}

/* What puts return between the death of a worker and its on_end. */
static int is_dying(int result) {
  return result == -EPIPE || result == -ECONNRESET;
}

/* What w has not answered goes back; what it has answered, counts. */
static size_t take_back(worker *w) {
  size_t lost = w->sent.count;
  chunk *c;

  while ((c = chunk_list_pop(&w->sent)) != NULL)
    job_lose(w->crew->job, c);
  if (w->refused != NULL)
    job_lose(w->crew->job, w->refused);
  w->refused = NULL;
  w->crew->resent += lost;
  return lost;
}

static void replace(crew *c, const worker *dead, size_t lost) {
  const worker *heir;

  if (c->replaced++ == MAX_REPLACED ||
      (heir = start_worker(c, dead->program)) == NULL)
    errx(EXIT_DIFFERENT, "too many workers died");
  screen_say(c->screen,
             "worker %d (pid %d) has died, its %zu unanswered messages are "
             "resent; worker %d (pid %d) replaces it",
             dead->number, dead->pid, lost, heir->number, heir->pid);
}

/* Its program cannot start, for example if its language lacks the module. */
static void leave_out_worker(worker *w) {
  char why[64];

  if (w->exit.signal != 0)
    snprintf(why, sizeof(why), "signal %d", w->exit.signal);
  else
    snprintf(why, sizeof(why), "exit %d", w->exit.code);
  leave_out(w->crew, w->program, why);
  if (w->crew->alive == 0)
    errx(EXIT_INPUT, "no worker is left");
}

/* The exit alone is not the end: the pipe may still hold answers. */
static void leave_when_gone(worker *w) {
  crew *c = w->crew;

  if (!w->has_exited || !w->has_ended)
    return;
  w->seconds = now() - w->started;
  c->alive--;
  if (!c->is_going_home && w->language[0] == '\0')
    leave_out_worker(w);
  else if (!c->is_going_home)
    replace(c, w, take_back(w));
  else if (c->alive == 0)
    c->on_home(c->user);
}

static void on_end(gipc_handle *h, int why, void *user) {
  worker *w = user;

  (void)why; /* the exit status says more */
  gipc_handle_free(h);
  w->pipe = NULL;
  w->has_ended = 1;
  leave_when_gone(w);
}

static void on_exit_of(gipc_process *p, void *user) {
  worker *w = user;

  must(gipc_process_info(p, &w->exit), "gipc_process_info");
  gipc_process_free(p);
  w->process = NULL;
  w->has_exited = 1;
  leave_when_gone(w);
}

void crew_send_home(crew *c) {
  int i, r;

  c->is_going_home = 1;
  for (i = 0; i < c->count; i++) {
    if (c->workers[i]->pipe == NULL)
      continue;
    r = gipc_shutdown(c->workers[i]->pipe);
    if (!is_dying(r))
      must(r, "gipc_shutdown");
  }
}

void crew_free(crew *c) {
  int i;

  for (i = 0; i < c->count; i++) {
    msgpack_sbuffer_destroy(&c->workers[i]->message);
    free(c->workers[i]);
  }
}

/* ---- Answers ------------------------------------------------------------- */

static void on_tally(worker *w, const void *data, size_t size) {
  chunk *c = chunk_list_pop(&w->sent);
  tally t;

  if (c == NULL || message_to_tally(data, size, &t) < 0)
    errx(EXIT_DIFFERENT, "worker %d answers what was not asked", w->number);
  if (t.bytes != chunk_size(c))
    errx(EXIT_DIFFERENT, "worker %d answers another message", w->number);
  w->messages++;
  w->files += c->index == 0;
  w->bytes += t.bytes;
  job_done(w->crew->job, c, &t);
}

/* From here on there is something to do for it. */
static void on_greeting(worker *w, const void *data, size_t size) {
  int r;

  if (message_to_greeting(data, size, w->language) < 0)
    errx(EXIT_DIFFERENT, "worker %d does not greet", w->number);
  message_of_rule(&w->message, w->crew->unprintable_is_word);
  r = gipc_try_put(w->pipe, w->message.data, w->message.size);
  if (!is_dying(r))
    must(r, "gipc_try_put");
  ev_idle_start(w->crew->loop, &w->crew->feeder);
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  worker *w = user;

  (void)h;
  if (w->language[0] == '\0')
    on_greeting(w, data, size);
  else
    on_tally(w, data, size);
}

/* ---- Feeding ------------------------------------------------------------- */

static void on_drain(gipc_handle *h, void *user) {
  worker *w = user;

  (void)h;
  w->is_full = 0;
  ev_idle_start(w->crew->loop, &w->crew->feeder);
}

/* The next chunk for w, made its message. */
static chunk *next_chunk(worker *w) {
  job *j = w->crew->job;
  chunk *c = w->refused;

  w->refused = NULL;
  if (c != NULL)
    return c;
  while ((c = job_take(j)) != NULL) {
    if (input_read(j->in, c->pass->file, c->index, w->buffer) == 0) {
      message_of_chunk(&w->message, w->buffer, chunk_size(c));
      return c;
    }
    job_drop(j, c);
  }
  return NULL;
}

/* Right after a put: bytes that are still queued here cannot have been counted.
 * Where the workers are faster than the input the queue is always empty; then
 * a message without answer must do, after some time. */
static int is_moment_to_kill(const worker *w, size_t queued) {
  if (!w->crew->wants_kill)
    return 0;
  return queued > 0 || now() > w->crew->wants_kill_since + PATIENCE_SECONDS;
}

static void kill_if_asked(worker *w) {
  size_t queued;

  if (w->process == NULL)
    return; /* it is dead already */
  must(gipc_pending(w->pipe, GIPC_WRITE, &queued), "gipc_pending");
  if (!is_moment_to_kill(w, queued) || gipc_process_kill(w->process) < 0)
    return; /* GIPC_EDEAD: then another one */
  w->crew->wants_kill = 0;
  screen_say(w->crew->screen,
             "SIGKILL to worker %d (%s, pid %d) while it worked: "
             "%zu bytes are still queued for it",
             w->number, w->language, w->pid, queued);
}

/* Returns 1 when w took a chunk. */
static int feed_one(worker *w) {
  chunk *c;
  int r;

  if (w->pipe == NULL || w->language[0] == '\0' || w->is_full ||
      (c = next_chunk(w)) == NULL)
    return 0;
  r = gipc_try_put(w->pipe, w->message.data, w->message.size);
  if (r == -EAGAIN || is_dying(r)) {
    w->refused = c;
    w->is_full = 1; /* until on_drain, if that is called */
    return 0;
  }
  must(r, "gipc_try_put");
  chunk_list_push(&w->sent, c);
  kill_if_asked(w);
  return 1;
}

/* Fills the queues of all workers one after the other, for BUDGET_SECONDS; the
 * next loop iteration continues. */
static void feed(struct ev_loop *loop, ev_idle *feeder, int revents) {
  crew *c = feeder->data;
  double end = now() + BUDGET_SECONDS;
  int i, fed;

  (void)revents;
  do {
    for (i = 0, fed = 0; i < c->count; i++)
      fed += feed_one(c->workers[i]);
  } while (fed > 0 && now() < end);
  if (fed == 0) /* until on_drain, or a new worker */
    ev_idle_stop(loop, feeder);
}

void crew_kill_one(crew *c) {
  c->wants_kill = 1;
  c->wants_kill_since = now();
}
