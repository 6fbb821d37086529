/* The type gipc._native.Pool, and the messages of a worker. */
%{
/* Sets the rules of a dictionary.  The error of a wrong one is its name: KeyError
 * for a name that is none, else ValueError. */
static int read_rules(PyObject *given, Py_ssize_t most, gipc_rules *rules) {
  PyObject *key, *value;
  Py_ssize_t position = 0;
  memset(rules, 0, sizeof(*rules));
  rules->size = sizeof(*rules);
  rules->most = (size_t)most;
  while (PyDict_Next(given, &position, &key, &value)) {
    const char *name = PyUnicode_AsUTF8(key);
    double number = PyFloat_AsDouble(value);
    if (PyErr_Occurred())
      return -1;
    int result = gipc_rules_set(rules, name, number);
    if (result < 0) {
      PyErr_SetObject(result == -ENOENT ? PyExc_KeyError : PyExc_ValueError,
                      key);
      return -1;
    }
  }
  const char *wrong = gipc_rules_wrong(rules);
  if (wrong != NULL)
    PyErr_SetString(PyExc_ValueError, wrong);
  return wrong != NULL ? -1 : 0;
}

/* Pool(rules, workers, wake_read, wake_write): the last two are the descriptors
 * of a pipe that ends the wait of the driver. */
static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *named) {
  PyObject *given;
  Py_ssize_t most;
  int wake_read, wake_write;
  gipc_rules rules;
  (void)named;
  if (!PyArg_ParseTuple(args, "O!nii", &PyDict_Type, &given, &most, &wake_read,
                        &wake_write))
    return NULL;
  if (most <= 0 || most > INT_MAX / (Py_ssize_t)sizeof(Seat)) {
    PyErr_SetString(PyExc_ValueError, "most");
    return NULL;
  }
  if (read_rules(given, most, &rules) < 0)
    return NULL;
  Pool *self = (Pool *)type->tp_alloc(type, 0);
  if (self == NULL)
    return NULL;
  self->most = (size_t)most;
  self->wake_read = wake_read;
  self->wake_write = wake_write;
  self->watches_memory = rules.retire_memory != 0;
  self->todo = PyList_New(0);
  self->seats = calloc(self->most, sizeof(*self->seats));
  if (self->todo == NULL || self->seats == NULL ||
      gipc_policy_new_pool(&rules, &self->policy) < 0) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  return (PyObject *)self;
}

static void pool_dealloc(PyObject *object) {
  Pool *self = (Pool *)object;
  gipc_policy_free(self->policy);
  while (self->tasks != NULL)
    free_task(self, self->tasks);
  for (size_t i = 0; self->seats != NULL && i < self->most; ++i)
    Py_XDECREF(self->seats[i].handle);
  free(self->seats);
  free(self->scratch);
  Py_XDECREF(self->todo);
  free_object(object);
}

/* stats(): queued, running, workers, starting, submitted, retries, starts,
 * failures, and the numbers of finished tasks by why */
static PyObject *pool_stats(PyObject *object, PyObject *const *args,
                            Py_ssize_t count) {
  WITH_POOL(0)
  (void)args;
  gipc_policy_stats s = {sizeof(s)};
  (void)!gipc_policy_get_stats(self->policy, &s);
  enum { WHYS = sizeof(s.finished) / sizeof(*s.finished) };
  PyObject *finished = PyTuple_New(WHYS);
  for (Py_ssize_t i = 0; finished != NULL && i < WHYS; ++i) {
    PyObject *number = PyLong_FromUnsignedLongLong(s.finished[i]);
    if (number == NULL)
      Py_CLEAR(finished);
    else
      PyTuple_SET_ITEM(finished, i, number);
  }
  if (finished == NULL)
    return NULL;
  return Py_BuildValue("nnnnKKKKN", (Py_ssize_t)s.queued, (Py_ssize_t)s.running,
                       (Py_ssize_t)s.workers, (Py_ssize_t)s.starting,
                       (unsigned long long)s.submitted,
                       (unsigned long long)s.retries,
                       (unsigned long long)s.starts,
                       (unsigned long long)s.failures, finished);
}

/* worker_stats(slot): worker, pid, state, tasks, busy, memory, task */
static PyObject *pool_worker_stats(PyObject *object, PyObject *const *args,
                                   Py_ssize_t count) {
  WITH_POOL(1)
  gipc_worker_stats s = {sizeof(s)};
  size_t slot = PyLong_AsSize_t(args[0]);
  if (PyErr_Occurred())
    return NULL;
  if (gipc_policy_worker_stats(self->policy, slot, &s) < 0)
    Py_RETURN_NONE;
  return Py_BuildValue("KiiKdKK", (unsigned long long)s.worker, s.pid, s.state,
                       (unsigned long long)s.tasks, s.busy,
                       (unsigned long long)s.memory,
                       (unsigned long long)s.task);
}

#define POOL_METHOD(NAME)                                                      \
  {#NAME, (PyCFunction)(void (*)(void))pool_##NAME, METH_FASTCALL, NULL}

static PyMethodDef pool_methods[] = {
    POOL_METHOD(submit),       POOL_METHOD(cancel),
    POOL_METHOD(cancel_queued), POOL_METHOD(started),
    POOL_METHOD(start_failed), POOL_METHOD(ended),
    POOL_METHOD(misbehaved),   POOL_METHOD(stop),
    POOL_METHOD(step),         POOL_METHOD(next_time),
    POOL_METHOD(stats),        POOL_METHOD(worker_stats),
    {NULL, NULL, 0, NULL}};
static PyType_Slot pool_slots[] = {{Py_tp_new, (void *)pool_new},
                                   {Py_tp_dealloc, (void *)pool_dealloc},
                                   {Py_tp_methods, pool_methods},
                                   {0, NULL}};
static PyType_Spec pool_types[] = {
    {"gipc._native.Pool", sizeof(Pool), 0, SHARED_TYPE, pool_slots}};

static PyObject *encoded(PyObject *module, const gipc_worker_message *message) {
  size_t needed = 0;
  int result = gipc_worker_encode(message, NULL, 0, &needed);
  PyObject *bytes = NULL;
  if (result == -EMSGSIZE)
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)needed);
  if (bytes != NULL)
    result =
        gipc_worker_encode(message, PyBytes_AS_STRING(bytes), needed, &needed);
  if (bytes != NULL && result == 0)
    return bytes;
  Py_XDECREF(bytes);
  if (!PyErr_Occurred())
    raise_error(module, result < 0 ? result : -EINVAL);
  return NULL;
}

static PyObject *worker_ready(PyObject *module) {
  gipc_worker_message message = {sizeof(message)};
  message.kind = GIPC_MESSAGE_READY;
  return encoded(module, &message);
}

static PyObject *worker_alive(PyObject *module) {
  gipc_worker_message message = {sizeof(message)};
  message.kind = GIPC_MESSAGE_ALIVE;
  return encoded(module, &message);
}

static PyObject *worker_done(PyObject *module, uint64_t task, const void *data,
                             size_t size) {
  gipc_worker_message message = {sizeof(message)};
  message.kind = GIPC_MESSAGE_DONE;
  message.task = task;
  message.data = data;
  message.data_size = size;
  return encoded(module, &message);
}

static int text_of(PyObject *object, gipc_text *text) {
  Py_ssize_t size;
  text->data = PyUnicode_AsUTF8AndSize(object, &size);
  text->size = (size_t)size;
  return text->data == NULL ? -1 : 0;
}

static PyObject *worker_failed(PyObject *module, uint64_t task,
                               PyObject *type, PyObject *text, PyObject *trace,
                               const void *data, size_t size) {
  gipc_worker_message message = {sizeof(message)};
  message.kind = GIPC_MESSAGE_FAILED;
  message.task = task;
  message.data = data;
  message.data_size = size;
  if (text_of(type, &message.type) < 0 || text_of(text, &message.text) < 0 ||
      text_of(trace, &message.trace) < 0)
    return NULL;
  return encoded(module, &message);
}

/* (task, attempt, data) of a message to a worker. */
static PyObject *worker_task(PyObject *module, const void *data, size_t size) {
  gipc_worker_message message;
  message.size = sizeof(message);
  int result = gipc_worker_decode(data, size, &message);
  if (result == 0 && message.kind != GIPC_MESSAGE_TASK)
    result = GIPC_EPROTOCOL;
  if (result < 0) {
    raise_error(module, result);
    return NULL;
  }
  return Py_BuildValue("KIN", (unsigned long long)message.task,
                       (unsigned)message.attempt,
                       PyBytes_FromStringAndSize(
                           message.data, (Py_ssize_t)message.data_size));
}
%}
%constant int ACTION_STREAM_ENDED = ACTION_STREAM_ENDED;
%constant int ACTION_READY_FD = ACTION_READY_FD;
%constant int ACTION_BLOCKED = ACTION_BLOCKED;
%constant int ACTION_WRITTEN = ACTION_WRITTEN;
%constant int ACTION_STDIN_CLOSED = ACTION_STDIN_CLOSED;
PyObject *worker_ready(PyObject *module);
PyObject *worker_alive(PyObject *module);
PyObject *worker_done(PyObject *module, uint64_t task, const void *data,
                      size_t size);
PyObject *worker_failed(PyObject *module, uint64_t task, PyObject *type,
                        PyObject *text, PyObject *trace, const void *data,
                        size_t size);
PyObject *worker_task(PyObject *module, const void *data, size_t size);
