/* ---- The fair lock ---------------------------------------------------------------
 *
 * A lock is an Array of tickets, in the order in which they came: the first one
 * has the lock, and the others wait.  A ticket is [fiber, thread, scheduler].
 *
 * It is in C so that no exception (of Thread#raise, a trap, a hook) can be raised
 * between the acquisition of the lock and the rb_ensure() that releases it.  No
 * Mutex is used, so that it works in a trap, too.
 */
%{
#include <ruby/fiber/scheduler.h>

typedef struct locked {
  VALUE lock, ticket;
} locked;

static VALUE ticket_of_this_fiber(void) {
  return rb_ary_new_from_args(3, rb_fiber_current(), rb_thread_current(),
                              rb_fiber_scheduler_current());
}

/* Whether the lock can only be acquired after this call has returned: this fiber has
 * it or waits for it, and was interrupted by a trap or a hook; or another fiber of
 * this thread does, which cannot run, as this call does not wait in a scheduler. */
static int is_locked_below(VALUE lock) {
  int blocks = NIL_P(rb_fiber_scheduler_current());
  for (long i = 0; i < RARRAY_LEN(lock); ++i) {
    VALUE other = RARRAY_AREF(lock, i);
    if (RARRAY_AREF(other, 0) == rb_fiber_current() ||
        (blocks && RARRAY_AREF(other, 1) == rb_thread_current()))
      return 1;
  }
  return 0;
}

static void wake(VALUE lock, VALUE ticket) {
  VALUE scheduler = RARRAY_AREF(ticket, 2);
  if (NIL_P(scheduler))
    rb_thread_wakeup_alive(RARRAY_AREF(ticket, 1));
  else
    rb_fiber_scheduler_unblock(scheduler, lock, RARRAY_AREF(ticket, 0));
}

static VALUE call_locked(VALUE argument) {
  return rb_yield(((locked *)argument)->ticket);
}

/* The next ticket has the lock at once, so that no later caller gets it first. */
static VALUE unlock(VALUE argument) {
  locked *l = (locked *)argument;
  long i = 0;
  while (RARRAY_AREF(l->lock, i) != l->ticket)
    ++i;
  rb_ary_delete_at(l->lock, i);
  if (i == 0 && RARRAY_LEN(l->lock) > 0)
    wake(l->lock, RARRAY_AREF(l->lock, 0));
  return Qnil;
}

/* Yields a ticket that is in the queue while the block runs; the block waits until
 * the ticket is the first one.  GIPC_ELOCKED: the call would wait for itself. */
static VALUE queued(VALUE lock) {
  if (is_locked_below(lock))
    raise_error(GIPC_ELOCKED);
  locked l = {lock, ticket_of_this_fiber()};
  rb_ary_push(lock, l.ticket);
  return rb_ensure(call_locked, (VALUE)&l, unlock, (VALUE)&l);
}

/* Sleeps for some seconds, or until woken, or less. */
static void sleep_with(VALUE lock, VALUE ticket, VALUE seconds) {
  VALUE scheduler = RARRAY_AREF(ticket, 2);
  if (!NIL_P(scheduler))
    rb_fiber_scheduler_block(scheduler, lock, seconds);
  else if (NIL_P(seconds))
    rb_thread_sleep_forever();
  else
    rb_thread_wait_for(rb_time_interval(seconds));
}

/* Sleeps if the ticket is not the first one.  With Ruby's lock held, no wakeup can come
 * between the check and the sleep. */
static VALUE await_lock(VALUE lock, VALUE ticket, VALUE seconds) {
  if (RARRAY_AREF(lock, 0) != ticket)
    sleep_with(lock, ticket, seconds);
  return Qnil;
}
%}
int is_locked_below(VALUE lock);
VALUE queued(VALUE lock);
VALUE await_lock(VALUE lock, VALUE ticket, VALUE seconds);
