/* ---- Messages ------------------------------------------------------------------ */

%{
/* From this size a message is received straight into its String, and sent
 * straight from it.  Ruby keeps no String of this size in the object itself. */
#define LARGE (32 * 1024)

/* Who never has to wait would never let other fibers run: after this many bytes
 * (a message counts as 64 or more) a call returns false once. */
#define TURN (256 * 1024)
static size_t moved;

static int turn_is_over(void) {
  if (RB_LIKELY(moved < TURN))
    return 0;
  moved = 0;
  return 1;
}

static void count_moved(size_t size) { moved += size < 64 ? 64 : size; }

/* The next message; or, as an Integer, the size of a large one, for receive;
 * nil: wait until readable, or for whom is receiving; false: let others run,
 * then come again. */
static VALUE take(gipc_handle *h) {
  size_t size;
  const void *data;
  if (turn_is_over())
    return Qfalse;
  int result = gipc_next_size(h, &size);
  if (result == 0 && size >= LARGE)
    return SIZET2NUM(size);
  if (result == 0)
    result = gipc_try_get(h, &data, &size);
  if (result == 0) {
    count_moved(size);
    return rb_str_new(data, (long)size);
  }
  if (result != -EAGAIN && result != GIPC_ELOCKED)
    raise_error(result);
  return Qnil;
}

/* What the library does with the memory of a String, and with an exception that
 * comes meanwhile.  In C, so that none finds a place between the lending of the
 * memory and the promise to take it back.  The caller has the lock of the handle,
 * and its block waits: for readability or writability, or, given false, until
 * others have run. */
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
    rb_yield(turn_is_over() ? Qfalse : Qnil);
  if (result < 0)
    raise_error(result);
  t->done = 1;
  return Qnil;
}

static VALUE receive_end(VALUE argument) {
  transfer *t = (transfer *)argument;
  if (!t->done)
    (void)!gipc_get_cancel(t->h); /* what it received stays in the handle */
  rb_str_unlocktmp(t->string);
  rb_str_set_len(t->string, t->done ? (long)t->size : 0);
  return Qnil;
}

/* Receives the next message, of this size, into a String, or a new one for nil,
 * which is returned.  Its memory is not touched before, so that a peer that
 * claims a size it never sends costs none. */
static VALUE receive(gipc_handle *h, VALUE buffer, size_t size) {
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
  count_moved(size);
  return buffer;
}

/* Sends a message.  true: it is with the kernel; :queued: it is taken, and
 * flush_step sends the rest; nil: nothing of it is taken, wait until writable,
 * or for whom is sending; or it is large, for lend; false: nothing of it is
 * taken, let others run. */
static VALUE put(gipc_handle *h, VALUE message) {
  Check_Type(message, T_STRING);
  size_t size = (size_t)RSTRING_LEN(message);
  if (size >= LARGE)
    return Qnil;
  if (turn_is_over())
    return Qfalse;
  int result = gipc_put_start(h, RSTRING_PTR(message), size);
  if (result == -EAGAIN) {
    /* The bytes of a small String may move when the collector compacts, so
     * the library must not keep a pointer to them. */
    result = gipc_put_cancel(h);
    if (result == 1)
      return ID2SYM(rb_intern("queued"));
    if (result == 0)
      return Qnil;
  }
  if (result == GIPC_ELOCKED)
    return Qnil;
  if (result < 0)
    raise_error(result);
  count_moved(size);
  return Qtrue;
}

static VALUE lend_body(VALUE argument) {
  transfer *t = (transfer *)argument;
  int result = gipc_put_start(t->h, RSTRING_PTR(t->string), t->size);
  while (result == -EAGAIN) {
    rb_yield(Qnil);
    result = gipc_put_step(t->h);
  }
  if (result < 0)
    raise_error(result);
  t->done = 1;
  return Qtrue;
}

/* An exception is told whether a part has left: then the library sends the rest
 * from a copy of its own. */
static VALUE lend_end(VALUE argument) {
  transfer *t = (transfer *)argument;
  VALUE error = rb_errinfo();
  if (!t->done && gipc_put_cancel(t->h) == 1 && RB_TYPE_P(error, T_OBJECT) &&
      !OBJ_FROZEN(error))
    rb_iv_set(error, "@in_progress", Qtrue);
  return Qnil;
}

/* Sends a large message straight from a frozen String. */
static VALUE lend(gipc_handle *h, VALUE message) {
  Check_Type(message, T_STRING);
  if (!OBJ_FROZEN(message) || RSTRING_LEN(message) < LARGE)
    rb_raise(rb_eArgError, "a large frozen String is needed");
  transfer t = {h, message, (size_t)RSTRING_LEN(message), 0};
  count_moved(t.size);
  return rb_ensure(lend_body, (VALUE)&t, lend_end, (VALUE)&t);
}

static int add_member(gipc_wait_set *set, VALUE object, void *pointer) {
  if (rb_typeddata_is_kind_of(object, &process_type))
    return gipc_wait_set_add_process(set, pointer);
  int directions = gipc_directions(pointer);
  return gipc_wait_set_add_handle(
      set, pointer, directions > 0 && directions & GIPC_READ ? GIPC_READ : GIPC_WRITE);
}

/* The places of those handles and processes in an Array that are ready now; nil
 * and what is closed are. */
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

/* A descriptor that is readable when one of the first is readable, or one of the
 * second writable, so that any scheduler can wait for all of them. */
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

static int is_large(VALUE message) {
  Check_Type(message, T_STRING);
  return RSTRING_LEN(message) >= LARGE;
}

/* Queues the messages of an Array from index first on.  The index of the first
 * one that was not taken; some of those taken may still be queued. */
static VALUE queue(gipc_handle *h, VALUE messages, long first) {
  Check_Type(messages, T_ARRAY);
  for (; first < RARRAY_LEN(messages); ++first) {
    VALUE message = RARRAY_AREF(messages, first);
    Check_Type(message, T_STRING);
    int result = gipc_try_put(h, RSTRING_PTR(message),
                              (size_t)RSTRING_LEN(message));
    if (result == -EAGAIN)
      break;
    if (result < 0)
      raise_error(result);
  }
  return LONG2NUM(first);
}
%}
VALUE take(gipc_handle *h);
VALUE receive(gipc_handle *h, VALUE buffer, size_t size);
VALUE put(gipc_handle *h, VALUE message);
VALUE lend(gipc_handle *h, VALUE message);
VALUE ready(VALUE objects);
int polled_together(VALUE readable, VALUE writable);
int is_large(VALUE message);
VALUE queue(gipc_handle *h, VALUE messages, long first);

