/* The methods of gipc._native.Pool. */
%{
#define WITH_POOL(COUNT)                                                       \
  Pool *self = (Pool *)object;                                                 \
  if (count != (COUNT)) {                                                      \
    PyErr_SetString(PyExc_TypeError, "wrong number of arguments");             \
    return NULL;                                                               \
  }

static void wake_driver(Pool *self) {
  if (self->is_woken ||
      (PyList_GET_SIZE(self->todo) == 0 && self->again == 0 &&
       gipc_policy_next_time(self->policy) >= self->armed))
    return;
  self->is_woken = 1;
  (void)!write(self->wake_write, "", 1);
}

/* What follows a report of another one than the driver. */
static int act_and_wake(Pool *self) {
  int result = act(self);
  wake_driver(self);
  return result;
}

static PoolTask *new_task(Pool *self, PyObject *data, PyObject *user) {
  PoolTask *task = calloc(1, sizeof(*task));
  if (task == NULL)
    return NULL;
  Py_INCREF(data);
  Py_INCREF(user);
  task->data = data;
  task->user = user;
  task->next = self->tasks;
  if (task->next != NULL)
    task->next->previous = task;
  self->tasks = task;
  return task;
}

/* Where the driver is late, because the caller keeps the interpreter's lock, the
 * workers get their next tasks here: one of them at each call. */
static int receive_in_turn(Pool *self) {
  self->turn = self->turn + 1 < self->most ? self->turn + 1 : 0;
  Seat *seat = &self->seats[self->turn];
  return seat->h != NULL && seat->owes > 0 ? receive_all(self, seat) : 0;
}

/* Keeps duplicates of the descriptors of a list.  NULL, and no error: it is
 * empty. */
static gipc_fds *kept(PyObject *numbers) {
  int fds[GIPC_MOST_FDS];
  gipc_fds *made = NULL;
  int count = descriptors_of(numbers, fds);
  int result = count > 0 ? gipc_fds_new(fds, (size_t)count, &made) : 0;
  if (result < 0) {
    errno = -result;
    PyErr_SetFromErrno(PyExc_OSError);
  }
  return made;
}

/* submit(data, user, timeout, priority, retries, retry_for, [fds]): the task; 0:
 * full; < 0: an error of the library. */
static PyObject *pool_submit(PyObject *object, PyObject *const *args,
                             Py_ssize_t count) {
  PyObject *numbers = count == 7 ? args[--count] : NULL;
  WITH_POOL(6)
  gipc_task_rules rules = {sizeof(rules)};
  uint64_t id;
  if (!PyBytes_CheckExact(args[0])) {
    PyErr_Format(PyExc_TypeError, "expected bytes, not %.200s",
                 Py_TYPE(args[0])->tp_name);
    return NULL;
  }
  rules.timeout = PyFloat_AsDouble(args[2]);
  rules.priority = (int)PyLong_AsLong(args[3]);
  rules.retries = (int)PyLong_AsLong(args[4]);
  rules.retry_for = (int)PyLong_AsLong(args[5]);
  if (PyErr_Occurred())
    return NULL;
  gipc_fds *fds = numbers != NULL ? kept(numbers) : NULL;
  if (PyErr_Occurred())
    return NULL;
  PoolTask *task = new_task(self, args[0], args[1]);
  if (task == NULL) {
    gipc_fds_free(fds);
    return PyErr_NoMemory();
  }
  task->fds = fds;
  rules.user = task;
  int result = gipc_policy_submit(self->policy, &rules, &id);
  if (result < 0) {
    free_task(self, task);
    return PyLong_FromLong(result == -EAGAIN ? 0 : result);
  }
  task->id = id;
  if (receive_in_turn(self) < 0 || act_and_wake(self) < 0)
    return NULL;
  return PyLong_FromUnsignedLongLong(id);
}

/* cancel(task): False if it has finished. */
static PyObject *pool_cancel(PyObject *object, PyObject *const *args,
                             Py_ssize_t count) {
  WITH_POOL(1)
  uint64_t task = PyLong_AsUnsignedLongLong(args[0]);
  if (PyErr_Occurred())
    return NULL;
  int result = gipc_policy_cancel(self->policy, task, now());
  if (act_and_wake(self) < 0)
    return NULL;
  return PyBool_FromLong(result == 0);
}

/* cancel_queued(): those that no worker has been sent. */
static PyObject *pool_cancel_queued(PyObject *object, PyObject *const *args,
                                    Py_ssize_t count) {
  WITH_POOL(0)
  (void)args;
  for (PoolTask *task = self->tasks; task != NULL; task = task->next)
    if (!task->is_running)
      (void)!gipc_policy_cancel(self->policy, task->id, now());
  if (act_and_wake(self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

/* started(worker, pid, handle) */
static PyObject *pool_started(PyObject *object, PyObject *const *args,
                              Py_ssize_t count) {
  WITH_POOL(3)
  void *h;
  uint64_t worker = PyLong_AsUnsignedLongLong(args[0]);
  int pid = (int)PyLong_AsLong(args[1]);
  if (PyErr_Occurred())
    return NULL;
  Seat *seat = seat_of(self, 0);
  if (seat == NULL ||
      !SWIG_IsOK(SWIG_ConvertPtr(args[2], &h, SWIGTYPE_p_gipc_handle, 0))) {
    PyErr_SetString(PyExc_TypeError, "expected a native handle");
    return NULL;
  }
  Py_INCREF(args[2]);
  seat->worker = worker;
  seat->handle = args[2];
  seat->h = (gipc_handle *)h;
  seat->fd = gipc_fd(seat->h, GIPC_READ);
  seat->write_fd = gipc_fd(seat->h, GIPC_WRITE);
  seat->pid = pid;
  (void)!gipc_policy_started(self->policy, worker, pid, now());
  if (act_and_wake(self) < 0)
    return NULL;
  return PyLong_FromLong(seat->fd);
}

static PyObject *pool_start_failed(PyObject *object, PyObject *const *args,
                                   Py_ssize_t count) {
  WITH_POOL(2)
  uint64_t worker = PyLong_AsUnsignedLongLong(args[0]);
  int error = (int)PyLong_AsLong(args[1]);
  if (PyErr_Occurred())
    return NULL;
  (void)!gipc_policy_start_failed(self->policy, worker, error, now());
  if (act_and_wake(self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

/* ended(worker, exit): receives what it has sent before.  exit is None if it is
 * not known.  Others may have ended, too, so what follows is left to step(). */
static PyObject *pool_ended(PyObject *object, PyObject *const *args,
                            Py_ssize_t count) {
  WITH_POOL(2)
  void *info = NULL;
  gipc_exit_info unknown = {sizeof(unknown)};
  unknown.code = -1;
  uint64_t worker = PyLong_AsUnsignedLongLong(args[0]);
  if (PyErr_Occurred())
    return NULL;
  if (args[1] != Py_None &&
      !SWIG_IsOK(SWIG_ConvertPtr(args[1], &info, SWIGTYPE_p_gipc_exit_info, 0))) {
    PyErr_SetString(PyExc_TypeError, "expected an ExitInfo");
    return NULL;
  }
  Seat *seat = seat_of(self, worker);
  int result = 0;
  self->only_receives = 1;
  while (seat != NULL && seat->worker == worker && seat->h != NULL) {
    result = receive_all(self, seat);
    if (result < 0 || !seat->again)
      break;
  }
  self->only_receives = 0;
  if (result < 0)
    return NULL;
  if (seat != NULL && seat->worker == worker) {
    self->again -= seat->again != 0;
    PyObject *handle = seat->handle;
    memset(seat, 0, sizeof(*seat));
    Py_DECREF(handle);
  }
  (void)!gipc_policy_ended(self->policy, worker,
                           info != NULL ? info : &unknown, now());
  Py_RETURN_NONE;
}

static PyObject *pool_misbehaved(PyObject *object, PyObject *const *args,
                                 Py_ssize_t count) {
  WITH_POOL(1)
  uint64_t worker = PyLong_AsUnsignedLongLong(args[0]);
  if (PyErr_Occurred())
    return NULL;
  (void)!gipc_policy_misbehaved(self->policy, worker, now());
  if (act_and_wake(self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

static PyObject *pool_stop(PyObject *object, PyObject *const *args,
                           Py_ssize_t count) {
  WITH_POOL(1)
  double grace = PyFloat_AsDouble(args[0]);
  if (PyErr_Occurred())
    return NULL;
  (void)!gipc_policy_stop(self->policy, grace, now());
  if (act_and_wake(self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

/* The worker that one of the descriptors is of, or NULL. */
static Seat *seat_at(Pool *self, PyObject *ready, Py_ssize_t index, int *fd) {
  *fd = (int)PyLong_AsLong(PyTuple_GetItem(PyList_GET_ITEM(ready, index), 0));
  for (size_t i = 0; i < self->most; ++i) {
    Seat *seat = &self->seats[i];
    if (seat->h != NULL && (seat->fd == *fd || seat->write_fd == *fd))
      return seat;
  }
  return NULL;
}

/* Adds an action for each that is not that of a worker, such as of a process that
 * has ended.  1: there were some. */
static int tell_others(Pool *self, PyObject *ready) {
  int fd, found = 0;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(ready); ++i) {
    char bytes[64];
    if (seat_at(self, ready, i, &fd) != NULL)
      continue;
    if (PyErr_Occurred())
      return -1;
    if (fd == self->wake_read) {
      (void)!read(fd, bytes, sizeof(bytes));
      continue;
    }
    found = 1;
    if (add_action(self, Py_BuildValue("ii", ACTION_READY_FD, fd)) < 0)
      return -1;
  }
  return found;
}

/* Of a pipe that nobody reads any more. */
static int has_error(PyObject *ready, Py_ssize_t index) {
  PyObject *events = PyTuple_GetItem(PyList_GET_ITEM(ready, index), 1);
  return events != NULL && (PyLong_AsLong(events) & POLLERR) != 0;
}

/* Behind a launcher a worker may close its stdin, and live. */
static int stdin_closed(Pool *self, Seat *seat) {
  (void)!gipc_policy_refused(self->policy, seat->worker, 0, -EPIPE, now());
  return add_worker_action(self, ACTION_STDIN_CLOSED, seat->worker);
}

static int receive_ready(Pool *self, PyObject *ready) {
  int fd;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(ready); ++i) {
    Seat *seat = seat_at(self, ready, i, &fd);
    if (seat == NULL)
      continue;
    if (fd != seat->fd && has_error(ready, i) && stdin_closed(self, seat) < 0)
      return -1;
    if (receive_all(self, seat) < 0)
      return -1;
  }
  for (size_t i = 0; self->again > 0 && i < self->most; ++i)
    if (self->seats[i].again && receive_all(self, &self->seats[i]) < 0)
      return -1;
  return 0;
}

/* step(ready): receives from the descriptors of a list of (descriptor, events),
 * and returns a list of actions for Python.  Those that tell of an end come alone:
 * the policy decides in the next step. */
static PyObject *pool_step(PyObject *object, PyObject *const *args,
                           Py_ssize_t count) {
  WITH_POOL(1)
  if (!PyList_Check(args[0])) {
    PyErr_SetString(PyExc_TypeError, "expected a list");
    return NULL;
  }
  self->is_woken = 0;
  PyObject *fresh = PyList_New(0);
  if (fresh == NULL)
    return NULL;
  int others = tell_others(self, args[0]);
  self->only_receives = others != 0;
  int result = others < 0 ? -1 : receive_ready(self, args[0]);
  self->only_receives = 0;
  if (result < 0 || (others == 0 && act(self) < 0)) {
    Py_DECREF(fresh);
    return NULL;
  }
  PyObject *todo = self->todo;
  self->todo = fresh;
  return todo;
}

/* next_time(): when step() is to be called at the latest; None: no time.  What
 * comes meanwhile wakes the driver. */
static PyObject *pool_next_time(PyObject *object, PyObject *const *args,
                                Py_ssize_t count) {
  WITH_POOL(0)
  (void)args;
  self->armed = self->again > 0 || PyList_GET_SIZE(self->todo) > 0
                    ? 0
                    : gipc_policy_next_time(self->policy);
  if (self->armed == HUGE_VAL)
    Py_RETURN_NONE;
  return PyFloat_FromDouble(self->armed);
}
%}
