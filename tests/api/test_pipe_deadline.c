/* Timeouts: they cover the whole call, and a later call can continue. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const void *data;
static size_t size;

static gipc_handle *reader(int *peer) {
  gipc_handle *r;
  int s[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(gipc_open(s[0], -1, &r));
  *peer = s[1];
  return r;
}

static void
a_get_stalled_at_any_byte_ends_at_its_deadline(void **state) { /* H68 */
  static const unsigned char frame[] = "\0\0\0\x10sixteen bytes!!!";
  for (size_t cut = 0; cut < sizeof frame - 1; cut++) {
    int peer;
    gipc_handle *r = reader(&peer);
    double before = now(), took;
    assert_true(write_all(peer, frame, cut));
    RESULT(gipc_get(r, 0.003, &data, &size), -ETIMEDOUT);
    took = now() - before;
    assert_true(took >= 0.003);
    assert_true(took < 20); /* far longer: the machine may be busy */
    /* Received bytes are not lost. */
    assert_true(write_all(peer, frame + cut, sizeof frame - 1 - cut));
    OK(gipc_get(r, 10, &data, &size));
    assert_int_equal(size, 16);
    assert_memory_equal(data, frame + 4, 16);
    close(peer);
    gipc_handle_free(r);
  }
}

/* A byte each millisecond or so, until the reader is gone. */
static void *write_slowly(void *argument) {
  int peer = *(int *)argument;
  struct pollfd end = {peer, 0, 0};
  while (poll(&end, 1, 1) == 0)
    if (send(peer, "x", 1, MSG_NOSIGNAL) != 1)
      break;
  return NULL;
}

static void slowly_received_bytes_do_not_prolong_a_get(void **state) { /* H68 */
  int peer;
  gipc_handle *r = reader(&peer);
  pthread_t thread;
  double before;
  assert_true(write_all(peer, "\0\1\0\0", 4)); /* 64 KiB: a minute */
  assert_int_equal(pthread_create(&thread, NULL, write_slowly, &peer), 0);
  before = now();
  RESULT(gipc_get(r, 0.1, &data, &size), -ETIMEDOUT);
  assert_true(now() - before >= 0.1);
  assert_true(now() - before <
              20); /* far shorter than the minute of the message */
  gipc_handle_free(r);
  pthread_join(thread, NULL);
  close(peer);
}

/* Zeroes as fast as they go, until the other side is closed. */
static void *pour(void *argument) {
  static char zeroes[1 << 18];
  int peer = *(int *)argument;
  while (send(peer, zeroes, sizeof zeroes, MSG_NOSIGNAL) > 0)
    ;
  return NULL;
}

static uint64_t received_by(const gipc_handle *h) {
  gipc_stats stats = {.size = sizeof stats};
  OK(gipc_handle_stats(h, &stats));
  return stats.bytes_in;
}

/* What a call without a deadline moves is counted, not timed: on any machine it
 * is a step, a MiB, and not all that the other side can keep up with. */
enum { two_steps = 2 << 20 };

static void a_fast_writer_does_not_prolong_a_get(void **state) { /* H68 */
  enum { large = 768 << 20 };
  int peer;
  gipc_handle *r = reader(&peer);
  pthread_t thread;
  char *buffer = malloc(large);
  assert_true(write_all(peer, "\x30\0\0\0", 4)); /* large */
  assert_int_equal(pthread_create(&thread, NULL, pour, &peer), 0);
  RESULT(gipc_get(r, 0.005, &data, &size), -ETIMEDOUT);
  for (int i = 0; i < 20; i++) {
    uint64_t before = received_by(r);
    RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
    assert_true(received_by(r) - before <= two_steps);
    before = received_by(r);
    RESULT(gipc_get_into(r, buffer, large, &size), -EAGAIN);
    assert_true(received_by(r) - before <= two_steps);
    OK(gipc_get_cancel(r));
  }
  gipc_handle_free(r);
  pthread_join(thread, NULL);
  close(peer);
  free(buffer);
}

/* Reads until the end. */
static void *swallow(void *argument) {
  static char into[1 << 18];
  int peer = *(int *)argument;
  while (read(peer, into, sizeof into) > 0)
    ;
  return NULL;
}

/* Takes a message, then has something else to wait for. */
static void *take_one_by_one(void *argument) {
  gipc_handle **handles = argument, *r = handles[0], *idle = handles[1];
  const void *ignored;
  size_t length;
  while (gipc_get(r, -1, &ignored, &length) == 0)
    RESULT(gipc_get(idle, 0.06, &ignored, &length), -ETIMEDOUT);
  return NULL;
}

static void a_batch_has_one_deadline(void **state) { /* H68 */
  enum { count = 6, large = 1 << 20 };
  gipc_handle *r, *w, *idle, *idle_writer;
  gipc_message messages[count];
  pthread_t thread;
  size_t accepted;
  char *block = calloc(1, large);
  OK(gipc_pipe(&r, &w));
  OK(gipc_pipe(&idle, &idle_writer));
  gipc_handle *handles[] = {r, idle};
  for (int i = 0; i < count; i++)
    messages[i] = (gipc_message){block, large};
  assert_int_equal(pthread_create(&thread, NULL, take_one_by_one, handles), 0);
  /* Each alone would not expire. */
  RESULT(gipc_put_many(w, messages, count, 0.15, &accepted), -ETIMEDOUT);
  assert_true(accepted < count);
  OK(gipc_flush(w, -1)); /* the queued part of a message */
  gipc_handle_free(w);
  pthread_join(thread, NULL);
  gipc_handle_free(r);
  gipc_handle_free(idle);
  gipc_handle_free(idle_writer);
  free(block);
}

static size_t unsent_of(const gipc_handle *h) {
  size_t pending;
  OK(gipc_pending(h, GIPC_WRITE, &pending));
  return pending;
}

static void a_fast_reader_does_not_prolong_a_put(void **state) { /* H68 */
  enum { large = 64 << 20 };
  int s[2];
  gipc_handle *w;
  pthread_t thread;
  char *block = calloc(1, large);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(gipc_open(-1, s[0], &w));
  assert_int_equal(pthread_create(&thread, NULL, swallow, &s[1]), 0);
  RESULT(gipc_put(w, block, large, 0), -EINPROGRESS);
  free(block);
  assert_true(unsent_of(w) >= large - two_steps);
  for (int i = 0; i < 10; i++) {
    size_t before = unsent_of(w);
    RESULT(gipc_flush(w, 0), -ETIMEDOUT);
    assert_true(before - unsent_of(w) <= two_steps);
  }
  OK(gipc_flush(w, -1));
  gipc_handle_free(w);
  pthread_join(thread, NULL);
  close(s[1]);
}

static void
a_stream_that_is_always_ready_does_not_prolong_a_call(void **state) {
  /* H68: as a file is */
  enum { large = 8 << 20 };
  int file = memfd_create("stream", MFD_CLOEXEC), again;
  char path[64], *block = calloc(1, large);
  gipc_handle *w, *r;
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  assert_true((again = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
  OK(gipc_open(again, -1, &r));
  OK(gipc_open(-1, file, &w));
  RESULT(gipc_put(w, block, large, 0), -EINPROGRESS);
  RESULT(gipc_flush(w, 0), -ETIMEDOUT);
  OK(gipc_flush(w, 20));
  RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
  OK(gipc_get(r, 20, &data, &size));
  assert_int_equal(size, large);
  gipc_handle_free(r);
  gipc_handle_free(w);
  free(block);
}

static void a_timeout_of_0_does_what_can_be_done_without_waiting(void **state) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
  OK(gipc_put(w, "there", 5, 0));
  OK(gipc_flush(w, 0));
  OK(gipc_get(r, 0, &data, &size));
  assert_int_equal(size, 5);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* The peer reads nothing until a put has timed out.  The socket buffer is full
 * at a different byte each time. */
static void
the_result_of_a_put_stalled_at_any_byte_is_exact(void **state) { /* H68 */
  for (size_t before = 0; before < many(120, 12); before++) {
    gipc_handle *r, *w;
    static char block[100000];
    int s[2], tiny = 4608, result, count = 0;
    size_t pending, expected = 0, payload = 1 + before * 401 % 9000;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    setsockopt(s[1], SOL_SOCKET, SO_SNDBUF, &tiny, sizeof tiny);
    OK(gipc_open(s[0], -1, &r));
    OK(gipc_open(-1, s[1], &w));
    fill(block, sizeof block, before);
    while ((result = gipc_put(w, block, payload, before % 3 * 0.001)) == 0)
      expected++;
    OK(gipc_pending(w, GIPC_WRITE, &pending));
    if (result == -EINPROGRESS) {
      expected++;
      assert_true(pending > 0);
      assert_true(pending < payload + 4);
    } else {
      RESULT(result, -ETIMEDOUT);
      assert_int_equal(pending, 0);
    }
    /* No later message is written before the remaining bytes; none is lost. */
    result = gipc_put(w, "behind", 6, 0);
    assert_true(result == -ETIMEDOUT || result == 0 || result == -EINPROGRESS);
    bool behind = result != -ETIMEDOUT;
    for (;;) {
      int flushed = gipc_flush(w, 0);
      assert_true(flushed == 0 || flushed == -ETIMEDOUT);
      while ((result = gipc_try_get(r, &data, &size)) == 0) {
        count++;
        if ((size_t)count <= expected) {
          assert_int_equal(size, payload);
          assert_true(filled(data, size, before));
        } else
          assert_memory_equal(data, "behind", 6);
      }
      if (flushed == 0)
        break;
    }
    assert_int_equal(count, expected + (behind ? 1 : 0));
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void
a_deadline_and_a_message_at_the_same_time_complete_one_call(void **state) {
  /* H69 */
  gipc_handle *r, *w;
  int got = 0;
  OK(gipc_pipe(&r, &w));
  for (int i = 0; i < 200; i++) {
    /* A message received before the deadline is checked, and one after. */
    if (i % 2)
      OK(gipc_put(w, &i, sizeof i, -1));
    int result = gipc_get(r, i % 4 < 2 ? 0 : 1e-9, &data, &size);
    if (i % 2 == 0) {
      RESULT(result, -ETIMEDOUT);
      OK(gipc_put(w, &i, sizeof i, -1));
      result = gipc_get(r, 0, &data, &size);
    }
    OK(result);
    assert_memory_equal(data, &i, sizeof i);
    got++;
  }
  RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
  assert_int_equal(got, 200);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* ---- Interruptions --------------------------------------------------------
 */

static volatile sig_atomic_t alarms;
static void on_alarm(int number) {
  (void)number;
  alarms = alarms + 1;
}

static timer_t interrupt_every(long nanoseconds) {
  struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART */
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                           .sigev_signo = SIGUSR2};
  struct itimerspec times = {{0, nanoseconds}, {0, nanoseconds}};
  timer_t timer;
  alarms = 0;
  assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
  assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  assert_int_equal(timer_settime(timer, 0, &times, NULL), 0);
  return timer;
}

struct stream {
  gipc_handle *writer;
  size_t count;
};

static size_t size_of(size_t i) { return i * 7919 % 20000; }

static void *put_stream(void *argument) {
  struct stream *s = argument;
  char *block = malloc(20000);
  for (size_t i = 0; i < s->count; i++) {
    fill(block, size_of(i), i);
    if (gipc_put(s->writer, block, size_of(i), 60) != 0)
      break;
  }
  free(block);
  return NULL;
}

static void signals_at_any_moment_change_nothing(void **state) { /* H60 */
  gipc_handle *r, *w;
  pthread_t thread;
  timer_t timer = interrupt_every(slow() ? 5000000 : 200000);
  struct stream s;
  OK(gipc_pipe(&r, &w));
  s = (struct stream){w, many(5000, 200)};
  assert_int_equal(pthread_create(&thread, NULL, put_stream, &s), 0);
  for (size_t i = 0; i < s.count; i++) {
    OK(gipc_get(r, 60, &data, &size));
    assert_int_equal(size, size_of(i));
    assert_true(filled(data, size, i));
  }
  pthread_join(thread, NULL);
  /* Signals neither shorten nor prolong a timeout. */
  double before = now();
  RESULT(gipc_get(r, 0.05, &data, &size), -ETIMEDOUT);
  assert_true(now() - before >= 0.05);
  assert_true(now() - before < 20); /* prolonged, it would never end */
  timer_delete(timer);
  assert_true(alarms > (slow() ? 0 : 10));
  signal(SIGUSR2, SIG_DFL);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_get_stalled_at_any_byte_ends_at_its_deadline),
      TEST(slowly_received_bytes_do_not_prolong_a_get),
      TEST(a_fast_writer_does_not_prolong_a_get),
      TEST(a_fast_reader_does_not_prolong_a_put),
      TEST(a_stream_that_is_always_ready_does_not_prolong_a_call),
      TEST(a_batch_has_one_deadline),
      TEST(a_timeout_of_0_does_what_can_be_done_without_waiting),
      TEST(the_result_of_a_put_stalled_at_any_byte_is_exact),
      TEST(a_deadline_and_a_message_at_the_same_time_complete_one_call),
      TEST(signals_at_any_moment_change_nothing),
  };
  return cmocka_run_group_tests_name("pipe deadline", tests, NULL, NULL);
}
