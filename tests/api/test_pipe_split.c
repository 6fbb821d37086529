/* Bytes received from a real socket: frames cut anywhere, streams that end
 * anywhere, lengths without payload. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const void *data;
static size_t size;

/* A reader and the raw socket of its peer. */
static gipc_handle *reader(int *peer) {
  gipc_handle *r;
  int s[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(gipc_open(s[0], -1, &r));
  *peer = s[1];
  return r;
}

static void feed(int peer, const void *bytes, size_t count) {
  assert_true(write_all(peer, bytes, count));
}

/* 60 bytes: six messages, two of them empty, one in the long form. */
static const unsigned char sixty[] = "\0\0\0\0"
                                     "\0\0\0\5hello"
                                     "\xff\xff\xff\xff\0\0\0\0\0\0\0\7seventh"
                                     "\0\0\0\0"
                                     "\0\0\0\x0a"
                                     "0123456789"
                                     "\0\0\0\2ab";
static const char *const messages[] = {"",           "hello", "seventh", "",
                                       "0123456789", "ab",    NULL};
enum { stream_size = sizeof sixty - 1 };
/* Where frames begin and end. */
static const size_t boundaries[] = {0, 4, 13, 32, 36, 50, 56};

static bool at_boundary(size_t place) {
  for (size_t i = 0; i < sizeof boundaries / sizeof *boundaries; i++)
    if (boundaries[i] == place)
      return true;
  return false;
}

/* Gets the available messages; the next one expected is number *next. */
static int take(gipc_handle *r, int *next) {
  int result;
  while ((result = gipc_try_get(r, &data, &size)) == 0) {
    assert_non_null(messages[*next]);
    assert_int_equal(size, strlen(messages[*next]));
    assert_memory_equal(data, messages[*next], size);
    ++*next;
  }
  return result;
}

static void a_frame_cut_anywhere_still_arrives_whole(void **state) { /* H58 */
  assert_int_equal(stream_size, 56);
  for (size_t cut = 0; cut <= stream_size; cut++) {
    int peer, next = 0;
    gipc_handle *r = reader(&peer);
    feed(peer, sixty, cut);
    RESULT(take(r, &next), -EAGAIN);
    feed(peer, sixty + cut, stream_size - cut);
    RESULT(take(r, &next), -EAGAIN);
    assert_null(messages[next]);
    close(peer);
    RESULT(take(r, &next), GIPC_EOF);
    gipc_handle_free(r);
  }
}

static void
a_frame_cut_at_any_two_places_arrives_whole(void **state) { /* H58 */
  int peer;
  gipc_handle *r = reader(&peer);
  size_t step = many(1, 5);
  for (size_t first = 0; first <= stream_size; first++)
    for (size_t second = first; second <= stream_size; second += step) {
      int next = 0;
      feed(peer, sixty, first);
      RESULT(take(r, &next), -EAGAIN);
      feed(peer, sixty + first, second - first);
      RESULT(take(r, &next), -EAGAIN);
      feed(peer, sixty + second, stream_size - second);
      RESULT(take(r, &next), -EAGAIN);
      assert_null(messages[next]);
    }
  close(peer);
  gipc_handle_free(r);
}

static void
a_stream_received_byte_by_byte_arrives_whole(void **state) { /* H58 */
  int peer, next = 0;
  gipc_handle *r = reader(&peer);
  for (size_t i = 0; i < stream_size; i++) {
    feed(peer, sixty + i, 1);
    RESULT(take(r, &next), -EAGAIN);
  }
  assert_null(messages[next]);
  close(peer);
  gipc_handle_free(r);
}

static void an_end_is_clean_only_between_frames(void **state) { /* H65 */
  for (int way = 0; way < 3; way++)
    for (size_t cut = 0; cut <= stream_size; cut++) {
      int peer, result = 0, expected;
      gipc_handle *r = reader(&peer);
      char buffer[64];
      feed(peer, sixty, cut);
      close(peer);
      while (result == 0)
        result = way == 0   ? gipc_try_get(r, &data, &size)
                 : way == 1 ? gipc_get(r, 10, &data, &size)
                            : gipc_get_into(r, buffer, 64, &size);
      expected = at_boundary(cut) ? GIPC_EOF : GIPC_ETRUNCATED;
      RESULT(result, expected);
      for (int i = 0; i < 100; i++) { /* H83 */
        RESULT(gipc_try_get(r, &data, &size), expected);
        RESULT(gipc_get(r, -1, &data, &size), expected);
        /* The size is known as soon as the header is received. */
        result = gipc_next_size(r, &size);
        assert_true(result == expected || (result == 0 && !at_boundary(cut)));
        RESULT(gipc_get_into(r, buffer, 64, &size), expected);
      }
      OK(gipc_close(r));
      gipc_handle_free(r);
    }
}

static void a_large_frame_cut_at_its_ends_is_truncated(void **state) {
  /* H65: the message is assembled apart from others */
  enum { large = 100000 };
  static unsigned char frame[large + 4] = {0, large >> 16, large >> 8 & 0xff,
                                           large & 0xff};
  for (size_t cut = 1; cut < sizeof frame; cut += cut < 10 ? 1 : 33331) {
    int peer, result;
    gipc_handle *r = reader(&peer);
    feed(peer, frame, cut);
    close(peer);
    while ((result = gipc_try_get(r, &data, &size)) == 0)
      ;
    RESULT(result, GIPC_ETRUNCATED);
    RESULT(gipc_get(r, -1, &data, &size), GIPC_ETRUNCATED);
    gipc_handle_free(r);
  }
}

static void
a_reserved_length_is_a_permanent_error(void **state) { /* H64, H88 */
  static const unsigned char wrong[][4] = {{0xff, 0xff, 0xff, 0xfe},
                                           {0xff, 0xff, 0xff, 0xfb},
                                           {0x80, 0, 0, 0},
                                           {0x80, 0, 0, 1},
                                           {0xfe, 0xff, 0xff, 0xff}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    int peer;
    char buffer[8];
    gipc_handle *r = reader(&peer);
    feed(peer, "\0\0\0\1x", 5);
    feed(peer, wrong[i], 4);
    feed(peer, "\0\0\0\1y", 5);
    OK(gipc_try_get(r, &data, &size));
    for (int j = 0; j < 100; j++) {
      RESULT(gipc_try_get(r, &data, &size), GIPC_EPROTOCOL);
      RESULT(gipc_get(r, -1, &data, &size), GIPC_EPROTOCOL);
      RESULT(gipc_next_size(r, &size), GIPC_EPROTOCOL);
      RESULT(gipc_get_into(r, buffer, 8, &size), GIPC_EPROTOCOL);
    }
    close(peer);
    RESULT(gipc_get(r, -1, &data, &size), GIPC_EPROTOCOL);
    gipc_handle_free(r);
  }
}

static void random_bytes_end_in_an_error(void **state) { /* H88 */
  uint64_t seed = 88;
  for (size_t round = 0; round < many(3000, 200); round++) {
    unsigned char bytes[300];
    size_t count = random_next(&seed) % sizeof bytes;
    int peer, result;
    gipc_handle *r = reader(&peer);
    for (size_t i = 0; i < count; i++)
      bytes[i] = random_next(&seed) % 3 ? 0 : (unsigned char)seed;
    feed(peer, bytes, count);
    close(peer);
    while ((result = gipc_try_get(r, &data, &size)) == 0)
      assert_true(size <= count);
    assert_true(result == GIPC_EOF || result == GIPC_ETRUNCATED ||
                result == GIPC_EPROTOCOL || result == GIPC_ETOOBIG);
    RESULT(gipc_get(r, -1, &data, &size), result);
    gipc_handle_free(r);
  }
}

static void
a_message_of_the_size_of_the_limit_is_received(void **state) { /* H63 */
  static const size_t limits[] = {0, 1, 10, 65535, 65536, 65537, 300000};
  static char block[300001];
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    gipc_handle *r, *w;
    OK(gipc_pipe(&r, &w));
    OK(gipc_set_limit(w, limits[i]));
    RESULT(gipc_put(w, block, limits[i] + 1, -1), GIPC_ETOOBIG);
    RESULT(gipc_try_put(w, block, limits[i] + 1), GIPC_ETOOBIG);
    RESULT(gipc_put_start(w, block, limits[i] + 1), GIPC_ETOOBIG);
    OK(gipc_set_limit(w, GIPC_UNLIMITED));
    OK(gipc_set_limit(r, limits[i]));
    for (int over = 0; over < 2; over++) {
      int put = gipc_put_start(w, block, limits[i] + (size_t)over), got;
      while ((got = gipc_try_get(r, &data, &size)) == -EAGAIN)
        if (put == -EAGAIN)
          put = gipc_put_step(w);
      RESULT(got, over ? GIPC_ETOOBIG : 0);
    }
    for (int j = 0; j < 100; j++)
      RESULT(gipc_get(r, -1, &data, &size), GIPC_ETOOBIG);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void
a_message_over_the_limit_is_a_permanent_error(void **state) { /* H64 */
  gipc_handle *r, *w;
  char buffer[200] = {0};
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_limit(r, 10));
  OK(gipc_put(w, buffer, 100, -1));
  OK(gipc_put(w, buffer, 5, -1));
  RESULT(gipc_try_get(r, &data, &size), GIPC_ETOOBIG);
  OK(gipc_set_limit(r, 1000));
  RESULT(gipc_try_get(r, &data, &size), GIPC_ETOOBIG);
  RESULT(gipc_next_size(r, &size), GIPC_ETOOBIG);
  RESULT(gipc_get_into(r, buffer, 200, &size), GIPC_ETOOBIG);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_limit_holds_in_each_way_of_getting(void **state) {
  char buffer[200] = {0};
  for (int way = 0; way < 3; way++) {
    gipc_handle *r, *w;
    OK(gipc_pipe(&r, &w));
    OK(gipc_set_limit(r, 99));
    OK(gipc_put(w, buffer, 100, -1));
    RESULT(way == 0   ? gipc_next_size(r, &size)
           : way == 1 ? gipc_get_into(r, buffer, 200, &size)
                      : gipc_get(r, 10, &data, &size),
           GIPC_ETOOBIG);
    RESULT(gipc_get(r, -1, &data, &size), GIPC_ETOOBIG);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

/* Large lengths, with 10 bytes after each; the memory does not grow. */
static int claims(void *unused) {
  static const unsigned char lies[][16] = {
      {0x7f, 0xff, 0xff, 0xff}, /* 2 GiB */
      {0x40, 0, 0, 0},          /* the default limit */
      {0xff, 0xff, 0xff, 0xff, 0, 0, 0x10},
      {0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  for (size_t i = 0; i < 5; i++) {
    gipc_handle *r;
    int s[2];
    size_t before = resident();
    CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHILD_CHECK(gipc_open(s[0], -1, &r) == 0);
    CHILD_CHECK(gipc_set_limit(r, GIPC_UNLIMITED) == 0);
    CHILD_CHECK(write_all(s[1], lies[i], i < 2 ? 4 : 12));
    int result = gipc_try_get(r, &data, &size);
    CHILD_CHECK(write_all(s[1], "ten bytes.", 10));
    if (result == -EAGAIN)
      result = gipc_try_get(r, &data, &size);
    CHILD_CHECK(result == -EAGAIN || result == GIPC_ETOOBIG);
    CHILD_CHECK(resident() < before + (slow() ? 64 << 20 : 1 << 20));
    gipc_handle_free(r);
    close(s[1]);
  }
  return 0;
}

static void a_length_without_bytes_allocates_no_memory(void **state) { /* H63 */
  child_join(child_start(claims, NULL));
}

static int little_memory(void *unused) {
  struct rlimit limit = {1 << 28, 1 << 28}; /* 256 MiB of addresses */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHILD_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
#else
  (void)limit;
#endif
  return claims(unused);
}

static void
a_length_without_bytes_needs_no_address_space(void **state) { /* H63 */
  if (slow())
    skip_because("valgrind and sanitizers need more memory themselves");
  child_join(child_start(little_memory, NULL));
}

static void passed_descriptors_do_not_pile_up(void **state) { /* H89 */
  int peer, before;
  gipc_handle *r = reader(&peer);
  before = count_fds();
  for (size_t i = 0; i < many(10000, 500); i++) {
    char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    int fds[2] = {0, 1};
    unsigned char frame[5] = {0, 0, 0, 1, (unsigned char)i};
    struct iovec part = {frame, sizeof frame};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    assert_int_equal(sendmsg(peer, &message, 0), sizeof frame);
    OK(gipc_get(r, 10, &data, &size));
    assert_int_equal(*(const unsigned char *)data, i & 0xff);
  }
  assert_int_equal(count_fds(), before);
  close(peer);
  gipc_handle_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_frame_cut_anywhere_still_arrives_whole),
      TEST(a_frame_cut_at_any_two_places_arrives_whole),
      TEST(a_stream_received_byte_by_byte_arrives_whole),
      TEST(an_end_is_clean_only_between_frames),
      TEST(a_large_frame_cut_at_its_ends_is_truncated),
      TEST(a_reserved_length_is_a_permanent_error),
      TEST(random_bytes_end_in_an_error),
      TEST(a_message_of_the_size_of_the_limit_is_received),
      TEST(a_message_over_the_limit_is_a_permanent_error),
      TEST(a_limit_holds_in_each_way_of_getting),
      TEST(a_length_without_bytes_allocates_no_memory),
      TEST(a_length_without_bytes_needs_no_address_space),
      TEST(passed_descriptors_do_not_pile_up),
  };
  return cmocka_run_group_tests_name("pipe split", tests, NULL, NULL);
}
