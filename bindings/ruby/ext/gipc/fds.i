/* ---- Descriptors of the tasks of a pool */
%{
static void free_fds(void *fds) { gipc_fds_free(fds); }
static const rb_data_type_t fds_type = {"Gipc::Native::Fds", {NULL, free_fds, NULL}};
static VALUE fds_class;

/* Duplicates of the descriptors of a task, until fds_free. */
static VALUE fds_new(VALUE numbers) {
  int fds[GIPC_MOST_FDS];
  gipc_fds *made;
  size_t count = descriptors_of(numbers, fds);
  VALUE kept = TypedData_Wrap_Struct(fds_class, &fds_type, NULL);
  check(gipc_fds_new(fds, count, &made));
  DATA_PTR(kept) = made;
  return kept;
}

static VALUE fds_free(VALUE kept) {
  gipc_fds_free(rb_check_typeddata(kept, &fds_type));
  DATA_PTR(kept) = NULL;
  return Qnil;
}

/* Puts a task with descriptors, as crew_send.  A number: that of the error with which
 * the task has failed, as they cannot be sent to this worker. */
static VALUE crew_send_fds(VALUE self, uint64_t worker, gipc_handle *handle, uint64_t task,
                           int attempt, VALUE data, VALUE kept) {
  crew *c = driven(self);
  VALUE bytes = encoded_task(task, attempt, data);
  int result = gipc_try_put_fds(handle, RSTRING_PTR(bytes), (size_t)RSTRING_LEN(bytes),
                                rb_check_typeddata(kept, &fds_type));
  RB_GC_GUARD(bytes);
  if (is_refusal(result))
    return fail_task(c->policy, worker, task, now()) ? INT2NUM(-result) : Qnil;
  if (result == GIPC_ETOOBIG)
    check(result);
  if (result < 0)
    return reported(gipc_policy_refused(c->policy, worker, task, result, now()));
  if (gipc_flush_step(handle) != -EAGAIN)
    return Qfalse;
  check(gipc_wait_set_add_handle(c->set, handle, GIPC_READ | GIPC_WRITE));
  return Qtrue;
}
%}
VALUE fds_new(VALUE numbers);
VALUE fds_free(VALUE kept);
VALUE crew_send_fds(VALUE self, uint64_t worker, gipc_handle *handle, uint64_t task, int attempt,
                    VALUE data, VALUE kept);

%init %{
  fds_class = rb_define_class_under(mNative, "Fds", rb_cObject);
  rb_undef_alloc_func(fds_class);
  rb_gc_register_address(&fds_class);
%}
