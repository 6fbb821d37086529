/* Messages with descriptors between threads, which also start children. */
#include "support_fds.h"

#include <pthread.h>

enum { small = 16 };

static uint32_t all;
static size_t count_of(uint32_t number) { return number % 3 == 0 ? 1 : 0; }

static void *put_all(void *argument) {
  for (uint32_t i = 0; i < all; i++)
    CHECK_OK(put_fds(argument, i, small + i % 1000, count_of(i),
                     i % 2 == 0 ? 60 : -1));
  return NULL;
}
static void *get_all(void *argument) {
  for (uint32_t i = 0; i < all; i++)
    get_fds(argument, i, small + i % 1000, count_of(i));
  return NULL;
}

static void threads_exchange_them(void **state) {
  enum { pipes = 2 };
  gipc_handle *r[pipes], *w[pipes];
  pthread_t threads[2 * pipes];
  need_descriptors();
  all = (uint32_t)many(3000, 200);
  for (int i = 0; i < pipes; i++) {
    CHECK_OK(gipc_pipe(&r[i], &w[i]));
    CHECK_OK(pthread_create(&threads[2 * i], NULL, put_all, w[i]));
    CHECK_OK(pthread_create(&threads[2 * i + 1], NULL, get_all, r[i]));
  }
  for (int i = 0; i < 20; i++)
    CHECK_IS(in_child(return_argument, INT(7), NULL), 7);
  for (int i = 0; i < 2 * pipes; i++)
    pthread_join(threads[i], NULL);
  for (int i = 0; i < pipes; i++) {
    gipc_handle_free(r[i]);
    gipc_handle_free(w[i]);
  }
}

enum { size_of_view = 3000 };

static void *get_to_the_view(void *argument) {
  gipc_handle *h = argument;
  const void *data;
  size_t size;
  int fds[2];
  do
    CHECK_OK(gipc_get(h, 60, &data, &size));
  while (size != size_of_view);
  CHECK(filled(data, size, 3));
  CHECK_IS(gipc_take_fds(h, fds, 2), 2);
  close(fds[0]);
  close(fds[1]);
  return NULL;
}

/* The put waits, and receives meanwhile into the memory of the message. */
static void a_view_is_put_with_them(void **state) {
  static char text[size_of_view], block[4096];
  gipc_handle *a, *b;
  pthread_t thread;
  const void *data;
  size_t size;
  int fds[2] = {0, 0};
  need_descriptors();
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  fill(text, sizeof text, 3);
  CHECK_OK(gipc_put(b, text, sizeof text, 20));
  CHECK_OK(gipc_get(a, 20, &data, &size));
  while (gipc_flush_step(a) == 0)
    CHECK_OK(gipc_try_put(a, block, sizeof block));
  CHECK_OK(pthread_create(&thread, NULL, get_to_the_view, b));
  CHECK_OK(gipc_put_with(a, data, size, fds, 2, -1));
  pthread_join(thread, NULL);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void *put_until_cancelled(void *argument) {
  static char large[4 << 20];
  for (int fd = 0;;)
    CHECK_OK(gipc_put_with(argument, large, sizeof large, &fd, 1, -1));
  return NULL;
}

/* A part was written, and its descriptor with it. */
static void a_cancelled_thread_leaves_the_stream_whole(void **state) {
  gipc_handle *r, *w;
  pthread_t thread;
  size_t size;
  const void *data;
  int fd;
  need_descriptors();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(pthread_create(&thread, NULL, put_until_cancelled, w));
  while (gipc_next_size(r, &size) == -EAGAIN)
    CHECK(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 60000));
  CHECK_OK(pthread_cancel(thread));
  pthread_join(thread, NULL);
  for (int result = -EAGAIN; result == -EAGAIN;) {
    int flushed = gipc_flush_step(w);
    CHECK(flushed == 0 || flushed == -EAGAIN);
    result = gipc_try_get(r, &data, &size);
    CHECK(result == 0 || result == -EAGAIN);
  }
  CHECK_IS(size, 4 << 20);
  CHECK_IS(gipc_take_fds(r, &fd, 1), 1);
  close(fd);
  CHECK_OK(put_fds(w, 1, small, 2, 20));
  get_fds(r, 1, small, 2);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(threads_exchange_them),
      TEST(a_view_is_put_with_them),
      TEST(a_cancelled_thread_leaves_the_stream_whole),
  };
  return cmocka_run_group_tests_name("fds thread", tests, NULL, NULL);
}
