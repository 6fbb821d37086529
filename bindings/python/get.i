/* Gets. */
%{
/* The handle whose step_message() was the last call that received, if it had to
 * wait; only compared. */
static const gipc_handle *waited;

/* Receives a message straight into new bytes.  What was received of one that is
 * not whole goes back: to copy it is cheaper than lending. */
static int receive_into_bytes(gipc_handle *h, size_t size, PyObject **message) {
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
  if (bytes == NULL)
    return STEP_DONE; /* with the error set */
  int result = gipc_get_into(h, PyBytes_AS_STRING(bytes), size, &size);
  if (result == 0)
    *message = bytes;
  else if (result != -EAGAIN || gipc_get_cancel(h) != -ENOMEM)
    Py_DECREF(bytes); /* else the library may use its memory from now on */
  return outcome_of_try(h, result, &size);
}

/* DONE: *message is the next message, or NULL after an error.  LENT: it is
 * large; new_bytes, and then get_bytes, receive it. */
static int step_message(gipc_handle *h, PyObject **message) {
  const void *data;
  size_t size;
  int result = step_get_small(h, &data, &size);
  *message = NULL;
  if (result == STEP_DONE)
    *message = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
  if (result == STEP_LENT && size < TRIED_BELOW)
    result = receive_into_bytes(h, size, message);
  waited = result == STEP_WAIT ? h : NULL;
  return result;
}

/* The same, after the outcome of the caller's step before it.  A WAIT is true
 * still, without another system call, if no call has received since, which may
 * have found an error, and gipc_pending() says that the descriptor becomes
 * readable with the next bytes. */
static int step_message_after(int outcome, gipc_handle *h, PyObject **message) {
  size_t received;
  *message = NULL;
  if (outcome == STEP_WAIT && waited == h &&
      gipc_pending(h, GIPC_READ, &received) == 0 && received == 0)
    return step_wait();
  return step_message(h, message);
}

/* The next message as bytes, or in a tuple with what came with it; or an
 * outcome. */
static PyObject *take(PyObject *module, gipc_handle *h) {
  PyObject *message;
  int result = step_message(h, &message);
  return result == STEP_DONE ? with_attached(module, h, message)
                             : new_outcome(module, result);
}

/* As take, after an outcome of it. */
static PyObject *take_after(PyObject *module, int outcome, gipc_handle *h) {
  PyObject *message;
  int result = step_message_after(outcome, h, &message);
  return result == STEP_DONE ? with_attached(module, h, message)
                             : new_outcome(module, result);
}

/* A bytes object for the next message, whose size has been received.  Its pages
 * are not touched, so that a peer that claims a size it never sends costs no
 * memory. */
static PyObject *new_bytes(PyObject *module, gipc_handle *h) {
  size_t size;
  waited = NULL;
  int result = gipc_next_size(h, &size);
  if (result == 0)
    return PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
  raise_error(module, result);
  return NULL;
}

/* Receives the next message; see gipc_get_into(3). */
static int get_into(gipc_handle *h, void *buffer, size_t capacity,
                    size_t *size) {
  waited = NULL;
  int result = gipc_get_into(h, buffer, capacity, size);
  if (result == 0)
    spend(h, *size);
  return result;
}

/* As get_into, into a bytes object that nobody else has seen yet. */
static int get_bytes(gipc_handle *h, PyObject *bytes, size_t *size) {
  if (!PyBytes_CheckExact(bytes) || PyBytes_GET_SIZE(bytes) == 0)
    return -EINVAL;
  return get_into(h, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes),
                  size);
}

/* See gipc_read_ahead(3). */
static int receive_ahead(gipc_handle *h) {
  waited = NULL;
  return gipc_read_ahead(h);
}

static int get_would_not_wait(gipc_handle *h) {
  waited = NULL;
  return step_get_would_not_wait(h);
}

/* As take_after, but waits in this thread.  WAIT: the timeout expired. */
static PyObject *receive(PyObject *module, int outcome, gipc_handle *h,
                         double timeout) {
  double end = timeout < 0 ? -1 : now() + timeout;
  for (;;) {
    PyObject *message;
    int result = step_message_after(outcome, h, &message);
    outcome = STEP_DONE;
    if (result == STEP_DONE)
      return with_attached(module, h, message);
    if (result == STEP_WAIT) {
      int ready = wait_until(module, gipc_fd(h, GIPC_READ), GIPC_READ, end);
      if (ready < 0)
        return NULL;
      if (ready > 0)
        continue;
    }
    if (result != STEP_YIELD)
      return new_outcome(module, result);
  }
}
%}
PyObject *take(PyObject *module, gipc_handle *h);
PyObject *take_after(PyObject *module, int outcome, gipc_handle *h);
PyObject *new_bytes(PyObject *module, gipc_handle *h);
OUTPUTS_OF(get_into)
OUTPUTS_OF(get_bytes)
int get_into(gipc_handle *h, void *buffer, size_t capacity, size_t *size);
int get_bytes(gipc_handle *h, PyObject *bytes, size_t *size);
PyObject *receive(PyObject *module, int outcome, gipc_handle *h,
                  double timeout);
%rename(read_ahead) receive_ahead;
int receive_ahead(gipc_handle *h);
int get_would_not_wait(gipc_handle *h);
