/* What a call on a handle holds while it waits: the lock of a direction, memory
 * that the library borrows, a batch.
 *
 * They are context managers in C, as a signal handler may raise an exception
 * between any two instructions of Python.  __enter__ is one instruction, whose
 * block begins with it.  Between the end of a block and the call of __exit__
 * are some more: there the interpreter drops the object, and its deallocation
 * does what __exit__ would have done.  For that, nothing but the `with`
 * statement may refer to the object; tracebacks keep variables alive. */
%{
#include <frameobject.h> /* for Python 3.9 */
#include <structmember.h>

typedef struct Locked Locked;
typedef struct Batch Batch;

/* A fair (FIFO) lock that greenlets, threads and tasks can all wait for.  The
 * interpreter's lock guards all fields. */
typedef struct FairLock {
  PyObject_HEAD
  PyObject *locked; /* True or False, which Python reads without a call */
  Locked *holder;
  Locked *first, *last; /* that wait for it */
  Batch *batches;
} FairLock;

/* A block that has the lock, or waits for it.  The pointers between locks and
 * blocks are borrowed: a block is removed before it is freed. */
struct Locked {
  PyObject_HEAD
  FairLock *lock;
  PyObject *new_signal; /* makes one, or None: the block never waits */
  PyObject *signal;     /* its set() wakes what waits; NULL otherwise */
  PyFrameObject *frame; /* whose block it is; borrowed */
  Locked *previous, *next;
};

/* A block in which the puts of one greenlet, thread or task are queued. */
struct Batch {
  PyObject_HEAD
  FairLock *lock;
  PyObject *current; /* gives the greenlet or task; None: the thread counts */
  PyObject *owner;   /* borrowed, and only compared */
  unsigned long thread;
  int entered;
  Batch *next;
};

/* A block in which the library borrows memory for a put or a get. */
typedef struct Lent {
  PyObject_HEAD
  PyObject *handle, *memory;
  gipc_handle *h;
  int direction;
} Lent;

static void free_object(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

/* ---- The lock -------------------------------------------------------------- */

static void set_holder(FairLock *lock, Locked *holder) {
  PyObject *before = lock->locked;
  lock->holder = holder;
  lock->locked = holder != NULL ? Py_True : Py_False;
  Py_INCREF(lock->locked);
  Py_XDECREF(before);
}

static PyObject *lock_new(PyTypeObject *type, PyObject *args, PyObject *named) {
  FairLock *lock = (FairLock *)type->tp_alloc(type, 0);
  (void)args, (void)named;
  if (lock != NULL)
    set_holder(lock, NULL);
  return (PyObject *)lock;
}

static void lock_dealloc(PyObject *self) {
  Py_XDECREF(((FairLock *)self)->locked);
  free_object(self);
}

/* The number of blocks that wait for the lock. */
static PyObject *lock_waiting(PyObject *self, void *closure) {
  long count = 0;
  (void)closure;
  for (Locked *l = ((FairLock *)self)->first; l != NULL; l = l->next)
    ++count;
  return PyLong_FromLong(count);
}

/* NULL with an exception when it is another object. */
static FairLock *as_lock(PyObject *object) {
  if (Py_TYPE(object)->tp_dealloc == lock_dealloc)
    return (FairLock *)object;
  PyErr_SetString(PyExc_TypeError, "expected a FairLock");
  return NULL;
}

static void append(FairLock *lock, Locked *block) {
  block->previous = lock->last;
  *(lock->last != NULL ? &lock->last->next : &lock->first) = block;
  lock->last = block;
}

static void unlink_block(FairLock *lock, Locked *block) {
  *(block->previous != NULL ? &block->previous->next : &lock->first) =
      block->next;
  *(block->next != NULL ? &block->next->previous : &lock->last) =
      block->previous;
  block->previous = block->next = NULL;
  Py_CLEAR(block->signal);
}

/* Whether a caller of this call has the lock, or waits for it: the call is made
 * by a signal handler, a generator or a finalizer, and would wait forever. */
static int is_reentrant(FairLock *lock) {
  PyFrameObject *frame = PyEval_GetFrame();
  int found = 0;
  Py_XINCREF(frame);
  while (frame != NULL) {
    found = frame == lock->holder->frame;
    for (Locked *l = lock->first; l != NULL && !found; l = l->next)
      found = frame == l->frame;
    PyFrameObject *caller = found ? NULL : PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = caller;
  }
  return found;
}

/* False when nobody waits for the signal any more, as its loop was closed.  An
 * exception that is raised in the middle does not keep it from being set: the
 * first one is left for the caller to raise. */
static int wake(PyObject *signal) {
  PyObject *type = NULL, *value = NULL, *trace = NULL, *result = NULL;
  for (int tries = 3; result == NULL && tries > 0; --tries) {
    result = PyObject_CallMethod(signal, "set", NULL);
    if (result == NULL && type == NULL)
      PyErr_Fetch(&type, &value, &trace);
    PyErr_Clear();
  }
  int is_there = result != Py_False;
  Py_XDECREF(result);
  PyErr_Restore(type, value, trace);
  return is_there;
}

/* After the end of the holder: the next block gets the lock. */
static void pass_on(FairLock *lock) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  for (;;) {
    Locked *next = lock->first;
    set_holder(lock, next);
    if (next == NULL)
      break;
    PyObject *signal = next->signal;
    Py_INCREF(signal);
    unlink_block(lock, next);
    /* Python code, in which the block may end. */
    Py_INCREF(next);
    int is_there = wake(signal);
    int is_holder = lock->holder == next;
    Py_DECREF(signal);
    if (type == NULL)
      PyErr_Fetch(&type, &value, &trace);
    PyErr_Clear();
    if (!is_there && is_holder)
      lock->holder = NULL; /* it is passed on here, not by its end */
    Py_DECREF(next);
    if (is_there || !is_holder)
      break;
  }
  PyErr_Restore(type, value, trace);
}

/* ---- Blocks that have the lock ----------------------------------------------- */

/* Locked(lock, new_signal) */
static PyObject *locked_new(PyTypeObject *type, PyObject *args,
                            PyObject *named) {
  PyObject *lock, *new_signal;
  (void)named;
  if (!PyArg_UnpackTuple(args, "Locked", 2, 2, &lock, &new_signal) ||
      as_lock(lock) == NULL)
    return NULL;
  Locked *self = (Locked *)type->tp_alloc(type, 0);
  if (self == NULL)
    return NULL;
  Py_INCREF(lock);
  Py_INCREF(new_signal);
  self->lock = (FairLock *)lock;
  self->new_signal = new_signal;
  return (PyObject *)self;
}

/* None: the block has the lock.  False: the block cannot get the lock, as it
 * must not wait, or would wait for itself.  Otherwise an event to wait for. */
static PyObject *locked_enter(PyObject *object, PyObject *none) {
  Locked *self = (Locked *)object;
  FairLock *lock = self->lock;
  PyObject *signal = NULL;
  (void)none;
  if (lock->holder != NULL) {
    if (self->new_signal == Py_None || is_reentrant(lock))
      Py_RETURN_FALSE;
    /* Python code, in which the lock may be released. */
    if ((signal = PyObject_CallObject(self->new_signal, NULL)) == NULL)
      return NULL;
  }
  self->frame = PyEval_GetFrame();
  if (lock->holder == NULL) {
    set_holder(lock, self);
    Py_XDECREF(signal);
    Py_RETURN_NONE;
  }
  self->signal = signal;
  append(lock, self);
  Py_INCREF(signal);
  return signal;
}

static void leave(Locked *self) {
  if (self->lock->holder == self)
    pass_on(self->lock);
  else if (self->signal != NULL)
    unlink_block(self->lock, self);
}

static PyObject *locked_exit(PyObject *self, PyObject *const *exception,
                             Py_ssize_t count) {
  (void)exception, (void)count;
  leave((Locked *)self);
  if (PyErr_Occurred())
    return NULL;
  Py_RETURN_FALSE;
}

static void locked_dealloc(PyObject *object) {
  Locked *self = (Locked *)object;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  leave(self);
  if (PyErr_Occurred())
    PyErr_WriteUnraisable(NULL);
  PyErr_Restore(type, value, trace);
  Py_DECREF(self->lock);
  Py_DECREF(self->new_signal);
  free_object(object);
}

/* ---- Batches ----------------------------------------------------------------- */

/* Batch(lock, current) */
static PyObject *batch_new(PyTypeObject *type, PyObject *args,
                           PyObject *named) {
  PyObject *lock, *current;
  (void)named;
  if (!PyArg_UnpackTuple(args, "Batch", 2, 2, &lock, &current) ||
      as_lock(lock) == NULL)
    return NULL;
  Batch *self = (Batch *)type->tp_alloc(type, 0);
  if (self == NULL)
    return NULL;
  Py_INCREF(lock);
  Py_INCREF(current);
  self->lock = (FairLock *)lock;
  self->current = current;
  return (PyObject *)self;
}

/* The greenlet or task, borrowed; NULL if the thread identifies the user. */
static PyObject *user_of(Batch *batch) {
  if (batch->current == Py_None)
    return NULL;
  PyObject *user = PyObject_CallObject(batch->current, NULL);
  if (user == NULL)
    PyErr_Clear(); /* no task runs here */
  Py_XDECREF(user);
  return user;
}

static PyObject *batch_enter(PyObject *object, PyObject *none) {
  Batch *self = (Batch *)object;
  (void)none;
  self->thread = PyThread_get_thread_ident();
  self->owner = user_of(self);
  self->next = self->lock->batches;
  self->lock->batches = self;
  self->entered = 1;
  Py_RETURN_NONE;
}

static void end_batch(Batch *self) {
  if (!self->entered)
    return;
  Batch **link = &self->lock->batches;
  while (*link != self)
    link = &(*link)->next;
  *link = self->next;
  self->entered = 0;
}

static PyObject *batch_exit(PyObject *self, PyObject *const *exception,
                            Py_ssize_t count) {
  (void)exception, (void)count;
  end_batch((Batch *)self);
  Py_RETURN_FALSE;
}

static void batch_dealloc(PyObject *object) {
  Batch *self = (Batch *)object;
  end_batch(self);
  Py_DECREF(self->lock);
  Py_DECREF(self->current);
  free_object(object);
}

/* Whether the caller is in a batch of its own. */
static int is_batching(FairLock *lock) {
  if (lock->batches == NULL)
    return 0;
  unsigned long thread = PyThread_get_thread_ident();
  for (Batch *b = lock->batches; b != NULL; b = b->next)
    if (b->thread == thread && b->owner == user_of(b))
      return 1;
  return 0;
}

/* ---- Borrowed memory ------------------------------------------------------------ */

/* Lent(handle, memory, direction) */
static PyObject *lent_new(PyTypeObject *type, PyObject *args, PyObject *named) {
  PyObject *handle, *memory;
  void *h;
  int direction;
  (void)named;
  if (!PyArg_ParseTuple(args, "OOi", &handle, &memory, &direction))
    return NULL;
  if (!SWIG_IsOK(SWIG_ConvertPtr(handle, &h, SWIGTYPE_p_gipc_handle, 0))) {
    PyErr_SetString(PyExc_TypeError, "expected a native handle");
    return NULL;
  }
  Lent *self = (Lent *)type->tp_alloc(type, 0);
  if (self == NULL)
    return NULL;
  Py_INCREF(handle);
  Py_INCREF(memory);
  self->handle = handle;
  self->memory = memory;
  self->h = (gipc_handle *)h;
  self->direction = direction;
  return (PyObject *)self;
}

static PyObject *lent_enter(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  Py_RETURN_NONE;
}

/* Ends the lending.  1: the put was cancelled before a byte was written; 0: a
 * part was written; < 0: there was no put. */
static int take_memory_back(Lent *self) {
  if (self->memory == NULL)
    return -EINVAL;
  int result = self->direction == GIPC_READ ? gipc_get_cancel(self->h)
                                            : gipc_put_cancel(self->h);
  if (result == -ENOMEM)
    Py_INCREF(self->memory); /* the library may use its memory from now on */
  Py_CLEAR(self->memory);
  Py_CLEAR(self->handle);
  if (self->direction == GIPC_READ || result < 0)
    return -EINVAL;
  return result == 0;
}

/* error.withdrawn says what became of a put that an error ends. */
static PyObject *lent_exit(PyObject *self, PyObject *const *exception,
                           Py_ssize_t count) {
  int withdrawn = take_memory_back((Lent *)self);
  PyObject *error = count == 3 ? exception[1] : Py_None;
  if (withdrawn >= 0 && error != Py_None &&
      PyObject_SetAttrString(error, "withdrawn",
                             withdrawn ? Py_True : Py_False) < 0)
    PyErr_Clear(); /* trio's Cancelled has no room */
  Py_RETURN_FALSE;
}

static void lent_dealloc(PyObject *self) {
  (void)take_memory_back((Lent *)self);
  free_object(self);
}

/* ---- Their types ------------------------------------------------------------------ */

#define CONTEXT_MANAGER(NAME)                                                  \
  static PyMethodDef NAME##_methods[] = {                                      \
      {"__enter__", NAME##_enter, METH_NOARGS, NULL},                          \
      {"__exit__", (PyCFunction)(void (*)(void))NAME##_exit, METH_FASTCALL,    \
       NULL},                                                                  \
      {NULL, NULL, 0, NULL}};                                                  \
  static PyType_Slot NAME##_slots[] = {{Py_tp_new, (void *)NAME##_new},        \
                                       {Py_tp_dealloc, (void *)NAME##_dealloc}, \
                                       {Py_tp_methods, NAME##_methods},        \
                                       {0, NULL}};
CONTEXT_MANAGER(locked)
CONTEXT_MANAGER(batch)
CONTEXT_MANAGER(lent)

static PyMemberDef lock_members[] = {
    {"locked", T_OBJECT_EX, offsetof(FairLock, locked), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};
static PyGetSetDef lock_properties[] = {
    {"waiting", lock_waiting, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot lock_slots[] = {{Py_tp_new, (void *)lock_new},
                                   {Py_tp_dealloc, (void *)lock_dealloc},
                                   {Py_tp_members, lock_members},
                                   {Py_tp_getset, lock_properties},
                                   {0, NULL}};

/* All interpreters of the process have these types.  Since Python 3.12 the tag by
 * which caches know a type is only unique in an interpreter, unless the type is
 * immutable. */
#ifdef Py_TPFLAGS_IMMUTABLETYPE /* since Python 3.10 */
#define SHARED_TYPE (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE)
#else
#define SHARED_TYPE Py_TPFLAGS_DEFAULT
#endif

static PyType_Spec lock_types[] = {
    {"gipc._native.FairLock", sizeof(FairLock), 0, SHARED_TYPE, lock_slots},
    {"gipc._native.Locked", sizeof(Locked), 0, SHARED_TYPE, locked_slots},
    {"gipc._native.Batch", sizeof(Batch), 0, SHARED_TYPE, batch_slots},
    {"gipc._native.Lent", sizeof(Lent), 0, SHARED_TYPE, lent_slots}};

static void add_types(PyObject *module, PyType_Spec *specs, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    PyObject *type = PyType_FromSpec(&specs[i]);
    const char *name = strrchr(specs[i].name, '.') + 1;
    if (type == NULL || PyModule_AddObject(module, name, type) < 0) {
      Py_XDECREF(type);
      return;
    }
  }
}
%}
