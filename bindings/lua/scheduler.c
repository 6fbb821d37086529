/* See scheduler.h. */
#include "scheduler.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <gipc.h>
#include <stdlib.h>

typedef struct waiter {
  ev_io io;
  ev_timer timer;
  scheduler *owner;
  int token;
  int timed_out;
  int is_new; /* among those that the loop has not seen yet */
  enum { FREE, WAITING, READY } state;
  struct waiter *next;                /* free, or ready after this one */
  struct waiter *next_of_fd, **of_fd; /* waits for its descriptor; its place */
} waiter;

struct scheduler {
  struct ev_loop *loop;
  waiter **waiters; /* by token: libev keeps pointers to them */
  int count;
  waiter **by_fd; /* the first that waits for a descriptor */
  int fd_count;
  int *new; /* tokens, each once */
  int new_count;
  waiter *free;
  waiter *first_ready, *last_ready;
  int ready;
};

scheduler *scheduler_new(void) {
  scheduler *s = calloc(1, sizeof(*s));
  if (s == NULL)
    return NULL;
  s->loop = ev_loop_new(EVFLAG_AUTO);
  if (s->loop == NULL) {
    free(s);
    return NULL;
  }
  return s;
}

void scheduler_free(scheduler *s) {
  if (s == NULL)
    return;
  /* Without stopping the watchers: that would reach into the kernel's set,
   * which a child shares with its parent. */
  ev_loop_destroy(s->loop);
  for (int i = 0; i < s->count; ++i)
    free(s->waiters[i]);
  free(s->waiters);
  free(s->by_fd);
  free(s->new);
  free(s);
}

/* So that the end of a descriptor need not look at every wait. */
static int reserve_fd(scheduler *s, int fd) {
  if (fd < s->fd_count)
    return 0;
  int count = fd < 32 ? 64 : 2 * fd;
  waiter **by_fd = realloc(s->by_fd, (size_t)count * sizeof(*by_fd));
  if (by_fd == NULL)
    return -ENOMEM;
  /* The places of the first waits have moved. */
  for (int i = 0; i < count; ++i) {
    if (i >= s->fd_count)
      by_fd[i] = NULL;
    else if (by_fd[i])
      by_fd[i]->of_fd = &by_fd[i];
  }
  s->by_fd = by_fd;
  s->fd_count = count;
  return 0;
}

static void add_to_fd(waiter *w, int fd) {
  w->of_fd = &w->owner->by_fd[fd];
  w->next_of_fd = *w->of_fd;
  if (w->next_of_fd)
    w->next_of_fd->of_fd = &w->next_of_fd;
  *w->of_fd = w;
}

static void remove_from_fd(waiter *w) {
  if (w->of_fd == NULL)
    return;
  *w->of_fd = w->next_of_fd;
  if (w->next_of_fd)
    w->next_of_fd->of_fd = w->of_fd;
  w->of_fd = NULL;
}

static void stop(waiter *w) {
  remove_from_fd(w);
  ev_io_stop(w->owner->loop, &w->io);
  ev_timer_stop(w->owner->loop, &w->timer);
}

static void make_ready(waiter *w, int timed_out) {
  scheduler *s = w->owner;
  stop(w);
  w->state = READY;
  w->timed_out = timed_out;
  w->next = NULL;
  if (s->last_ready)
    s->last_ready->next = w;
  else
    s->first_ready = w;
  s->last_ready = w;
  s->ready++;
}

static void on_io(struct ev_loop *loop, ev_io *io, int events) {
  (void)loop;
  (void)events;
  make_ready(io->data, 0);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events) {
  (void)loop;
  (void)events;
  make_ready(timer->data, 1);
}

static waiter *new_waiter(scheduler *s) {
  waiter **waiters =
      realloc(s->waiters, (size_t)(s->count + 1) * sizeof(*waiters));
  if (waiters == NULL)
    return NULL;
  s->waiters = waiters;
  int *new = realloc(s->new, (size_t)(s->count + 1) * sizeof(*new));
  if (new == NULL)
    return NULL;
  s->new = new;
  waiter *w = calloc(1, sizeof(*w));
  if (w == NULL)
    return NULL;
  w->owner = s;
  w->token = s->count;
  ev_init(&w->io, on_io);
  ev_init(&w->timer, on_timer);
  w->io.data = w->timer.data = w;
  waiters[s->count++] = w;
  return w;
}

static void release(waiter *w) {
  w->state = FREE;
  w->next = w->owner->free;
  w->owner->free = w;
}

int scheduler_watch(scheduler *s, int fd, int direction, double timeout) {
  if (s == NULL || timeout != timeout)
    return -EINVAL;
  if (reserve_fd(s, fd) < 0)
    return -ENOMEM;
  waiter *w = s->free;
  if (w)
    s->free = w->next;
  else if ((w = new_waiter(s)) == NULL)
    return -ENOMEM;
  w->state = WAITING;
  if (fd >= 0) {
    ev_io_set(&w->io, fd, direction == GIPC_READ ? EV_READ : EV_WRITE);
    ev_io_start(s->loop, &w->io);
    add_to_fd(w, fd);
    if (!w->is_new)
      s->new[s->new_count++] = w->token;
    w->is_new = 1;
  }
  if (timeout >= 0) {
    /* Coroutines may have run for long since the loop looked at the clock. */
    ev_now_update(s->loop);
    ev_timer_set(&w->timer, timeout, 0);
    ev_timer_start(s->loop, &w->timer);
  }
  return w->token;
}

int scheduler_forget(scheduler *s, int token) {
  if (s == NULL || token < 0 || token >= s->count ||
      s->waiters[token]->state != WAITING)
    return -EINVAL;
  stop(s->waiters[token]);
  release(s->waiters[token]);
  return 0;
}

int scheduler_forget_fd(scheduler *s, int fd) {
  if (s == NULL || fd < 0)
    return -EINVAL;
  while (fd < s->fd_count && s->by_fd[fd])
    make_ready(s->by_fd[fd], 0);
  return 0;
}

/* An error of a hook, as of Ctrl-C, can leave a wait behind whose descriptor is
 * closed then.  libev ends the process when it is given such a one. */
static void end_waits_for_closed(scheduler *s) {
  for (int i = 0; i < s->new_count; ++i) {
    waiter *w = s->waiters[s->new[i]];
    if (w->state == WAITING && ev_is_active(&w->io) &&
        fcntl(w->io.fd, F_GETFD) < 0)
      make_ready(w, 0);
  }
}

/* All of them are in the kernel's set. */
static void forget_new(scheduler *s) {
  while (s->new_count > 0)
    s->waiters[s->new[--s->new_count]]->is_new = 0;
}

int scheduler_run(scheduler *s, int block) {
  if (s == NULL)
    return -EINVAL;
  end_waits_for_closed(s);
  if (s->ready == 0) {
    ev_run(s->loop, block ? EVRUN_ONCE : EVRUN_NOWAIT);
    forget_new(s);
  }
  return s->ready;
}

int scheduler_next(scheduler *s, int *timed_out) {
  if (s == NULL)
    return -EINVAL;
  waiter *w = s->first_ready;
  if (w == NULL)
    return -EAGAIN;
  s->first_ready = w->next;
  if (s->first_ready == NULL)
    s->last_ready = NULL;
  s->ready--;
  *timed_out = w->timed_out;
  release(w);
  return w->token;
}
