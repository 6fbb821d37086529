/* The policy of a keeper: the object of a pool, without seats and tasks, and with
 * those of its methods that need neither. */
%{
/* check_rules(rules): raises KeyError or ValueError with the name of a wrong one.
 */
static PyObject *check_rules(PyObject *module, PyObject *given) {
  gipc_rules rules;
  (void)module;
  if (!PyDict_Check(given)) {
    PyErr_SetString(PyExc_TypeError, "expected a dictionary");
    return NULL;
  }
  if (read_rules(given, 0, &rules) < 0)
    return NULL;
  Py_RETURN_NONE;
}

static gipc_policy *new_keeper_policy(int strategy, PyObject *services) {
  size_t count = (size_t)PyList_GET_SIZE(services);
  gipc_rules *rules = calloc(count + 1, sizeof(*rules));
  const gipc_rules **each = calloc(count + 1, sizeof(*each));
  gipc_policy *policy = NULL;
  int result = rules == NULL || each == NULL ? -ENOMEM : 0;
  for (size_t i = 0; result == 0 && i < count; ++i) {
    PyObject *given = PyList_GET_ITEM(services, (Py_ssize_t)i);
    result = PyDict_Check(given) ? read_rules(given, 0, &rules[i]) : -EINVAL;
    each[i] = &rules[i];
  }
  if (result == 0)
    result = gipc_policy_new_keeper(strategy, each, count, &policy);
  free(each);
  free(rules);
  if (result < 0 && !PyErr_Occurred())
    PyErr_SetString(result == -ENOMEM ? PyExc_MemoryError : PyExc_ValueError,
                    "not a valid keeper");
  return policy;
}

/* Keeper(strategy, rules, wake_read, wake_write): rules is a list of dictionaries,
 * one for each service; the others are those of a pool. */
static PyObject *keeper_new(PyTypeObject *type, PyObject *args,
                            PyObject *named) {
  PyObject *services;
  int strategy, wake_read, wake_write;
  (void)named;
  if (!PyArg_ParseTuple(args, "iO!ii", &strategy, &PyList_Type, &services,
                        &wake_read, &wake_write))
    return NULL;
  gipc_policy *policy = new_keeper_policy(strategy, services);
  if (policy == NULL)
    return NULL;
  Pool *self = (Pool *)type->tp_alloc(type, 0);
  if (self == NULL) {
    gipc_policy_free(policy);
    return NULL;
  }
  self->policy = policy;
  self->wake_read = wake_read;
  self->wake_write = wake_write;
  self->todo = PyList_New(0);
  if (self->todo == NULL)
    Py_CLEAR(self);
  return (PyObject *)self;
}

/* started(process, pid) */
static PyObject *keeper_started(PyObject *object, PyObject *const *args,
                                Py_ssize_t count) {
  WITH_POOL(2)
  uint64_t process = PyLong_AsUnsignedLongLong(args[0]);
  int pid = (int)PyLong_AsLong(args[1]);
  if (PyErr_Occurred())
    return NULL;
  (void)!gipc_policy_started(self->policy, process, pid, now());
  if (act_and_wake(self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

typedef int (*Report)(gipc_policy *policy, uint64_t process, double now);

static PyObject *report(Pool *self, PyObject *process, Report call) {
  uint64_t number = PyLong_AsUnsignedLongLong(process);
  if (PyErr_Occurred())
    return NULL;
  (void)!call(self->policy, number, now());
  if (act_and_wake(self) < 0)
    return NULL;
  Py_RETURN_NONE;
}

static PyObject *keeper_ready(PyObject *object, PyObject *const *args,
                              Py_ssize_t count) {
  WITH_POOL(1)
  return report(self, args[0], gipc_policy_ready);
}

static PyObject *keeper_alive(PyObject *object, PyObject *const *args,
                              Py_ssize_t count) {
  WITH_POOL(1)
  return report(self, args[0], gipc_policy_alive);
}

/* reload(service): 0, or the error of the library. */
static PyObject *keeper_reload(PyObject *object, PyObject *const *args,
                               Py_ssize_t count) {
  WITH_POOL(1)
  size_t service = PyLong_AsSize_t(args[0]);
  if (PyErr_Occurred())
    return NULL;
  int result = gipc_policy_reload(self->policy, service, now());
  if (act_and_wake(self) < 0)
    return NULL;
  return PyLong_FromLong(result);
}

#define KEEPER_METHOD(NAME)                                                    \
  {#NAME, (PyCFunction)(void (*)(void))keeper_##NAME, METH_FASTCALL, NULL}

static PyMethodDef keeper_methods[] = {
    KEEPER_METHOD(started),    KEEPER_METHOD(ready),
    KEEPER_METHOD(alive),      KEEPER_METHOD(reload),
    POOL_METHOD(start_failed), POOL_METHOD(ended),
    POOL_METHOD(stop),         POOL_METHOD(step),
    POOL_METHOD(next_time),    POOL_METHOD(worker_stats),
    {NULL, NULL, 0, NULL}};
static PyType_Slot keeper_slots[] = {{Py_tp_new, (void *)keeper_new},
                                     {Py_tp_dealloc, (void *)pool_dealloc},
                                     {Py_tp_methods, keeper_methods},
                                     {0, NULL}};
static PyType_Spec keeper_types[] = {
    {"gipc._native.Keeper", sizeof(Pool), 0, SHARED_TYPE, keeper_slots}};
%}
PyObject *check_rules(PyObject *module, PyObject *given);
