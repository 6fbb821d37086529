/* Handles whose bytes go through a ring: when they do, and that nothing is lost
 * at any end of a process, of a handle, or of the ring. */
#include "support_ring.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- When -----------------------------------------------------------------
 */

static void a_pipe_uses_a_ring_once_traffic_is_seen(void **state) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_transport(r, GIPC_TRANSPORT_AUTO));
  OK(gipc_set_transport(w, GIPC_TRANSPORT_AUTO));
  for (uint32_t i = 0; i < 100; i++) {
    put_number(w, i);
    assert_true(i > 10 || stats_of(w).transport_out == GIPC_TRANSPORT_PLAIN);
    get_number(r, i);
  }
  assert_true(in_ring(r, w));
  gipc_stats before = stats_of(w);
  for (uint32_t i = 0; i < 1000; i++)
    put_number(w, i);
  assert_int_equal(stats_of(w).bytes_out - before.bytes_out, 8000);
  assert_true(stats_of(w).writes - before.writes < 10); /* system calls */
  for (uint32_t i = 0; i < 1000; i++)
    get_number(r, i);
  assert_int_equal(stats_of(r).bytes_in, stats_of(w).bytes_out);
  gipc_handle_free(w);
  expect_end(r);
  gipc_handle_free(r);
}

static void a_side_that_refuses_keeps_the_pipe_plain(void **state) {
  for (int side = 0; side < 2; side++) {
    gipc_handle *r, *w;
    OK(gipc_pipe(&r, &w));
    OK(gipc_set_transport(r,
                          side ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN));
    OK(gipc_set_transport(w,
                          side ? GIPC_TRANSPORT_PLAIN : GIPC_TRANSPORT_AUTO));
    for (uint32_t i = 0; i < 3000; i++) {
      put_number(w, i);
      get_number(r, i);
    }
    assert_true(stats_of(r).transport_in == GIPC_TRANSPORT_PLAIN &&
                stats_of(w).transport_out == GIPC_TRANSPORT_PLAIN);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void the_transport_is_chosen_of_what_there_is(void **state) {
  gipc_handle *r, *w;
  int p[2];
  assert_int_equal(pipe(p), 0);
  OK(gipc_open(p[0], -1, &r));
  OK(gipc_open(-1, p[1], &w));
  RESULT(gipc_set_transport(w, GIPC_TRANSPORT_RING), -EOPNOTSUPP);
  RESULT(gipc_set_transport(r, GIPC_TRANSPORT_RING), -EOPNOTSUPP);
  RESULT(gipc_set_transport(w, 3), -EINVAL);
  RESULT(gipc_set_transport(w, -1), -EINVAL);
  RESULT(gipc_set_transport(NULL, 0), -EINVAL);
  OK(gipc_set_transport(w, GIPC_TRANSPORT_AUTO));
  for (uint32_t i = 0; i < 100; i++) {
    put_number(w, i);
    get_number(r, i);
  }
  OK(gipc_close(w));
  RESULT(gipc_set_transport(w, GIPC_TRANSPORT_AUTO), GIPC_ECLOSED);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_peer_that_knows_no_rings_reads_the_same_bytes(void **state) {
  for (int demand = 0; demand < 2; demand++) {
    gipc_handle *w;
    int s[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    OK(gipc_open(-1, s[1], &w));
    OK(gipc_set_transport(w,
                          demand ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_AUTO));
    int fds = count_fds();
    for (uint32_t i = 0; i < 3000; i++) {
      unsigned char got[8], expected[8] = {0, 0, 0, 4};
      memcpy(expected + 4, &i, sizeof i);
      put_number(w, i);
      assert_true(read_all(s[0], got, sizeof got));
      assert_memory_equal(got, expected, sizeof got);
    }
    assert_int_equal(count_fds(), fds);
    assert_int_equal(stats_of(w).transport_out, GIPC_TRANSPORT_PLAIN);
    close(s[0]);
    gipc_handle_free(w);
  }
}

static void there_are_so_many_rings_and_more_pipes(void **state) {
  enum { count = 80 };
  gipc_handle *r[count], *w[count];
  int rings = 0;
  for (int i = 0; i < count; i++) {
    OK(gipc_pipe(&r[i], &w[i]));
    OK(gipc_set_transport(r[i], GIPC_TRANSPORT_RING));
    OK(gipc_set_transport(w[i], GIPC_TRANSPORT_RING));
  }
  for (uint32_t round = 0; round < 5; round++)
    for (int i = 0; i < count; i++) {
      put_number(w[i], round);
      get_number(r[i], round);
    }
  for (int i = 0; i < count; i++)
    rings += in_ring(r[i], w[i]);
  assert_in_range(rings, 32, 64); /* 128 in this process, which has both ends */
  for (int i = 0; i < count; i++) {
    gipc_handle_free(r[i]);
    gipc_handle_free(w[i]);
  }
}

/* ---- Waiting --------------------------------------------------------------
 */

static void the_descriptor_is_readable_when_a_get_would_succeed(void **state) {
  gipc_handle *r, *w;
  const void *data;
  size_t size, pending = 1;
  make_ring(&r, &w);
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  for (uint32_t i = 0; i < 100; i++) {
    assert_false(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 0));
    put_number(w, i);
    assert_true(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 0));
    get_number(r, i);
    RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  }
  /* Or after gipc_pending() has said that there is nothing. */
  for (uint32_t i = 0; i < 100; i++) {
    OK(gipc_pending(r, GIPC_READ, &pending));
    assert_int_equal(pending, 0);
    put_number(w, i);
    assert_true(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 0));
    OK(gipc_pending(r, GIPC_READ, &pending));
    assert_int_equal(pending, 8);
    get_number(r, i);
  }
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void the_descriptor_is_writable_when_there_is_room(void **state) {
  static char block[100000];
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  make_ring(&r, &w);
  for (int round = 0; round < 20; round++) {
    int put = 0;
    while (gipc_put_start(w, block, sizeof block) == 0)
      put++;
    assert_false(wait_fd(gipc_fd(w, GIPC_WRITE), POLLOUT, 0));
    /* Every wait that is told to wait ends. */
    for (int got = 0; got < put;) {
      int result = gipc_try_get(r, &data, &size);
      assert_true(result == 0 || result == -EAGAIN);
      got += result == 0;
    }
    assert_true(wait_fd(gipc_fd(w, GIPC_WRITE), POLLOUT, 0));
    OK(gipc_put_step(w));
    while (gipc_try_get(r, &data, &size) == 0)
      ;
  }
  assert_true(stats_of(w).stalls_out >= 20);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_timeout_of_zero_gets_what_is_in_the_ring(void **state) {
  static char block[200000];
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  make_ring(&r, &w);
  OK(gipc_put(w, block, sizeof block, 10));
  OK(gipc_get(r, 0, &data, &size));
  assert_int_equal(size, sizeof block);
  RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* ---- Back to the socket ---------------------------------------------------
 */

static void a_writer_leaves_and_comes_back(void **state) {
  gipc_handle *r, *w;
  uint32_t put = 0, got = 0;
  make_ring(&r, &w);
  for (int round = 0; round < 50; round++) {
    for (int i = 0; i < round % 7; i++)
      put_number(w, put++);
    OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
    assert_int_equal(stats_of(w).transport_out, GIPC_TRANSPORT_PLAIN);
    for (int i = 0; i < round % 5; i++)
      put_number(w, put++);
    OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
    for (int i = 0; i < 4; i++) {
      put_number(w, put++);
      if (round % 3 != 0)
        get_number(r, got++);
    }
    if (round % 2 == 0)
      while (got < put)
        get_number(r, got++);
  }
  while (got < put)
    get_number(r, got++);
  gipc_handle_free(w);
  expect_end(r);
  gipc_handle_free(r);
}

static void a_reader_leaves_an_empty_ring(void **state) {
  for (int round = 0; round < 20; round++) {
    gipc_handle *r, *w;
    make_ring(&r, &w);
    put_number(w, 1);
    RESULT(gipc_set_transport(r, GIPC_TRANSPORT_PLAIN), -EBUSY);
    get_number(r, 1);
    /* The writer learns of it with its next message. */
    RESULT(gipc_set_transport(r, GIPC_TRANSPORT_PLAIN), -EBUSY);
    for (uint32_t i = 0; i < 10; i++)
      put_number(w, i);
    assert_int_equal(stats_of(w).transport_out, GIPC_TRANSPORT_PLAIN);
    for (uint32_t i = 0; i < 10; i++)
      get_number(r, i);
    OK(gipc_set_transport(r, GIPC_TRANSPORT_PLAIN));
    if (round % 2 == 0) {
      put_number(w, 5);
      get_number(r, 5);
    }
    gipc_handle_free(w);
    expect_end(r);
    gipc_handle_free(r);
  }
}

/* ---- Cut anywhere ---------------------------------------------------------
 */

/* Moves at most so many bytes, and the descriptor that came with them; false if
 * there are none. */
static bool forward(int from, int to, size_t most) {
  char bytes[64];
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {bytes, most};
  struct msghdr header = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.room,
                          .msg_controllen = sizeof control.room};
  ssize_t moved = recvmsg(from, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (moved <= 0)
    return false;
  part.iov_len = (size_t)moved;
  assert_int_equal(sendmsg(to, &header, MSG_NOSIGNAL), moved);
  struct cmsghdr *entry =
      header.msg_controllen > 0 ? CMSG_FIRSTHDR(&header) : NULL;
  if (entry != NULL) {
    int fd;
    memcpy(&fd, CMSG_DATA(entry), sizeof fd);
    close(fd);
  }
  return true;
}

static uint32_t get_what_is_there(gipc_handle *r, uint32_t got) {
  const void *data;
  size_t size;
  int result;
  while ((result = gipc_try_get(r, &data, &size)) == 0) {
    assert_int_equal(size, sizeof got);
    assert_memory_equal(data, &got, sizeof got);
    got++;
  }
  RESULT(result, -EAGAIN);
  return got;
}

static void a_change_arrives_in_pieces_of_any_size(void **state) {
  for (uint32_t most = 1; most <= 24; most++)
    for (uint32_t every = 1; every <= 4; every++) {
      gipc_handle *r, *w;
      int a[2], b[2];
      uint32_t put = 0, got = 0;
      assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
      assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
      OK(gipc_open(-1, a[0], &w));
      OK(gipc_open(b[1], -1, &r));
      OK(gipc_set_transport(r, GIPC_TRANSPORT_RING));
      bool was_ring = false;
      for (uint32_t i = 0; i < 60; i++) {
        OK(gipc_set_transport(w, i % 10 == 9 ? GIPC_TRANSPORT_PLAIN
                                             : GIPC_TRANSPORT_RING));
        put_number(w, put++);
        was_ring |= stats_of(r).transport_in == GIPC_TRANSPORT_RING;
        for (uint32_t j = 0;
             (j < every || i % 7 == 0) && forward(a[1], b[0], most); j++)
          got = get_what_is_there(r, got);
      }
      OK(gipc_close(w));
      while (forward(a[1], b[0], most))
        got = get_what_is_there(r, got);
      close(b[0]);
      while (got < put)
        get_number(r, got++);
      expect_end(r);
      assert_true(was_ring);
      close(a[1]);
      gipc_handle_free(w);
      gipc_handle_free(r);
    }
}

static void a_stream_that_ends_in_the_change_has_ended(void **state) {
  for (size_t length = 0; length <= 12; length++) {
    gipc_handle *r, *w;
    const void *data;
    size_t size;
    int a[2], b[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    OK(gipc_open(-1, a[0], &w));
    OK(gipc_open(b[1], -1, &r));
    OK(gipc_set_transport(r, GIPC_TRANSPORT_RING));
    OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
    put_number(w, 0);
    assert_true(forward(a[1], b[0], 64));
    get_number(r, 0);
    put_number(w, 1); /* the control frame, and the message in the ring */
    assert_int_equal(stats_of(w).transport_out, GIPC_TRANSPORT_RING);
    for (size_t i = 0; i < length; i++) {
      assert_true(forward(a[1], b[0], 1));
      RESULT(i < 11 ? gipc_try_get(r, &data, &size) : -EAGAIN, -EAGAIN);
    }
    close(b[0]);
    if (length == 12)
      get_number(r, 1);
    expect_end(r);
    close(a[1]);
    gipc_handle_free(w);
    gipc_handle_free(r);
  }
}

/* ---- Both directions ------------------------------------------------------
 */

static void *answer(void *argument) {
  gipc_handle *h = argument;
  const void *data;
  size_t size;
  int result;
  while ((result = gipc_get(h, -1, &data, &size)) == 0)
    if (gipc_put(h, data, size, -1) != 0)
      return NULL;
  return result == GIPC_EOF ? h : NULL;
}

static void two_directions_have_rings_of_their_own(void **state) {
  static char block[3 << 20];
  gipc_handle *a, *b;
  pthread_t thread;
  void *good;
  const void *data;
  size_t size;
  OK(gipc_pipe_duplex(&a, &b));
  use_ring(a, b);
  use_ring(b, a);
  assert_int_equal(pthread_create(&thread, NULL, answer, b), 0);
  for (size_t i = 0; i < many(300, 20); i++) {
    size_t length = i % 10 == 0 ? sizeof block - i : i * 131 % 3000;
    fill(block, length, i);
    OK(gipc_put(a, block, length, 60));
    OK(gipc_get(a, 60, &data, &size));
    assert_int_equal(size, length);
    assert_true(filled(data, size, i));
  }
  assert_true(in_ring(a, a)); /* the thread has the other end */
  OK(gipc_shutdown(a));
  pthread_join(thread, &good);
  assert_non_null(good);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void the_portable_half_has_no_rings(void **state) {
  gipc_handle *reader, *writer;
  OK(gipc_pipe(&reader, &writer));
  RESULT(gipc_set_transport(writer, GIPC_TRANSPORT_RING), -EOPNOTSUPP);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

int main(void) {
  const struct CMUnitTest plain[] = {TEST(the_portable_half_has_no_rings)};
  const struct CMUnitTest tests[] = {
      TEST(a_pipe_uses_a_ring_once_traffic_is_seen),
      TEST(a_side_that_refuses_keeps_the_pipe_plain),
      TEST(the_transport_is_chosen_of_what_there_is),
      TEST(a_peer_that_knows_no_rings_reads_the_same_bytes),
      TEST(there_are_so_many_rings_and_more_pipes),
      TEST(the_descriptor_is_readable_when_a_get_would_succeed),
      TEST(the_descriptor_is_writable_when_there_is_room),
      TEST(a_timeout_of_zero_gets_what_is_in_the_ring),
      TEST(a_writer_leaves_and_comes_back),
      TEST(a_reader_leaves_an_empty_ring),
      TEST(a_change_arrives_in_pieces_of_any_size),
      TEST(a_stream_that_ends_in_the_change_has_ended),
      TEST(two_directions_have_rings_of_their_own),
  };
  if (portable())
    return cmocka_run_group_tests_name("ring", plain, NULL, NULL);
  return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
