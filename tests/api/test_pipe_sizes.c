/* Messages of every size at which some code path changes. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static char *block; /* the largest message */
enum { largest = 4 << 20 };

static int setup(void **state) {
  block = malloc(largest);
  fill(block, largest, 62);
  return block == NULL;
}

static int end(void **state) {
  free(block);
  return 0;
}

/* A message from offset seed of the block, so that each is another. */
static const char *message(size_t size, uint64_t seed) {
  size_t room = largest - size;
  return block + (room > 0 ? seed * 7919 % room : 0);
}

struct plan {
  gipc_handle *writer;
  const size_t *sizes; /* or NULL: 0, 1, ... */
  size_t count;
  int way;
};

static void *write_thread(void *argument) {
  struct plan *p = argument;
  for (size_t i = 0; i < p->count; i++) {
    size_t size = p->sizes != NULL ? p->sizes[i] : i;
    int result;
    if (p->way == 0)
      result = gipc_put(p->writer, message(size, i), size, 30);
    else
      while ((result = gipc_try_put(p->writer, message(size, i), size)) ==
             -EAGAIN)
        if ((result = gipc_flush(p->writer, 30)) != 0)
          break;
    if (result != 0)
      return (void *)(intptr_t)result;
  }
  int result = gipc_flush(p->writer, 30);
  return (void *)(intptr_t)(result != 0 ? result : gipc_close(p->writer));
}

static void read_plan(gipc_handle *r, const struct plan *p, int way) {
  const void *data;
  size_t size;
  char *into = malloc(largest);
  for (size_t i = 0; i < p->count; i++) {
    size_t expected = p->sizes != NULL ? p->sizes[i] : i;
    if (way == 0) {
      OK(gipc_get(r, 30, &data, &size));
    } else {
      int result;
      while ((result = gipc_get_into(r, into, largest, &size)) == -EAGAIN)
        assert_true(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 30000));
      OK(result);
      data = into;
    }
    assert_int_equal(size, expected);
    assert_true(memcmp(data, message(size, i), size) == 0);
  }
  RESULT(gipc_get(r, 30, &data, &size), GIPC_EOF);
  free(into);
}

static void transfer(const size_t *sizes, size_t count) {
  for (int way = 0; way < 4; way++) {
    gipc_handle *r, *w;
    struct plan p = {NULL, sizes, count, way & 1};
    pthread_t thread;
    void *result;
    OK(gipc_pipe(&r, &w));
    p.writer = w;
    assert_int_equal(pthread_create(&thread, NULL, write_thread, &p), 0);
    read_plan(r, &p, way >> 1);
    pthread_join(thread, &result);
    OK((int)(intptr_t)result);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void
messages_of_every_size_up_to_16384_cross_one_stream(void **state) { /* H62 */
  if (!slow()) {
    transfer(NULL, 16385);
    return;
  }
  size_t sizes[400];
  for (size_t i = 0; i < 400; i++)
    sizes[i] = i * 41;
  transfer(sizes, 400);
}

static void messages_of_special_sizes_cross_one_stream(void **state) { /* H62 */
  enum { ki = 1024 };
  static const size_t near[] = {0,        1,        4 * ki,       8 * ki,
                                16 * ki,  32 * ki,  64 * ki,      128 * ki,
                                192 * ki, 208 * ki, 256 * ki,     512 * ki,
                                1 << 20,  2 << 20,  (4 << 20) - 1};
  size_t sizes[sizeof near / sizeof *near * 6], count = 0;
  for (size_t i = 0; i < sizeof near / sizeof *near; i++)
    /* a header makes 4 bytes more, and the header of the next 4 again */
    for (int j = 0; j < 6; j++) {
      static const int add[] = {-8, -5, -4, -1, 0, 1};
      if (add[j] >= 0 || near[i] >= 8)
        sizes[count++] = near[i] + (size_t)(ptrdiff_t)add[j];
    }
  transfer(sizes, count);
}

static void messages_of_random_sizes_cross_one_stream(void **state) {
  enum { count = 2000 };
  static size_t sizes[count];
  uint64_t seed = 1;
  for (int i = 0; i < count; i++)
    sizes[i] = random_next(&seed) % (1u << (random_next(&seed) % 19));
  transfer(sizes, many(count, 200));
}

static void
messages_of_all_sizes_cross_tiny_socket_buffers(void **state) { /* H59 */
  static const size_t sizes[] = {0,    1,    4095,  4096,   4097,
                                 5000, 9999, 40000, 100000, 3};
  int s[2], tiny = 4608;
  gipc_handle *r, *w;
  pthread_t thread;
  void *result;
  struct plan p = {NULL, sizes, 10, 0};
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  for (int i = 0; i < 2; i++) {
    setsockopt(s[i], SOL_SOCKET, SO_SNDBUF, &tiny, sizeof tiny);
    setsockopt(s[i], SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny);
  }
  OK(gipc_open(s[0], -1, &r));
  OK(gipc_open(-1, s[1], &w));
  p.writer = w;
  assert_int_equal(pthread_create(&thread, NULL, write_thread, &p), 0);
  read_plan(r, &p, 0);
  pthread_join(thread, &result);
  OK((int)(intptr_t)result);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void
messages_of_all_sizes_cross_a_tiny_pipe(void **state) { /* H59, H87 */
  static const size_t sizes[] = {0,    1,    4091, 4092,  4093,   4095,
                                 4096, 4097, 9999, 40000, 100000, 300000};
  int fds[2];
  gipc_handle *r, *w;
  pthread_t thread;
  void *result;
  struct plan p = {NULL, sizes, 12, 0};
  assert_int_equal(pipe(fds), 0);
  assert_true(fcntl(fds[1], F_SETPIPE_SZ, 4096) >= 4096);
  OK(gipc_open(fds[0], -1, &r));
  OK(gipc_open(-1, fds[1], &w));
  p.writer = w;
  assert_int_equal(pthread_create(&thread, NULL, write_thread, &p), 0);
  read_plan(r, &p, 1);
  pthread_join(thread, &result);
  OK((int)(intptr_t)result);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void five_thousand_queued_messages_of_one_byte_are_delivered(
    void **state) { /* H85 */
  gipc_handle *r, *w;
  const void *data;
  size_t size, pending;
  gipc_stats stats = {.size = sizeof stats};
  OK(gipc_pipe(&r, &w));
  for (int i = 0; i < 5000; i++) {
    unsigned char byte = (unsigned char)i;
    OK(gipc_try_put(w, &byte, 1));
  }
  OK(gipc_pending(w, GIPC_WRITE, &pending));
  assert_int_equal(pending, 25000);
  OK(gipc_flush(w, 10));
  OK(gipc_handle_stats(w, &stats));
  assert_int_equal(stats.writes, 1); /* they were written together */
  for (int i = 0; i < 5000; i++) {
    OK(gipc_get(r, 10, &data, &size));
    assert_int_equal(size, 1);
    assert_int_equal(*(const unsigned char *)data, i & 0xff);
  }
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(messages_of_every_size_up_to_16384_cross_one_stream),
      TEST(messages_of_special_sizes_cross_one_stream),
      TEST(messages_of_random_sizes_cross_one_stream),
      TEST(messages_of_all_sizes_cross_tiny_socket_buffers),
      TEST(messages_of_all_sizes_cross_a_tiny_pipe),
      TEST(five_thousand_queued_messages_of_one_byte_are_delivered),
  };
  return cmocka_run_group_tests_name("pipe sizes", tests, setup, end);
}
