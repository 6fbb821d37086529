/* The queue of a writer: marks, batches, flush, counters; and two peers that
 * put at once. */
#include "support.h"

#include <ev.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const void *data;
static size_t size;

static size_t pending(const gipc_handle *h, int direction) {
  size_t bytes = 77;
  OK(gipc_pending(h, direction, &bytes));
  return bytes;
}

static gipc_stats stats_of(const gipc_handle *h) {
  gipc_stats stats = {.size = sizeof stats};
  OK(gipc_handle_stats(h, &stats));
  return stats;
}

static void fill_kernel(gipc_handle *w) {
  int result;
  while ((result = gipc_put_start(w, "filling", 7)) == 0)
    ;
  RESULT(result, -EAGAIN);
  OK(gipc_put_cancel(w));
}

static void puts_are_accepted_while_less_than_the_mark_is_queued(void **state) {
  /* H79 */
  gipc_handle *r, *w;
  static char block[5000];
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_marks(w, 100, 1000));
  fill_kernel(w);
  size_t queued = 0;
  for (; queued < 1000; queued += 104)
    OK(gipc_try_put(w, block, 100));
  assert_int_equal(pending(w, GIPC_WRITE), queued);
  for (int i = 0; i < 100; i++)
    RESULT(gipc_try_put(w, block, 100), -EAGAIN);
  RESULT(gipc_try_put(w, block, 0), -EAGAIN);
  assert_int_equal(pending(w, GIPC_WRITE), queued);
  gipc_handle_free(w);
  gipc_handle_free(r);

  /* A message of any size is accepted below the mark. */
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_marks(w, 100, 1000));
  fill_kernel(w);
  for (int i = 0; i < 9; i++)
    OK(gipc_try_put(w, block, 107)); /* 999 bytes */
  assert_int_equal(pending(w, GIPC_WRITE), 999);
  OK(gipc_try_put(w, block, 5000));
  assert_int_equal(pending(w, GIPC_WRITE), 6003);
  RESULT(gipc_try_put(w, block, 1), -EAGAIN);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

static void a_lower_mark_holds_at_once(void **state) { /* H79 */
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  for (int i = 0; i < 10; i++)
    OK(gipc_try_put(w, "xxxx", 4));
  OK(gipc_set_marks(w, 1, 80));
  RESULT(gipc_try_put(w, "xxxx", 4), -EAGAIN);
  OK(gipc_set_marks(w, 1, 81));
  OK(gipc_try_put(w, "xxxx", 4));
  OK(gipc_set_marks(w, 1, 1000));
  OK(gipc_try_put(w, "xxxx", 4));
  OK(gipc_set_limit(w, 3));
  RESULT(gipc_try_put(w, "xxxx", 4), GIPC_ETOOBIG);
  OK(gipc_try_put(w, "xxx", 3));
  gipc_handle_free(w);
  gipc_handle_free(r);
}

static void no_message(gipc_handle *h, const void *d, size_t n, void *user) {}

static void a_stopped_handle_writes_its_queue_in_steps_again(void **state) {
  static const gipc_events events = {sizeof events, no_message, NULL, NULL};
  struct ev_loop *loop = ev_loop_new(0);
  gipc_handle *r, *w;
  static char block[100];
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_marks(w, 1, 10 << 20));
  OK(gipc_start(w, loop, &events, NULL));
  fill_kernel(w);
  OK(gipc_try_put(w, block, sizeof block));
  ev_run(loop, EVRUN_NOWAIT); /* from here on it waits for writability */
  while (pending(w, GIPC_WRITE) < 160 * 1024)
    OK(gipc_try_put(w, block, sizeof block));
  OK(gipc_stop(w));
  while (gipc_try_get(r, &data, &size) == 0)
    ;
  OK(gipc_try_put(w, block, sizeof block));
  assert_int_equal(pending(w, GIPC_WRITE), 0);
  gipc_handle_free(w);
  gipc_handle_free(r);
  ev_loop_destroy(loop);
}

static int stopped(void *argument) {
  (void)argument;
  for (;;)
    pause();
  return 0;
}

static void a_peer_that_reads_nothing_costs_bounded_memory(void **state) {
  /* H79 */
  gipc_handle *r, *w;
  static char block[1000];
  size_t before, accepted = 0;
  OK(gipc_pipe(&r, &w));
  pid_t pid = child_start(stopped, NULL); /* holds a copy of r, reads nothing */
  before = resident();
  for (size_t i = 0; i < many(1000000, 20000); i++) {
    int result = gipc_try_put(w, block, sizeof block);
    if (result == 0)
      accepted++;
    else
      RESULT(result, -EAGAIN);
  }
  assert_true(accepted < 4000);
  assert_true(resident() < before + (5 << 20));
  kill(pid, SIGKILL);
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void counters_count_the_bytes_on_the_wire(void **state) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  /* A ring is read apart from what is on the socket. */
  OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  gipc_stats zero = stats_of(w);
  assert_int_equal(zero.messages_out + zero.bytes_out + zero.writes, 0);
  OK(gipc_put(w, "12345", 5, -1));
  OK(gipc_try_put(w, "123", 3));
  assert_int_equal(stats_of(w).messages_out, 2);
  assert_int_equal(stats_of(w).bytes_out, 9);
  assert_int_equal(stats_of(w).writes, 1);
  assert_int_equal(pending(w, GIPC_WRITE), 7);
  OK(gipc_flush(w, -1));
  assert_int_equal(stats_of(w).bytes_out, 16);
  assert_int_equal(pending(w, GIPC_WRITE), 0);
  OK(gipc_get(r, 10, &data, &size));
  assert_int_equal(stats_of(r).messages_in, 1);
  assert_int_equal(stats_of(r).bytes_in, 16);
  assert_int_equal(stats_of(r).reads, 1);
  assert_int_equal(pending(r, GIPC_READ), 7);
  OK(gipc_get(r, 10, &data, &size));
  assert_int_equal(stats_of(r).messages_in, 2);
  assert_int_equal(pending(r, GIPC_READ), 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_batch_is_written_in_one_call(void **state) {
  gipc_handle *r, *w;
  gipc_message batch[1000];
  int values[1000];
  size_t accepted = 77;
  OK(gipc_pipe(&r, &w));
  for (int i = 0; i < 1000; i++) {
    values[i] = i;
    batch[i] = (gipc_message){&values[i], i % 5};
  }
  OK(gipc_put_many(w, batch, 1000, 10, &accepted));
  assert_int_equal(accepted, 1000);
  assert_int_equal(stats_of(w).writes, 1);
  for (int i = 0; i < 1000; i++) {
    OK(gipc_get(r, 10, &data, &size));
    assert_int_equal(size, i % 5);
    assert_memory_equal(data, &values[i], size);
  }
  accepted = 77;
  OK(gipc_put_many(w, NULL, 0, 0, &accepted));
  assert_int_equal(accepted, 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void an_expired_batch_reports_the_accepted_messages(void **state) {
  enum { count = 300 };
  for (size_t message = 1; message < 60000; message = message * 7 + 100) {
    gipc_handle *r, *w;
    gipc_message batch[count];
    char *block = malloc(message);
    size_t accepted = 77, got = 0;
    int result;
    OK(gipc_pipe(&r, &w));
    fill(block, message, 4);
    for (int i = 0; i < count; i++)
      batch[i] = (gipc_message){block, message};
    while ((result = gipc_put_many(w, batch, count, 0.001, &accepted)) == 0)
      got += count;
    RESULT(result, -ETIMEDOUT);
    got += accepted;
    assert_in_range(accepted, 0, count);
    assert_int_equal(stats_of(w).messages_out, got);
    for (;;) {
      int flushed = gipc_flush_step(w);
      assert_true(flushed == 0 || flushed == -EAGAIN);
      while ((result = gipc_try_get(r, &data, &size)) == 0) {
        assert_int_equal(size, message);
        assert_true(filled(data, size, 4));
        got--;
      }
      RESULT(result, -EAGAIN);
      if (flushed == 0)
        break;
    }
    assert_int_equal(got, 0);
    gipc_handle_free(r);
    gipc_handle_free(w);
    free(block);
  }
}

static void a_batch_stops_at_the_message_that_is_wrong(void **state) {
  gipc_handle *r, *w;
  static char large[100];
  gipc_message batch[] = {{"one", 3}, {"two", 3}, {large, 100}, {"four", 4}};
  size_t accepted = 77;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_limit(w, 99));
  RESULT(gipc_put_many(w, batch, 4, 10, &accepted), GIPC_ETOOBIG);
  assert_int_equal(accepted, 2);
  OK(gipc_flush(w, 10));
  OK(gipc_get(r, 10, &data, &size));
  assert_memory_equal(data, "one", 3);
  OK(gipc_get(r, 10, &data, &size));
  assert_memory_equal(data, "two", 3);
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* ---- Two peers -------------------------------------------------------------
 */

struct peer {
  gipc_handle *h;
  uint64_t seed, other;
  size_t count, message;
  bool good;
};

static void *put_all_then_get_all(void *argument) {
  struct peer *p = argument;
  char *block = malloc(p->message);
  const void *got;
  size_t length;
  for (size_t i = 0; i < p->count; i++) {
    fill(block, p->message, p->seed + i);
    if (gipc_put(p->h, block, p->message, -1) != 0)
      goto out;
  }
  for (size_t i = 0; i < p->count; i++)
    if (gipc_get(p->h, -1, &got, &length) != 0 || length != p->message ||
        !filled(got, length, p->other + i))
      goto out;
  p->good = true;
out:
  free(block);
  return NULL;
}

static void
two_peers_that_put_at_the_same_time_do_not_block(void **state) { /* H78 */
  /* One message each, so that each can receive the other's ahead. */
  static const size_t sizes[] = {300000, 5 << 20, 64 << 20};
  for (size_t i = 0; i < many(3, 2); i++) {
    struct peer a = {NULL, 1, 2, 1, sizes[i], false};
    struct peer b = {NULL, 2, 1, 1, sizes[i], false};
    pthread_t thread;
    OK(gipc_pipe_duplex(&a.h, &b.h));
    assert_int_equal(pthread_create(&thread, NULL, put_all_then_get_all, &b),
                     0);
    put_all_then_get_all(&a);
    pthread_join(thread, NULL);
    assert_true(a.good && b.good);
    gipc_handle_free(a.h);
    gipc_handle_free(b.h);
  }
}

static void a_message_after_small_ones_is_received_ahead(void **state) {
  /* H78: the read-ahead is not empty when the put begins to wait */
  struct peer a = {NULL, 1, 2, 1, 5 << 20, false};
  struct peer b = {NULL, 2, 1, 1, 5 << 20, false};
  pthread_t thread;
  OK(gipc_pipe_duplex(&a.h, &b.h));
  for (int i = 0; i < 3; i++) {
    OK(gipc_put(a.h, "small", 5, 10));
    OK(gipc_put(b.h, "small", 5, 10));
  }
  for (int i = 0; i < 3; i++) {
    OK(gipc_get(a.h, 10, &data, &size));
    OK(gipc_get(b.h, 10, &data, &size));
  }
  assert_int_equal(pthread_create(&thread, NULL, put_all_then_get_all, &b), 0);
  put_all_then_get_all(&a);
  pthread_join(thread, NULL);
  assert_true(a.good && b.good);
  gipc_handle_free(a.h);
  gipc_handle_free(b.h);
}

/* Puts as a program with a loop of its own would, which only ever waits until
 * the handle is writable; then gets. */
static void *put_in_steps_then_get(void *argument) {
  struct peer *p = argument;
  char *block = malloc(p->message);
  const void *got;
  size_t length;
  fill(block, p->message, p->seed);
  int result = gipc_put_start(p->h, block, p->message);
  while (result == -EAGAIN) {
    int ahead = gipc_read_ahead(p->h);
    struct pollfd writable = {gipc_fd(p->h, GIPC_WRITE), POLLOUT, 0};
    if ((ahead != 0 && ahead != -EAGAIN && ahead != -ENOBUFS) ||
        poll(&writable, 1, 10000) != 1)
      break;
    result = gipc_put_step(p->h);
  }
  p->good = result == 0 && gipc_get(p->h, 10, &got, &length) == 0 &&
            length == p->message && filled(got, length, p->other);
  free(block);
  return NULL;
}

static void two_peers_that_put_in_steps_do_not_block(void **state) { /* H78 */
  struct peer a = {NULL, 1, 2, 1, 5 << 20, false};
  struct peer b = {NULL, 2, 1, 1, 5 << 20, false};
  pthread_t thread;
  OK(gipc_pipe_duplex(&a.h, &b.h));
  assert_int_equal(pthread_create(&thread, NULL, put_in_steps_then_get, &b), 0);
  put_in_steps_then_get(&a);
  pthread_join(thread, NULL);
  assert_true(a.good && b.good);
  gipc_handle_free(a.h);
  gipc_handle_free(b.h);
}

static void *echo(void *argument) {
  struct peer *p = argument;
  const void *got;
  size_t length;
  int result;
  /* What was got is put again as it is. */
  while ((result = gipc_get(p->h, -1, &got, &length)) == 0)
    if (gipc_put(p->h, got, length, -1) != 0)
      return NULL;
  p->good = result == GIPC_EOF;
  return NULL;
}

static void an_echo_of_large_messages_is_exact(void **state) { /* H78 */
  struct peer b = {0};
  gipc_handle *a;
  pthread_t thread;
  size_t message = 3 << 20;
  char *block = malloc(message);
  OK(gipc_pipe_duplex(&a, &b.h));
  assert_int_equal(pthread_create(&thread, NULL, echo, &b), 0);
  for (size_t i = 0; i < many(20, 3); i++) {
    fill(block, message, i);
    OK(gipc_put(a, block, message, 30));
    OK(gipc_put(a, block, 1000, 30));
    OK(gipc_get(a, 30, &data, &size));
    assert_int_equal(size, message);
    assert_true(filled(data, size, i));
    OK(gipc_get(a, 30, &data, &size));
    assert_int_equal(size, 1000);
  }
  OK(gipc_shutdown(a));
  pthread_join(thread, NULL);
  assert_true(b.good);
  free(block);
  gipc_handle_free(a);
  gipc_handle_free(b.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(puts_are_accepted_while_less_than_the_mark_is_queued),
      TEST(a_lower_mark_holds_at_once),
      TEST(a_stopped_handle_writes_its_queue_in_steps_again),
      TEST(a_peer_that_reads_nothing_costs_bounded_memory),
      TEST(counters_count_the_bytes_on_the_wire),
      TEST(a_batch_is_written_in_one_call),
      TEST(an_expired_batch_reports_the_accepted_messages),
      TEST(a_batch_stops_at_the_message_that_is_wrong),
      TEST(two_peers_that_put_at_the_same_time_do_not_block),
      TEST(a_message_after_small_ones_is_received_ahead),
      TEST(two_peers_that_put_in_steps_do_not_block),
      TEST(an_echo_of_large_messages_is_exact),
  };
  return cmocka_run_group_tests_name("pipe marks", tests, NULL, NULL);
}
