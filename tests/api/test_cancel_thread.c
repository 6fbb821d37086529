/* Cancellation of a thread (pthread_cancel) in the calls that wait: it ends,
 * the program lives, and what the thread used is in order (H117). */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* ---- A thread to cancel ---------------------------------------------- */

struct victim {
  void (*body)(struct victim *self);
  gipc_handle *handle;
  gipc_process *process;
  double timeout;
  size_t size; /* of the message that is put */
  void *user;
  pthread_t thread;
  pid_t tid;
};

static void *run_victim(void *argument) {
  struct victim *v = argument;
  __atomic_store_n(&v->tid, gettid(), __ATOMIC_SEQ_CST);
  v->body(v);
  return NULL;
}

static void begin(struct victim *v) {
  v->tid = 0;
  CHECK_OK(pthread_create(&v->thread, NULL, run_victim, v));
}

/* Opens the file in which the kernel reports whether the thread runs. */
static int open_state(struct victim *v) {
  char path[64];
  pid_t tid;
  while ((tid = __atomic_load_n(&v->tid, __ATOMIC_SEQ_CST)) == 0)
    sched_yield();
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  return fd;
}

/* Waits until the thread sleeps in the kernel. */
static void wait_for_sleep(int state) {
  char text[512], *end;
  do {
    sched_yield();
    ssize_t size = pread(state, text, sizeof text - 1, 0);
    CHECK(size > 0);
    text[size] = '\0';
    end = strrchr(text, ')');
  } while (end == NULL || end[2] != 'S');
}

static void wait_asleep(struct victim *v) {
  int state = open_state(v);
  wait_for_sleep(state);
  close(state);
}

static void cancel(struct victim *v) {
  void *result = NULL;
  CHECK_OK(pthread_cancel(v->thread));
  CHECK_OK(pthread_join(v->thread, &result));
  CHECK(result == PTHREAD_CANCELED);
}

static void cancel_asleep(struct victim *v) {
  begin(v);
  wait_asleep(v);
  cancel(v);
}

/* Each way to wait: indefinitely, and with a timeout. */
static const double timeouts[] = {-1, 30};

/* ---- Gets ------------------------------------------------------------ */

static void get_body(struct victim *v) {
  const void *data;
  size_t size;
  (void)!gipc_get(v->handle, v->timeout, &data, &size);
}

static void expect(gipc_handle *h, size_t size, uint64_t seed) {
  const void *data = NULL;
  size_t got = 0;
  CHECK_OK(gipc_get(h, 30, &data, &got));
  CHECK_IS(got, size);
  CHECK(filled(data, size, seed));
}

static void put_filled(gipc_handle *h, size_t size, uint64_t seed) {
  char *data = malloc(size + 1);
  fill(data, size, seed);
  CHECK_OK(gipc_put(h, data, size, 30));
  free(data);
}

static void a_cancelled_get_leaves_the_handle_as_it_was(void **state) {
  for (int round = 0; round < 8; round++) {
    struct victim v = {.body = get_body, .timeout = timeouts[round % 2]};
    gipc_handle *w;
    CHECK_OK(round < 4 ? gipc_pipe(&v.handle, &w)
                       : gipc_pipe_duplex(&v.handle, &w));
    cancel_asleep(&v);
    put_filled(w, 1000, 1);
    expect(v.handle, 1000, 1);
    cancel_asleep(&v);
    CHECK_OK(gipc_close(w));
    get_body(&v); /* does not wait any more */
    CHECK_OK(gipc_close(v.handle));
    gipc_handle_free(v.handle);
    gipc_handle_free(w);
  }
}

static void wait_until_read(int fd) {
  while (wait_fd(fd, POLLIN, 0))
    sched_yield();
}

/* The writer sends a message up to some byte; a get that has these bytes is
 * cancelled; the next one has the message. */
static void cancel_within(size_t size, size_t cut, double timeout) {
  struct victim v = {.body = get_body, .timeout = timeout};
  unsigned char *frame = malloc(size + 4);
  const void *data;
  size_t got;
  int ends[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  CHECK_OK(gipc_open(ends[0], -1, &v.handle));
  for (int i = 0; i < 4; i++)
    frame[i] = (unsigned char)(size >> (24 - 8 * i));
  fill(frame + 4, size, size);
  begin(&v);
  CHECK(write_all(ends[1], frame, cut));
  wait_until_read(ends[0]);
  wait_asleep(&v);
  cancel(&v);
  CHECK_IS(gipc_get(v.handle, 0, &data, &got), -ETIMEDOUT);
  cancel_asleep(&v);
  begin(&v);
  for (size_t at = cut; at < size + 4;) {
    size_t part = size + 4 - at < 60000 ? size + 4 - at : 60000;
    if (at + part == size + 4) {
      wait_until_read(ends[0]); /* so that the remaining bytes fit */
      cancel(&v);
    }
    CHECK(write_all(ends[1], frame + at, part));
    at += part;
  }
  expect(v.handle, size, size);
  close(ends[1]);
  CHECK_IS(gipc_get(v.handle, 30, &data, &got), GIPC_EOF);
  gipc_handle_free(v.handle);
  free(frame);
}

static void a_get_cancelled_within_a_message_keeps_its_bytes(void **state) {
  for (int i = 0; i < 2; i++) {
    cancel_within(1000, 2, timeouts[i]);
    cancel_within(1000, 4, timeouts[i]);
    cancel_within(1000, 700, timeouts[i]);
    cancel_within(500000, 30, timeouts[i]); /* assembled apart */
    cancel_within(500000, 150000, timeouts[i]);
  }
}

static int may_begin;

static void get_body_later(struct victim *v) {
  while (!__atomic_load_n(&may_begin, __ATOMIC_SEQ_CST))
    sched_yield();
  get_body(v);
}

static int wait_without_poll(void *timeout) {
  struct victim v = {.body = get_body_later, .timeout = *(double *)timeout};
  struct rlimit none = {0, 0};
  gipc_handle *w;
  CHECK_OK(gipc_pipe(&v.handle, &w));
  begin(&v);
  int state = open_state(&v);
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &none));
  __atomic_store_n(&may_begin, 1, __ATOMIC_SEQ_CST);
  wait_for_sleep(state);
  cancel(&v);
  put_filled(w, 10, 3);
  expect(v.handle, 10, 3);
  return 0;
}

static void a_wait_that_poll_refuses_is_cancelled_too(void **state) {
  for (int i = 0; i < 2; i++)
    in_own_fork(wait_without_poll, (void *)&timeouts[i]);
}

/* ---- Puts ------------------------------------------------------------ */

static void put_body(struct victim *v) {
  char *data = malloc(v->size + 1);
  pthread_cleanup_push(free, data);
  fill(data, v->size, v->size);
  (void)!gipc_put(v->handle, data, v->size, v->timeout);
  memset(data, 0xee, v->size);
  pthread_cleanup_pop(1);
}

static void put_many_body(struct victim *v) {
  gipc_message *batch = v->user;
  size_t accepted;
  (void)!gipc_put_many(v->handle, batch, 3, v->timeout, &accepted);
}

static void flush_body(struct victim *v) {
  (void)!gipc_flush(v->handle, v->timeout);
}

static size_t queued(gipc_handle *h) {
  size_t bytes = 0;
  CHECK_OK(gipc_pending(h, GIPC_WRITE, &bytes));
  return bytes;
}

/* Fills the socket buffer to the last byte; returns the number of messages. */
static size_t fill_kernel(gipc_handle *w) {
  size_t count = 0;
  int result;
  while ((result = gipc_put_start(w, "filling", 7)) == 0)
    count++;
  CHECK_IS(result, -EAGAIN);
  CHECK_OK(gipc_put_cancel(w));
  return count;
}

static void take_filling(gipc_handle *r, size_t count) {
  const void *data;
  size_t size;
  for (; count > 0; count--) {
    CHECK_OK(gipc_get(r, 30, &data, &size));
    CHECK(size == 7 && memcmp(data, "filling", 7) == 0);
  }
}

/* Ways of a pipe and sizes of a message, for each way to wait. */
static void new_pipe(int round, gipc_handle **r, struct victim *v) {
  v->timeout = timeouts[round % 2];
  CHECK_OK(round / 2 % 2 ? gipc_pipe_duplex(r, &v->handle)
                         : gipc_pipe(r, &v->handle));
}

static void free_pipe(gipc_handle *r, struct victim *v) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_close(v->handle));
  CHECK_IS(gipc_get(r, 30, &data, &size), GIPC_EOF);
  gipc_handle_free(r);
  gipc_handle_free(v->handle);
}

static void
a_cancelled_put_of_which_no_byte_was_written_is_not_put(void **state) {
  static const size_t sizes[] = {0, 10, 4097, 3000000};
  for (int round = 0; round < 16; round++) {
    struct victim v = {.body = put_body, .size = sizes[round / 4]};
    gipc_handle *r;
    new_pipe(round, &r, &v);
    size_t count = fill_kernel(v.handle);
    cancel_asleep(&v);
    CHECK_IS(queued(v.handle), 0);
    cancel_asleep(&v); /* another thread can put as before */
    take_filling(r, count);
    put_filled(v.handle, 20, 4);
    expect(r, 20, 4);
    free_pipe(r, &v);
  }
}

/* Gets a message that is still being written. */
static void flush_to(gipc_handle *r, gipc_handle *w, size_t size) {
  const void *data;
  size_t got;
  int result, flushed;
  while ((result = gipc_try_get(r, &data, &got)) == -EAGAIN) {
    flushed = gipc_flush_step(w);
    CHECK(flushed == 0 || flushed == -EAGAIN);
  }
  CHECK_OK(result);
  CHECK_IS(got, size);
  CHECK(filled(data, size, size));
}

static void a_cancelled_put_that_was_partly_written_is_put(void **state) {
  for (int round = 0; round < 8; round++) {
    struct victim v = {.body = put_body, .size = 3000000};
    gipc_handle *r;
    gipc_stats stats = {.size = sizeof stats};
    new_pipe(round, &r, &v);
    cancel_asleep(&v);
    CHECK_OK(gipc_handle_stats(v.handle, &stats));
    CHECK_IS(stats.messages_out, 1);
    CHECK_IS(queued(v.handle) + stats.bytes_out, v.size + 4);
    CHECK(stats.bytes_out > 0);
    if (round >= 4)
      cancel_asleep(&v); /* the second has to wait for the first */
    flush_to(r, v.handle, v.size);
    put_filled(v.handle, 20, 4);
    expect(r, 20, 4);
    free_pipe(r, &v);
  }
}

static void a_cancelled_put_many_leaves_whole_messages(void **state) {
  enum { large = 2000000 };
  char *data = malloc(large), small[100];
  fill(data, large, large);
  fill(small, sizeof small, sizeof small);
  gipc_message batch[] = {{small, sizeof small}, {data, large}, {data, large}};
  for (int round = 0; round < 8; round++) {
    struct victim v = {.body = put_many_body, .user = batch};
    gipc_handle *r;
    gipc_stats stats = {.size = sizeof stats};
    new_pipe(round, &r, &v);
    size_t filling = round < 4 ? 0 : fill_kernel(v.handle);
    cancel_asleep(&v);
    CHECK_OK(gipc_handle_stats(v.handle, &stats));
    CHECK_IS(stats.messages_out - filling, filling > 0 ? 1 : 2);
    take_filling(r, filling);
    flush_to(r, v.handle, sizeof small);
    if (filling == 0)
      flush_to(r, v.handle, large);
    free_pipe(r, &v);
  }
  free(data);
}

static void a_cancelled_flush_keeps_the_queue(void **state) {
  for (int round = 0; round < 4; round++) {
    struct victim v = {.body = flush_body};
    gipc_handle *r;
    char message[5000];
    size_t count = 0;
    new_pipe(round, &r, &v);
    do
      fill(message, sizeof message, count);
    while (gipc_try_put(v.handle, message, sizeof message) == 0 && ++count);
    cancel_asleep(&v);
    cancel_asleep(&v);
    for (size_t i = 0; i < count; i++) {
      int flushed = gipc_flush_step(v.handle);
      CHECK(flushed == 0 || flushed == -EAGAIN);
      expect(r, sizeof message, i);
    }
    free_pipe(r, &v);
  }
}

/* ---- Processes ------------------------------------------------------- */

static void join_body(struct victim *v) {
  (void)!gipc_process_join(v->process, v->timeout);
}

static void stop_body(struct victim *v) {
  (void)!gipc_process_stop(v->process, 30);
}

static void a_cancelled_join_leaves_the_process_to_be_joined(void **state) {
  for (int i = 0; i < 2; i++) {
    struct victim v = {.body = join_body, .timeout = timeouts[i]};
    v.process = start(wait_for_signal, NULL, NULL);
    cancel_asleep(&v);
    cancel_asleep(&v);
    CHECK_IS(gipc_process_is_alive(v.process), 1);
    CHECK_OK(gipc_process_kill(v.process));
    CHECK_IS(info_of(v.process).signal, SIGKILL);
    CHECK_IS(end_of(v.process), -SIGKILL);
  }
}

static int ignore_term(struct ev_loop *fresh, void *ready) {
  signal(SIGTERM, SIG_IGN);
  CHECK_OK(gipc_put(ready, "", 0, -1));
  return wait_for_signal(fresh, NULL);
}

static void a_cancelled_stop_has_sent_sigterm(void **state) {
  struct victim v = {.body = stop_body};
  gipc_options *o = new_options();
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  v.process = start(ignore_term, w, o);
  CHECK_OK(gipc_get(r, 30, &data, &size));
  cancel_asleep(&v);
  CHECK_IS(gipc_process_is_alive(v.process), 1);
  CHECK_OK(gipc_process_kill(v.process));
  CHECK_IS(end_of(v.process), -SIGKILL);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* ---- Callbacks ------------------------------------------------------- */

struct looped {
  struct ev_loop *loop;
  int called, cancelled, finished;
};

/* Runs until this thread has been cancelled, and asks to be so. */
static void in_callback(struct looped *l) {
  __atomic_store_n(&l->called, 1, __ATOMIC_SEQ_CST);
  while (!__atomic_load_n(&l->cancelled, __ATOMIC_SEQ_CST))
    sched_yield();
  pthread_testcancel();
  poll(NULL, 0, 0);
  __atomic_store_n(&l->finished, l->finished + 1, __ATOMIC_SEQ_CST);
}

static void on_message(gipc_handle *h, const void *data, size_t size, void *l) {
  in_callback(l);
}

static void on_exit_of(gipc_process *p, void *l) { in_callback(l); }

static void loop_body(struct victim *v) {
  ev_run(((struct looped *)v->user)->loop, 0);
}

static void cancel_in_callback(struct victim *v, struct looped *l) {
  void *result = NULL;
  v->body = loop_body;
  v->user = l;
  begin(v);
  while (!__atomic_load_n(&l->called, __ATOMIC_SEQ_CST))
    sched_yield();
  CHECK_OK(pthread_cancel(v->thread));
  __atomic_store_n(&l->cancelled, 1, __ATOMIC_SEQ_CST);
  CHECK_OK(pthread_join(v->thread, &result));
  CHECK(result == PTHREAD_CANCELED);
  CHECK(l->finished > 0);
}

static void a_callback_ends_before_its_thread_is_cancelled(void **state) {
  static const gipc_events events = {.size = sizeof events,
                                     .on_message = on_message};
  struct victim v = {0};
  struct looped l = {.loop = ev_loop_new(0)}, ended = {.loop = ev_loop_new(0)};
  gipc_handle *w;
  gipc_process *p;
  ev_timer keeps; /* the loop running when nothing else does */
  ev_timer_init(&keeps, NULL, 1e6, 0);
  ev_timer_start(ended.loop, &keeps);
  CHECK_OK(gipc_pipe(&v.handle, &w));
  CHECK_OK(gipc_start(v.handle, l.loop, &events, &l));
  put_filled(w, 50, 1);
  put_filled(w, 60, 2);
  cancel_in_callback(&v, &l);
  CHECK_OK(gipc_stop(v.handle));
  if (l.finished == 1)
    expect(v.handle, 60, 2);
  put_filled(w, 70, 3);
  expect(v.handle, 70, 3);
  p = start(return_argument, INT(4), NULL);
  CHECK_OK(gipc_process_watch(p, ended.loop, on_exit_of, &ended));
  cancel_in_callback(&v, &ended);
  CHECK_IS(end_of(p), 4);
  ev_loop_destroy(l.loop);
  ev_loop_destroy(ended.loop);
  gipc_handle_free(v.handle);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_cancelled_get_leaves_the_handle_as_it_was),
      TEST(a_get_cancelled_within_a_message_keeps_its_bytes),
      TEST(a_wait_that_poll_refuses_is_cancelled_too),
      TEST(a_cancelled_put_of_which_no_byte_was_written_is_not_put),
      TEST(a_cancelled_put_that_was_partly_written_is_put),
      TEST(a_cancelled_put_many_leaves_whole_messages),
      TEST(a_cancelled_flush_keeps_the_queue),
      TEST(a_cancelled_join_leaves_the_process_to_be_joined),
      TEST(a_cancelled_stop_has_sent_sigterm),
      TEST(a_callback_ends_before_its_thread_is_cancelled),
  };
  return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
