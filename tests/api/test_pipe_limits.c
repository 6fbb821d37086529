/* A limit of descriptors below what poll(2) accepts. */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void limit_descriptors(rlim_t most) {
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = most;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
}

static void *put_one(void *h) {
  CHECK_OK(gipc_put(h, "one", 3, 20));
  return NULL;
}

static char big[4000000];

static void *get_big(void *h) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_get(h, 20, &data, &size));
  CHECK_IS((long)size, (long)sizeof big);
  return NULL;
}

/* Every wait of a blocking call, on either end of a duplex pipe. */
static void use(gipc_handle *a, gipc_handle *b) {
  const void *data;
  size_t size;
  pthread_t other;
  CHECK_IS(gipc_get(a, 0.01, &data, &size), -ETIMEDOUT);
  CHECK_OK(pthread_create(&other, NULL, put_one, b));
  CHECK_OK(gipc_get(a, 20, &data, &size));
  CHECK(size == 3 && memcmp(data, "one", 3) == 0);
  CHECK_OK(pthread_join(other, NULL));
  /* Waits for writability, and for bytes to read ahead. */
  CHECK_OK(gipc_set_limit(b, sizeof big));
  CHECK_OK(pthread_create(&other, NULL, get_big, b));
  CHECK_OK(gipc_put(a, big, sizeof big, 20));
  CHECK_OK(pthread_join(other, NULL));
  CHECK_IS(gipc_put(a, big, sizeof big, 0.01), -EINPROGRESS);
  CHECK_IS(gipc_flush(a, 0.01), -ETIMEDOUT);
  gipc_handle_free(b);
  CHECK_IS(gipc_get(a, 20, &data, &size), GIPC_EOF);
  CHECK_IS(gipc_flush(a, 20), -EPIPE);
  gipc_handle_free(a);
}

static int use_below(void *argument) {
  gipc_handle *a, *b;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  limit_descriptors((rlim_t)(intptr_t)argument);
  use(a, b);
  return 0;
}

static void messages_flow_below_any_limit_of_descriptors(void **state) {
  not_under_valgrind();
  for (int most = 0; most < 4; most++)
    in_own_fork(use_below, INT(most));
}

/* A handle on a copy of fd with a number of at least this; NULL where that is
 * not allowed. */
static gipc_handle *open_high(int fd, int least) {
  gipc_handle *h = NULL;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, least);
  if (high < 0)
    return NULL;
  CHECK_OK(gipc_open(high, high, &h));
  return h;
}

static int use_high(void *argument) {
  struct rlimit limit;
  int ends[2];
  const void *data;
  size_t size;
  limit.rlim_cur = limit.rlim_max = 100000;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) { /* it needs the privilege */
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  }
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  gipc_handle *a = open_high(ends[0], 40000), *b = open_high(ends[1], 40001);
  gipc_handle *higher = open_high(ends[0], 70000);
  close(ends[0]);
  close(ends[1]);
  limit_descriptors(0);
  if (higher != NULL)
    CHECK_IS(gipc_get(higher, 0.01, &data, &size), -EMFILE);
  gipc_handle_free(higher);
  if (a != NULL && b != NULL)
    use(a, b);
  return 0;
}

static void a_descriptor_of_a_high_number_is_waited_for_too(void **state) {
  not_under_valgrind();
  in_own_fork(use_high, NULL);
}

static int use_closed(void *argument) {
  gipc_handle *a, *b;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  limit_descriptors(0);
  close(gipc_fd(a, GIPC_READ));
  CHECK_IS(gipc_get(a, 1, &data, &size), -EBADF);
  return 0;
}

static void a_closed_descriptor_is_reported_below_the_limit_too(void **state) {
  not_under_valgrind();
  in_own_fork(use_closed, NULL); /* H90 */
}

static int return_three(struct ev_loop *fresh, void *argument) { return 3; }

static int join_below(void *argument) {
  gipc_process *p = start(return_three, NULL, NULL);
  limit_descriptors(0);
  CHECK_OK(gipc_process_join(p, 20));
  CHECK_IS(end_of(p), 3);
  return 0;
}

static void a_child_is_joined_below_any_limit_of_descriptors(void **state) {
  not_under_valgrind();
  in_own_fork(join_below, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(messages_flow_below_any_limit_of_descriptors),
      TEST(a_descriptor_of_a_high_number_is_waited_for_too),
      TEST(a_closed_descriptor_is_reported_below_the_limit_too),
      TEST(a_child_is_joined_below_any_limit_of_descriptors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
