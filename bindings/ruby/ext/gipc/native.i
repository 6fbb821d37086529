/* Gipc::Native: the step tier for Ruby, private to the gem.
 *
 * No call here waits; the gem waits for the descriptors with Ruby's own IO.
 * Ruby raises errors with longjmp(3): they are raised here, after the library has
 * returned, and with no allocation that they would leak.
 */
%module "gipc::native"

%{
#include <gipc.h>
#include <pthread.h>
#include <ruby/io.h>
#include <ruby/thread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <unistd.h>
%}

/* ---- Errors ---------------------------------------------------------------- */

%{
/* The error classes of the gem for the codes of the library, from GIPC_EOF down. */
static VALUE error_classes = Qnil;

static void set_error_classes(VALUE classes) {
  Check_Type(classes, T_ARRAY);
  rb_gc_register_address(&error_classes);
  error_classes = classes;
}

NORETURN(static void raise_error(int code));
static void raise_error(int code) {
  if (code > GIPC_EOF)
    rb_exc_raise(rb_syserr_new(-code, NULL));
  VALUE type = NIL_P(error_classes) ? Qnil
                                    : rb_ary_entry(error_classes,
                                                   GIPC_EOF - code);
  rb_raise(NIL_P(type) ? rb_eRuntimeError : type, "%s", gipc_strerror(code));
}
%}
void set_error_classes(VALUE classes);

%typemap(out) int {
  if ($1 >= 0)
    $result = INT2NUM($1);
  else if ($1 == -EAGAIN)
    $result = Qnil;
  else
    raise_error($1);
}
%typemap(out) int STARTED {
  if ($1 < 0)
    raise_error($1);
  $result = Qnil;
}
%typemap(out) int OUTPUTS {
  if ($1 < 0 && $1 != -EAGAIN)
    raise_error($1);
  $result = Qnil;
}
%typemap(out) int is_locked_below "$result = $1 ? Qtrue : Qfalse;"
%typemap(out) int gipc_process_is_alive {
  if ($1 < 0)
    raise_error($1);
  $result = $1 ? Qtrue : Qfalse;
}
/* A number like any other, -1 too. */
%typemap(out) int code "$result = INT2NUM($1);"
%{
/* Adds an output: alone, or in an array behind those that are there.  SWIG's
 * own helper for this has other arguments from SWIG 4.3 on. */
static VALUE append_output(VALUE result, VALUE object) {
  if (NIL_P(result))
    return object;
  if (!RB_TYPE_P(result, T_ARRAY))
    result = rb_ary_new_from_args(1, result);
  return rb_ary_push(result, object);
}
%}
#define APPEND_OBJECT(POINTER, TYPE, OWNED) \
  $result = append_output($result, new_object(POINTER, TYPE, OWNED))
#define APPEND_INTEGER(NUMBER) \
  $result = append_output($result, ULL2NUM(NUMBER))

/* ---- A fork and the other threads ------------------------------------------- */

/* From gipc_fork_prepare() on, other threads that make or close handles wait in the
 * library.  They would hold Ruby's lock, which the thread that forks may need, so they
 * wait here instead. */
%{
static VALUE fork_mutex;
static VALUE forking_thread = Qfalse;

static int another_thread_forks(void) {
  return RB_UNLIKELY(forking_thread != Qfalse) && forking_thread != rb_thread_current();
}

/* Polls, because a mutex cannot be locked in a trap. */
static void await_fork(void) {
  while (another_thread_forks())
    rb_thread_wait_for((struct timeval){0, 1000});
}

/* Objects that the garbage collector frees during a fork are freed after it. */
typedef struct garbage {
  struct garbage *next;
  void (*free)(void *object);
  void *object;
} garbage;
static garbage *freed_later;

static void free_or_keep(void (*free_now)(void *), void *object) {
  if (!another_thread_forks()) {
    free_now(object);
    return;
  }
  garbage *entry = malloc(sizeof(*entry));
  if (entry == NULL)
    return;
  *entry = (garbage){freed_later, free_now, object};
  freed_later = entry;
}

static void fork_is_over(void) {
  forking_thread = Qfalse;
  while (freed_later) {
    garbage *entry = freed_later;
    freed_later = entry->next;
    entry->free(entry->object);
    free(entry);
  }
  rb_mutex_unlock(fork_mutex);
}

static void free_handle_now(void *handle) { gipc_handle_free(handle); }
static void free_handle(void *handle) { free_or_keep(free_handle_now, handle); }
static void free_process_now(void *process) { gipc_process_free(process); }
static void free_process(void *process) {
  free_or_keep(free_process_now, process);
}
static void free_notify_socket_now(void *socket) { gipc_notify_socket_free(socket); }
static void free_notify_socket(void *socket) {
  free_or_keep(free_notify_socket_now, socket);
}
%}
%exception {
  await_fork();
  $action
}
/* Before a pointer is taken out of an object, which another thread may release
 * meanwhile. */
%typemap(arginit) SWIGTYPE * "await_fork();"
%init %{
  fork_mutex = rb_mutex_new();
  rb_gc_register_address(&fork_mutex);
  rb_gc_register_address(&forking_thread);
%}

/* ---- Arguments --------------------------------------------------------------- */

/* Valid during the call only; lend and receive, below, keep what the library
 * borrows. */
%typemap(in) const char * {
  $1 = NIL_P($input) ? NULL : StringValueCStr($input);
}
%typemap(freearg) const char * ""

%{
/* These are typed objects of this file: the objects of SWIG differ between its
 * versions, and its search for a pointer costs more than a get. */
static const rb_data_type_t handle_type = {
    "Gipc::Native::Handle", {NULL, free_handle, NULL}};
static const rb_data_type_t process_type = {
    "Gipc::Native::Process", {NULL, free_process, NULL}};
static const rb_data_type_t notify_socket_type = {
    "Gipc::Native::NotifySocket", {NULL, free_notify_socket, NULL}};
static VALUE handle_class, process_class, notify_socket_class;

static VALUE new_object(void *pointer, swig_type_info *type, int owned) {
  if (type == SWIGTYPE_p_gipc_handle)
    return TypedData_Wrap_Struct(handle_class, &handle_type, pointer);
  if (type == SWIGTYPE_p_gipc_process)
    return TypedData_Wrap_Struct(process_class, &process_type, pointer);
  if (type == SWIGTYPE_p_gipc_notify_socket)
    return TypedData_Wrap_Struct(notify_socket_class, &notify_socket_type, pointer);
  return SWIG_NewPointerObj(pointer, type, owned);
}

static void *pointer_of(VALUE object, const rb_data_type_t *type) {
  void *pointer = rb_check_typeddata(object, type);
  if (pointer == NULL)
    raise_error(GIPC_ECLOSED);
  return pointer;
}

/* Frees such an object now, not when it is collected. */
static void release(VALUE object) {
  static const rb_data_type_t *const types[] = {&handle_type, &process_type,
                                                &notify_socket_type};
  const rb_data_type_t *type = types[0];
  for (int i = 0; i < 3; ++i)
    if (rb_typeddata_is_kind_of(object, types[i]))
      type = types[i];
  void *pointer = rb_check_typeddata(object, type);
  RTYPEDDATA_DATA(object) = NULL;
  if (pointer)
    type->function.dfree(pointer);
}
%}
%typemap(in) gipc_handle * "$1 = pointer_of($input, &handle_type);"
%typemap(in) const gipc_handle * = gipc_handle *;
%typemap(in) gipc_process * "$1 = pointer_of($input, &process_type);"
%typemap(in) const gipc_process * = gipc_process *;
%typemap(in) gipc_notify_socket * "$1 = pointer_of($input, &notify_socket_type);"
%typemap(in) const gipc_notify_socket * = gipc_notify_socket *;
void release(VALUE object);

/* take, put and others, below, stand for them. */
%ignore gipc_next_size;
%ignore gipc_get_into;
%ignore gipc_put_cancel;
/* These wait. */
%ignore gipc_process_join;
%ignore gipc_process_stop;
/* keeper_notified, below, stands for it. */
%ignore gipc_notify_socket_receive;
/* fork_process stands for them. */
%ignore gipc_fork_prepare;
%ignore gipc_fork_parent;
%ignore gipc_fork_child;

typedef unsigned int mode_t;
%include "gipc.i"

%init %{
  handle_class = rb_const_get(mNative, rb_intern("Handle"));
  rb_gc_register_address(&handle_class);
  process_class = rb_const_get(mNative, rb_intern("Process"));
  rb_gc_register_address(&process_class);
  notify_socket_class = rb_const_get(mNative, rb_intern("NotifySocket"));
  rb_gc_register_address(&notify_socket_class);
%}

%include "lock.i"
%include "messages.i"
%include "fork.i"
%include "template.i"
%include "pool.i"
%include "fds.i"
%include "keeper.i"
