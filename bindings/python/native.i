/* gipc._native: the step tier for Python, private to the package.  Only `wait`,
 * `wait_either` and `receive` wait, without the interpreter's lock. */
%module(package = "gipc", threads = "1") native
%nothread;

%{
#include <gipc.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
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

/* take and put, below, stand for them. */
%ignore gipc_try_get;
%ignore gipc_try_put;
%ignore gipc_put_start;

%include "../gipc.i"
%include "lock.i"
/* What it fails with is raised by the import. */
%init %{
  add_lock_types(m);
%}

%{
/* From this size a message is received straight into its bytes object. */
enum { LARGE = 32 * 1024 };

/* Who never has to wait would never let others run: after this many bytes (a
 * message counts as 64 or more) a call returns False once, and the caller lets
 * them. */
#define TURN (256 * 1024)
static size_t moved;

static int turn_is_over(void) {
  if (moved < TURN)
    return 0;
  moved = 0;
  return 1;
}

static void count_moved(size_t size) { moved += size < 64 ? 64 : size; }

/* The next message as bytes; or, as an int, the size of a large one, which
 * get_into or get_bytes then receives; None: wait until readable (or for whom
 * is receiving it); False: let others run, then come again. */
static PyObject *take(PyObject *module, gipc_handle *h) {
  size_t size;
  if (turn_is_over())
    Py_RETURN_FALSE;
  int result = gipc_next_size(h, &size);
  if (result == 0) {
    if (size >= LARGE)
      return PyLong_FromSize_t(size);
    const void *data;
    result = gipc_try_get(h, &data, &size);
    if (result == 0) {
      count_moved(size);
      return PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    }
  }
  if (result == -EAGAIN || result == GIPC_ELOCKED) {
    moved = 0;
    Py_RETURN_NONE;
  }
  raise_error(module, result);
  return NULL;
}

static PyObject *type_error(PyObject *object) {
  PyErr_Format(PyExc_TypeError, "bytes are needed, not %.200s",
               Py_TYPE(object)->tp_name);
  return NULL;
}

enum { BEGUN = 2 };

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

/* Puts a message whose size is at most LARGE, and borrows nothing past the call;
 * in a batch of the caller, into the queue.  True: done; None: not, come again
 * with the lock; False: not, let others run; BEGUN: a part is written, and the
 * remaining bytes are queued. */
static PyObject *put(PyObject *module, gipc_handle *h, PyObject *bytes,
                     PyObject *fair_lock) {
  const char *data;
  size_t size;
  FairLock *lock = as_lock(fair_lock);
  if (lock == NULL || content_of(bytes, &data, &size) < 0)
    return NULL;
  if (lock->holder != NULL)
    Py_RETURN_NONE;
  if (turn_is_over())
    Py_RETURN_FALSE;
  int batching = is_batching(lock), result = -EAGAIN;
  if (batching)
    result = gipc_try_put(h, data, size);
  else if (size <= LARGE)
    result = gipc_put_start(h, data, size);
  if (result == 0) {
    count_moved(size);
    Py_RETURN_TRUE;
  }
  if (result != -EAGAIN && result != GIPC_ELOCKED) {
    raise_error(module, result);
    return NULL;
  }
  moved = 0;
  if (result == GIPC_ELOCKED || batching || size > LARGE)
    Py_RETURN_NONE;
  result = gipc_put_cancel(h);
  if (result == 1)
    return PyLong_FromLong(BEGUN);
  if (result == 0)
    Py_RETURN_NONE;
  if (result == -ENOMEM)
    Py_INCREF(bytes); /* borrowed for good */
  raise_error(module, result);
  return NULL;
}

/* The same with the lock, in a Lent block, which keeps the bytes.  None: wait
 * until the queue can take more; BEGUN: it is under way, and they are borrowed,
 * see gipc_put_step(3). */
static PyObject *begin_put(PyObject *module, gipc_handle *h, PyObject *bytes,
                           PyObject *fair_lock) {
  const char *data;
  size_t size;
  FairLock *lock = as_lock(fair_lock);
  if (lock == NULL || content_of(bytes, &data, &size) < 0)
    return NULL;
  if (turn_is_over())
    Py_RETURN_FALSE;
  int batching = is_batching(lock);
  int result =
      batching ? gipc_try_put(h, data, size) : gipc_put_start(h, data, size);
  if (result == 0) {
    count_moved(size);
    Py_RETURN_TRUE;
  }
  if (result != -EAGAIN) {
    raise_error(module, result);
    return NULL;
  }
  moved = 0;
  if (batching)
    Py_RETURN_NONE;
  return PyLong_FromLong(BEGUN);
}

/* Closes a handle at once; what cannot be written without waiting is dropped. */
static int discard(gipc_handle *h) { return gipc_close_within(h, 0); }

/* A bytes object of any content, for get_bytes.  Its pages are not touched, so
 * that a peer that claims a size it never sends costs no memory. */
static PyObject *new_bytes(size_t size) {
  return PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
}

/* As get_into, into a bytes object that nobody else has seen yet. */
static int get_bytes(gipc_handle *h, PyObject *bytes) {
  size_t size;
  if (!PyBytes_CheckExact(bytes) || PyBytes_GET_SIZE(bytes) == 0)
    return -EINVAL;
  int result = gipc_get_into(h, PyBytes_AS_STRING(bytes),
                             (size_t)PyBytes_GET_SIZE(bytes), &size);
  if (result == 0)
    count_moved(size);
  return result;
}

/* Queues messages of a list: behind the first (taken[0] - before) ones, which
 * are taken already.  taken, a list of one number, counts those taken, also if
 * an exception comes just behind the call; some of them may still be queued. */
static PyObject *try_put_many(PyObject *module, gipc_handle *h,
                              PyObject *list, size_t before,
                              PyObject *taken) {
  if (!PyList_CheckExact(list) || !PyList_CheckExact(taken) ||
      PyList_GET_SIZE(taken) != 1) {
    PyErr_SetString(PyExc_TypeError, "lists are needed");
    return NULL;
  }
  size_t count = PyLong_AsSize_t(PyList_GET_ITEM(taken, 0));
  size_t first = count - before, next = first;
  PyObject *item = NULL;
  int result = 0;
  for (; result == 0 && next < (size_t)PyList_GET_SIZE(list); ++next) {
    item = PyList_GET_ITEM(list, (Py_ssize_t)next);
    if (!PyBytes_Check(item) || turn_is_over())
      break;
    result = gipc_try_put(h, PyBytes_AS_STRING(item),
                          (size_t)PyBytes_GET_SIZE(item));
    if (result < 0)
      break;
    count_moved((size_t)PyBytes_GET_SIZE(item));
  }
  PyObject *number = PyLong_FromSize_t(count + (next - first));
  if (number == NULL || PyList_SetItem(taken, 0, number) < 0)
    return NULL;
  if (item != NULL && !PyBytes_Check(item))
    return type_error(item);
  if (result < 0 && result != -EAGAIN) {
    raise_error(module, result);
    return NULL;
  }
  return PyBool_FromLong(next == (size_t)PyList_GET_SIZE(list));
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* poll(2) without the interpreter's lock, until `end` (< 0: for ever): 1, 0 when
 * the time is over, -1 with an exception.  Python's signal handlers run. */
static int poll_until(PyObject *module, struct pollfd *fds, nfds_t count,
                      double end) {
  for (;;) {
    int milliseconds = -1;
    if (end >= 0) {
      double left = end - now();
      /* Rounded up: a wait that ends early would be made again at once. */
      milliseconds = left <= 0 ? 0 : left > 1e6 ? 1000000000
                                                : (int)(left * 1e3) + 1;
    }
    int ready, error;
    Py_BEGIN_ALLOW_THREADS
    ready = poll(fds, count, milliseconds);
    error = errno;
    Py_END_ALLOW_THREADS
    if (ready > 0)
      return 1;
    if (ready == 0 && end >= 0 && now() >= end)
      return 0;
    if (ready < 0 && error != EINTR) {
      raise_error(module, -error);
      return -1;
    }
    if (ready < 0 && PyErr_CheckSignals() < 0)
      return -1;
  }
}

static int wait_until(PyObject *module, int fd, int direction, double end) {
  struct pollfd p = {fd, direction == GIPC_READ ? POLLIN : POLLOUT, 0};
  return poll_until(module, &p, 1, end);
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
  struct pollfd fds[] = {{read_fd, POLLIN, 0}, {write_fd, POLLOUT, 0}};
  int ready = poll_until(module, fds, 2, timeout < 0 ? -1 : now() + timeout);
  return ready < 0 ? NULL : PyBool_FromLong(ready);
}

/* As take, but waits in this thread; None: the time is over. */
static PyObject *receive(PyObject *module, gipc_handle *h, double timeout) {
  double end = timeout < 0 ? -1 : now() + timeout;
  for (;;) {
    PyObject *message = take(module, h);
    if (message == Py_False) {
      Py_DECREF(message);
      continue;
    }
    if (message != Py_None)
      return message;
    int ready = wait_until(module, gipc_fd(h, GIPC_READ), GIPC_READ, end);
    if (ready == 0)
      return message;
    Py_DECREF(message);
    if (ready < 0)
      return NULL;
  }
}
%}
%constant int LARGE = LARGE;
%constant int BEGUN = BEGUN;
PyObject *take(PyObject *module, gipc_handle *h);
PyObject *put(PyObject *module, gipc_handle *h, PyObject *bytes,
              PyObject *fair_lock);
PyObject *begin_put(PyObject *module, gipc_handle *h, PyObject *bytes,
                    PyObject *fair_lock);
int discard(gipc_handle *h);
PyObject *new_bytes(size_t size);
int get_bytes(gipc_handle *h, PyObject *bytes);
PyObject *try_put_many(PyObject *module, gipc_handle *h, PyObject *list,
                       size_t before, PyObject *taken);
PyObject *wait(PyObject *module, int fd, int direction, double timeout);
PyObject *wait_either(PyObject *module, int read_fd, int write_fd,
                      double timeout);
PyObject *receive(PyObject *module, gipc_handle *h, double timeout);
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

%include "module.i"
