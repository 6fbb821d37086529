/* What messages bring beside their bytes: handles, which move, and descriptors. */
%{
static int too_many(const char *what, int most) {
  PyErr_Format(PyExc_ValueError, "expected a list of at most %d %s", most, what);
  return -1;
}

/* Stores the descriptors of a list of numbers, or of objects with a fileno(), and
 * returns how many there are. */
static int descriptors_of(PyObject *numbers, int fds[GIPC_MOST_FDS]) {
  if (!PyList_CheckExact(numbers) || PyList_GET_SIZE(numbers) > GIPC_MOST_FDS)
    return too_many("descriptors", GIPC_MOST_FDS);
  int count = 0;
  for (; count < PyList_GET_SIZE(numbers) && count < GIPC_MOST_FDS; ++count) {
    fds[count] = PyObject_AsFileDescriptor(PyList_GET_ITEM(numbers, count));
    if (fds[count] < 0)
      return -1;
  }
  return count;
}

static int read_attached(PyObject *handles, PyObject *fds, gipc_attached *out) {
  if (!PyList_CheckExact(handles) ||
      PyList_GET_SIZE(handles) > GIPC_MOST_HANDLES)
    return too_many("handles", GIPC_MOST_HANDLES);
  int count = descriptors_of(fds, out->fds);
  if (count < 0)
    return -1;
  out->fd_count = (size_t)count;
  out->handle_count = (size_t)PyList_GET_SIZE(handles);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(handles); ++i) {
    void *h;
    if (!SWIG_IsOK(SWIG_ConvertPtr(PyList_GET_ITEM(handles, i), &h,
                                   SWIGTYPE_p_gipc_handle, 0))) {
      (void)type_error(PyList_GET_ITEM(handles, i));
      return -1;
    }
    out->handles[i] = h;
  }
  return 0;
}

/* Appends a message with handles and descriptors, two lists, to the queue, or
 * writes it.  With the lock.  WAIT: until the queue can take more. */
static PyObject *put_with(PyObject *module, gipc_handle *h, PyObject *bytes,
                          PyObject *handles, PyObject *fds) {
  gipc_attached attached;
  const char *data;
  size_t size;
  if (read_attached(handles, fds, &attached) < 0 ||
      content_of(bytes, &data, &size) < 0)
    return NULL;
  return new_outcome(module, step_queue_with(h, data, size, &attached));
}

/* The descriptors of the message that was returned last, in a list. */
static PyObject *take_fds(PyObject *module, gipc_handle *h) {
  int fds[GIPC_MOST_FDS], count = gipc_take_fds(h, fds, GIPC_MOST_FDS);
  if (count < 0) {
    raise_error(module, count);
    return NULL;
  }
  PyObject *list = PyList_New(count);
  for (int i = 0; i < count && list != NULL; ++i) {
    PyObject *number = PyLong_FromLong(fds[i]);
    if (number == NULL)
      Py_CLEAR(list);
    else
      PyList_SET_ITEM(list, i, number);
  }
  for (int i = 0; i < count && list == NULL; ++i)
    close(fds[i]);
  return list;
}

/* Appends what was taken, with which result, and all other handles. */
static int append_handles(PyObject *module, gipc_handle *h, PyObject *list,
                          int result, gipc_handle *taken) {
  PyObject *self = NULL; /* for SWIG's macro */
  for (; result == 0; result = gipc_take_handle(h, &taken)) {
    PyObject *object =
        SWIG_NewPointerObj(taken, SWIGTYPE_p_gipc_handle, SWIG_POINTER_OWN);
    int failed = object == NULL || PyList_Append(list, object) < 0;
    Py_XDECREF(object);
    if (failed)
      return -1;
  }
  if (result != -ENOENT)
    raise_error(module, result);
  return result == -ENOENT ? 0 : -1;
}

/* Its handles, in a list. */
static PyObject *take_handles(PyObject *module, gipc_handle *h) {
  gipc_handle *taken;
  PyObject *list = PyList_New(0);
  int result = gipc_take_handle(h, &taken);
  if (list != NULL && append_handles(module, h, list, result, taken) < 0)
    Py_CLEAR(list);
  return list;
}

/* What the codec of a reader takes with each message, before another get of the
 * handle can; it is in the user pointer. */
enum { TAKES_HANDLES, TAKES_NOTHING, TAKES_ALL };

static int take_with(gipc_handle *h, int what) {
  return gipc_handle_set_user(h, (void *)(intptr_t)what);
}

static PyObject *pack(PyObject *module, gipc_handle *h, PyObject *message,
                      int result, gipc_handle *taken) {
  PyObject *handles = PyList_New(0), *fds = NULL, *tuple = NULL;
  if (handles != NULL &&
      append_handles(module, h, handles, result, taken) == 0)
    fds = (intptr_t)gipc_handle_user(h) == TAKES_ALL ? take_fds(module, h)
                                                     : PyList_New(0);
  if (fds != NULL)
    tuple = PyTuple_Pack(3, message, handles, fds);
  Py_XDECREF(fds);
  Py_XDECREF(handles);
  Py_DECREF(message);
  return tuple;
}

/* What a get returns: the message, which is the caller's, or a tuple of it, its
 * handles and its descriptors. */
static PyObject *with_attached(PyObject *module, gipc_handle *h,
                               PyObject *message) {
  intptr_t what = (intptr_t)gipc_handle_user(h);
  gipc_handle *taken = NULL;
  if (what == TAKES_NOTHING || message == NULL)
    return message;
  int result = gipc_take_handle(h, &taken);
  if (result == -ENOENT &&
      (what != TAKES_ALL || gipc_take_fds(h, NULL, 0) == 0))
    return message;
  return pack(module, h, message, result, taken);
}

/* The same for a message that was received into this object. */
static PyObject *attached_to(PyObject *module, gipc_handle *h, PyObject *bytes) {
  Py_INCREF(bytes);
  return with_attached(module, h, bytes);
}
%}
PyObject *put_with(PyObject *module, gipc_handle *h, PyObject *bytes,
                   PyObject *handles, PyObject *fds);
PyObject *take_fds(PyObject *module, gipc_handle *h);
PyObject *take_handles(PyObject *module, gipc_handle *h);
int take_with(gipc_handle *h, int what);
PyObject *attached_to(PyObject *module, gipc_handle *h, PyObject *bytes);
%constant int TAKES_NOTHING = TAKES_NOTHING;
%constant int TAKES_ALL = TAKES_ALL;
