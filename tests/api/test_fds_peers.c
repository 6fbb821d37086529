/* Peers whose descriptors do not fit what they say, and processes that have no
 * room for descriptors. */
#include "support_fds.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { small = 16 };

/* A reader, and the socket of a peer that writes what it likes. */
static gipc_handle *reader(int *peer) {
  gipc_handle *r;
  int s[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
  CHECK_OK(gipc_open(s[0], -1, &r));
  *peer = s[1];
  return r;
}

static void expect_get(gipc_handle *r, int expected) {
  const void *data;
  size_t size;
  int fd;
  CHECK_IS(gipc_get(r, 20, &data, &size), expected);
  if (expected != 0)
    CHECK_IS(gipc_take_fds(r, &fd, 1), 0);
}

#define BYTES(text) text, sizeof(text) - 1

/* ---- What does not fit ----------------------------------------------------
 */

static void a_wrong_number_is_a_protocol_error(void **state) { /* H88, H89 */
  static const struct {
    const char *bytes;
    size_t size, fds, before;
  } wrong[] = {
      {BYTES("\x80\0\0\2\0\0\0\1a"), 3, 0},   /* surplus */
      {BYTES("\x80\0\0\2\0\0\0\1a"), 1, 0},   /* too few */
      {BYTES("\x80\0\0\1\0\0\0\1a"), 0, 0},   /* none */
      {BYTES("\x80\0\0\0\0\0\0\1a"), 1, 0},   /* of none */
      {BYTES("\x80\0\0\xfe\0\0\0\1a"), 1, 0}, /* over the limit */
      {BYTES("\x80\0\0\1\x80\0\0\1\0\0\0\1a"), 1, 0},
      {BYTES("\x80\0\0\1\xff\xff\xff\xfe\0\0\0\1\0\0\0\0"), 1, 0},
      /* The second message has none. */
      {BYTES("\x80\0\0\1\0\0\0\1a\x80\0\0\1\0\0\0\1b"), 1, 1},
      {BYTES("\0\0\0\1a\x80\0\0\1\0\0\0\1b"), 0, 1},
  };
  need_descriptors();
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    int peer, fds[3], watched = make_watched(&fds[0]);
    fds[1] = fds[2] = fds[0];
    gipc_handle *r = reader(&peer);
    send_raw(peer, wrong[i].bytes, wrong[i].size, fds, wrong[i].fds);
    close(fds[0]);
    for (size_t n = wrong[i].before; n > 0; n--)
      expect_get(r, 0);
    expect_get(r, GIPC_EPROTOCOL);
    send_raw(peer, BYTES("\0\0\0\1c"), NULL, 0);
    expect_get(r, GIPC_EPROTOCOL);
    CHECK(is_gone(watched));
    gipc_handle_free(r);
    close(peer);
    close(watched);
  }
}

static void those_of_a_message_over_the_limit_are_closed(void **state) {
  need_descriptors();
  for (int ahead = 0; ahead < 2; ahead++) {
    gipc_handle *r, *w;
    const void *data;
    size_t size;
    int fds = count_fds(), fd, watched = make_watched(&fd);
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_set_limit(r, 5));
    if (ahead)
      CHECK_OK(gipc_put_with(w, "within", 5, &fd, 1, 20));
    CHECK_OK(gipc_put_with(w, "beyond", 6, &fd, 1, 20));
    close(fd);
    if (ahead)
      CHECK_OK(gipc_get(r, 20, &data, &size)); /* the next get closes its own */
    expect_get(r, GIPC_ETOOBIG);
    gipc_handle_free(w);
    CHECK(is_gone(watched));
    gipc_handle_free(r);
    close(watched);
    CHECK_IS(count_fds(), fds);
  }
}

/* They come with the first byte, and the reader gets one byte at a time. */
static void a_message_cut_anywhere_keeps_its_descriptors(void **state) {
  static const char bytes[] = "\x80\0\0\2\xff\xff\xff\xff\0\0\0\0\0\0\0\3abc"
                              "\0\0\0\1x";
  const size_t all = sizeof bytes - 1;
  need_descriptors();
  for (size_t step = 1; step < all; step++) {
    int peer, got[2], fds[2] = {make_fd(1), make_fd(1)};
    gipc_handle *r = reader(&peer);
    const void *data;
    size_t size;
    for (size_t at = 0; at < all; at += step) {
      if (at <= 18)
        CHECK_IS(gipc_try_get(r, &data, &size), -EAGAIN);
      send_raw(peer, bytes + at, at + step < all ? step : all - at, fds,
               at == 0 ? 2 : 0);
    }
    CHECK_OK(gipc_get(r, 20, &data, &size));
    CHECK_IS(size, 3);
    CHECK_IS(gipc_take_fds(r, got, 2), 2);
    CHECK(is_fd(got[0], 1) && is_fd(got[1], 1));
    for (int i = 0; i < 2; i++) {
      close(got[i]);
      close(fds[i]);
    }
    expect_get(r, 0);
    gipc_handle_free(r);
    close(peer);
  }
}

static void other_control_data_does_no_harm(void **state) {
  need_descriptors();
  int peer, on = 1, fd = make_fd(3), got;
  gipc_handle *r = reader(&peer);
  CHECK_OK(setsockopt(gipc_fd(r, GIPC_READ), SOL_SOCKET, SO_PASSCRED, &on,
                      sizeof on));
  for (int i = 0; i < 20; i++) {
    send_raw(peer, BYTES("\x80\0\0\1\0\0\0\1a"), &fd, 1);
    expect_get(r, 0);
    CHECK_IS(gipc_take_fds(r, &got, 1), 1);
    CHECK(is_fd(got, 3));
    close(got);
    send_raw(peer, BYTES("\0\0\0\1a"), NULL, 0);
    expect_get(r, 0);
    CHECK_IS(gipc_take_fds(r, &got, 1), 0);
  }
  close(fd);
  close(peer);
  gipc_handle_free(r);
}

static int get_without_stdin(void *unused) {
  need_descriptors();
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(put_fds(w, 1, small, 2, 20));
  close(0);
  close(1);
  get_fds(r, 1, small, 2);
  return 0;
}

static void none_becomes_a_standard_stream(void **state) { /* H10 */
  in_own_fork(get_without_stdin, NULL);
}

/* A header of which some bytes are missing. */
static void the_read_limit_holds_within_a_header(void **state) { /* H79 */
  need_descriptors();
  static char more[10000];
  size_t bytes;
  int peer, fd = 0;
  gipc_handle *r = reader(&peer);
  CHECK_OK(gipc_set_read_limit(r, 1));
  send_raw(peer, BYTES("\x80\0\0\1\xff\xff\xff\xff\0\0\0\0\0\0"), &fd, 1);
  while (gipc_read_ahead(r) == 0)
    ;
  CHECK_OK(gipc_pending(r, GIPC_READ, &bytes));
  CHECK_IS(bytes, 14);
  send_raw(peer, BYTES("\0\1a"), NULL, 0);
  send_raw(peer, more, sizeof more, NULL, 0);
  while (gipc_read_ahead(r) == 0)
    ;
  CHECK_OK(gipc_pending(r, GIPC_READ, &bytes));
  CHECK_IS(bytes, 17);
  gipc_handle_free(r);
  close(peer);
}

/* A peer that sends them and gets nothing does not fill the table. */
static void few_are_received_ahead(void **state) { /* H79 */
  gipc_handle *r, *w;
  int before;
  need_descriptors();
  CHECK_OK(gipc_pipe(&r, &w));
  for (uint32_t i = 0; i < 40; i++)
    CHECK_OK(put_fds(w, i, small, 20, 20));
  before = count_fds();
  while (gipc_read_ahead(r) == 0)
    ;
  CHECK_IS(gipc_read_ahead(r), -ENOBUFS);
  CHECK(count_fds() - before >= 20);
  CHECK(count_fds() - before <= GIPC_MOST_FDS + 20);
  for (uint32_t i = 0; i < 40; i++)
    get_fds(r, i, small, 20);
  CHECK_IS(count_fds(), before);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* Not of an AF_UNIX socket. */
static void no_descriptor_comes_through_a_pipe(void **state) {
  gipc_handle *r;
  int s[2];
  CHECK_OK(pipe2(s, O_CLOEXEC));
  CHECK_OK(gipc_open(s[0], -1, &r));
  CHECK(write_all(s[1], BYTES("\x80\0\0\1\0\0\0\1a")));
  expect_get(r, GIPC_EPROTOCOL);
  gipc_handle_free(r);
  close(s[1]);
}

/* ---- No room --------------------------------------------------------------
 */

/* So many more descriptors can be had. */
static struct rlimit leave_room(rlim_t room) {
  struct rlimit old, limit;
  int fd = 0;
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &old));
  limit = old;
  for (; room > 0 || fcntl(fd, F_GETFD) >= 0; fd++)
    room -= fcntl(fd, F_GETFD) < 0;
  limit.rlim_cur = (rlim_t)fd;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  return old;
}

static void a_reader_without_room_is_told(void **state) { /* H89 */
  not_under_valgrind();
  need_descriptors();
  for (rlim_t room = 0; room < 4; room++) {
    gipc_handle *r, *w;
    const void *data;
    size_t size;
    int fds[3];
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(put_fds(w, 1, small, 3, 20));
    CHECK_OK(put_fds(w, 2, small, 1, 20));
    CHECK_OK(put_fds(w, 3, small, 0, 20));
    struct rlimit old = leave_room(room);
    CHECK_OK(gipc_get(r, 20, &data, &size));
    CHECK_IS(size, small);
    CHECK_IS(gipc_take_fds(r, fds, 3), room < 3 ? -EMFILE : 3);
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &old));
    for (int i = 0; i < 3 && room == 3; i++)
      close(fds[i]);
    CHECK_IS(gipc_take_fds(r, fds, 3), room < 3 ? -EMFILE : 0);
    get_fds(r, 2, small, 1);
    get_fds(r, 3, small, 0);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void a_writer_without_room_queues_nothing(void **state) {
  static char block[4096];
  gipc_handle *r, *w;
  int fd = 0;
  size_t before, after;
  not_under_valgrind();
  need_descriptors();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_set_marks(w, 1, 64 << 20));
  while (gipc_flush_step(w) == 0)
    CHECK_OK(gipc_try_put(w, block, sizeof block));
  CHECK_OK(gipc_pending(w, GIPC_WRITE, &before));
  struct rlimit old = leave_room(0);
  CHECK_IS(gipc_try_put_with(w, "a", 1, &fd, 1), -EMFILE);
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &old));
  CHECK_OK(gipc_pending(w, GIPC_WRITE, &after));
  CHECK_IS(before, after);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static int too_many(void *unused) {
  struct rlimit limit = {40, 40};
  gipc_handle *r, *w;
  uint32_t put = 0;
  int fds[10] = {0}, result = 0;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  if (geteuid() == 0)
    CHECK_OK(setuid(65534));
  CHECK_OK(gipc_pipe(&r, &w));
  for (; put < 100 && result == 0; put++)
    result = gipc_put_with(w, "a", 1, fds, 10, 20);
  CHECK_IS(result, -ETOOMANYREFS);
  CHECK_IS(gipc_try_put_with(w, "a", 1, fds, 10), -ETOOMANYREFS);
  for (put--; put > 0; put--)
    expect_get(r, 0);
  CHECK_OK(gipc_put_with(w, "a", 1, fds, 10, 20));
  expect_get(r, 0);
  CHECK_IS(gipc_take_fds(r, fds, 10), 10);
  return 0;
}

static void too_many_in_flight_is_an_error_of_the_put_alone(void **state) {
  not_under_valgrind();
  need_descriptors();
  in_own_fork(too_many, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_wrong_number_is_a_protocol_error),
      TEST(those_of_a_message_over_the_limit_are_closed),
      TEST(a_message_cut_anywhere_keeps_its_descriptors),
      TEST(other_control_data_does_no_harm),
      TEST(none_becomes_a_standard_stream),
      TEST(the_read_limit_holds_within_a_header),
      TEST(few_are_received_ahead),
      TEST(no_descriptor_comes_through_a_pipe),
      TEST(a_reader_without_room_is_told),
      TEST(a_writer_without_room_queues_nothing),
      TEST(too_many_in_flight_is_an_error_of_the_put_alone),
  };
  return cmocka_run_group_tests_name("fds peers", tests, NULL, NULL);
}
