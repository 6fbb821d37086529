/* ---- Messages ------------------------------------------------------------------ */

%{
/* A result of a step. */
static VALUE new_outcome(int result) {
  if (result < 0)
    raise_error(result);
  return INT2FIX(result);
}

/* The next message, or an outcome.  LENT: it is large; receive gets it. */
static VALUE take(gipc_handle *h) {
  size_t size;
  const void *data;
  int result = step_get_small(h, &data, &size);
  return result == STEP_DONE ? rb_str_new(data, (long)size)
                             : new_outcome(result);
}

/* A String whose memory the library borrows.  In C, so that no exception can be
 * raised between the call that lends the memory and the rb_ensure() that ends it.  The
 * caller has the lock of the handle, and its block waits until the descriptor is
 * ready, or, given YIELD, until others have run. */
typedef struct transfer {
  gipc_handle *h;
  VALUE string;
  size_t size;
  int done;
} transfer;

static VALUE receive_body(VALUE argument) {
  transfer *t = (transfer *)argument;
  int result;
  while ((result = gipc_get_into(t->h, RSTRING_PTR(t->string), t->size,
                                 &t->size)) == -EAGAIN)
    rb_yield(INT2FIX(step_wait()));
  if (result < 0)
    raise_error(result);
  spend(t->h, t->size);
  t->done = 1;
  return Qnil;
}

static VALUE receive_end(VALUE argument) {
  transfer *t = (transfer *)argument;
  if (!t->done)
    (void)!gipc_get_cancel(t->h); /* the received bytes stay in the handle */
  rb_str_unlocktmp(t->string);
  rb_str_set_len(t->string, t->done ? (long)t->size : 0);
  return Qnil;
}

/* Receives the next message, whose size has been received, into a String, or a
 * new one for nil, which is returned.  Its memory is not touched before, so that a
 * peer that claims a size it never sends costs none. */
static VALUE receive(gipc_handle *h, VALUE buffer) {
  size_t size;
  int result = gipc_next_size(h, &size);
  if (result < 0)
    raise_error(result);
  if (NIL_P(buffer)) {
    buffer = rb_str_buf_new((long)size);
  } else {
    rb_str_modify(buffer);
    rb_str_set_len(buffer, 0);
    rb_str_modify_expand(buffer, (long)size);
  }
  transfer t = {h, buffer, size, 0};
  rb_str_locktmp(buffer);
  rb_ensure(receive_body, (VALUE)&t, receive_end, (VALUE)&t);
  return buffer;
}

/* Puts a message.  WAIT: perhaps for another thread that puts; LENT: it is large;
 * lend puts it.  The bytes of a small String may move when the collector compacts,
 * so the library keeps no pointer to them. */
static VALUE put(gipc_handle *h, VALUE message) {
  Check_Type(message, T_STRING);
  int result =
      step_put(h, RSTRING_PTR(message), (size_t)RSTRING_LEN(message));
  if (result == -ENOMEM) /* the library may use its memory from now on */
    rb_gc_register_mark_object(message);
  return new_outcome(result);
}

/* Stores the descriptors of an Array of numbers, and returns how many there are. */
static size_t descriptors_of(VALUE numbers, int fds[GIPC_MOST_FDS]) {
  Check_Type(numbers, T_ARRAY);
  long count = RARRAY_LEN(numbers);
  if (count > GIPC_MOST_FDS)
    rb_raise(rb_eArgError, "at most %d descriptors are possible", GIPC_MOST_FDS);
  for (long i = 0; i < count; ++i)
    fds[i] = NUM2INT(RARRAY_AREF(numbers, i));
  return (size_t)count;
}

/* Appends a message with handles, which move, and descriptors, an Array of numbers, to
 * the queue, or writes it.  WAIT: until the queue can take more. */
static VALUE put_with(gipc_handle *h, VALUE message, VALUE handles, VALUE numbers) {
  gipc_attached with;
  Check_Type(message, T_STRING);
  Check_Type(handles, T_ARRAY);
  with.handle_count = (size_t)RARRAY_LEN(handles);
  if (with.handle_count > GIPC_MOST_HANDLES)
    rb_raise(rb_eArgError, "at most %d handles are possible", GIPC_MOST_HANDLES);
  with.fd_count = descriptors_of(numbers, with.fds);
  for (size_t i = 0; i < with.handle_count; ++i)
    with.handles[i] = pointer_of(RARRAY_AREF(handles, (long)i), &handle_type);
  return new_outcome(step_queue_with(h, RSTRING_PTR(message),
                                     (size_t)RSTRING_LEN(message), &with));
}

/* The next handle of the message that was returned last, or nil. */
static VALUE take_handle(gipc_handle *h) {
  gipc_handle *taken;
  int result = gipc_take_handle(h, &taken);
  if (result == -ENOENT)
    return Qnil;
  if (result < 0)
    raise_error(result);
  return new_object(taken, SWIGTYPE_p_gipc_handle, SWIG_POINTER_OWN);
}

/* The descriptors of the message that was returned last. */
static VALUE take_fds(gipc_handle *h) {
  int fds[GIPC_MOST_FDS];
  VALUE numbers = rb_ary_new_capa(GIPC_MOST_FDS); /* before they are taken */
  int count = gipc_take_fds(h, fds, GIPC_MOST_FDS);
  if (count < 0)
    raise_error(count);
  for (int i = 0; i < count; ++i)
    rb_ary_push(numbers, INT2FIX(fds[i]));
  return numbers;
}

static VALUE lend_body(VALUE argument) {
  transfer *t = (transfer *)argument;
  int result = STEP_YIELD;
  for (;;) {
    result = result == STEP_YIELD
                 ? step_put_lent(t->h, RSTRING_PTR(t->string), t->size)
                 : step_put_more(t->h);
    if (result < 0)
      raise_error(result);
    if (result == STEP_DONE)
      break;
    rb_yield(INT2FIX(result == STEP_YIELD ? STEP_YIELD : STEP_WAIT));
  }
  t->done = 1;
  return Qtrue;
}

/* Cancels the put after an exception.  If a part of the message was written, the
 * library has a copy of the remaining bytes, and the exception says so. */
static VALUE lend_end(VALUE argument) {
  transfer *t = (transfer *)argument;
  VALUE error = rb_errinfo();
  if (!t->done && gipc_put_cancel(t->h) == 1 && RB_TYPE_P(error, T_OBJECT) &&
      !OBJ_FROZEN(error))
    rb_iv_set(error, "@in_progress", Qtrue);
  return Qnil;
}

/* Sends a large message straight from a frozen String, whose bytes do not move:
 * Ruby keeps none of this size in the object itself. */
static VALUE lend(gipc_handle *h, VALUE message) {
  Check_Type(message, T_STRING);
  if (!OBJ_FROZEN(message) || RSTRING_LEN(message) < LENT_FROM)
    rb_raise(rb_eArgError, "a large frozen String is needed");
  transfer t = {h, message, (size_t)RSTRING_LEN(message), 0};
  return rb_ensure(lend_body, (VALUE)&t, lend_end, (VALUE)&t);
}

static int add_member(gipc_wait_set *set, VALUE object, void *pointer) {
  if (rb_typeddata_is_kind_of(object, &process_type))
    return gipc_wait_set_add_process(set, pointer);
  int directions = gipc_directions(pointer);
  return gipc_wait_set_add_handle(
      set, pointer, directions > 0 && directions & GIPC_READ ? GIPC_READ : GIPC_WRITE);
}

/* The indexes of those handles and processes in an Array that are ready now.  nil and
 * closed ones are ready. */
static VALUE ready(VALUE objects) {
  Check_Type(objects, T_ARRAY);
  VALUE places = rb_ary_new();
  gipc_wait_set *set;
  int result = gipc_wait_set_new(&set);
  if (result < 0)
    raise_error(result);
  for (long i = 0; i < RARRAY_LEN(objects) && result >= 0; ++i) {
    VALUE object = RARRAY_AREF(objects, i);
    void *pointer = NIL_P(object) ? NULL : RTYPEDDATA_DATA(object);
    if (pointer == NULL || (result = add_member(set, object, pointer)) == GIPC_ECLOSED) {
      rb_ary_push(places, LONG2NUM(i));
      result = 0;
    }
  }
  if (result >= 0)
    result = gipc_wait(set, 0);
  gipc_handle *handle;
  gipc_process *process;
  int directions;
  while (result > 0 && gipc_wait_set_next(set, &handle, &process, &directions) == 0)
    for (long i = 0; i < RARRAY_LEN(objects); ++i) {
      VALUE object = RARRAY_AREF(objects, i);
      if (!NIL_P(object) && RTYPEDDATA_DATA(object) &&
          RTYPEDDATA_DATA(object) == (handle ? (void *)handle : (void *)process))
        rb_ary_push(places, LONG2NUM(i));
    }
  gipc_wait_set_free(set);
  if (result < 0 && result != -ETIMEDOUT)
    raise_error(result);
  return places;
}

static int watch_all(int epoll_fd, VALUE fds, uint32_t events) {
  Check_Type(fds, T_ARRAY);
  for (long i = 0; i < RARRAY_LEN(fds); ++i) {
    struct epoll_event event = {events, {0}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, NUM2INT(RARRAY_AREF(fds, i)),
                  &event) < 0)
      return -errno;
  }
  return 0;
}

/* Makes a descriptor that is readable when one of the first is readable or one of the
 * second is writable, so that any scheduler can wait for all of them. */
static int polled_together(VALUE readable, VALUE writable) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0)
    return -errno;
  int error = watch_all(fd, readable, EPOLLIN);
  if (error == 0)
    error = watch_all(fd, writable, EPOLLOUT);
  if (error == 0)
    return fd;
  close(fd);
  return error;
}

/* Queues the messages of an Array from index first on: the outcome, and the index
 * of the first one that was not queued. */
static VALUE queue(gipc_handle *h, VALUE messages, long first) {
  Check_Type(messages, T_ARRAY);
  int result = STEP_DONE;
  for (; first < RARRAY_LEN(messages); ++first) {
    VALUE message = RARRAY_AREF(messages, first);
    Check_Type(message, T_STRING);
    result = step_queue(h, RSTRING_PTR(message), (size_t)RSTRING_LEN(message));
    if (result < 0)
      raise_error(result);
    if (result != STEP_DONE)
      break;
  }
  return rb_ary_new_from_args(2, INT2FIX(result), LONG2NUM(first));
}
%}
VALUE take(gipc_handle *h);
VALUE receive(gipc_handle *h, VALUE buffer);
VALUE put(gipc_handle *h, VALUE message);
VALUE put_with(gipc_handle *h, VALUE message, VALUE handles, VALUE numbers);
VALUE take_handle(gipc_handle *h);
VALUE take_fds(gipc_handle *h);
VALUE lend(gipc_handle *h, VALUE message);
VALUE ready(VALUE objects);
int polled_together(VALUE readable, VALUE writable);
VALUE queue(gipc_handle *h, VALUE messages, long first);

