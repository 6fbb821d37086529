/* gipc._native: the step tier for Python, private to the package.  Only `wait`,
 * `wait_either` and `receive` wait, without the interpreter's lock. */
%module(package = "gipc", threads = "1") native
%nothread;

%{
#include <gipc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
%}

/* ---- Errors ---------------------------------------------------------------- */

%{
/* Sets the Python exception for a result of the library.  The classes are those
 * of the package whose module was called: its tuple `error_classes` has one for
 * each of the library's codes, from GIPC_EOF down. */
static void raise_error(PyObject *module, int code) {
  if (code > GIPC_EOF) {
    errno = -code;
    PyErr_SetFromErrno(PyExc_OSError);
    return;
  }
  PyObject *classes = PyObject_GetAttrString(module, "error_classes");
  Py_ssize_t index = GIPC_EOF - code;
  PyObject *type = PyExc_RuntimeError; /* of a newer library */
  if (classes == NULL)
    return;
  if (PyTuple_Check(classes) && index < PyTuple_GET_SIZE(classes))
    type = PyTuple_GET_ITEM(classes, index);
  PyErr_SetString(type, gipc_strerror(code));
  Py_DECREF(classes);
}
%}
/* The module whose function is called. */
%typemap(in, numinputs = 0) PyObject *module "$1 = self;"

%typemap(out) int {
  if ($1 >= 0) {
    $result = PyLong_FromLong($1);
  } else if ($1 == -EAGAIN) {
    $result = SWIG_Py_Void();
  } else {
    raise_error(self, $1);
    SWIG_fail;
  }
}
%typemap(out) int STARTED {
  if ($1 < 0) {
    raise_error(self, $1);
    SWIG_fail;
  }
  $result = SWIG_Py_Void();
}
%typemap(out) int OUTPUTS {
  if ($1 < 0 && $1 != -EAGAIN) {
    raise_error(self, $1);
    SWIG_fail;
  }
  $result = SWIG_Py_Void();
}
%{
/* Adds an output: alone, or in a list behind those that are there.  SWIG's own
 * helper for this is another one from SWIG 4.3 on. */
static PyObject *append_output(PyObject *result, PyObject *object) {
  if (result == Py_None) {
    Py_DECREF(result);
    return object;
  }
  if (!PyList_Check(result)) {
    PyObject *list = PyList_New(1);
    if (list == NULL)
      return NULL;
    PyList_SET_ITEM(list, 0, result);
    result = list;
  }
  if (PyList_Append(result, object) < 0)
    PyErr_Clear();
  Py_XDECREF(object);
  return result;
}
%}
/* A number like any other, -1 too. */
%typemap(out) int code "$result = PyLong_FromLong($1);"
#define APPEND_OBJECT(POINTER, TYPE, OWNED) \
  $result = append_output($result, SWIG_NewPointerObj(POINTER, TYPE, OWNED))
#define APPEND_INTEGER(NUMBER) \
  $result = append_output($result, PyLong_FromLongLong(NUMBER))

/* ---- Bytes ----------------------------------------------------------------- */

/* Any bytes-like object.  What is borrowed past the call (put_start) must be
 * kept, and kept from moving, by the caller: a bytes object, or a memoryview
 * that is not released. */
%typemap(in) (const void *data, size_t size) (Py_buffer view) {
  view.obj = NULL;
  if (PyBytes_CheckExact($input)) {
    $1 = PyBytes_AS_STRING($input);
    $2 = (size_t)PyBytes_GET_SIZE($input);
  } else {
    if (PyObject_GetBuffer($input, &view, PyBUF_SIMPLE) < 0)
      SWIG_fail;
    $1 = view.buf;
    $2 = (size_t)view.len;
  }
}
%typemap(freearg) (const void *data, size_t size) {
  if (view$argnum.obj)
    PyBuffer_Release(&view$argnum);
}
%typemap(in) (void *buffer, size_t capacity) (Py_buffer view) {
  view.obj = NULL;
  if (PyObject_GetBuffer($input, &view, PyBUF_WRITABLE) < 0)
    SWIG_fail;
  $1 = view.buf;
  $2 = (size_t)view.len;
}
%typemap(freearg) (void *buffer, size_t capacity) =
    (const void *data, size_t size);

/* Names and paths, as os.fsencode() has them. */
%typemap(in) const char * (PyObject *bytes = NULL) {
  if ($input == Py_None)
    $1 = NULL;
  else if (PyUnicode_FSConverter($input, &bytes))
    $1 = PyBytes_AS_STRING(bytes);
  else
    SWIG_fail;
}
%typemap(freearg) const char * "Py_XDECREF(bytes$argnum);"

/* See get.i. */
%ignore gipc_get_into;
%ignore gipc_read_ahead;

%include "../gipc.i"
%include "lock.i"
%include "memory.i"
/* What it fails with is raised by the import. */
%init %{
  add_types(m, lock_types, sizeof(lock_types) / sizeof(*lock_types));
  add_types(m, memory_types, sizeof(memory_types) / sizeof(*memory_types));
  add_types(m, pool_types, sizeof(pool_types) / sizeof(*pool_types));
  add_types(m, keeper_types, sizeof(keeper_types) / sizeof(*keeper_types));
%}

%{
/* A result of a step. */
static PyObject *new_outcome(PyObject *module, int result) {
  if (result >= 0)
    return PyLong_FromLong(result);
  raise_error(module, result);
  return NULL;
}

static PyObject *type_error(PyObject *object) {
  PyErr_Format(PyExc_TypeError, "expected bytes, not %.200s",
               Py_TYPE(object)->tp_name);
  return NULL;
}

/* The content of bytes, or of a memoryview. */
static int content_of(PyObject *object, const char **data, size_t *size) {
  if (PyBytes_Check(object)) {
    *data = PyBytes_AS_STRING(object);
    *size = (size_t)PyBytes_GET_SIZE(object);
    return 0;
  }
  if (PyMemoryView_Check(object)) {
    Py_buffer *view = PyMemoryView_GET_BUFFER(object);
    *data = view->buf;
    *size = (size_t)view->len;
    return 0;
  }
  (void)type_error(object);
  return -1;
}

/* Puts a message and lends nothing past the call; in a batch of the caller, into
 * the queue.  WAIT: come again with the lock; LENT: so too, with begin_put. */
static PyObject *put(PyObject *module, gipc_handle *h, PyObject *bytes,
                     PyObject *fair_lock) {
  const char *data;
  size_t size;
  FairLock *lock = as_lock(fair_lock);
  if (lock == NULL || content_of(bytes, &data, &size) < 0)
    return NULL;
  if (lock->holder != NULL)
    return PyLong_FromLong(STEP_WAIT);
  int result = is_batching(lock) ? step_queue(h, data, size)
                                 : step_put(h, data, size);
  if (result == -ENOMEM)
    Py_INCREF(bytes); /* the library may use its memory from now on */
  return new_outcome(module, result);
}

/* The same with the lock, in a Lent block, which keeps the bytes.  WAIT: until
 * the queue can take more; LENT: put_step continues it. */
static PyObject *begin_put(PyObject *module, gipc_handle *h, PyObject *bytes,
                           PyObject *fair_lock) {
  const char *data;
  size_t size;
  FairLock *lock = as_lock(fair_lock);
  if (lock == NULL || content_of(bytes, &data, &size) < 0)
    return NULL;
  return new_outcome(module, is_batching(lock)
                                 ? step_queue(h, data, size)
                                 : step_put_lent(h, data, size));
}

/* Whether the caller is to let others run, as it has spent its budget. */
static PyObject *yields(gipc_handle *h) {
  int yields = must_yield(h);
  if (yields)
    (void)step_yield(h);
  return PyBool_FromLong(yields);
}

/* Closes a handle that no call is using.  WAIT: come again with the lock. */
static PyObject *close_unused(PyObject *module, gipc_handle *h,
                              PyObject *fair_lock) {
  FairLock *lock = as_lock(fair_lock);
  if (lock == NULL)
    return NULL;
  return new_outcome(module,
                     lock->holder != NULL ? STEP_WAIT : step_close(h));
}

/* Closes a handle at once; what cannot be written without waiting is dropped. */
static int discard(gipc_handle *h) { return gipc_close_within(h, 0); }

/* Queues messages of a list, until one cannot be: those after the first
 * (accepted[0] - before) ones, which are accepted already.  accepted, a list of
 * one number, counts the accepted ones, also if a signal handler raises just
 * after the call. */
static PyObject *try_put_many(PyObject *module, gipc_handle *h,
                              PyObject *list, size_t before,
                              PyObject *accepted) {
  if (!PyList_CheckExact(list) || !PyList_CheckExact(accepted) ||
      PyList_GET_SIZE(accepted) != 1) {
    PyErr_SetString(PyExc_TypeError, "expected lists");
    return NULL;
  }
  size_t count = PyLong_AsSize_t(PyList_GET_ITEM(accepted, 0));
  size_t first = count - before, next = first;
  PyObject *item = NULL;
  int result = STEP_DONE;
  for (; next < (size_t)PyList_GET_SIZE(list); ++next) {
    item = PyList_GET_ITEM(list, (Py_ssize_t)next);
    if (!PyBytes_Check(item))
      break;
    result = step_queue(h, PyBytes_AS_STRING(item),
                        (size_t)PyBytes_GET_SIZE(item));
    if (result != STEP_DONE)
      break;
  }
  PyObject *number = PyLong_FromSize_t(count + (next - first));
  if (number == NULL || PyList_SetItem(accepted, 0, number) < 0)
    return NULL;
  if (item != NULL && !PyBytes_Check(item))
    return type_error(item);
  return new_outcome(module, result);
}

/* poll(2) without the interpreter's lock, until `end` (< 0: indefinitely): 1, 0
 * after that time, -1 with an exception.  Python's signal handlers run. */
static int poll_until(PyObject *module, struct pollfd *fds, nfds_t count,
                      double end) {
  for (;;) {
    double left = end < 0 ? -1 : end - now();
    int ready;
    Py_BEGIN_ALLOW_THREADS
    ready = poll_within(fds, count, end >= 0 && left < 0 ? 0 : left);
    Py_END_ALLOW_THREADS
    if (ready > 0)
      return 1;
    if (ready == 0 && end >= 0 && now() >= end)
      return 0;
    if (ready < 0 && ready != -EINTR) {
      raise_error(module, ready);
      return -1;
    }
    if (ready < 0 && PyErr_CheckSignals() < 0)
      return -1;
  }
}

static int wait_until(PyObject *module, int fd, int direction, double end) {
  struct pollfd entry = poll_entry(fd, direction);
  return poll_until(module, &entry, 1, end);
}

/* True when fd is ready, False when timeout seconds are over (< 0: never). */
static PyObject *wait(PyObject *module, int fd, int direction, double timeout) {
  int ready =
      wait_until(module, fd, direction, timeout < 0 ? -1 : now() + timeout);
  return ready < 0 ? NULL : PyBool_FromLong(ready);
}

/* The same for a readable and a writable descriptor, whichever is first. */
static PyObject *wait_either(PyObject *module, int read_fd, int write_fd,
                             double timeout) {
  struct pollfd fds[] = {poll_entry(read_fd, GIPC_READ),
                         poll_entry(write_fd, GIPC_WRITE)};
  int ready = poll_until(module, fds, 2, timeout < 0 ? -1 : now() + timeout);
  return ready < 0 ? NULL : PyBool_FromLong(ready);
}

%}
PyObject *put(PyObject *module, gipc_handle *h, PyObject *bytes,
              PyObject *fair_lock);
PyObject *begin_put(PyObject *module, gipc_handle *h, PyObject *bytes,
                    PyObject *fair_lock);
PyObject *yields(gipc_handle *h);
PyObject *close_unused(PyObject *module, gipc_handle *h, PyObject *fair_lock);
int discard(gipc_handle *h);
PyObject *try_put_many(PyObject *module, gipc_handle *h, PyObject *list,
                       size_t before, PyObject *accepted);
PyObject *wait(PyObject *module, int fd, int direction, double timeout);
PyObject *wait_either(PyObject *module, int read_fd, int write_fd,
                      double timeout);
%include "attached.i"
%include "get.i"
/* Of C's environment, which os.environ may not know. */
char *getenv(const char *name);

%{
/* Whether C code has a handler for SIGCHLD.  libev's takes the status of every
 * child, and is not in the table of Python's signal module. */
static PyObject *sigchld_is_handled(void) {
  struct sigaction action;
  return PyBool_FromLong(sigaction(SIGCHLD, NULL, &action) == 0 &&
                         action.sa_handler != SIG_DFL &&
                         action.sa_handler != SIG_IGN);
}
%}
PyObject *sigchld_is_handled(void);

/* ---- Fork ------------------------------------------------------------------ */

%{
/* The signals that faulthandler handles. */
static const int fatal_signals[] = {SIGSEGV, SIGFPE, SIGABRT, SIGBUS, SIGILL};
enum { FATAL_SIGNALS = sizeof(fatal_signals) / sizeof(*fatal_signals) };

/* Forks as os.fork() does, with Python's own hooks, and with the library's.
 * The process, or None in the child.  The library sets all signals back there;
 * keep_fatal: but for those of faulthandler, which would not know of it. */
static PyObject *fork_process(PyObject *module, const gipc_options *options,
                              int keep_fatal) {
  gipc_fork_context *f;
  gipc_process *process;
  struct sigaction fatal[FATAL_SIGNALS];
  /* Python aborts in a child of another interpreter. */
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(PyExc_RuntimeError,
                    "only the main interpreter can fork: use method 'spawn'");
    return NULL;
  }
  for (int i = 0; i < FATAL_SIGNALS; ++i)
    sigaction(fatal_signals[i], NULL, &fatal[i]);
  PyOS_BeforeFork();
  int result = gipc_fork_prepare(options, &f);
  if (result < 0) {
    PyOS_AfterFork_Parent();
    raise_error(module, result);
    return NULL;
  }
  pid_t pid = fork();
  if (pid == 0) {
    result = gipc_fork_child(f);
    renew_budget();
    for (int i = 0; keep_fatal && i < FATAL_SIGNALS; ++i)
      sigaction(fatal_signals[i], &fatal[i], NULL);
    PyOS_AfterFork_Child();
    if (result < 0)
      gipc_exit(GIPC_EXIT_ESCAPED);
    Py_RETURN_NONE;
  }
  /* Before Python's hooks, in which another thread may get the interpreter's
   * lock, and then wait with it for the library's. */
  result = gipc_fork_parent(f, pid, &process);
  PyOS_AfterFork_Parent();
  if (result < 0) {
    raise_error(module, result);
    return NULL;
  }
  return SWIG_InternalNewPointerObj(process, SWIGTYPE_p_gipc_process,
                                    SWIG_POINTER_OWN);
}
%}
PyObject *fork_process(PyObject *module, const gipc_options *options,
                       int keep_fatal);
%ignore gipc_fork_prepare;

/* ---- Templates ------------------------------------------------------------- */

%{
static int template_exec(const gipc_words *argv, const gipc_options *options,
                         gipc_template **t) {
  return gipc_template_exec(argv ? (const char *const *)argv->items : NULL,
                            options, t);
}

static int template_start(gipc_template *t, const void *data, size_t size,
                          const gipc_options *options,
                          gipc_process **process) {
  return gipc_template_start(t, NULL, data, size, options, process);
}

/* Returns in each child, with the bytes that it was started with.  Python's
 * hooks before a fork run once, and those in a child in each child. */
static PyObject *template_serve(PyObject *module) {
  const void *data;
  size_t size;
  PyOS_BeforeFork();
  int result = gipc_template_serve(&data, &size);
  if (result < 0) {
    PyOS_AfterFork_Parent();
    raise_error(module, result);
    return NULL;
  }
  PyOS_AfterFork_Child();
  return PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
}
%}
OBJECT(template, Template)
%extend gipc_template { ~gipc_template() { gipc_template_free($self); } }
OUTPUT(gipc_template, t, SWIG_POINTER_OWN)
OUTPUTS_OF_START(template_exec)
OUTPUTS_OF_START(template_start)
int template_exec(const gipc_words *argv, const gipc_options *options,
                  gipc_template **t);
int template_start(gipc_template *t, const void *data, size_t size,
                   const gipc_options *options, gipc_process **process);
PyObject *template_serve(PyObject *module);

%include "pool.i"
%include "keeper.i"
%include "module.i"
