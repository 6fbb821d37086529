/* The workers: programs in several languages, each the worker of a pool of its
 * own, which are fed until the work is done. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "basics.h"
#include "workers.h"

/* A chunk that ended so many workers would end all of them. */
enum { QUEUE = 8, RETRIES = 2 };

/* ---- Chunks -------------------------------------------------------------- */

/* The next chunk, made the message; or NULL. */
static chunk *next_chunk(crew *c) {
  job *j = c->job;
  chunk *next;

  while ((next = job_take(j)) != NULL) {
    if (input_read(j->in, next->pass->file, next->index, c->buffer) == 0) {
      message_of_chunk(&c->message, c->buffer, chunk_size(next));
      return next;
    }
    job_drop(j, next);
  }
  return NULL;
}

/* Fills the queue of a pool, which is short, so that the loop is not held up;
 * on_drain() continues. */
static void feed(program *p) {
  crew *c = p->crew;
  gipc_task_rules rules = {.size = sizeof(rules), .retries = RETRIES};
  uint64_t task;
  int r = 0;

  while (p->pool != NULL && r == 0 && (rules.user = next_chunk(c)) != NULL)
    if ((r = gipc_pool_try_put(p->pool, c->message.data, c->message.size,
                               &rules, &task)) < 0)
      job_lose(c->job, rules.user);
  if (r != -EAGAIN && r != GIPC_ECLOSED) /* full; given up */
    must(r, "gipc_pool_try_put");
}

static void on_drain(gipc_pool *pool, void *user) {
  (void)pool;
  feed(user);
}

static void on_tally(program *p, const gipc_result *result) {
  worker *w = p->last; /* the only one that answers */
  chunk *c = result->user;
  tally t;

  if (message_to_tally(result->data, result->data_size, &t, w->language) < 0)
    errx(EXIT_DIFFERENT, "%s does not answer with a tally", p->name);
  if (t.bytes != chunk_size(c))
    errx(EXIT_DIFFERENT, "%s counts another chunk", p->name);
  w->messages++;
  w->files += c->index == 0;
  w->bytes += t.bytes;
  job_done(p->crew->job, c, &t);
}

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  program *p = user;
  crew *c = p->crew;

  (void)pool;
  if (result->why == GIPC_WHY_DONE) {
    on_tally(p, result);
  } else if (result->why == GIPC_WHY_GAVE_UP) {
    job_lose(c->job, result->user);
    for (int i = 0; i < c->program_count; i++)
      feed(&c->programs[i]);
  } else {
    errx(EXIT_DIFFERENT, "%s: reason %d: %.*s", p->name, result->why,
         (int)result->text.size, result->text.data);
  }
}

/* ---- Start and end ------------------------------------------------------- */

static uint64_t resent_by(const program *p) {
  gipc_policy_stats stats = {.size = sizeof(stats)};

  must(gipc_pool_stats(p->pool, &stats), "gipc_pool_stats");
  return stats.retries;
}

static void add_worker(program *p, const gipc_worker_change *change) {
  crew *c = p->crew;
  worker *dead = p->last, *w = &c->workers[c->count];

  if (c->count == MAX_STARTS)
    errx(EXIT_DIFFERENT, "too many workers died");
  *w = (worker){.number = ++c->count, .pid = change->pid, .started = now()};
  p->last = w;
  if (dead != NULL)
    screen_say(c->screen,
               "worker %d (pid %d) has died; worker %d (pid %d) replaces it, "
               "%" PRIu64 " unanswered message%s resent",
               dead->number, dead->pid, w->number, w->pid, resent_by(p),
               plural(resent_by(p)));
}

static void on_worker(gipc_pool *pool, const gipc_worker_change *change,
                      void *user) {
  program *p = user;

  (void)pool;
  p->error = change->error;
  if (change->state == GIPC_WORKER_STARTING) {
    add_worker(p, change);
  } else if (change->has_info) {
    p->last->exit = change->info;
    p->last->seconds = now() - p->last->started;
  }
}

/* Its program cannot start, for example if its language lacks the module. */
static void leave_out(const program *p) {
  const gipc_exit_info *end = p->last != NULL ? &p->last->exit : NULL;
  char why[64] = "";

  if (p->error < 0)
    snprintf(why, sizeof(why), "%s", gipc_strerror(p->error));
  else if (end != NULL && end->signal != 0)
    snprintf(why, sizeof(why), "signal %d", end->signal);
  else if (end != NULL)
    snprintf(why, sizeof(why), "exit %d", end->code);
  screen_say(p->crew->screen, "%s is left out: %s: %s", p->name, p->argv[0],
             why);
}

static void on_end(gipc_pool *pool, int why, void *user) {
  program *p = user;
  crew *c = p->crew;

  c->resent += resent_by(p);
  gipc_pool_free(pool);
  p->pool = NULL;
  c->open--;
  if (why == GIPC_WHY_GAVE_UP)
    leave_out(p);
  if (c->open == 0 && !c->is_going_home)
    errx(EXIT_INPUT, "no worker is left");
  if (c->open == 0)
    c->on_home(c->user);
}

static void start_pool(crew *c, program *p) {
  static const gipc_pool_events events = {sizeof(events), on_result, on_drain,
                                          on_worker, on_end};
  const gipc_rules rules = {.size = sizeof(rules),
                            .most = 1,
                            .queue_limit = QUEUE,
                            .prepare_failures = 1};
  gipc_options *o;

  p->crew = c;
  must(gipc_options_new(&o), "gipc_options_new");
  must(gipc_options_set_env(o, "UNPRINTABLE_IS_WORD",
                            c->unprintable_is_word ? "yes" : NULL),
       "gipc_options_set_env");
  must(gipc_pool_exec((const char *const *)p->argv, &rules, o, &p->pool),
       "gipc_pool_exec");
  must(gipc_pool_start(p->pool, c->loop, &events, p), "gipc_pool_start");
  gipc_options_free(o);
  c->open++;
}

void crew_start(crew *c) {
  msgpack_sbuffer_init(&c->message);
  for (int i = 0; i < c->program_count; i++) {
    start_pool(c, &c->programs[i]);
    feed(&c->programs[i]);
  }
}

/* Seconds for a task, or 0 while it has none. */
static double slowness(const program *p) {
  gipc_worker_stats s = {.size = sizeof(s)};

  if (p->pool == NULL)
    return 0;
  must(gipc_pool_worker_stats(p->pool, 0, &s), "gipc_pool_worker_stats");
  return s.state == GIPC_WORKER_READY && s.task != 0 ? s.busy / (double)s.tasks
                                                     : 0;
}

/* The slowest one, as that has hardly finished meanwhile. */
int crew_kill_one(crew *c) {
  const worker *slowest = NULL;
  double most = 0;

  for (int i = 0; i < c->program_count; i++)
    if (slowness(&c->programs[i]) > most) {
      most = slowness(&c->programs[i]);
      slowest = c->programs[i].last;
    }
  if (slowest == NULL || kill(slowest->pid, SIGKILL) < 0)
    return 0;
  screen_say(c->screen, "SIGKILL to worker %d (%s, pid %d) while it worked",
             slowest->number, slowest->language, slowest->pid);
  return 1;
}

void crew_send_home(crew *c) {
  c->is_going_home = 1;
  for (int i = 0; i < c->program_count; i++)
    if (c->programs[i].pool != NULL)
      must(gipc_pool_stop(c->programs[i].pool, -1), "gipc_pool_stop");
}

void crew_free(crew *c) { msgpack_sbuffer_destroy(&c->message); }
