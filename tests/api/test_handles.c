/* Handles that move in messages: what they hold, what refuses them, and what
 * becomes of those that nobody takes. */
#include "support_fds.h"
#include "support_ring.h"

#include <sys/socket.h>

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

/* Moves a handle through the pipe. */
static gipc_handle *moved(gipc_handle *h) {
  const void *data;
  size_t size;
  gipc_handle *taken;
  OK(gipc_put_handles(w, "take", 4, &h, 1, NULL, 0, 20));
  RESULT(gipc_put(h, "a", 1, 0), GIPC_ECLOSED);
  gipc_handle_free(h);
  OK(gipc_get(r, 20, &data, &size));
  assert_int_equal(size, 4);
  OK(gipc_take_handle(r, &taken));
  RESULT(gipc_take_handle(r, &h), -ENOENT);
  return taken;
}

static void each_kind_moves_and_keeps_its_directions(void **state) {
  need_descriptors();
  gipc_handle *a, *b;
  int ends[2];
  OK(gipc_pipe(&a, &b));
  a = moved(a);
  b = moved(b);
  RESULT(gipc_put(a, "a", 1, 0), GIPC_EDIRECTION);
  put_number(b, 1);
  get_number(a, 1);
  gipc_handle_free(b);
  expect_end(a);
  gipc_handle_free(a);

  OK(gipc_pipe_duplex(&a, &b));
  b = moved(moved(b));
  for (uint32_t i = 0; i < 3000; i++) { /* also when they have a ring */
    put_number(a, i);
    get_number(b, i);
    put_number(b, i);
    get_number(a, i);
  }
  gipc_handle_free(b);
  expect_end(a);
  gipc_handle_free(a);

  OK(pipe(ends));
  OK(gipc_open(ends[0], ends[1], &a));
  a = moved(a); /* what it puts it gets */
  put_number(a, 9);
  get_number(a, 9);
  gipc_handle_free(a);
}

static void what_is_unread_arrives_with_a_reader(void **state) {
  need_descriptors();
  gipc_handle *a, *b;
  for (int ring = 0; ring < 2; ring++) {
    OK(gipc_pipe(&a, &b));
    if (ring)
      use_ring(a, b);
    for (uint32_t i = 0; i < 100; i++)
      put_number(b, i);
    a = moved(a);
    for (uint32_t i = 0; i < 100; i++)
      get_number(a, i);
    put_number(b, 7);
    get_number(a, 7);
    /* The writer of a ring goes back to the socket. */
    b = moved(b);
    put_number(b, 8);
    get_number(a, 8);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

/* How a put of these handles fails, by either call. */
static void expect_refused(gipc_handle **handles, size_t count, int error) {
  RESULT(gipc_put_handles(w, "no", 2, handles, count, NULL, 0, 0), error);
  RESULT(gipc_try_put_handles(w, "no", 2, handles, count, NULL, 0), error);
}

static void a_refused_put_leaves_the_handles_as_they_were(void **state) {
  need_descriptors();
  gipc_handle *a, *b, *twice[2], *many_of_them[GIPC_MOST_HANDLES + 1];
  const void *data;
  size_t size;
  int none = -1, zeros[GIPC_MOST_FDS] = {0};
  OK(gipc_pipe(&a, &b));
  twice[0] = twice[1] = a;
  expect_refused(twice, 2, -EINVAL);
  expect_refused(&r, 1, -EINVAL); /* the message could not be got */
  expect_refused(&w, 1, -EINVAL);
  for (size_t i = 0; i <= GIPC_MOST_HANDLES; i++)
    many_of_them[i] = b;
  expect_refused(many_of_them, GIPC_MOST_HANDLES + 1, -EINVAL);
  twice[1] = NULL;
  expect_refused(twice, 2, -EINVAL);
  RESULT(gipc_try_put_handles(w, "no", 2, &b, 1, &none, 1), -EBADF);
  RESULT(gipc_try_put_handles(w, "no", 2, &b, 1, zeros, GIPC_MOST_FDS),
         -EINVAL);
  /* Bytes that were received, or queued, would be lost.  From a ring nothing is
   * received ahead. */
  OK(gipc_set_transport(b, GIPC_TRANSPORT_PLAIN));
  put_number(b, 1);
  put_number(b, 2);
  get_number(a, 1);
  expect_refused(&a, 1, -EBUSY);
  get_number(a, 2);
  RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT); /* nothing was put */
  RESULT(gipc_take_handle(r, &twice[0]), -ENOENT);
  a = moved(a);
  put_number(b, 3);
  get_number(a, 3);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void a_peer_that_is_not_a_handle_gets_none(void **state) {
  gipc_handle *plain, *a, *b;
  int ends[2];
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  OK(gipc_open(-1, ends[0], &plain));
  OK(gipc_set_transport(plain, GIPC_TRANSPORT_AUTO));
  OK(gipc_pipe(&a, &b));
  RESULT(gipc_put_handles(plain, "no", 2, &a, 1, NULL, 0, 0), -EOPNOTSUPP);
  put_number(b, 1);
  get_number(a, 1);
  gipc_handle_free(plain);
  close(ends[1]);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void handles_and_descriptors_come_in_their_order(void **state) {
  need_descriptors();
  gipc_handle *puts[GIPC_MOST_HANDLES], *ends[GIPC_MOST_HANDLES], *taken;
  int fds[2] = {make_fd(1), make_fd(2)}, got[2];
  const void *data;
  size_t size;
  for (uint32_t i = 0; i < GIPC_MOST_HANDLES; i++) {
    if (i % 3)
      OK(gipc_pipe(&ends[i], &puts[i]));
    else
      OK(gipc_pipe_duplex(&ends[i], &puts[i]));
  }
  OK(gipc_try_put_handles(w, "all", 3, puts, GIPC_MOST_HANDLES, fds, 2));
  close(fds[0]);
  close(fds[1]);
  OK(gipc_get(r, 20, &data, &size));
  for (uint32_t i = 0; i < GIPC_MOST_HANDLES; i++) {
    gipc_handle_free(puts[i]);
    if (i == 3) { /* in between */
      RESULT(gipc_take_fds(r, got, 1), -EMSGSIZE);
      RESULT(gipc_take_fds(r, got, 2), 2);
      RESULT(gipc_take_fds(r, got, 2), 0);
      for (uint32_t n = 0; n < 2; n++) {
        assert_true(is_fd(got[n], n + 1));
        close(got[n]);
      }
    }
    OK(gipc_take_handle(r, &taken));
    put_number(taken, i);
    get_number(ends[i], i);
    gipc_handle_free(taken);
    expect_end(ends[i]);
    gipc_handle_free(ends[i]);
  }
  RESULT(gipc_take_handle(r, &taken), -ENOENT);
}

static void those_not_taken_are_closed_with_the_next_get(void **state) {
  need_descriptors();
  gipc_handle *a, *b;
  const void *data;
  size_t size;
  put_number(w, 1); /* a ring, if any, has descriptors */
  get_number(r, 1);
  int before = count_fds();
  OK(gipc_pipe(&a, &b));
  OK(gipc_put_handles(w, "x", 1, &b, 1, NULL, 0, 20));
  gipc_handle_free(b);
  OK(gipc_put(w, "y", 1, 20));
  OK(gipc_get(r, 20, &data, &size));
  OK(gipc_get(r, 20, &data, &size));
  RESULT(gipc_take_handle(r, &b), -ENOENT);
  expect_end(a);
  gipc_handle_free(a);
  assert_int_equal(count_fds(), before);
}

static void a_queue_that_is_dropped_closes_them(void **state) {
  need_descriptors();
  gipc_handle *a, *b;
  OK(gipc_pipe(&a, &b));
  OK(gipc_set_marks(w, 1, 64 << 20));
  void *filler = calloc(1, 8 << 20);
  OK(gipc_try_put(w, filler, 8 << 20));
  free(filler);
  RESULT(gipc_put_handles(w, "x", 1, &b, 1, NULL, 0, 0), -EINPROGRESS);
  RESULT(gipc_put(b, "a", 1, 0), GIPC_ECLOSED);
  gipc_handle_free(b);
  gipc_handle_free(w);
  w = NULL;
  expect_end(a);
  gipc_handle_free(a);
}

static int child(struct ev_loop *fresh, void *in) {
  const void *data;
  size_t size;
  gipc_handle *reply;
  (void)fresh;
  while (gipc_get(in, -1, &data, &size) == 0) {
    if (gipc_take_handle(in, &reply) < 0 || gipc_put(reply, data, size, 20) < 0)
      return 1;
    gipc_handle_free(reply);
  }
  return 0;
}

static void a_child_answers_on_handles_that_it_gets(void **state) {
  need_descriptors();
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  OK(gipc_options_pass(o, NULL, r));
  OK(gipc_start_process(child, r, o, &p));
  gipc_options_free(o);
  int before = count_fds();
  for (uint32_t i = 0; i < (uint32_t)many(1000, 50); i++) {
    gipc_handle *a, *b;
    OK(gipc_pipe(&a, &b));
    OK(gipc_put_handles(w, &i, sizeof i, &b, 1, NULL, 0, 20));
    gipc_handle_free(b);
    get_number(a, i);
    expect_end(a);
    gipc_handle_free(a);
  }
  assert_int_equal(count_fds(), before);
  OK(gipc_close(w));
  OK(gipc_process_join(p, 20));
  gipc_process_free(p);
}

/* A header that claims these handles, and what comes with it. */
static void expect_protocol_error(unsigned char kinds_high,
                                  unsigned char kinds_low, size_t count) {
  unsigned char bytes[] = {0x80, kinds_high, kinds_low, 1, 0, 0, 0, 1, 'x'};
  int fds[3] = {0, 0, 0}, ends[2];
  const void *data;
  gipc_handle *in;
  size_t size;
  bytes[3] = (unsigned char)count;
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  OK(gipc_open(ends[0], -1, &in));
  send_raw(ends[1], bytes, sizeof bytes, fds, count);
  RESULT(gipc_get(in, 20, &data, &size), GIPC_EPROTOCOL);
  gipc_handle_free(in);
  close(ends[1]);
}

static void wrong_claims_are_protocol_errors(void **state) {
  need_descriptors();
  int before = count_fds();
  expect_protocol_error(0, 6, 1);      /* two streams, and one descriptor */
  expect_protocol_error(0, 4, 1);      /* a ring without its memory */
  expect_protocol_error(0, 1 << 3, 1); /* the second one only */
  expect_protocol_error(0x20, 1, 1);   /* the last one, after a gap */
  assert_int_equal(count_fds(), before);
}

static void what_is_not_a_stream_is_not_a_handle(void **state) {
  need_descriptors();
  unsigned char bytes[] = {0x80, 0, 1 | 4 << 3, 3, 0, 0, 0, 1, 'x'};
  int file = make_fd(1), ends[2], more[2], datagrams[2];
  const void *data;
  gipc_handle *in, *taken;
  size_t size;
  int before = count_fds();
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  OK(socketpair(AF_UNIX, SOCK_STREAM, 0, more));
  OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams));
  int fds[3] = {datagrams[0], more[0], file}; /* a reader, and one of a ring */
  OK(gipc_open(ends[0], -1, &in));
  send_raw(ends[1], bytes, sizeof bytes, fds, 3);
  OK(gipc_get(in, 20, &data, &size));
  assert_true(gipc_take_handle(in, &taken) < 0);
  assert_true(gipc_take_handle(in, &taken) < 0); /* memory without seals */
  RESULT(gipc_take_handle(in, &taken), -ENOENT);
  gipc_handle_free(in);
  close(ends[1]);
  close(more[0]);
  close(more[1]);
  close(datagrams[0]);
  close(datagrams[1]);
  assert_int_equal(count_fds(), before);
  close(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      PIPE_TEST(each_kind_moves_and_keeps_its_directions),
      PIPE_TEST(what_is_unread_arrives_with_a_reader),
      PIPE_TEST(a_refused_put_leaves_the_handles_as_they_were),
      TEST(a_peer_that_is_not_a_handle_gets_none),
      PIPE_TEST(handles_and_descriptors_come_in_their_order),
      PIPE_TEST(those_not_taken_are_closed_with_the_next_get),
      PIPE_TEST(a_queue_that_is_dropped_closes_them),
      PIPE_TEST(a_child_answers_on_handles_that_it_gets),
      TEST(wrong_claims_are_protocol_errors),
      TEST(what_is_not_a_stream_is_not_a_handle),
  };
  return cmocka_run_group_tests_name("handles", tests, NULL, NULL);
}
