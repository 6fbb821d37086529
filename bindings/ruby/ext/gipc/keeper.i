/* ---- Keepers -------------------------------------------------------------------
 *
 * Their policy drives a crew (pool.i), whose processes may have a notify socket each.
 */
%{
static void free_notify_socket_now(void *socket) { gipc_notify_socket_free(socket); }
static void free_notify_socket(void *socket) {
  free_or_keep(free_notify_socket_now, socket);
}
static const rb_data_type_t notify_socket_type = {"Gipc::Native::NotifySocket",
                                                  {NULL, free_notify_socket, NULL}};
static VALUE notify_socket_class;

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

static gipc_notify_socket *notify_socket_of(VALUE object) {
  return pointer_of(object, &notify_socket_type);
}

static VALUE notify_socket_new(void) {
  VALUE object = TypedData_Wrap_Struct(notify_socket_class, &notify_socket_type, NULL);
  gipc_notify_socket *socket;
  check(gipc_notify_socket_new(&socket));
  RTYPEDDATA_DATA(object) = socket;
  return object;
}

static VALUE notify_socket_address(VALUE object) {
  return rb_str_new_cstr(gipc_notify_socket_address(notify_socket_of(object)));
}

static int notify_socket_fd(VALUE object) {
  return gipc_notify_socket_fd(notify_socket_of(object));
}

/* Frees it now, not when it is collected. */
static VALUE notify_socket_close(VALUE object) {
  void *socket = notify_socket_of(object);
  RTYPEDDATA_DATA(object) = NULL;
  free_notify_socket(socket);
  return Qnil;
}

/* Reports the next message of a process: true if that says that it is ready, false for
 * any other.  nil: there is none. */
static VALUE keeper_notified(VALUE self, uint64_t number, VALUE socket, int pid) {
  crew *c = crew_of(self);
  int said = gipc_notify_socket_receive(notify_socket_of(socket), pid);
  if (said == -EAGAIN)
    return Qnil;
  check(said);
  if (said & GIPC_NOTIFY_ALIVE)
    reported(gipc_policy_alive(c->policy, number, now()));
  if (!(said & GIPC_NOTIFY_READY))
    return Qfalse;
  reported(gipc_policy_ready(c->policy, number, now()));
  return changed(c);
}
%}
VALUE keeper_new(int strategy, VALUE services);
VALUE keeper_started(VALUE self, uint64_t number, gipc_process *process);
VALUE keeper_reload(VALUE self, size_t service);
VALUE keeper_process(VALUE self, size_t service);
VALUE notify_socket_new(void);
VALUE notify_socket_address(VALUE object);
int notify_socket_fd(VALUE object);
VALUE notify_socket_close(VALUE object);
VALUE keeper_notified(VALUE self, uint64_t number, VALUE socket, int pid);

%init %{
  notify_socket_class = rb_define_class_under(mNative, "NotifySocket", rb_cObject);
  rb_undef_alloc_func(notify_socket_class);
  rb_gc_register_address(&notify_socket_class);
%}
