/* Handles: making, directions, closing, and calls on a closed one. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static const void *data;
static size_t size;

static void expect(gipc_handle *h, const char *text) {
  OK(gipc_get(h, 10, &data, &size));
  assert_int_equal(size, strlen(text));
  assert_memory_equal(data, text, size);
}

static void a_message_goes_from_writer_to_reader(void **state) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  OK(gipc_put(w, "hello", 5, -1));
  OK(gipc_put(w, NULL, 0, -1)); /* H84 */
  OK(gipc_put(w, "again", 5, -1));
  expect(r, "hello");
  expect(r, "");
  assert_non_null(data);
  expect(r, "again");
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void both_ends_of_a_duplex_pipe_read_and_write(void **state) {
  gipc_handle *a, *b;
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_put(a, "question", 8, -1));
  OK(gipc_put(b, "answer", 6, -1));
  expect(b, "question");
  expect(a, "answer");
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void has_good_descriptors(const gipc_handle *h) {
  for (int direction = GIPC_READ; direction <= GIPC_WRITE; direction++) {
    int fd = gipc_fd(h, direction);
    if (fd == GIPC_EDIRECTION)
      continue;
    assert_true(fd > 2);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0); /* H74 */
  }
}

static void descriptors_are_closed_on_exec_and_above_stdio(void **state) {
  /* H10, H11 */
  for (int closed = 0; closed < 8; closed++) { /* which of 0 to 2 */
    gipc_handle *h[4];
    int saved[3], i;
    for (i = 0; i < 3; i++) {
      saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
      if (closed >> i & 1)
        close(i);
    }
    int one_way = gipc_pipe(&h[0], &h[1]);
    int duplex = gipc_pipe_duplex(&h[2], &h[3]);
    for (i = 0; i < 3; i++) {
      dup2(saved[i], i);
      close(saved[i]);
    }
    OK(one_way);
    OK(duplex);
    assert_int_not_equal(gipc_fd(h[2], GIPC_READ), gipc_fd(h[2], GIPC_WRITE));
    for (i = 0; i < 4; i++) {
      has_good_descriptors(h[i]);
      gipc_handle_free(h[i]);
    }
  }
}

static void each_handle_knows_its_directions(void **state) {
  gipc_handle *r, *w, *a, *b;
  OK(gipc_pipe(&r, &w));
  OK(gipc_pipe_duplex(&a, &b));
  RESULT(gipc_directions(r), GIPC_READ);
  RESULT(gipc_directions(w), GIPC_WRITE);
  RESULT(gipc_directions(a), GIPC_READ | GIPC_WRITE);
  RESULT(gipc_fd(r, GIPC_WRITE), GIPC_EDIRECTION);
  RESULT(gipc_fd(w, GIPC_READ), GIPC_EDIRECTION);
  RESULT(gipc_put(r, "x", 1, 0), GIPC_EDIRECTION);
  RESULT(gipc_try_put(r, "x", 1), GIPC_EDIRECTION);
  RESULT(gipc_put_start(r, "x", 1), GIPC_EDIRECTION);
  RESULT(gipc_flush(r, 0), GIPC_EDIRECTION);
  RESULT(gipc_shutdown(r), GIPC_EDIRECTION);
  RESULT(gipc_get(w, 0, &data, &size), GIPC_EDIRECTION);
  RESULT(gipc_try_get(w, &data, &size), GIPC_EDIRECTION);
  RESULT(gipc_next_size(w, &size), GIPC_EDIRECTION);
  /* The peer's end does not change what this one is open for. */
  gipc_handle_free(b);
  RESULT(gipc_get(a, 10, &data, &size), GIPC_EOF);
  RESULT(gipc_directions(a), GIPC_READ | GIPC_WRITE);
  gipc_handle_free(a);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_one_way_pipe_carries_no_bytes_backwards(void **state) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  assert_true(send(gipc_fd(r, GIPC_READ), "x", 1, MSG_NOSIGNAL) < 0);
  assert_int_equal(errno, EPIPE);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* Every call on a closed handle. */
static void says_closed(gipc_handle *h) {
  char buffer[8];
  size_t pending = 77, accepted = 77;
  gipc_message one = {"x", 1};
  RESULT(gipc_close(h), GIPC_ECLOSED);
  RESULT(gipc_shutdown(h), GIPC_ECLOSED);
  RESULT(gipc_fd(h, GIPC_READ), GIPC_ECLOSED);
  RESULT(gipc_fd(h, GIPC_WRITE), GIPC_ECLOSED);
  RESULT(gipc_directions(h), GIPC_ECLOSED);
  RESULT(gipc_set_limit(h, 10), GIPC_ECLOSED);
  RESULT(gipc_set_read_limit(h, 10), GIPC_ECLOSED);
  RESULT(gipc_set_marks(h, 1, 2), GIPC_ECLOSED);
  RESULT(gipc_set_budget(h, 1, 1), GIPC_ECLOSED);
  RESULT(gipc_pending(h, GIPC_READ, &pending), GIPC_ECLOSED);
  assert_int_equal(pending, 77);
  RESULT(gipc_try_get(h, &data, &size), GIPC_ECLOSED);
  RESULT(gipc_get(h, 0, &data, &size), GIPC_ECLOSED);
  RESULT(gipc_next_size(h, &size), GIPC_ECLOSED);
  RESULT(gipc_get_into(h, buffer, sizeof buffer, &size), GIPC_ECLOSED);
  RESULT(gipc_get_cancel(h), GIPC_ECLOSED);
  RESULT(gipc_try_put(h, "x", 1), GIPC_ECLOSED);
  RESULT(gipc_put(h, "x", 1, 0), GIPC_ECLOSED);
  RESULT(gipc_put_start(h, "x", 1), GIPC_ECLOSED);
  RESULT(gipc_put_step(h), GIPC_ECLOSED);
  RESULT(gipc_put_cancel(h), GIPC_ECLOSED);
  RESULT(gipc_flush_step(h), GIPC_ECLOSED);
  RESULT(gipc_flush(h, 0), GIPC_ECLOSED);
  RESULT(gipc_put_many(h, &one, 1, 0, &accepted), GIPC_ECLOSED);
  assert_int_equal(accepted, 0);
  RESULT(gipc_stop(h), GIPC_ECLOSED);
  RESULT(gipc_pause(h), GIPC_ECLOSED);
  RESULT(gipc_resume(h), GIPC_ECLOSED);
}

static void every_call_on_a_closed_handle_reports_it(void **state) { /* H96 */
  gipc_handle *h[4];
  gipc_stats stats = {.size = sizeof stats};
  int before = count_fds(), i;
  OK(gipc_pipe(&h[0], &h[1]));
  OK(gipc_pipe_duplex(&h[2], &h[3]));
  OK(gipc_put(h[1], "x", 1, -1));
  for (i = 0; i < 4; i++) {
    OK(gipc_close(h[i]));
    says_closed(h[i]);
    says_closed(h[i]);
  }
  assert_int_equal(count_fds(), before);
  /* Only the counters are still available. */
  OK(gipc_handle_stats(h[1], &stats));
  assert_int_equal(stats.messages_out, 1);
  for (i = 0; i < 4; i++)
    gipc_handle_free(h[i]);
  gipc_handle_free(NULL);
}

static void everything_put_before_a_close_is_delivered(void **state) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  OK(gipc_try_put(w, "one", 3));
  OK(gipc_try_put(w, "two", 3));
  OK(gipc_close(w)); /* the queue is written at once */
  expect(r, "one");
  expect(r, "two");
  for (int i = 0; i < 100; i++) /* H83 */
    RESULT(gipc_get(r, -1, &data, &size), GIPC_EOF);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_queue_that_cannot_be_written_keeps_the_handle_open(void **state) {
  gipc_handle *r, *w;
  int put = 0, got = 0, result;
  static char block[1000];
  OK(gipc_pipe(&r, &w));
  while ((result = gipc_try_put(w, block, sizeof block)) == 0)
    put++;
  RESULT(result, -EAGAIN);
  RESULT(gipc_close(w), -EAGAIN);
  RESULT(gipc_shutdown(w), -EAGAIN);
  RESULT(gipc_directions(w), GIPC_WRITE);
  do {
    while ((result = gipc_try_get(r, &data, &size)) == 0)
      got++;
    RESULT(result, -EAGAIN);
  } while ((result = gipc_close(w)) == -EAGAIN);
  OK(result);
  while ((result = gipc_get(r, 10, &data, &size)) == 0)
    got++;
  RESULT(result, GIPC_EOF);
  assert_int_equal(got, put);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void freeing_discards_a_queue_that_cannot_be_written(void **state) {
  gipc_handle *r, *w;
  static char block[1 << 20];
  int result, got = 0;
  OK(gipc_pipe(&r, &w));
  OK(gipc_try_put(w, "whole", 5));
  OK(gipc_try_put(w, block, sizeof block));
  gipc_handle_free(w);
  while ((result = gipc_get(r, 10, &data, &size)) == 0)
    got++;
  RESULT(result, GIPC_ETRUNCATED); /* H65: never a clean end */
  assert_int_equal(got, 1);
  gipc_handle_free(r);
}

static void shutdown_ends_only_the_writing_direction(void **state) {
  gipc_handle *a, *b;
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_try_put(a, "last", 4));
  OK(gipc_shutdown(a));
  RESULT(gipc_directions(a), GIPC_READ);
  RESULT(gipc_fd(a, GIPC_WRITE), GIPC_ECLOSED);
  RESULT(gipc_put(a, "x", 1, -1), GIPC_ECLOSED);
  RESULT(gipc_try_put(a, "x", 1), GIPC_ECLOSED);
  RESULT(gipc_flush(a, 0), GIPC_ECLOSED);
  RESULT(gipc_shutdown(a), GIPC_ECLOSED);
  expect(b, "last");
  RESULT(gipc_get(b, 10, &data, &size), GIPC_EOF);
  OK(gipc_put(b, "reply", 5, -1));
  expect(a, "reply");
  OK(gipc_close(b));
  RESULT(gipc_get(a, 10, &data, &size), GIPC_EOF);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void shutdown_of_a_writer_closes_it(void **state) {
  gipc_handle *r, *w;
  int before = count_fds();
  OK(gipc_pipe(&r, &w));
  OK(gipc_shutdown(w));
  RESULT(gipc_directions(w), GIPC_ECLOSED);
  RESULT(gipc_get(r, 10, &data, &size), GIPC_EOF);
  OK(gipc_close(r));
  assert_int_equal(count_fds(), before);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void closing_with_borrowed_memory_is_refused(void **state) {
  gipc_handle *a, *b;
  static char block[1 << 20], into[1 << 20];
  OK(gipc_pipe_duplex(&a, &b));
  RESULT(gipc_put_start(a, block, sizeof block), -EAGAIN);
  RESULT(gipc_close(a), GIPC_ELOCKED);
  RESULT(gipc_shutdown(a), GIPC_ELOCKED);
  RESULT(gipc_try_put(a, "x", 1), GIPC_ELOCKED);
  RESULT(gipc_get_into(b, into, sizeof into, &size), -EAGAIN);
  RESULT(gipc_close(b), GIPC_ELOCKED);
  RESULT(gipc_try_get(b, &data, &size), GIPC_ELOCKED);
  RESULT(gipc_get_into(b, into + 1, sizeof into - 1, &size), GIPC_ELOCKED);
  /* Freeing always works. */
  gipc_handle_free(a);
  gipc_handle_free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_message_goes_from_writer_to_reader),
      TEST(both_ends_of_a_duplex_pipe_read_and_write),
      TEST(descriptors_are_closed_on_exec_and_above_stdio),
      TEST(each_handle_knows_its_directions),
      TEST(a_one_way_pipe_carries_no_bytes_backwards),
      TEST(every_call_on_a_closed_handle_reports_it),
      TEST(everything_put_before_a_close_is_delivered),
      TEST(a_queue_that_cannot_be_written_keeps_the_handle_open),
      TEST(freeing_discards_a_queue_that_cannot_be_written),
      TEST(shutdown_ends_only_the_writing_direction),
      TEST(shutdown_of_a_writer_closes_it),
      TEST(closing_with_borrowed_memory_is_refused),
  };
  return cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
}
