/* Messages with descriptors: each comes with its message, once; puts that do
 * not succeed; descriptors that nobody takes. */
#include "support_fds.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { small = 16 };

static gipc_handle *r, *w;

static int setup(void **state) {
  return test_setup(state) != 0 || gipc_pipe(&r, &w) != 0;
}
static int end(void **state) {
  gipc_handle_free(r);
  gipc_handle_free(w);
  return test_end(state);
}
#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

/* Mostly none. */
static size_t count_of(uint32_t number) {
  return number % 5 == 0 ? number / 5 % 4 : 0;
}

static void they_come_once_and_in_order_among_10000(void **state) { /* H89 */
  uint32_t all = (uint32_t)many(10000, 500), put = 0, got = 0;
  uint64_t seed = 7;
  need_descriptors();
  int before = count_fds();
  while (got < all) {
    /* It changes nothing for them. */
    OK(gipc_set_transport(r, got % 2 ? GIPC_TRANSPORT_PLAIN
                                     : GIPC_TRANSPORT_AUTO));
    uint32_t batch = (uint32_t)(random_next(&seed) % 20);
    for (; batch > 0 && put < all; batch--) {
      CHECK_OK(put_fds(w, put, small + put % 3000, count_of(put), 20));
      put++;
    }
    for (; got < put; got++)
      get_fds(r, got, small + got % 3000, count_of(got));
  }
  assert_int_equal(count_fds(), before);
}

/* Gets the message, and writes what is queued meanwhile. */
static void flush_and_get(uint32_t number, size_t size, size_t count) {
  const void *data;
  size_t got;
  int result = -EAGAIN;
  while (result == -EAGAIN) {
    int flushed = gipc_flush_step(w);
    assert_true(flushed == 0 || flushed == -EAGAIN);
    result = gipc_try_get(r, &data, &got);
  }
  OK(result);
  expect_fds(r, data, got, number, size, count);
}

static void large_messages_have_them_too(void **state) {
  need_descriptors();
  OK(gipc_set_marks(w, 1, 64 << 20));
  for (uint32_t i = 0; i < 40; i++) {
    size_t size = small + i * 9000;
    OK(try_put_fds(w, 2 * i, size, 3));
    OK(try_put_fds(w, 2 * i + 1, small, i % 2));
    flush_and_get(2 * i, size, 3);
    flush_and_get(2 * i + 1, small, i % 2);
  }
}

static void a_get_into_leaves_them_to_be_taken(void **state) {
  static unsigned char buffer[100000];
  static const size_t sizes[] = {small, 3000, sizeof buffer, 20000, small};
  need_descriptors();
  OK(gipc_set_marks(w, 1, 64 << 20));
  for (uint32_t i = 0; i < 50; i++) {
    size_t got, size = sizes[i % 5];
    OK(try_put_fds(w, i, size, 1 + i % 3));
    int result = -EAGAIN;
    while (result == -EAGAIN) {
      (void)!gipc_flush_step(w);
      result = gipc_get_into(r, buffer, sizeof buffer, &got);
    }
    OK(result);
    expect_fds(r, buffer, got, i, size, 1 + i % 3);
  }
}

static void the_most_of_them_come(void **state) {
  int fds[GIPC_MOST_FDS + 1] = {0};
  const void *data;
  size_t size;
  need_descriptors();
  OK(put_fds(w, 1, small, GIPC_MOST_FDS, 20));
  RESULT(gipc_put_with(w, "a", 1, fds, GIPC_MOST_FDS + 1, 20), -EINVAL);
  RESULT(gipc_try_put_with(w, "a", 1, fds, GIPC_MOST_FDS + 1), -EINVAL);
  OK(gipc_get(r, 20, &data, &size));
  RESULT(gipc_take_fds(r, NULL, 0), -EMSGSIZE);
  RESULT(gipc_take_fds(r, fds, GIPC_MOST_FDS - 1), -EMSGSIZE);
  expect_fds(r, data, size, 1, small, GIPC_MOST_FDS);
  RESULT(gipc_take_fds(r, fds, GIPC_MOST_FDS), 0);
}

static void arguments_are_checked(void **state) {
  int fd = 0, none = -1;
  RESULT(gipc_put_with(NULL, "a", 1, &fd, 1, 0), -EINVAL);
  RESULT(gipc_put_with(w, "a", 1, NULL, 1, 0), -EINVAL);
  RESULT(gipc_put_with(w, NULL, 1, &fd, 1, 0), -EINVAL);
  RESULT(gipc_try_put_with(NULL, "a", 1, &fd, 1), -EINVAL);
  RESULT(gipc_try_put_with(w, "a", 1, NULL, 1), -EINVAL);
  RESULT(gipc_take_fds(NULL, &fd, 1), -EINVAL);
  RESULT(gipc_take_fds(r, NULL, 1), -EINVAL);
  RESULT(gipc_take_fds(r, &fd, 1), 0);
  RESULT(gipc_put_with(r, "a", 1, &fd, 1, 0), GIPC_EDIRECTION);
  RESULT(gipc_put_with(w, "a", 1, &none, 1, 0), -EBADF);
  OK(gipc_put_with(w, "a", 1, NULL, 0, 0));
}

/* ---- Puts that do not succeed ---------------------------------------------
 */

static void fill_up(void) {
  static char block[4096];
  while (gipc_try_put(w, block, sizeof block) == 0 && gipc_flush_step(w) == 0)
    ;
}
static void empty(void) {
  const void *data;
  size_t size;
  while (gipc_flush_step(w) == -EAGAIN)
    while (gipc_try_get(r, &data, &size) == 0)
      ;
  while (gipc_try_get(r, &data, &size) == 0)
    ;
}

static void a_closed_descriptor_is_an_error_of_the_put_alone(void **state) {
  int fds[2] = {0, 900};
  need_descriptors();
  RESULT(gipc_put_with(w, "a", 1, fds, 2, 20), -EBADF);
  RESULT(gipc_try_put_with(w, "a", 1, fds, 2), -EBADF);
  OK(put_fds(w, 1, small, 1, 20));
  get_fds(r, 1, small, 1);
  fill_up();
  RESULT(gipc_put_with(w, "a", 1, fds, 2, 0), -ETIMEDOUT);
  RESULT(gipc_try_put_with(w, "a", 1, fds, 2), -EBADF);
  empty();
  OK(put_fds(w, 2, small, 1, 20));
  get_fds(r, 2, small, 1);
}

static void a_queued_message_keeps_duplicates(void **state) {
  int fd, watched;
  need_descriptors();
  OK(gipc_set_marks(w, 1, 64 << 20));
  fill_up();
  watched = make_watched(&fd);
  OK(gipc_try_put_with(w, "a", 1, &fd, 1));
  close(fd);
  for (uint32_t i = 0; i < 10; i++)
    OK(try_put_fds(w, i, small, i % 3));
  assert_false(is_gone(watched));
  const void *data;
  size_t size = 0;
  while (size != 1) {
    (void)!gipc_flush_step(w);
    if (gipc_try_get(r, &data, &size) != 0)
      size = 0;
  }
  RESULT(gipc_take_fds(r, &fd, 1), 1);
  assert_false(is_gone(watched));
  close(fd);
  assert_true(is_gone(watched));
  close(watched);
  OK(gipc_flush(w, 20));
  for (uint32_t i = 0; i < 10; i++)
    get_fds(r, i, small, i % 3);
}

static void a_cancelled_put_keeps_none(void **state) { /* H67 */
  int fd, watched;
  need_descriptors();
  fill_up();
  watched = make_watched(&fd);
  RESULT(gipc_put_with(w, "a", 1, &fd, 1, 0.01), -ETIMEDOUT);
  RESULT(gipc_try_put_with(w, "a", 1, &fd, 1), 0);
  close(fd);
  assert_false(is_gone(watched));
  OK(gipc_close_within(w, 0) == -ETIMEDOUT ? 0 : 1);
  assert_true(is_gone(watched));
  close(watched);
}

static void a_message_in_part_written_keeps_its_descriptors(void **state) {
  static unsigned char large[3 << 20];
  int fds[2];
  need_descriptors();
  fds[0] = make_fd(5);
  fds[1] = make_fd(5);
  fill(large, sizeof large, 9);
  RESULT(gipc_put_with(w, large, sizeof large, fds, 2, 0.01), -EINPROGRESS);
  close(fds[0]);
  close(fds[1]);
  OK(try_put_fds(w, 6, small, 1) == -EAGAIN ? 0 : 1);
  const void *data;
  size_t size;
  while (gipc_try_get(r, &data, &size) == -EAGAIN)
    (void)!gipc_flush_step(w);
  assert_int_equal(size, sizeof large);
  assert_true(filled(data, size, 9));
  RESULT(gipc_take_fds(r, fds, 2), 2);
  for (int i = 0; i < 2; i++) {
    assert_true(is_fd(fds[i], 5));
    close(fds[i]);
  }
  OK(put_fds(w, 6, small, 1, 20));
  get_fds(r, 6, small, 1);
}

static void the_end_of_the_reader_closes_the_queue(void **state) { /* H77 */
  need_descriptors();
  int fd, watched = make_watched(&fd);
  fill_up();
  OK(gipc_try_put_with(w, "a", 1, &fd, 1));
  close(fd);
  OK(gipc_close(r));
  RESULT(gipc_flush(w, 20), -EPIPE);
  assert_true(is_gone(watched));
  RESULT(put_fds(w, 1, small, 1, 20), -EPIPE);
  RESULT(try_put_fds(w, 1, small, 1), -EPIPE);
  close(watched);
}

/* ---- Descriptors that nobody takes ----------------------------------------
 */

static void those_not_taken_are_closed_with_the_next_get(void **state) {
  const void *data;
  size_t size;
  int fd[2], watched[2];
  need_descriptors();
  for (int next = 0; next < 3; next++) {
    for (int i = 0; i < 2; i++) {
      watched[i] = make_watched(&fd[i]);
      OK(gipc_put_with(w, "a", 1, &fd[i], 1, 20));
      close(fd[i]);
    }
    OK(gipc_put(w, "b", 1, 20));
    OK(gipc_get(r, 20, &data, &size));
    assert_false(is_gone(watched[0]));
    OK(gipc_get(r, 20, &data, &size));
    assert_true(is_gone(watched[0]));
    assert_false(is_gone(watched[1]));
    if (next == 0)
      OK(gipc_get(r, 20, &data, &size));
    else if (next == 1)
      OK(gipc_get_into(r, fd, sizeof fd, &size));
    else
      OK(gipc_close(r));
    assert_true(is_gone(watched[1]));
    close(watched[0]);
    close(watched[1]);
  }
}

static void those_of_messages_not_got_are_closed_with_the_handle(void **state) {
  need_descriptors();
  int fd, watched = make_watched(&fd);
  for (int i = 0; i < 5; i++)
    OK(gipc_put_with(w, "a", 1, &fd, 1, 20));
  close(fd);
  OK(gipc_read_ahead(r));
  assert_false(is_gone(watched));
  gipc_handle_free(r);
  assert_true(is_gone(watched));
  close(watched);
  r = NULL;
}

/* ---- Streams without descriptors ------------------------------------------
 */

static void expect_refused(int read_fd, int write_fd) {
  gipc_handle *writer;
  const int fd = 0;
  char got[5];
  OK(gipc_open(-1, write_fd, &writer));
  OK(gipc_set_transport(writer, GIPC_TRANSPORT_AUTO));
  RESULT(gipc_put_with(writer, "a", 1, &fd, 1, 20), -EOPNOTSUPP);
  RESULT(gipc_try_put_with(writer, "a", 1, &fd, 1), -EOPNOTSUPP);
  OK(gipc_put_with(writer, "a", 1, NULL, 0, 20));
  assert_true(read_all(read_fd, got, sizeof got));
  assert_memory_equal(got, "\0\0\0\1a", 5);
  close(read_fd);
  gipc_handle_free(writer);
}

static void streams_without_descriptors_refuse_them(void **state) {
  int s[2];
  OK(pipe2(s, O_CLOEXEC));
  expect_refused(s[0], s[1]);
  OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s)); /* a Connection */
  expect_refused(s[0], s[1]);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  OK(bind(listener, (struct sockaddr *)&address, size));
  OK(listen(listener, 1));
  OK(getsockname(listener, (struct sockaddr *)&address, &size));
  s[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  OK(connect(s[1], (struct sockaddr *)&address, size));
  s[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  close(listener);
  expect_refused(s[0], s[1]);
}

static void a_peer_can_be_vouched_for(void **state) {
  gipc_handle *a, *b;
  need_descriptors();
  for (int by_reader = 0; by_reader < 2; by_reader++) {
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    OK(gipc_open(s[0], -1, &a));
    OK(gipc_open(-1, s[1], &b));
    OK(gipc_set_transport(by_reader ? a : b, GIPC_TRANSPORT_RING));
    OK(put_fds(b, 4, small, 2, 20));
    get_fds(a, 4, small, 2);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      PIPE_TEST(they_come_once_and_in_order_among_10000),
      PIPE_TEST(large_messages_have_them_too),
      PIPE_TEST(a_get_into_leaves_them_to_be_taken),
      PIPE_TEST(the_most_of_them_come),
      PIPE_TEST(arguments_are_checked),
      PIPE_TEST(a_closed_descriptor_is_an_error_of_the_put_alone),
      PIPE_TEST(a_queued_message_keeps_duplicates),
      PIPE_TEST(a_cancelled_put_keeps_none),
      PIPE_TEST(a_message_in_part_written_keeps_its_descriptors),
      PIPE_TEST(the_end_of_the_reader_closes_the_queue),
      PIPE_TEST(those_not_taken_are_closed_with_the_next_get),
      PIPE_TEST(those_of_messages_not_got_are_closed_with_the_handle),
      PIPE_TEST(streams_without_descriptors_refuse_them),
      PIPE_TEST(a_peer_can_be_vouched_for),
  };
  return cmocka_run_group_tests_name("fds", tests, NULL, NULL);
}
