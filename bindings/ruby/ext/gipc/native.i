/* Gipc::Native: the step tier for Ruby, private to the gem.
 *
 * No call here waits; the gem waits for the descriptors with Ruby's own IO.
 * Ruby's errors are longjmps: they are raised here, in C, after the library has
 * returned, and with nothing allocated that they would leak.
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
/* The gem's classes for the library's codes, from GIPC_EOF on. */
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
%typemap(out) int OUTPUTS {
  if ($1 < 0 && $1 != -EAGAIN)
    raise_error($1);
  $result = Qnil;
}
%typemap(out) int is_large, int take_back, int gipc_process_is_alive
    "$result = $1 > 0 ? Qtrue : Qfalse;"
/* A number like any other, -1 too. */
%typemap(out) int code "$result = INT2NUM($1);"
%{
/* Adds an output: alone, or in an array behind those that are there.  SWIG's
 * own helper for this is another one from SWIG 4.3 on. */
static VALUE append_output(VALUE result, VALUE object) {
  if (NIL_P(result))
    return object;
  if (!RB_TYPE_P(result, T_ARRAY))
    result = rb_ary_new_from_args(1, result);
  return rb_ary_push(result, object);
}
%}
#define APPEND_OBJECT(POINTER, TYPE, OWNED) \
  $result = append_output($result, SWIG_NewPointerObj(POINTER, TYPE, OWNED))
#define APPEND_INTEGER(NUMBER) \
  $result = append_output($result, ULL2NUM(NUMBER))

/* ---- A fork and the other threads ------------------------------------------- */

/* From gipc_fork_prepare() on, the library makes other threads wait that make
 * or close handles.  They would wait with Ruby's lock held, which the thread
 * that forks may need, so they wait here instead. */
%{
static VALUE fork_mutex;
static pthread_t forking_thread;
static int forking;

static int another_thread_forks(void) {
  return RB_UNLIKELY(forking) && !pthread_equal(forking_thread, pthread_self());
}

static void await_fork(void) {
  while (another_thread_forks()) {
    rb_mutex_lock(fork_mutex);
    rb_mutex_unlock(fork_mutex);
  }
}

/* What the garbage collector frees meanwhile is freed afterwards. */
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
  forking = 0;
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
%}
%freefunc gipc_handle "free_handle";
%freefunc gipc_process "free_process";
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
%}

/* ---- Arguments --------------------------------------------------------------- */

/* Only as long as the call lasts: lend and receive, below, tell what the library
 * keeps. */
%typemap(in) const char * {
  $1 = NIL_P($input) ? NULL : StringValueCStr($input);
}
%typemap(freearg) const char * ""

%{
/* What SWIG does to find the pointer costs more than a get. */
static gipc_handle *handle_of(VALUE object) {
  if (!RB_TYPE_P(object, T_DATA) || RTYPEDDATA_P(object) ||
      RDATA(object)->dfree != free_handle)
    rb_raise(rb_eTypeError, "a Gipc::Native::Handle is needed");
  if (DATA_PTR(object) == NULL)
    raise_error(GIPC_ECLOSED);
  return DATA_PTR(object);
}
%}
%typemap(in) gipc_handle * "$1 = handle_of($input);"
%typemap(in) const gipc_handle * = gipc_handle *;

/* take, put and others, below, stand for them. */
%ignore gipc_try_get;
%ignore gipc_next_size;
%ignore gipc_get_into;
%ignore gipc_try_put;
%ignore gipc_put_start;
%ignore gipc_put_cancel;
/* These wait. */
%ignore gipc_process_join;
%ignore gipc_process_stop;
/* fork_process stands for them. */
%ignore gipc_fork_prepare;
%ignore gipc_fork_parent;
%ignore gipc_fork_child;

%include "gipc.i"

/* ---- Messages ------------------------------------------------------------------ */

%{
/* From this size a message is received straight into its String, and sent
 * straight from it.  Ruby keeps no String of this size in the object itself. */
#define LARGE (32 * 1024)

/* Who never has to wait would never let other fibers run: after this many bytes
 * (a message counts as 64 or more) a call returns false once. */
#define TURN (256 * 1024)
static size_t moved;

static int turn_is_over(void) {
  if (RB_LIKELY(moved < TURN))
    return 0;
  moved = 0;
  return 1;
}

static void count_moved(size_t size) { moved += size < 64 ? 64 : size; }

/* The next message; or, as an Integer, the size of a large one, for receive;
 * nil: wait until readable, or for whom is receiving; false: let others run,
 * then come again. */
static VALUE take(gipc_handle *h) {
  size_t size;
  const void *data;
  if (turn_is_over())
    return Qfalse;
  int result = gipc_next_size(h, &size);
  if (result == 0 && size >= LARGE)
    return SIZET2NUM(size);
  if (result == 0)
    result = gipc_try_get(h, &data, &size);
  if (result == 0) {
    count_moved(size);
    return rb_str_new(data, (long)size);
  }
  if (result != -EAGAIN && result != GIPC_ELOCKED)
    raise_error(result);
  return Qnil;
}

/* An empty String for a message of this size.  Its memory is not touched, so
 * that a peer that claims a size it never sends costs none. */
static VALUE new_buffer(size_t size) { return rb_str_buf_new((long)size); }

/* Receives a message of this size into a String of new_buffer: true, or nil,
 * wait until readable.  Until true or get_cancel the caller must keep the String
 * and leave it alone. */
static VALUE receive(gipc_handle *h, VALUE buffer, size_t size) {
  if (turn_is_over())
    return Qfalse;
  int result = gipc_get_into(h, RSTRING_PTR(buffer), size, &size);
  if (result == -EAGAIN)
    return Qnil;
  if (result < 0)
    raise_error(result);
  rb_str_set_len(buffer, (long)size);
  count_moved(size);
  return Qtrue;
}

/* Sends a message.  true: it is with the kernel; :queued: it is taken, and
 * flush_step sends the rest; nil: nothing of it is taken, wait until writable,
 * or for whom is sending; or it is large, for lend; false: nothing of it is
 * taken, let others run. */
static VALUE put(gipc_handle *h, VALUE message) {
  Check_Type(message, T_STRING);
  size_t size = (size_t)RSTRING_LEN(message);
  if (size >= LARGE)
    return Qnil;
  if (turn_is_over())
    return Qfalse;
  int result = gipc_put_start(h, RSTRING_PTR(message), size);
  if (result == -EAGAIN) {
    /* The bytes of a small String may move when the collector compacts, so
     * the library must not keep a pointer to them. */
    result = gipc_put_cancel(h);
    if (result == 1)
      return ID2SYM(rb_intern("queued"));
    if (result == 0)
      return Qnil;
  }
  if (result == GIPC_ELOCKED)
    return Qnil;
  if (result < 0)
    raise_error(result);
  count_moved(size);
  return Qtrue;
}

/* Sends a large message straight from a frozen String: true, or nil, wait until
 * writable and go on with put_step.  Until that returns 0, or take_back, the
 * caller must keep the String. */
static VALUE lend(gipc_handle *h, VALUE message) {
  Check_Type(message, T_STRING);
  if (!OBJ_FROZEN(message) || RSTRING_LEN(message) < LARGE)
    rb_raise(rb_eArgError, "a large frozen String is needed");
  int result = gipc_put_start(h, RSTRING_PTR(message),
                              (size_t)RSTRING_LEN(message));
  if (result < 0 && result != -EAGAIN)
    raise_error(result);
  count_moved((size_t)RSTRING_LEN(message));
  return result == 0 ? Qtrue : Qnil;
}

/* A descriptor that is readable when one of two is readable, or the other one
 * writable, so that any scheduler can wait for both. */
static int either_fd(int read_fd, int write_fd) {
  struct epoll_event readable = {EPOLLIN, {0}}, writable = {EPOLLOUT, {0}};
  int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0)
    return -errno;
  if (epoll_ctl(fd, EPOLL_CTL_ADD, read_fd, &readable) < 0 ||
      epoll_ctl(fd, EPOLL_CTL_ADD, write_fd, &writable) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

/* Takes a lent String back: whether the library sends the rest from a copy of
 * its own; otherwise nothing of it has left, or nothing was lent. */
static int take_back(gipc_handle *h) { return gipc_put_cancel(h) == 1; }

static int is_large(VALUE message) {
  Check_Type(message, T_STRING);
  return RSTRING_LEN(message) >= LARGE;
}

/* Queues the messages of an Array from index first on.  The index of the first
 * one that was not taken; some of those taken may still be queued. */
static VALUE queue(gipc_handle *h, VALUE messages, long first) {
  Check_Type(messages, T_ARRAY);
  for (; first < RARRAY_LEN(messages); ++first) {
    VALUE message = RARRAY_AREF(messages, first);
    Check_Type(message, T_STRING);
    int result = gipc_try_put(h, RSTRING_PTR(message),
                              (size_t)RSTRING_LEN(message));
    if (result == -EAGAIN)
      break;
    if (result < 0)
      raise_error(result);
  }
  return LONG2NUM(first);
}

/* Frees what a Native object holds before the collector does. */
static void release(VALUE object) {
  Check_Type(object, T_DATA);
  void *pointer = DATA_PTR(object);
  DATA_PTR(object) = NULL;
  if (pointer && RDATA(object)->dfree)
    RDATA(object)->dfree(pointer);
}
%}
VALUE take(gipc_handle *h);
VALUE new_buffer(size_t size);
VALUE receive(gipc_handle *h, VALUE buffer, size_t size);
VALUE put(gipc_handle *h, VALUE message);
VALUE lend(gipc_handle *h, VALUE message);
int take_back(gipc_handle *h);
int either_fd(int read_fd, int write_fd);
int is_large(VALUE message);
VALUE queue(gipc_handle *h, VALUE messages, long first);
void release(VALUE object);

/* ---- Fork ---------------------------------------------------------------------- */

%{
/* Handlers of the interpreter that Signal.trap does not give back: for the
 * overflow of the stack, and for the waking of threads. */
static const int interpreters_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGVTALRM};
#define INTERPRETERS_SIGNALS 4

static void each_signal_of_interpreter(struct sigaction *set,
                                       struct sigaction *get) {
  for (int i = 0; i < INTERPRETERS_SIGNALS; ++i)
    sigaction(interpreters_signals[i], set ? &set[i] : NULL,
              get ? &get[i] : NULL);
}

static VALUE call_fork(VALUE unused) {
  (void)unused;
  return rb_funcall(rb_mProcess, rb_intern("_fork"), 0);
}

/* In the child: nil, or the exception of a hook of Process._fork. */
static VALUE become_child(gipc_fork_context *f, struct sigaction *handlers,
                          int failed) {
  if (gipc_fork_child(f) < 0)
    _exit(GIPC_EXIT_ESCAPED); /* its parent knows why */
  each_signal_of_interpreter(handlers, NULL);
  sigset_t wake;
  sigemptyset(&wake);
  sigaddset(&wake, SIGVTALRM);
  pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
  fork_is_over();
  VALUE error = failed ? rb_errinfo() : Qnil;
  rb_set_errinfo(Qnil);
  return error;
}

/* Forks as Process.fork does, with its hooks, and with the library's.  The
 * process; in the child what become_child tells.  To be called in a thread that
 * has no other fiber, with interrupts masked. */
static VALUE fork_process(gipc_options *options) {
  rb_io_flush(rb_stdout);
  rb_io_flush(rb_stderr);
  gipc_fork_context *f;
  gipc_process *process = NULL;
  struct sigaction handlers[INTERPRETERS_SIGNALS];
  pid_t parent = getpid();
  /* Without its handler this one would kill the child. */
  int result = gipc_options_block_signal(options, SIGVTALRM);
  if (result < 0)
    raise_error(result);
  each_signal_of_interpreter(NULL, handlers);
  rb_mutex_lock(fork_mutex);
  forking_thread = pthread_self();
  forking = 1;
  result = gipc_fork_prepare(options, &f);
  int failed = 0;
  if (result == 0) {
    VALUE pid = rb_protect(call_fork, Qnil, &failed);
    if (getpid() != parent)
      return become_child(f, handlers, failed);
    errno = ECANCELED;
    result = gipc_fork_parent(f, failed ? -1 : NUM2PIDT(pid), &process);
  }
  fork_is_over();
  if (failed)
    rb_jump_tag(failed);
  if (result < 0)
    raise_error(result);
  return SWIG_NewPointerObj(process, SWIGTYPE_p_gipc_process,
                            SWIG_POINTER_OWN);
}
%}
VALUE fork_process(gipc_options *options);
