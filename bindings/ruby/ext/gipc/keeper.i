/* ---- Keepers -------------------------------------------------------------------
 *
 * Their policy drives a crew (pool.i), whose processes may have a notify socket each.
 */
%{
/* Makes the crew of a keeper; services is an Array with the rules of each one, a Hash. */
static VALUE keeper_new(int strategy, VALUE services) {
  Check_Type(services, T_ARRAY);
  long count = RARRAY_LEN(services);
  VALUE memory, more;
  gipc_rules *rules = ALLOCV_N(gipc_rules, memory, count);
  const gipc_rules **list = ALLOCV_N(const gipc_rules *, more, count);
  for (long i = 0; i < count; ++i) {
    read_rules(rb_ary_entry(services, i), &rules[i]);
    list[i] = &rules[i];
  }
  crew *c;
  VALUE object = new_crew(&c);
  check(gipc_policy_new_keeper(strategy, list, (size_t)count, &c->policy));
  check(gipc_wait_set_new(&c->set));
  ALLOCV_END(memory);
  ALLOCV_END(more);
  return object;
}

static VALUE keeper_started(VALUE self, uint64_t number, gipc_process *process) {
  crew *c = crew_of(self);
  check(gipc_process_set_user(process, (void *)(uintptr_t)number));
  check(gipc_wait_set_add_process(c->set, process));
  return reported(gipc_policy_started(c->policy, number, gipc_process_pid(process), now()));
}

static VALUE keeper_reload(VALUE self, size_t service) {
  crew *c = crew_of(self);
  check(gipc_policy_reload(c->policy, service, now()));
  return changed(c);
}

/* The process that a service has now: [number, pid, state]. */
static VALUE keeper_process(VALUE self, size_t service) {
  gipc_worker_stats s = {sizeof(s)};
  check(gipc_policy_worker_stats(crew_of(self)->policy, service, &s));
  return rb_ary_new_from_args(3, ULL2NUM(s.worker), INT2NUM(s.pid), INT2NUM(s.state));
}

/* ---- What processes say of themselves */

static void *ready_without_lock(void *result) {
  *(int *)result = gipc_ready();
  return NULL;
}

/* Waits while the supervisor has too much to read. */
static VALUE notify_ready(void) {
  int result;
  rb_thread_call_without_gvl(ready_without_lock, &result, RUBY_UBF_IO, NULL);
  check(result);
  return Qnil;
}

/* Reports the next message of a process: true if that says that it is ready, false for
 * any other.  nil: there is none. */
static VALUE keeper_notified(VALUE self, uint64_t number, gipc_notify_socket *socket,
                             int pid) {
  crew *c = crew_of(self);
  int said = gipc_notify_socket_receive(socket, pid);
  if (said == -EAGAIN)
    return Qnil;
  check(said);
  if (said & GIPC_NOTIFY_ALIVE)
    reported(gipc_policy_alive(c->policy, number, now()));
  if (!(said & GIPC_NOTIFY_READY)) {
    if (gipc_policy_next_time(c->policy) < c->until)
      changed(c);
    return Qfalse;
  }
  reported(gipc_policy_ready(c->policy, number, now()));
  return changed(c);
}
%}
VALUE keeper_new(int strategy, VALUE services);
VALUE keeper_started(VALUE self, uint64_t number, gipc_process *process);
VALUE keeper_reload(VALUE self, size_t service);
VALUE keeper_process(VALUE self, size_t service);
VALUE notify_ready(void);
VALUE keeper_notified(VALUE self, uint64_t number, gipc_notify_socket *socket, int pid);
