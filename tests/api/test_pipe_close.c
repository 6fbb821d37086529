/* Closing with queued bytes: how long a close waits, and which bytes are lost.
 */
#include "support_process.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>

enum { block = 60 * 1000 };
static gipc_handle *r, *w;

static int setup(void **state) {
  int result = test_setup(state);
  return result != 0 ? result : gipc_pipe(&r, &w);
}

static int end(void **state) {
  gipc_handle_free(r);
  gipc_handle_free(w);
  return test_end(state);
}

/* Puts numbered messages until the queue is full; returns how many. */
static unsigned fill_queue(gipc_handle *h) {
  char *message = calloc(1, block);
  unsigned count = 0;
  int result;
  size_t queued = 0;
  CHECK(message != NULL);
  do {
    memcpy(message, &count, sizeof count);
    result = gipc_try_put(h, message, block);
    count += result == 0;
  } while (result == 0);
  free(message);
  CHECK_IS(result, -EAGAIN);
  CHECK_OK(gipc_pending(h, GIPC_WRITE, &queued));
  CHECK(queued > 0);
  return count;
}

/* Gets all messages: returns their number, and stores the code of the end. */
static unsigned take_all(gipc_handle *h, int *why) {
  unsigned count = 0, number;
  const void *data;
  size_t size;
  while ((*why = gipc_get(h, -1, &data, &size)) == 0) {
    CHECK(size == block);
    memcpy(&number, data, sizeof number);
    CHECK(number == count++);
  }
  return count;
}

struct taker {
  pthread_t thread;
  gipc_handle *from;
  unsigned count;
  int why;
};
static void *run_taker(void *argument) {
  struct taker *taker = argument;
  taker->count = take_all(taker->from, &taker->why);
  return NULL;
}
static void begin_taking(struct taker *taker, gipc_handle *from) {
  taker->from = from;
  CHECK_OK(pthread_create(&taker->thread, NULL, run_taker, taker));
}

static void is_closed(gipc_handle *h, int fd) {
  CHECK_IS(gipc_directions(h), GIPC_ECLOSED);
  CHECK_IS(gipc_close(h), GIPC_ECLOSED);
  CHECK_IS(gipc_close_within(h, -1), GIPC_ECLOSED);
  CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  CHECK(false);
}
static void on_drain(gipc_handle *h, void *user) { CHECK(false); }
static void on_end(gipc_handle *h, int why, void *user) { CHECK(false); }
static const gipc_events never = {sizeof never, on_message, on_drain, on_end};

/* The peer reads the first messages that were put, each of them whole. */
static void lost_some(unsigned put) {
  int why;
  CHECK(take_all(r, &why) < put);
  CHECK(why == GIPC_ETRUNCATED || why == GIPC_EOF);
}

/* ---- A deadline ---------------------------------------------------------- */

static void a_close_with_a_deadline_discards_the_remaining_bytes(void **state) {
  unsigned put = fill_queue(w);
  int fd = gipc_fd(w, GIPC_WRITE);
  double began = now();
  CHECK_IS(gipc_close_within(w, 0.05), -ETIMEDOUT);
  CHECK(now() - began >= 0.05);
  is_closed(w, fd);
  lost_some(put);
}

static void a_close_within_no_time_discards_at_once(void **state) {
  unsigned put = fill_queue(w);
  int fd = gipc_fd(w, GIPC_WRITE);
  CHECK_IS(gipc_close_within(w, 0), -ETIMEDOUT);
  is_closed(w, fd);
  lost_some(put);
}

static void a_close_within_no_time_writes_what_it_can(void **state) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_try_put(w, "queued", 6));
  CHECK_OK(gipc_close_within(w, 0));
  CHECK_OK(gipc_get(r, -1, &data, &size));
  CHECK(size == 6 && memcmp(data, "queued", 6) == 0);
  CHECK_IS(gipc_get(r, -1, &data, &size), GIPC_EOF);
  CHECK_OK(gipc_close_within(r, 0)); /* nothing to wait for */
  CHECK_IS(gipc_close_within(r, 0), GIPC_ECLOSED);
}

static void a_close_with_a_deadline_loses_nothing_that_is_read(void **state) {
  struct taker taker;
  unsigned put = fill_queue(w);
  begin_taking(&taker, r);
  CHECK_OK(gipc_close_within(w, 60));
  CHECK_OK(pthread_join(taker.thread, NULL));
  CHECK(taker.count == put);
  CHECK_IS(taker.why, GIPC_EOF);
}

static void a_close_that_never_expires_waits_for_the_reader(void **state) {
  struct taker taker;
  unsigned put = fill_queue(w);
  begin_taking(&taker, r);
  CHECK_OK(gipc_close_within(w, -1));
  CHECK_OK(pthread_join(taker.thread, NULL));
  CHECK(taker.count == put);
  CHECK_IS(taker.why, GIPC_EOF);
}

/* Both close with queued bytes, and each receives the other's message. */
static void *close_with_all_time(void *h) {
  return INT(gipc_close_within(h, 60));
}
static void close_both(struct ev_loop *one, struct ev_loop *other_one) {
  enum { size = 4 << 20 };
  char *data = calloc(1, size);
  gipc_handle *a, *b;
  pthread_t thread;
  void *result;
  CHECK(data != NULL);
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  if (one != NULL) {
    CHECK_OK(gipc_start(a, one, &never, NULL));
    CHECK_OK(gipc_start(b, other_one, &never, NULL));
  }
  CHECK_OK(gipc_try_put(a, data, size));
  CHECK_OK(gipc_try_put(b, data, size));
  CHECK_OK(pthread_create(&thread, NULL, close_with_all_time, a));
  int other = gipc_close_within(b, 60);
  CHECK_OK(pthread_join(thread, &result));
  /* The first to have written all closes; the other may find its peer gone. */
  CHECK(other == 0 || other == -EPIPE);
  CHECK(result == INT(0) || result == INT(-EPIPE));
  CHECK(other == 0 || result == INT(0));
  free(data);
  gipc_handle_free(a);
  gipc_handle_free(b);
}
static void two_peers_close_duplex_handles_at_once(void **state) {
  struct ev_loop *one = ev_loop_new(EVFLAG_AUTO);
  struct ev_loop *other = ev_loop_new(EVFLAG_AUTO);
  close_both(NULL, NULL);
  close_both(one, other);
  ev_loop_destroy(one);
  ev_loop_destroy(other);
}

/* ---- On a loop ----------------------------------------------------------- */

static void a_started_handle_closes_without_its_loop(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  struct taker taker;
  unsigned put;
  CHECK_OK(gipc_start(w, loop, &never, NULL));
  put = fill_queue(w);
  begin_taking(&taker, r);
  CHECK_OK(gipc_close_within(w, 60));
  CHECK_OK(pthread_join(taker.thread, NULL));
  CHECK(taker.count == put);
  CHECK_IS(taker.why, GIPC_EOF);
  CHECK_OK(ev_run(loop, 0)); /* it has no watcher on the loop any more */
  ev_loop_destroy(loop);
}

static void a_started_handle_is_discarded_at_the_deadline(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  int fd = gipc_fd(w, GIPC_WRITE);
  unsigned put;
  CHECK_OK(gipc_start(w, loop, &never, NULL));
  put = fill_queue(w);
  CHECK_IS(gipc_close_within(w, 0.01), -ETIMEDOUT);
  is_closed(w, fd);
  CHECK_OK(ev_run(loop, 0));
  ev_loop_destroy(loop);
  lost_some(put);
}

static void a_close_in_the_background_can_be_ended(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  int fd = gipc_fd(w, GIPC_WRITE);
  unsigned put;
  CHECK_OK(gipc_start(w, loop, &never, NULL));
  put = fill_queue(w);
  CHECK_OK(gipc_close(w));
  ev_run(loop, EVRUN_NOWAIT);
  CHECK_IS(gipc_close(w), GIPC_ECLOSED);
  CHECK(fcntl(fd, F_GETFD) >= 0);
  CHECK_IS(gipc_close_within(w, 0), -ETIMEDOUT);
  is_closed(w, fd);
  CHECK_OK(ev_run(loop, 0));
  ev_loop_destroy(loop);
  lost_some(put);
}

static int closings;
static void close_in_callback(gipc_handle *h, const void *data, size_t size,
                              void *user) {
  closings++;
  CHECK_OK(gipc_close_within(h, 0));
}
static void a_callback_may_close_its_handle_with_a_deadline(void **state) {
  const gipc_events events = {sizeof events, close_in_callback, NULL, on_end};
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  closings = 0;
  CHECK_OK(gipc_put(w, "one", 3, -1));
  CHECK_OK(gipc_put(w, "two", 3, -1));
  CHECK_OK(gipc_start(r, loop, &events, NULL));
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(closings, 1);
  ev_loop_destroy(loop);
}

/* ---- Errors -------------------------------------------------------------- */

static void a_close_that_fails_has_nevertheless_closed(void **state) {
  int fd = gipc_fd(w, GIPC_WRITE);
  fill_queue(w);
  CHECK_IS(gipc_close(w), -EAGAIN); /* this one has not */
  CHECK(gipc_directions(w) == GIPC_WRITE);
  CHECK_OK(gipc_close(r));
  CHECK_IS(gipc_close(w), -EPIPE);
  is_closed(w, fd);
}

static void a_close_with_a_deadline_closes_when_the_peer_is_gone(void **state) {
  int fd = gipc_fd(w, GIPC_WRITE);
  fill_queue(w);
  CHECK_OK(gipc_close(r));
  CHECK_IS(gipc_close_within(w, -1), -EPIPE);
  is_closed(w, fd);
}

static void borrowed_memory_is_not_closed_under_its_owner(void **state) {
  char *data = calloc(1, 4 << 20);
  CHECK_IS(gipc_put_start(w, data, 4 << 20), -EAGAIN);
  CHECK_IS(gipc_close_within(w, 0), GIPC_ELOCKED);
  CHECK_IS(gipc_put_cancel(w), 1);
  CHECK_IS(gipc_get_into(r, data, 4 << 20, &(size_t){0}), -EAGAIN);
  CHECK_IS(gipc_close_within(r, 0), GIPC_ELOCKED);
  CHECK_OK(gipc_get_cancel(r));
  free(data);
  CHECK_IS(gipc_close_within(w, 0), -ETIMEDOUT);
}

static int close_in_fork(void *argument) {
  return gipc_close_within(w, 0) == GIPC_EWRONGPROC ? 0 : 1;
}
static void
a_close_with_a_deadline_is_refused_in_another_process(void **state) {
  fill_queue(w);
  in_own_fork(close_in_fork, NULL);
  CHECK_IS(gipc_close_within(NULL, 0), -EINVAL);
  CHECK_IS(gipc_close_within(w, NAN), -EINVAL);
  CHECK_IS(gipc_directions(w), GIPC_WRITE);
}

static void accepted_messages_are_reported_on_failure(void **state) {
  gipc_message two[] = {{"fits", 4}, {"too long", 8}};
  const void *data;
  size_t accepted = 77, size;
  CHECK_OK(gipc_set_limit(w, 4));
  CHECK_IS(gipc_put_many(w, two, 2, -1, &accepted), GIPC_ETOOBIG);
  CHECK_IS(accepted, 1);
  CHECK_OK(gipc_close(w));
  CHECK_OK(gipc_get(r, -1, &data, &size));
  CHECK(size == 4);
  CHECK_IS(gipc_put_many(w, two, 2, -1, &accepted), GIPC_ECLOSED);
  CHECK_IS(accepted, 0);
}

#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      PIPE_TEST(a_close_with_a_deadline_discards_the_remaining_bytes),
      PIPE_TEST(a_close_within_no_time_discards_at_once),
      PIPE_TEST(a_close_within_no_time_writes_what_it_can),
      PIPE_TEST(a_close_with_a_deadline_loses_nothing_that_is_read),
      PIPE_TEST(a_close_that_never_expires_waits_for_the_reader),
      TEST(two_peers_close_duplex_handles_at_once),
      PIPE_TEST(a_started_handle_closes_without_its_loop),
      PIPE_TEST(a_started_handle_is_discarded_at_the_deadline),
      PIPE_TEST(a_close_in_the_background_can_be_ended),
      PIPE_TEST(a_callback_may_close_its_handle_with_a_deadline),
      PIPE_TEST(a_close_that_fails_has_nevertheless_closed),
      PIPE_TEST(a_close_with_a_deadline_closes_when_the_peer_is_gone),
      PIPE_TEST(borrowed_memory_is_not_closed_under_its_owner),
      PIPE_TEST(a_close_with_a_deadline_is_refused_in_another_process),
      PIPE_TEST(accepted_messages_are_reported_on_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
