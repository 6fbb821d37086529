/* The end of a child while its other threads run: its messages are written,
 * whole and once, and it does not wait for itself to read (H114, H116). */
#include "support_process.h"

#include <pthread.h>
#include <sched.h>

/* ---- Ends ------------------------------------------------------------ */

enum end { by_return, by_exit, by_gipc_exit, ends };

static int end_with(enum end end, int code) {
  if (end == by_exit)
    exit(code);
  if (end == by_gipc_exit)
    gipc_exit(code);
  return code;
}

/* ---- A put in another thread ----------------------------------------- */

struct run {
  gipc_handle *out;
  void *(*putter)(void *);
  enum end end;
  size_t size;     /* of its messages */
  size_t at_least; /* the child ends when so many have been put */
  size_t put;
};

static void count_one(struct run *run) {
  __atomic_add_fetch(&run->put, 1, __ATOMIC_SEQ_CST);
}

/* Each ends when a put fails: because the process ends, or because the reader
 * is gone. */
static void *put_each(void *argument) {
  struct run *run = argument;
  char *data = malloc(run->size);
  do
    fill(data, run->size, run->put);
  while (gipc_put(run->out, data, run->size, -1) == 0 && (count_one(run), 1));
  return NULL;
}

static void *put_with_timeout(void *argument) {
  struct run *run = argument;
  char *data = malloc(run->size);
  do
    fill(data, run->size, run->put);
  while (gipc_put(run->out, data, run->size, 50) == 0 && (count_one(run), 1));
  return NULL;
}

static void *put_many(void *argument) {
  enum { count = 10 };
  struct run *run = argument;
  char *data = malloc(count * run->size);
  gipc_message batch[count];
  size_t accepted = count;
  while (accepted == count) {
    for (size_t i = 0; i < count; i++) {
      batch[i].data = data + i * run->size;
      batch[i].size = run->size;
      fill(data + i * run->size, run->size, run->put + i);
    }
    if (gipc_put_many(run->out, batch, count, -1, &accepted) != 0)
      break;
    __atomic_add_fetch(&run->put, count, __ATOMIC_SEQ_CST);
  }
  return NULL;
}

static void *try_and_flush(void *argument) {
  struct run *run = argument;
  char *data = malloc(run->size);
  for (int result = 0;;) {
    fill(data, run->size, run->put);
    if ((result = gipc_try_put(run->out, data, run->size)) == 0)
      count_one(run);
    else if (result == -EAGAIN)
      result = gipc_flush(run->out, -1);
    if (result != 0)
      return NULL;
  }
}

static void refill(gipc_handle *h, void *argument) {
  struct run *run = argument;
  char *data = malloc(run->size);
  do
    fill(data, run->size, run->put);
  while (gipc_try_put(h, data, run->size) == 0 && (count_one(run), 1));
  free(data);
}

static void ignore(gipc_handle *h, const void *data, size_t size, void *user) {}

static void *put_on_a_loop(void *argument) {
  static const gipc_events events = {
      .size = sizeof events, .on_message = ignore, .on_drain = refill};
  struct run *run = argument;
  struct ev_loop *loop = ev_loop_new(0);
  ev_timer keeps; /* the loop running */
  ev_timer_init(&keeps, NULL, 1e6, 0);
  ev_timer_start(loop, &keeps);
  CHECK_OK(gipc_start(run->out, loop, &events, run));
  refill(run->out, run);
  ev_run(loop, 0);
  return NULL;
}

static int end_beside_a_put(struct ev_loop *fresh, void *argument) {
  struct run *run = argument;
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, NULL, run->putter, run));
  while (__atomic_load_n(&run->put, __ATOMIC_SEQ_CST) < run->at_least)
    sched_yield();
  return end_with(run->end, 7);
}

/* Checks that all messages are whole and in order; returns their number. */
static size_t get_all(gipc_handle *r, size_t message_size) {
  const void *data;
  size_t size, count = 0;
  int result;
  while ((result = gipc_get(r, 50, &data, &size)) == 0) {
    CHECK_IS(size, message_size);
    CHECK(filled(data, size, count));
    count++;
  }
  CHECK(result == GIPC_EOF || result == GIPC_ETRUNCATED);
  return count;
}

static void run_ends(void *(*putter)(void *), size_t size, size_t runs) {
  for (size_t i = 0; i < runs; i++) {
    struct run run = {.putter = putter,
                      .end = (enum end)(i % ends),
                      .size = size,
                      .at_least = i % 8};
    gipc_options *o = new_options();
    gipc_handle *r;
    CHECK_OK(i / 2 % 2 ? gipc_pipe_duplex(&r, &run.out)
                       : gipc_pipe(&r, &run.out));
    CHECK_OK(gipc_options_pass(o, NULL, run.out));
    gipc_process *p = start(end_beside_a_put, &run, o);
    CHECK(get_all(r, size) >= run.at_least);
    CHECK_IS(info_of(p).ended,
             run.end == by_return ? GIPC_ENDED_RETURN : GIPC_ENDED_EXIT);
    CHECK_IS(end_of(p), 7);
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(run.out);
  }
}

static void a_put_of_another_thread_is_whole_at_the_end(void **state) {
  /* H114 */
  run_ends(put_each, 100000, many(100, 6));
  run_ends(put_with_timeout, 100000, many(60, 6));
  run_ends(put_each, 3000000, many(20, 3));
}

static void many_messages_of_another_thread_are_whole(void **state) {
  run_ends(put_many, 100, many(60, 6)); /* H114 */
  run_ends(put_many, 60000, many(60, 6));
}

static void a_queue_of_another_thread_is_whole(void **state) {
  run_ends(try_and_flush, 20, many(100, 6)); /* H114 */
  run_ends(try_and_flush, 50000, many(60, 6));
}

static void a_started_handle_of_another_thread_is_whole(void **state) {
  run_ends(put_on_a_loop, 20, many(60, 6)); /* H114 */
  run_ends(put_on_a_loop, 50000, many(60, 6));
}

/* ---- Pipes whose reader is in the child itself ----------------------- */

struct own {
  gipc_handle *a, *b;
  int kind; /* 0: one way; 1: duplex; 2: another thread waits in a put */
  int passed;
};

static void *put_for_ever(void *argument) {
  struct own *own = argument;
  static char large[1000000];
  (void)!gipc_put(own->b, large, sizeof large, -1);
  return NULL;
}

static void fill_queue(gipc_handle *h) {
  static const char message[1000];
  while (gipc_try_put(h, message, sizeof message) == 0)
    ;
}

static int leave_own_pipe(struct ev_loop *fresh, void *argument) {
  struct own *own = argument;
  pthread_t thread;
  CHECK_OK(gipc_set_exit_timeout(-1)); /* so that it may not wait at all */
  if (!own->passed)
    CHECK_OK(own->kind == 1 ? gipc_pipe_duplex(&own->a, &own->b)
                            : gipc_pipe(&own->a, &own->b));
  if (own->kind == 2) {
    CHECK_OK(pthread_create(&thread, NULL, put_for_ever, own));
    CHECK(wait_fd(gipc_fd(own->a, GIPC_READ), POLLIN, 30000));
    return 8;
  }
  fill_queue(own->b);
  if (own->kind == 1)
    fill_queue(own->a);
  return 8;
}

static void a_child_does_not_wait_for_itself_to_read(void **state) {
  for (int round = 0; round < 6; round++) { /* H116 */
    struct own own = {.kind = round % 3, .passed = round / 3};
    gipc_options *o = new_options();
    if (own.passed) {
      CHECK_OK(own.kind == 1 ? gipc_pipe_duplex(&own.a, &own.b)
                             : gipc_pipe(&own.a, &own.b));
      CHECK_OK(gipc_options_pass(o, NULL, own.a));
      CHECK_OK(gipc_options_pass(o, NULL, own.b));
    }
    gipc_process *p = start(leave_own_pipe, &own, o);
    CHECK_OK(gipc_process_join(p, 50));
    CHECK_IS(info_of(p).ended, GIPC_ENDED_RETURN);
    CHECK_IS(end_of(p), 8);
    gipc_options_free(o);
    gipc_handle_free(own.a);
    gipc_handle_free(own.b);
  }
}

/* ---- Slow readers ---------------------------------------------------- */

enum { slow_count = 100, slow_size = 10000 };

static int leave_queues(struct ev_loop *fresh, void *out) {
  char message[slow_size];
  gipc_handle *r, *w, *gone;
  CHECK_OK(gipc_pipe(&r, &w));
  fill_queue(w);
  CHECK_OK(gipc_pipe(&r, &gone));
  fill_queue(gone);
  gipc_handle_free(r);
  CHECK_OK(gipc_set_marks(out, 1, 2 * slow_count * slow_size));
  for (size_t i = 0; i < slow_count; i++) {
    fill(message, sizeof message, i);
    CHECK_OK(gipc_try_put(out, message, sizeof message));
  }
  return 9;
}

static void
a_slow_reader_in_another_process_gets_the_whole_queue(void **state) {
  gipc_options *o = new_options(); /* H116 */
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  gipc_process *p = start(leave_queues, w, o);
  for (size_t i = 0; i < slow_count; i++) {
    poll(NULL, 0, 5); /* a reader that is busy with each message */
    CHECK_OK(gipc_get(r, 50, &data, &size));
    CHECK(size == slow_size && filled(data, size, i));
  }
  CHECK_IS(gipc_get(r, 50, &data, &size), GIPC_EOF);
  CHECK_IS(info_of(p).ended, GIPC_ENDED_RETURN);
  CHECK_IS(end_of(p), 9);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_put_of_another_thread_is_whole_at_the_end),
      TEST(many_messages_of_another_thread_are_whole),
      TEST(a_queue_of_another_thread_is_whole),
      TEST(a_started_handle_of_another_thread_is_whole),
      TEST(a_child_does_not_wait_for_itself_to_read),
      TEST(a_slow_reader_in_another_process_gets_the_whole_queue),
  };
  return cmocka_run_group_tests_name("process end", tests, NULL, NULL);
}
