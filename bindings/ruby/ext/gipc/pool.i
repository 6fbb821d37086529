/* ---- Pools, and what keepers share with them --------------------------------------
 *
 * A crew is what the driver of a pool or a keeper has: the policy, and a wait set of
 * the handles and processes.  All calls but crew_wait keep Ruby's lock, so any thread may
 * submit and cancel tasks while the thread of the driver waits.
 */
%{
#include <math.h>

typedef struct crew {
  gipc_policy *policy;
  gipc_wait_set *set;
  pid_t owner;
  int waits;   /* the driver is in gipc_wait() */
  double until; /* when that returns */
  int changed; /* by another thread, since crew_next returned nil */
} crew;

/* In a forked child these may be copies of what the driver's thread was changing at
 * the fork, so they are kept. */
static void free_crew(void *pointer) {
  crew *c = pointer;
  if (c->owner == getpid()) {
    gipc_policy_free(c->policy);
    gipc_wait_set_free(c->set);
  }
  free(c);
}
static const rb_data_type_t crew_type = {"Gipc::Native::Crew", {NULL, free_crew, NULL}};
static VALUE crew_class;

static crew *crew_of(VALUE object) {
  crew *c = rb_check_typeddata(object, &crew_type);
  if (c->owner != getpid())
    raise_error(GIPC_EWRONGPROC);
  return c;
}

/* As crew_of, for the thread of the driver, which no fork has. */
static crew *driven(VALUE object) { return rb_check_typeddata(object, &crew_type); }

static void check(int result) {
  if (result < 0)
    raise_error(result);
}

/* Reports of what ended meanwhile are late, not wrong. */
static VALUE reported(int result) {
  if (result != -ENOENT)
    check(result);
  return Qnil;
}

/* The driver acts on what another thread has changed. */
static VALUE changed(crew *c) {
  if (c->waits && !c->changed && c->set)
    (void)!gipc_wait_set_wake(c->set);
  c->changed = 1;
  return Qtrue;
}

static int set_rule(VALUE name, VALUE value, VALUE rules) {
  int result = gipc_rules_set((gipc_rules *)rules, StringValueCStr(name), NUM2DBL(value));
  if (result < 0)
    rb_raise(rb_eArgError, "option %" PRIsVALUE ": %" PRIsVALUE " is not valid", name,
             rb_inspect(value));
  return ST_CONTINUE;
}

/* The rules of a Hash.  An error names the one that is wrong. */
static void read_rules(VALUE hash, gipc_rules *rules) {
  memset(rules, 0, sizeof(*rules));
  rules->size = sizeof(*rules);
  Check_Type(hash, T_HASH);
  rb_hash_foreach(hash, set_rule, (VALUE)rules);
  const char *wrong = gipc_rules_wrong(rules);
  if (wrong)
    rb_raise(rb_eArgError, "option %s: %" PRIsVALUE " is not valid", wrong,
             rb_inspect(rb_hash_aref(hash, rb_str_new_cstr(wrong))));
}

static VALUE check_rules(VALUE hash) {
  gipc_rules rules;
  read_rules(hash, &rules);
  return Qnil;
}

static VALUE new_crew(crew **out) {
  crew *c = calloc(1, sizeof(*c));
  if (c == NULL)
    raise_error(-ENOMEM);
  c->owner = getpid();
  *out = c;
  return TypedData_Wrap_Struct(crew_class, &crew_type, c);
}

/* Makes the crew of a pool with the rules of a Hash. */
static VALUE crew_new(VALUE hash) {
  gipc_rules rules;
  read_rules(hash, &rules);
  crew *c;
  VALUE object = new_crew(&c);
  check(gipc_policy_new_pool(&rules, &c->policy));
  check(gipc_wait_set_new(&c->set));
  return object;
}

/* ---- Tasks */

/* Stores the task in the Hash under its number, so that the driver cannot see it
 * before.  nil: the queue is full. */
static VALUE crew_submit(VALUE self, VALUE tasks, VALUE task, VALUE rules) {
  crew *c = crew_of(self);
  Check_Type(tasks, T_HASH);
  Check_Type(rules, T_ARRAY);
  gipc_task_rules r = {sizeof(r), NUM2DBL(rb_ary_entry(rules, 0)),
                       NUM2INT(rb_ary_entry(rules, 1)), NUM2INT(rb_ary_entry(rules, 2)),
                       NUM2INT(rb_ary_entry(rules, 3)), NULL};
  uint64_t number;
  int result = gipc_policy_submit(c->policy, &r, &number);
  if (result == -EAGAIN)
    return Qnil;
  check(result);
  rb_hash_aset(tasks, ULL2NUM(number), task);
  changed(c);
  return ULL2NUM(number);
}

/* false: the task has finished. */
static VALUE crew_cancel(VALUE self, uint64_t task) {
  crew *c = crew_of(self);
  int result = gipc_policy_cancel(c->policy, task, now());
  if (result == -ENOENT)
    return Qfalse;
  check(result);
  return changed(c);
}

static VALUE crew_stop(VALUE self, double grace) {
  crew *c = crew_of(self);
  check(gipc_policy_stop(c->policy, grace, now()));
  return changed(c);
}

/* The driver has ended.  The policy still refuses tasks, and counts them. */
static VALUE crew_end(VALUE self) {
  crew *c = crew_of(self);
  gipc_wait_set_free(c->set);
  c->set = NULL;
  return Qnil;
}

/* ---- Actions and reports */

/* [kind, why, worker, task, attempt, service], or nil. */
static VALUE crew_next(VALUE self) {
  gipc_action a = {sizeof(a)};
  crew *c = driven(self);
  int result = gipc_policy_next(c->policy, now(), &a);
  check(result);
  if (result == 0) {
    c->changed = 0;
    return Qnil;
  }
  return rb_ary_new_from_args(6, INT2FIX(a.kind), INT2FIX(a.why), ULL2NUM(a.worker),
                              ULL2NUM(a.task), INT2NUM(a.attempt), SIZET2NUM(a.service));
}

/* Watches a worker, whose process was started. */
static VALUE crew_started(VALUE self, uint64_t worker, gipc_handle *handle,
                          gipc_process *process) {
  crew *c = driven(self);
  void *number = (void *)(uintptr_t)worker;
  check(gipc_handle_set_user(handle, number));
  check(gipc_process_set_user(process, number));
  check(gipc_wait_set_add_handle(c->set, handle, GIPC_READ));
  check(gipc_wait_set_add_process(c->set, process));
  return reported(gipc_policy_started(c->policy, worker, gipc_process_pid(process), now()));
}

static VALUE crew_start_failed(VALUE self, uint64_t worker, int error) {
  return reported(gipc_policy_start_failed(driven(self)->policy, worker, -error, now()));
}

static VALUE crew_misbehaved(VALUE self, uint64_t worker) {
  return reported(gipc_policy_misbehaved(driven(self)->policy, worker, now()));
}

static VALUE crew_memory(VALUE self, uint64_t worker, uint64_t bytes) {
  return reported(gipc_policy_memory(driven(self)->policy, worker, bytes, now()));
}

/* The process has ended, and its messages were read. */
static VALUE crew_ended(VALUE self, uint64_t worker, gipc_process *process) {
  crew *c = driven(self);
  gipc_exit_info info = {sizeof(info)};
  check(gipc_process_info(process, &info));
  (void)!gipc_wait_set_remove_process(c->set, process);
  return reported(gipc_policy_ended(c->policy, worker, &info, now()));
}

/* ---- Messages */

static VALUE encoded(const gipc_worker_message *message) {
  size_t size;
  int result = gipc_worker_encode(message, NULL, 0, &size);
  if (result != -EMSGSIZE)
    check(result);
  VALUE bytes = rb_str_new(NULL, (long)size);
  check(gipc_worker_encode(message, RSTRING_PTR(bytes), size, &size));
  return bytes;
}

static VALUE encoded_task(uint64_t task, int attempt, VALUE data) {
  Check_Type(data, T_STRING);
  gipc_worker_message message = {sizeof(message), GIPC_MESSAGE_TASK, (uint32_t)attempt, task,
                                 RSTRING_PTR(data), (size_t)RSTRING_LEN(data)};
  return encoded(&message);
}

/* Puts a task.  true: bytes of it are queued, crew_flush writes them.  nil: it was not
 * put, and the policy knows. */
static VALUE crew_send(VALUE self, uint64_t worker, gipc_handle *handle, uint64_t task,
                       int attempt, VALUE data) {
  crew *c = driven(self);
  VALUE bytes = encoded_task(task, attempt, data);
  int result = gipc_put_start(handle, RSTRING_PTR(bytes), (size_t)RSTRING_LEN(bytes));
  if (result == -EAGAIN) {
    result = gipc_put_cancel(handle);
    if (result == 0) /* nothing was written */
      result = gipc_try_put(handle, RSTRING_PTR(bytes), (size_t)RSTRING_LEN(bytes));
    if (result >= 0) {
      check(gipc_wait_set_add_handle(c->set, handle, GIPC_READ | GIPC_WRITE));
      return Qtrue;
    }
  }
  RB_GC_GUARD(bytes);
  if (result >= 0)
    return Qfalse;
  if (result == -ENOMEM || result == GIPC_ETOOBIG)
    check(result);
  return reported(gipc_policy_refused(c->policy, worker, task, result, now()));
}

static VALUE crew_flush(VALUE self, gipc_handle *handle) {
  crew *c = driven(self);
  int result = gipc_flush_step(handle);
  if (result == -EAGAIN)
    return Qtrue;
  /* The end of a worker that does not read is seen by its process. */
  (void)!gipc_wait_set_add_handle(c->set, handle, GIPC_READ);
  return Qfalse;
}

static VALUE text_of(const gipc_text *text) {
  return rb_utf8_str_new(text->data, (long)text->size);
}

/* Reports the next message of a worker: true, or the parts of an answer, [kind, task,
 * data, type, text, trace].  nil: there is none yet.  false: there are no more; the
 * handle is not watched from now on. */
static VALUE crew_receive(VALUE self, uint64_t worker, gipc_handle *handle) {
  crew *c = driven(self);
  const void *data;
  size_t size;
  int result = gipc_try_get(handle, &data, &size);
  if (result == -EAGAIN)
    return Qnil;
  if (result < 0) {
    (void)!gipc_wait_set_remove_handle(c->set, handle);
    reported(gipc_policy_refused(c->policy, worker, 0, -EPIPE, now()));
    if (result != GIPC_EOF && result != GIPC_ETRUNCATED && result != -ECONNRESET)
      reported(gipc_policy_misbehaved(c->policy, worker, now()));
    return Qfalse;
  }
  gipc_worker_message m = {sizeof(m)};
  result = gipc_policy_received(c->policy, worker, data, size, now(), &m);
  if (result < 0 || (m.kind != GIPC_MESSAGE_DONE && m.kind != GIPC_MESSAGE_FAILED))
    return Qtrue; /* dropped, or of interest to the policy only */
  VALUE bytes = rb_str_new(m.data, (long)m.data_size);
  if (m.kind == GIPC_MESSAGE_DONE)
    return rb_ary_new_from_args(3, INT2FIX(m.kind), ULL2NUM(m.task), bytes);
  return rb_ary_new_from_args(6, INT2FIX(m.kind), ULL2NUM(m.task), bytes, text_of(&m.type),
                              text_of(&m.text), text_of(&m.trace));
}

/* The message of a worker. */
static VALUE worker_message(int kind, uint64_t task, VALUE data, VALUE type, VALUE text,
                            VALUE trace) {
  gipc_worker_message m = {sizeof(m), kind, 0, task,
                           StringValuePtr(data), (size_t)RSTRING_LEN(data),
                           {StringValuePtr(type), (size_t)RSTRING_LEN(type)},
                           {StringValuePtr(text), (size_t)RSTRING_LEN(text)},
                           {StringValuePtr(trace), (size_t)RSTRING_LEN(trace)}};
  return encoded(&m);
}

/* The number and the data of a task that a worker was sent. */
static VALUE worker_task(VALUE bytes) {
  Check_Type(bytes, T_STRING);
  gipc_worker_message m = {sizeof(m)};
  int result = gipc_worker_decode(RSTRING_PTR(bytes), (size_t)RSTRING_LEN(bytes), &m);
  check(result == 0 && m.kind != GIPC_MESSAGE_TASK ? GIPC_EPROTOCOL : result);
  return rb_ary_new_from_args(2, ULL2NUM(m.task), rb_str_new(m.data, (long)m.data_size));
}

/* ---- Waiting */

typedef struct crew_waiting {
  crew *c;
  double timeout;
  int result;
} crew_waiting;

static void *wait_without_lock(void *pointer) {
  crew_waiting *w = pointer;
  w->result = gipc_wait(w->c->set, w->timeout);
  return NULL;
}

static void wake_crew(void *pointer) {
  (void)!gipc_wait_set_wake(((crew *)pointer)->set);
}

/* Waits until a worker is ready, the policy is due, or another thread has changed
 * something, at most until a time: [worker, directions] for each that is ready, 0 for its
 * process. */
static VALUE crew_wait(VALUE self, double most) {
  crew *c = driven(self);
  double at = fmin(gipc_policy_next_time(c->policy), most);
  double left = at - now();
  if (c->changed || left < 0)
    left = 0;
  crew_waiting w = {c, left == HUGE_VAL ? -1 : left, 0};
  c->until = at;
  c->waits = 1;
  rb_thread_call_without_gvl(wait_without_lock, &w, wake_crew, c);
  c->waits = 0;
  if (w.result != -ETIMEDOUT && w.result != -ECANCELED)
    check(w.result);
  VALUE ready = rb_ary_new();
  gipc_handle *handle;
  gipc_process *process;
  int directions;
  while (w.result > 0 && gipc_wait_set_next(c->set, &handle, &process, &directions) == 0) {
    void *number = handle ? gipc_handle_user(handle) : gipc_process_user(process);
    rb_ary_push(ready, rb_ary_new_from_args(2, ULL2NUM((uintptr_t)number),
                                            INT2FIX(handle ? directions : 0)));
  }
  return ready;
}

/* ---- Statistics */

static VALUE symbol(const char *name) { return ID2SYM(rb_intern(name)); }

static VALUE worker_stats(const gipc_worker_stats *s) {
  VALUE out = rb_hash_new();
  rb_hash_aset(out, symbol("worker"), ULL2NUM(s->worker));
  rb_hash_aset(out, symbol("pid"), INT2NUM(s->pid));
  rb_hash_aset(out, symbol("state"), INT2NUM(s->state));
  rb_hash_aset(out, symbol("task"), s->task ? ULL2NUM(s->task) : Qnil);
  rb_hash_aset(out, symbol("tasks"), ULL2NUM(s->tasks));
  rb_hash_aset(out, symbol("busy"), DBL2NUM(s->busy));
  return out;
}

static VALUE crew_stats(VALUE self) {
  crew *c = crew_of(self);
  gipc_policy_stats s = {sizeof(s)};
  check(gipc_policy_get_stats(c->policy, &s));
  VALUE out = rb_hash_new(), finished = rb_ary_new(), workers = rb_ary_new();
  rb_hash_aset(out, symbol("queued"), SIZET2NUM(s.queued));
  rb_hash_aset(out, symbol("running"), SIZET2NUM(s.running));
  rb_hash_aset(out, symbol("submitted"), ULL2NUM(s.submitted));
  rb_hash_aset(out, symbol("retries"), ULL2NUM(s.retries));
  rb_hash_aset(out, symbol("starts"), ULL2NUM(s.starts));
  rb_hash_aset(out, symbol("failures"), ULL2NUM(s.failures));
  for (int i = 0; i < 16; ++i)
    rb_ary_push(finished, ULL2NUM(s.finished[i]));
  rb_hash_aset(out, symbol("finished"), finished);
  gipc_worker_stats one = {sizeof(one)};
  for (size_t i = 0; gipc_policy_worker_stats(c->policy, i, &one) == 0; ++i)
    if (one.worker)
      rb_ary_push(workers, worker_stats(&one));
  rb_hash_aset(out, symbol("workers"), workers);
  return out;
}

/* ---- The condition of waiting callers
 *
 * An Array of tickets, as that of a lock: notify_all removes and wakes them. */

static VALUE call_waiting(VALUE argument) { return rb_yield(((locked *)argument)->ticket); }

static VALUE leave(VALUE argument) {
  locked *l = (locked *)argument;
  for (long i = 0; i < RARRAY_LEN(l->lock); ++i)
    if (RARRAY_AREF(l->lock, i) == l->ticket) {
      rb_ary_delete_at(l->lock, i);
      break;
    }
  return Qnil;
}

/* Yields a ticket that is in the Array until notify_all, or the end of the block. */
static VALUE waiting(VALUE tickets) {
  locked l = {tickets, ticket_of_this_fiber()};
  rb_ary_push(tickets, l.ticket);
  return rb_ensure(call_waiting, (VALUE)&l, leave, (VALUE)&l);
}

/* Sleeps while the ticket is in the Array: for some seconds, or until woken, or less.
 * With Ruby's lock held, no wakeup can come between the check and the sleep. */
static VALUE await_notice(VALUE tickets, VALUE ticket, VALUE seconds) {
  for (long i = 0; i < RARRAY_LEN(tickets); ++i)
    if (RARRAY_AREF(tickets, i) == ticket) {
      sleep_with(tickets, ticket, seconds);
      break;
    }
  return Qnil;
}

static VALUE notify_all(VALUE tickets) {
  while (RARRAY_LEN(tickets) > 0)
    wake(tickets, rb_ary_shift(tickets));
  return Qnil;
}
%}
%constant int READY_MESSAGE = GIPC_MESSAGE_READY;
%constant int ALIVE_MESSAGE = GIPC_MESSAGE_ALIVE;
%constant int DONE_MESSAGE = GIPC_MESSAGE_DONE;
%constant int FAILED_MESSAGE = GIPC_MESSAGE_FAILED;
VALUE check_rules(VALUE hash);
VALUE crew_new(VALUE hash);
VALUE crew_submit(VALUE self, VALUE tasks, VALUE task, VALUE rules);
VALUE crew_cancel(VALUE self, uint64_t task);
VALUE crew_stop(VALUE self, double grace);
VALUE crew_end(VALUE self);
VALUE crew_next(VALUE self);
VALUE crew_started(VALUE self, uint64_t worker, gipc_handle *handle, gipc_process *process);
VALUE crew_start_failed(VALUE self, uint64_t worker, int error);
VALUE crew_misbehaved(VALUE self, uint64_t worker);
VALUE crew_memory(VALUE self, uint64_t worker, uint64_t bytes);
VALUE crew_ended(VALUE self, uint64_t worker, gipc_process *process);
VALUE crew_send(VALUE self, uint64_t worker, gipc_handle *handle, uint64_t task, int attempt,
                VALUE data);
VALUE crew_flush(VALUE self, gipc_handle *handle);
VALUE crew_receive(VALUE self, uint64_t worker, gipc_handle *handle);
VALUE worker_message(int kind, uint64_t task, VALUE data, VALUE type, VALUE text, VALUE trace);
VALUE worker_task(VALUE bytes);
VALUE crew_wait(VALUE self, double most);
VALUE crew_stats(VALUE self);
VALUE waiting(VALUE tickets);
VALUE await_notice(VALUE tickets, VALUE ticket, VALUE seconds);
VALUE notify_all(VALUE tickets);

%init %{
  crew_class = rb_define_class_under(mNative, "Crew", rb_cObject);
  rb_undef_alloc_func(crew_class);
  rb_gc_register_address(&crew_class);
%}
