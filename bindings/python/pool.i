/* The policy of a pool with the handles of its workers: what a driver would do
 * for each task is done here, in one call for all that is ready.
 *
 * A task is sent, and its answer received, in C.  Everything else that the policy
 * wants is an action for Python: a tuple in the list that step() returns.  A
 * function that makes Python objects may run finalizers, which may call into the
 * same pool; so nothing of the pool is kept in a variable across that. */
%{
typedef struct PoolTask PoolTask;
struct PoolTask {
  PyObject *user, *data, *answer;
  gipc_fds *fds; /* NULL: it has none */
  uint64_t id;
  int is_running; /* it was sent, and may be queued again */
  PoolTask *previous, *next;
};

typedef struct Seat { /* of a worker */
  uint64_t worker;    /* 0: free */
  PyObject *handle;   /* keeps h open */
  gipc_handle *h;     /* NULL: its stream has ended */
  int fd, write_fd; /* two, if they are the streams of a launcher */
  int pid;
  size_t owes; /* answers, about: a cancelled task may have none */
  int is_blocked, again;
} Seat;

typedef struct Pool {
  PyObject_HEAD
  gipc_policy *policy;
  Seat *seats;
  size_t most, turn, again;
  PoolTask *tasks;
  PyObject *todo; /* actions */
  double armed; /* when the driver returns from its wait */
  /* Messages are received without what follows: a worker that has answered and
   * ended must not be sent the next task in between. */
  int only_receives;
  int is_answering; /* an answer is being made, and what follows waits */
  int is_woken, wake_read, wake_write, watches_memory;
  char *scratch;
  size_t room;
} Pool;

/* Kinds of actions in addition to those of the policy. */
enum {
  ACTION_STREAM_ENDED = 100, /* of `worker` */
  ACTION_READY_FD,           /* not that of a worker: (kind, fd) */
  ACTION_BLOCKED,            /* wait also until (kind, worker) is writable */
  ACTION_WRITTEN,            /* no longer so */
  ACTION_STDIN_CLOSED        /* by `worker`, which lives */
};
/* Messages of one worker that are received before others have their turn. */
enum { MESSAGES_AT_ONCE = 64 };
/* A larger buffer is not kept. */
enum { SCRATCH_KEPT = 256 * 1024 };

static Seat *seat_of(Pool *self, uint64_t worker) {
  for (size_t i = 0; i < self->most; ++i)
    if (self->seats[i].worker == worker)
      return &self->seats[i];
  return NULL;
}

static int add_action(Pool *self, PyObject *action) {
  int result = action == NULL ? -1 : PyList_Append(self->todo, action);
  Py_XDECREF(action);
  return result;
}

static int add_worker_action(Pool *self, int kind, uint64_t worker) {
  return add_action(self,
                    Py_BuildValue("iK", kind, (unsigned long long)worker));
}

/* ---- Tasks ------------------------------------------------------------------ */

static void free_task(Pool *self, PoolTask *task) {
  *(task->previous != NULL ? &task->previous->next : &self->tasks) = task->next;
  if (task->next != NULL)
    task->next->previous = task->previous;
  PyObject *user = task->user, *data = task->data, *answer = task->answer;
  gipc_fds_free(task->fds);
  free(task);
  Py_XDECREF(answer);
  Py_DECREF(data);
  Py_DECREF(user);
}

/* A task whose descriptors cannot be sent: its answer is a number of errno. */
static int refuse_task(Pool *self, Seat *seat, PoolTask *task, int error) {
  PyObject *answer = PyLong_FromLong(-error);
  if (answer == NULL)
    return -1;
  Py_XSETREF(task->answer, answer);
  task->is_running = fail_task(self->policy, seat->worker, task->id, now());
  return 0;
}

/* Sends the bytes in scratch.  *error: of the put. */
static int put_scratch(Pool *self, Seat *seat, PoolTask *task, size_t size,
                       int *error) {
  *error = task->fds == NULL
               ? gipc_try_put(seat->h, self->scratch, size)
               : gipc_try_put_fds(seat->h, self->scratch, size, task->fds);
  if (task->fds != NULL && is_refusal(*error)) {
    int reason = *error;
    *error = 0;
    return refuse_task(self, seat, task, reason);
  }
  if (size > SCRATCH_KEPT) {
    free(self->scratch);
    self->scratch = NULL;
    self->room = 0;
  }
  if (*error < 0)
    return 0;
  ++seat->owes;
  int result = gipc_flush_step(seat->h);
  if (result != -EAGAIN)
    *error = result;
  if (result != -EAGAIN || seat->is_blocked)
    return 0;
  seat->is_blocked = 1;
  return add_worker_action(self, ACTION_BLOCKED, seat->worker);
}

/* The worker has not begun the task that it was to be sent. */
static void not_sent(Pool *self, const gipc_action *action, int error) {
  ((PoolTask *)action->user)->is_running = 0;
  if (error == -ENOMEM || error == -EMSGSIZE || error == GIPC_ETOOBIG)
    (void)!gipc_policy_misbehaved(self->policy, action->worker, now());
  else
    (void)!gipc_policy_refused(self->policy, action->worker, action->task, error,
                               now());
}

static int send_task(Pool *self, const gipc_action *action) {
  Seat *seat = seat_of(self, action->worker);
  PoolTask *task = (PoolTask *)action->user;
  task->is_running = 1;
  if (seat == NULL || seat->h == NULL) {
    not_sent(self, action, -EPIPE);
    return 0;
  }
  gipc_worker_message message = {sizeof(message)};
  message.kind = GIPC_MESSAGE_TASK;
  message.task = action->task;
  message.attempt = (uint32_t)action->attempt;
  message.data = PyBytes_AS_STRING(task->data);
  message.data_size = (size_t)PyBytes_GET_SIZE(task->data);
  size_t needed = 0;
  int error = gipc_worker_encode(&message, self->scratch, self->room, &needed);
  if (error == -EMSGSIZE) {
    char *larger = realloc(self->scratch, needed);
    if (larger != NULL) {
      self->scratch = larger;
      self->room = needed;
      error = gipc_worker_encode(&message, self->scratch, self->room, &needed);
    }
  }
  if (error == 0 && put_scratch(self, seat, task, needed, &error) < 0)
    return -1;
  if (error < 0)
    not_sent(self, action, error);
  return 0;
}

/* How a worker ended, or None. */
static PyObject *exit_of(const gipc_action *action) {
  if (!action->has_info)
    Py_RETURN_NONE;
  gipc_exit_info *copy = malloc(sizeof(*copy));
  if (copy == NULL)
    return PyErr_NoMemory();
  *copy = action->info;
  return SWIG_InternalNewPointerObj(copy, SWIGTYPE_p_gipc_exit_info,
                                    SWIG_POINTER_OWN);
}

/* (kind, user, why, answer, task, attempt, worker, pid, error, exit) */
static int finish_task(Pool *self, const gipc_action *action) {
  PoolTask *task = (PoolTask *)action->user;
  PyObject *user = task->user;
  PyObject *answer = task->answer != NULL ? task->answer : Py_None;
  Py_INCREF(user);
  Py_INCREF(answer);
  free_task(self, task);
  PyObject *exit = exit_of(action);
  int result = -1;
  if (exit != NULL)
    result = add_action(
        self, Py_BuildValue("iOiOKiKiiN", action->kind, user, action->why,
                            answer, (unsigned long long)action->task,
                            action->attempt, (unsigned long long)action->worker,
                            action->pid, action->error, exit));
  Py_DECREF(answer);
  Py_DECREF(user);
  return result;
}

/* (kind, worker, why, whether it has a task, pid, error, exit, service) */
static int other_action(Pool *self, const gipc_action *action) {
  PyObject *exit = exit_of(action);
  if (exit == NULL)
    return -1;
  return add_action(
      self, Py_BuildValue("iKiiiiNn", action->kind,
                          (unsigned long long)action->worker, action->why,
                          action->task != 0,
                          action->pid, action->error, exit,
                          (Py_ssize_t)action->service));
}

/* Carries out what the policy wants now. */
static int act(Pool *self) {
  gipc_action action;
  int result = 0;
  action.size = sizeof(action);
  while (result == 0 && !self->is_answering &&
         gipc_policy_next(self->policy, now(), &action) == 1) {
    if (action.kind == GIPC_ACTION_SEND)
      result = send_task(self, &action);
    else if (action.kind == GIPC_ACTION_FINISH)
      result = finish_task(self, &action);
    else
      result = other_action(self, &action);
  }
  return result;
}

/* ---- Messages of workers ----------------------------------------------------- */

/* Reports the memory of a worker, where the system tells it. */
static void report_memory(Pool *self, const Seat *seat) {
  char name[64], text[64];
  unsigned long long pages;
  snprintf(name, sizeof(name), "/proc/%d/statm", seat->pid);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  ssize_t size = read(fd, text, sizeof(text) - 1);
  close(fd);
  text[size > 0 ? size : 0] = 0;
  if (sscanf(text, "%*u %llu", &pages) == 1)
    (void)!gipc_policy_memory(self->policy, seat->worker,
                              pages * (uint64_t)sysconf(_SC_PAGESIZE), now());
}

/* The answer of a message, as finish_task() passes it on. */
static PyObject *answer_of(const gipc_worker_message *m) {
  if (m->kind == GIPC_MESSAGE_DONE)
    return PyBytes_FromStringAndSize(m->data, (Py_ssize_t)m->data_size);
  return Py_BuildValue(
      "NNNN",
      PyUnicode_DecodeUTF8(m->type.data, (Py_ssize_t)m->type.size, "replace"),
      PyUnicode_DecodeUTF8(m->text.data, (Py_ssize_t)m->text.size, "replace"),
      PyUnicode_DecodeUTF8(m->trace.data, (Py_ssize_t)m->trace.size, "replace"),
      PyBytes_FromStringAndSize(m->data, (Py_ssize_t)m->data_size));
}

static int receive_message(Pool *self, Seat *seat, const void *data,
                           size_t size) {
  gipc_worker_message message;
  message.size = sizeof(message);
  int result = gipc_policy_received(self->policy, seat->worker, data, size,
                                    now(), &message);
  if (result < 0)
    return 0; /* the policy knows, and the message is dropped */
  if (message.kind != GIPC_MESSAGE_DONE && message.kind != GIPC_MESSAGE_FAILED)
    return 0;
  if (seat->owes > 0)
    --seat->owes;
  self->is_answering = 1;
  PyObject *answer = answer_of(&message);
  self->is_answering = 0;
  if (answer == NULL)
    return -1;
  if (self->watches_memory)
    report_memory(self, seat);
  PyObject *before = ((PoolTask *)message.user)->answer;
  ((PoolTask *)message.user)->answer = answer;
  Py_XDECREF(before);
  /* It waits for its next task; else more answers may have come. */
  return seat->owes == 0 && !self->only_receives ? act(self) : 0;
}

static int written(Pool *self, Seat *seat) {
  if (!seat->is_blocked || gipc_flush_step(seat->h) == -EAGAIN)
    return 0;
  seat->is_blocked = 0;
  return add_worker_action(self, ACTION_WRITTEN, seat->worker);
}

/* Receives what a worker has sent. */
static int receive_from(Pool *self, Seat *seat) {
  uint64_t worker = seat->worker;
  if (seat->again)
    --self->again;
  seat->again = 0;
  for (int count = 0; seat->worker == worker && seat->h != NULL; ++count) {
    const void *data;
    size_t size;
    if (count == MESSAGES_AT_ONCE) {
      seat->again = 1;
      ++self->again;
      return 0;
    }
    int result = gipc_try_get(seat->h, &data, &size);
    if (result == -EAGAIN)
      return written(self, seat);
    if (result == 0) {
      if (receive_message(self, seat, data, size) < 0)
        return -1;
      continue;
    }
    if (result != GIPC_EOF && result != -ECONNRESET)
      (void)!gipc_policy_misbehaved(self->policy, worker, now());
    seat->h = NULL;
    (void)!gipc_policy_refused(self->policy, worker, 0, -EPIPE, now());
    return add_worker_action(self, ACTION_STREAM_ENDED, worker);
  }
  return 0;
}

static int receive_all(Pool *self, Seat *seat) {
  if (self->is_answering)
    return 0;
  int result = receive_from(self, seat);
  return result == 0 && !self->only_receives ? act(self) : result;
}
%}
%include "pool_methods.i"
%include "pool_type.i"
