/* The steps of every language: their outcomes, the size from which they lend
 * memory, when they let others run, and how they wait.  SWIG copies this file
 * into the module of each language (see gipc.i).  Nothing here calls an
 * interpreter, and only poll_within() waits.
 *
 * A step returns an outcome, or an error of the library, which is < 0. */
#include <errno.h>
#include <gipc.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum step_outcome {
  /* The step is complete. */
  STEP_DONE,
  /* Nothing was done.  Wait until the descriptor is ready, or until the call of
   * another thread on this handle has returned, then repeat the step. */
  STEP_WAIT,
  /* Nothing was done.  Let others run, then repeat the step. */
  STEP_YIELD,
  /* The message is moved straight from or to memory of the caller, which is
   * lent to the library meanwhile: the caller needs the lock of the handle. */
  STEP_LENT,
  /* A part of the message was written, and the library has copied the remaining
   * bytes to its queue: step_flush() writes them. */
  STEP_QUEUED
};

/* Messages of this size in bytes or more are lent; a copy of a smaller one is
 * cheaper than what lending takes. */
enum { LENT_FROM = 32 * 1024 };

/* Smaller ones are tried without lending: most are put, or received, whole, and
 * to copy a part of one is cheaper than lending. */
enum { TRIED_BELOW = 128 * 1024 };

/* ---- Fairness -----------------------------------------------------------
 *
 * A task that never has to wait would never let others run.  A thread that has
 * moved its share of this many bytes since it last waited or yielded gets
 * STEP_YIELD.  Each message takes time, too: it counts as LEAST_COST bytes
 * or more, so that 1024 messages, some milliseconds in a script, are a budget.
 *
 * A loop runs each busy task once in an iteration, so they share the budget.  A
 * handle that yields again after n yields of the thread is one of n that are
 * busy.
 *
 * A message may be larger than the budget of all.  Then the other handles yield
 * in that iteration, too, and one of them proceeds in the next one: not all of
 * them move such a message in each iteration.  Whatever the order of the tasks
 * is, a handle has yielded for others as often as there are busy ones at most.
 * The same holds after that many bytes of messages that are not whole yet.
 */
enum {
  BUDGET = 256 * 1024,
  PARTS_BUDGET = 1024 * 1024,
  LEAST_COST = 256,
  MOST_SHARES = 64
};
static __thread size_t spent, share = BUDGET;
static __thread struct busy_handle {
  const gipc_handle *handle;
  unsigned yield, for_others;
} yielded[MOST_SHARES];
static __thread unsigned yields_of_thread, busy;
/* The handle that moved a message as large as the budget, until that is
 * renewed, and the first yield after that; 0: there was none. */
static __thread const gipc_handle *mover;
static __thread unsigned first_yield;
/* The bytes of such parts, and those that a handle holds. */
static __thread size_t parts;
static __thread struct part {
  const gipc_handle *handle;
  size_t size;
} held[MOST_SHARES];

static inline void spend(const gipc_handle *h, size_t size) {
  spent += size < LEAST_COST ? LEAST_COST : size;
  if (size >= BUDGET)
    mover = h;
}

/* Also in a child: what its parent has moved is not its own. */
static inline void renew_budget(void) {
  spent = 0;
  mover = NULL;
  first_yield = 0;
}

static inline unsigned index_of(const gipc_handle *h) {
  /* Multiplication by this odd number spreads the addresses of handles. */
  return (unsigned)((uintptr_t)h >> 4) * 2654435761u >> 26;
}

static inline struct busy_handle *entry_of(const gipc_handle *h) {
  return &yielded[index_of(h)];
}

/* Whether it is of a yield after that of a large message. */
static inline int is_of_now(const struct busy_handle *entry) {
  return first_yield != 0 &&
         entry->yield - first_yield <= yields_of_thread - first_yield;
}

/* Whether the step is to return step_yield().  Where two handles have one
 * entry, either may proceed. */
static inline int must_yield(const gipc_handle *h) {
  if (spent < share)
    return 0;
  struct busy_handle *entry = entry_of(h);
  int known = entry->handle == h;
  int waited = known && entry->for_others >= busy;
  if (!waited && (!is_of_now(entry) || (known && h == mover)))
    return 1;
  entry->for_others = 0;
  renew_budget();
  return 0;
}

static inline int step_yield(const gipc_handle *h) {
  struct busy_handle *entry = entry_of(h);
  int again = entry->handle == h && is_of_now(entry);
  ++yields_of_thread;
  if (entry->handle == h)
    busy = yields_of_thread - entry->yield;
  else
    busy++; /* one that was not busy before */
  if (busy > MOST_SHARES)
    busy = MOST_SHARES;
  if (entry->handle != h || h == mover)
    entry->for_others = 0;
  else if (first_yield != 0)
    entry->for_others++;
  entry->handle = h;
  entry->yield = yields_of_thread;
  share = BUDGET / busy;
  if (mover == NULL || busy == 1 || (h == mover && again))
    renew_budget();
  else if (first_yield == 0)
    first_yield = yields_of_thread;
  return STEP_YIELD;
}

/* The caller waits, and others run. */
static inline int step_wait(void) {
  renew_budget();
  return STEP_WAIT;
}

/* The same after a get, which may have received a part of a message. */
static inline int step_wait_to_get(gipc_handle *h) {
  struct part *part = &held[index_of(h)];
  size_t size;
  if (gipc_pending(h, GIPC_READ, &size) != 0 || size < LENT_FROM)
    return step_wait();
  parts += part->handle == h && part->size <= size ? size - part->size : size;
  part->handle = h;
  part->size = size;
  if (parts < PARTS_BUDGET)
    return step_wait();
  parts = 0;
  spent = BUDGET;
  mover = h;
  return STEP_WAIT;
}

/* ---- Steps -------------------------------------------------------------- */

static inline int outcome_of(int result) {
  if (result == -EAGAIN)
    return step_wait();
  return result < 0 ? result : STEP_DONE;
}

/* Of a call that has moved *size bytes if it succeeded. */
static inline int outcome_of_move(const gipc_handle *h, int result,
                                  const size_t *size) {
  if (result >= 0)
    spend(h, *size);
  return outcome_of(result);
}

/* The same without the lock of the handle. */
static inline int outcome_of_try(const gipc_handle *h, int result,
                                 const size_t *size) {
  return outcome_of_move(h, result == GIPC_ELOCKED ? -EAGAIN : result, size);
}

static inline int outcome_of_get(gipc_handle *h, int result,
                                 const size_t *size) {
  if (result == -EAGAIN)
    return step_wait_to_get(h);
  if (result == 0 && *size >= LENT_FROM)
    held[index_of(h)].size = 0;
  return outcome_of_try(h, result, size);
}

/* Gets the next message: a view, valid until the next call on h. */
static inline int step_get(gipc_handle *h, const void **data, size_t *size) {
  if (must_yield(h))
    return step_yield(h);
  return outcome_of_get(h, gipc_try_get(h, data, size), size);
}

/* The same.  STEP_LENT: it is large, of *size bytes; gipc_get_into() receives
 * it. */
static inline int step_get_small(gipc_handle *h, const void **data,
                                 size_t *size) {
  if (must_yield(h))
    return step_yield(h);
  int result = gipc_next_size(h, size);
  if (result == 0 && *size >= LENT_FROM)
    return STEP_LENT;
  if (result == 0)
    result = gipc_try_get(h, data, size);
  return outcome_of_get(h, result, size);
}

/* 1: a get returns, or receives a part of a message.  0: it would wait, and the
 * descriptor becomes readable with the next bytes.  Of a message that is not
 * whole, the remaining bytes may be in a ring, which does not make the
 * descriptor readable: gipc_wait() knows. */
static inline int step_get_would_not_wait(gipc_handle *h) {
  size_t size, pending;
  int result = gipc_next_size(h, &size);
  if (result == -EAGAIN || result == GIPC_ELOCKED)
    return 0;
  if (result == 0)
    result = gipc_pending(h, GIPC_READ, &pending);
  if (result < 0 || pending >= size + (size > INT32_MAX ? 12 : 4))
    return 1; /* the next get returns an error, or it */
  gipc_wait_set *set;
  result = gipc_wait_set_new(&set);
  if (result < 0)
    return result;
  result = gipc_wait_set_add_handle(set, h, GIPC_READ);
  if (result == 0)
    result = gipc_wait(set, 0);
  gipc_wait_set_free(set);
  return result == -ETIMEDOUT ? 0 : result;
}

/* Puts a message, and lends nothing past the call.  STEP_LENT: it is large;
 * step_put_lent() puts it.  After -ENOMEM the library may use its memory for as
 * long as h is open. */
static inline int step_put(gipc_handle *h, const void *data, size_t size) {
  if (size >= TRIED_BELOW)
    return STEP_LENT;
  if (must_yield(h))
    return step_yield(h);
  int result = gipc_put_start(h, data, size);
  if (result != -EAGAIN)
    return outcome_of_try(h, result, &size);
  result = gipc_put_cancel(h);
  if (result == 0)
    return step_wait();
  return result < 0 ? result : STEP_QUEUED;
}

/* Starts a put; the caller has the lock.  STEP_LENT: the memory is lent until
 * step_put_more() is done or fails, or until gipc_put_cancel(). */
static inline int step_put_lent(gipc_handle *h, const void *data, size_t size) {
  if (must_yield(h))
    return step_yield(h);
  int outcome = outcome_of_move(h, gipc_put_start(h, data, size), &size);
  return outcome == STEP_WAIT ? STEP_LENT : outcome;
}

static inline int step_put_more(gipc_handle *h) {
  return outcome_of(gipc_put_step(h));
}

/* Appends a copy of a message to the write queue.  STEP_WAIT: the queue is
 * full; step_flush() first, which may not have to wait. */
static inline int step_queue(gipc_handle *h, const void *data, size_t size) {
  if (must_yield(h))
    return step_yield(h);
  int result = gipc_try_put(h, data, size);
  if (result == -EAGAIN)
    return STEP_WAIT;
  return outcome_of_move(h, result, &size);
}

/* What goes with a message: handles, which move, and descriptors. */
typedef struct {
  gipc_handle *handles[GIPC_MOST_HANDLES];
  size_t handle_count;
  int fds[GIPC_MOST_FDS];
  size_t fd_count;
} gipc_attached;

/* The same with these. */
static inline int step_queue_with(gipc_handle *h, const void *data, size_t size,
                                  const gipc_attached *with) {
  if (must_yield(h))
    return step_yield(h);
  int result =
      gipc_try_put_handles(h, data, size, with->handles, with->handle_count,
                           with->fds, with->fd_count);
  if (result == -EAGAIN)
    return STEP_WAIT;
  return outcome_of_move(h, result, &size);
}

/* Closes the descriptors of the message that was returned last, but those that
 * were taken. */
static inline void step_close_fds(gipc_handle *h) {
  int fds[GIPC_MOST_FDS];
  for (int count = gipc_take_fds(h, fds, GIPC_MOST_FDS); count > 0;)
    close(fds[--count]);
}

/* A task whose descriptors could not be put, for this reason, fails.  Otherwise
 * the worker ends, or is still reading the message before it. */
static inline int is_refusal(int result) {
  return result < 0 && result != -EAGAIN && result != -EPIPE &&
         result != -ECONNRESET && result > GIPC_EOF;
}

/* Whether a worker is to answer this task next. */
static inline int is_next_task(const gipc_policy *policy, uint64_t worker,
                               uint64_t task) {
  gipc_worker_stats stats = {0};
  stats.size = sizeof(stats);
  for (size_t i = 0; gipc_policy_worker_stats(policy, i, &stats) == 0; ++i)
    if (stats.worker == worker)
      return stats.task == task;
  return 0;
}

/* Reports to the policy that it has failed: 1.  0: the worker is to answer
 * others before, and is sent this one again then. */
static inline int fail_task(gipc_policy *policy, uint64_t worker, uint64_t task,
                            double now) {
  gipc_worker_message message = {0};
  char bytes[64];
  size_t size;
  if (!is_next_task(policy, worker, task)) {
    (void)!gipc_policy_refused(policy, worker, task, -EAGAIN, now);
    return 0;
  }
  message.size = sizeof(message);
  message.kind = GIPC_MESSAGE_FAILED;
  message.task = task;
  if (gipc_worker_encode(&message, bytes, sizeof(bytes), &size) == 0)
    (void)!gipc_policy_received(policy, worker, bytes, size, now, &message);
  return 1;
}

/* Writes queued bytes.  STEP_DONE: the queue is empty. */
static inline int step_flush(gipc_handle *h) {
  return outcome_of(gipc_flush_step(h));
}

/* STEP_WAIT: step_flush() first. */
static inline int step_close(gipc_handle *h) {
  return outcome_of(gipc_close(h));
}

static inline int step_shutdown(gipc_handle *h) {
  return outcome_of(gipc_shutdown(h));
}

/* ---- Waiting ------------------------------------------------------------ */

/* The time at which the clock stands in this thread, so that a test can decide
 * when things happen; < 0: it does not stand. */
static __thread double stopped_at = -1;

static inline void stop_clock(double seconds) { stopped_at = seconds; }

/* The monotonic clock, in seconds. */
static inline double now(void) {
  struct timespec t;
  if (stopped_at >= 0)
    return stopped_at;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline struct pollfd poll_entry(int fd, int direction) {
  struct pollfd entry = {fd, direction == GIPC_READ ? POLLIN : POLLOUT, 0};
  return entry;
}

/* poll(2) with a timeout in seconds; < 0 waits indefinitely.  > 0: some are
 * ready; 0: the timeout expired; -EINTR: a signal came; or another error < 0.
 */
static inline int poll_within(struct pollfd *entries, nfds_t count,
                              double timeout) {
  int milliseconds = -1;
  if (timeout >= 0) /* rounded up, as a wait that ends early is repeated */
    milliseconds = timeout > 1e6 ? 1000000000 : (int)(timeout * 1e3 + 0.999);
  int ready = poll(entries, count, milliseconds);
  return ready < 0 ? -errno : ready;
}
