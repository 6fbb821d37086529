/* Handles whose peer has ended, or that another process inherited. */
#include "support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const void *data;
static size_t size;

static volatile sig_atomic_t sigpipes;
static void on_sigpipe(int number) {
  (void)number;
  sigpipes = sigpipes + 1;
}

/* Puts in each way until the error of the missing reader is returned. */
static void put_without_reader(gipc_handle *w) {
  static char large[100000];
  gipc_message one = {"x", 1};
  size_t accepted, pending = 1;
  RESULT(gipc_put(w, "x", 1, 10), -EPIPE);
  OK(gipc_pending(w, GIPC_WRITE, &pending));
  assert_int_equal(pending, 0);
  for (int i = 0; i < 3; i++) { /* H77: each fails, and only once each */
    RESULT(gipc_put(w, large, sizeof large, 10), -EPIPE);
    RESULT(gipc_try_put(w, "x", 1), -EPIPE);
    RESULT(gipc_try_put(w, large, sizeof large), -EPIPE);
    RESULT(gipc_put_start(w, large, sizeof large), -EPIPE);
    RESULT(gipc_put_step(w), -EINVAL);
    RESULT(gipc_put_many(w, &one, 1, 10, &accepted), -EPIPE);
    assert_int_equal(accepted, 0);
    RESULT(gipc_flush_step(w), -EPIPE);
    RESULT(gipc_flush(w, 10), -EPIPE);
  }
  OK(gipc_close(w));
}

static bool same_set(const sigset_t *a, const sigset_t *b) {
  for (int i = 1; i < 65; i++)
    if (sigismember(a, i) != sigismember(b, i))
      return false;
  return true;
}

static void a_put_without_a_reader_is_an_error_and_raises_no_signal(
    void **state) { /* H75 */
  struct sigaction mine = {.sa_handler = on_sigpipe}, seen;
  sigset_t mask[2], pending[2];
  sigaction(SIGPIPE, &mine, NULL);
  sigpipes = 0;
  pthread_sigmask(SIG_BLOCK, NULL, &mask[0]);
  sigpending(&pending[0]);
  for (int kind = 0; kind < 4; kind++) {
    gipc_handle *r, *w;
    int fds[2];
    if (kind == 0)
      OK(gipc_pipe(&r, &w));
    else if (kind == 1)
      OK(gipc_pipe_duplex(&r, &w));
    else {
      assert_int_equal(kind == 2 ? pipe(fds) : pipe2(fds, O_NONBLOCK), 0);
      OK(gipc_open(fds[0], -1, &r));
      OK(gipc_open(-1, fds[1], &w));
    }
    gipc_handle_free(r);
    put_without_reader(w);
    gipc_handle_free(w);
  }
  pthread_sigmask(SIG_BLOCK, NULL, &mask[1]);
  sigpending(&pending[1]);
  sigaction(SIGPIPE, NULL, &seen);
  assert_int_equal(sigpipes, 0);
  assert_true(same_set(&mask[0], &mask[1]));
  assert_true(same_set(&pending[0], &pending[1]));
  assert_true(seen.sa_handler == on_sigpipe);
  signal(SIGPIPE, SIG_DFL);
}

static void a_peer_that_closes_with_unread_bytes_ends_cleanly(void **state) {
  /* H76: the kernel says ECONNRESET after the last byte */
  for (int messages = 0; messages < 3; messages++) {
    gipc_handle *a, *b;
    OK(gipc_pipe_duplex(&a, &b));
    OK(gipc_put(a, "unread", 6, -1));
    for (int i = 0; i < messages; i++)
      OK(gipc_put(b, "answer", 6, -1));
    gipc_handle_free(b);
    for (int i = 0; i < messages; i++) {
      OK(gipc_get(a, 10, &data, &size));
      assert_memory_equal(data, "answer", 6);
    }
    for (int i = 0; i < 100; i++)
      RESULT(gipc_get(a, 10, &data, &size), GIPC_EOF);
    RESULT(gipc_put(a, "x", 1, 10), -EPIPE);
    gipc_handle_free(a);
  }
}

static void
a_get_without_a_timeout_returns_messages_received_before_a_reset(void **state) {
  gipc_handle *a, *b; /* H76 */
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_put(a, "unread", 6, -1));
  OK(gipc_put(b, "one", 3, -1));
  OK(gipc_put(b, "two", 3, -1));
  OK(gipc_close(b)); /* which resets the connection */
  gipc_handle_free(b);
  OK(gipc_get(a, -1, &data, &size));
  assert_memory_equal(data, "one", 3);
  OK(gipc_get(a, -1, &data, &size));
  assert_memory_equal(data, "two", 3);
  for (int i = 0; i < 3; i++)
    RESULT(gipc_get(a, -1, &data, &size), GIPC_EOF);
  gipc_handle_free(a);
}

/* Bytes of a message, then a reset: the connection's own error comes last. */
static void a_reset_of_a_network_connection_is_reported_after_earlier_messages(
    void **state) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  gipc_handle *a;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(server, (struct sockaddr *)&address, length), 0);
  assert_int_equal(listen(server, 1), 0);
  assert_int_equal(getsockname(server, (struct sockaddr *)&address, &length),
                   0);
  assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
  int peer = accept(server, NULL, NULL);
  assert_true(peer >= 0);
  OK(gipc_open(client, client, &a));
  assert_true(write_all(peer, "\0\0\0\3one", 7));
  struct pollfd arrived = {client, POLLIN, 0};
  assert_int_equal(poll(&arrived, 1, -1), 1);
  struct linger at_once = {1, 0};
  assert_int_equal(
      setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close(peer);
  struct pollfd reset = {client, 0, 0};
  assert_int_equal(poll(&reset, 1, -1), 1);
  OK(gipc_get(a, -1, &data, &size));
  assert_memory_equal(data, "one", 3);
  RESULT(gipc_get(a, -1, &data, &size), -ECONNRESET);
  close(server);
  gipc_handle_free(a);
}

static void
a_peer_that_dies_within_a_message_truncates_the_stream(void **state) { /* H76 */
  gipc_handle *a;
  int s[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(gipc_open(s[0], s[0], &a));
  OK(gipc_put(a, "unread", 6, -1));
  assert_true(write_all(s[1], "\0\0\0\4ha", 6));
  close(s[1]);
  for (int i = 0; i < 100; i++)
    RESULT(gipc_get(a, 10, &data, &size), GIPC_ETRUNCATED);
  gipc_handle_free(a);
}

static void a_peer_that_dies_while_a_put_waits_ends_the_put(void **state) {
  gipc_handle *a, *b;
  static char block[4 << 20];
  int status;
  OK(gipc_pipe_duplex(&a, &b));
  pid_t pid = fork();
  if (pid == 0)
    _exit(0); /* holds a copy of both until then */
  int got = gipc_put_start(a, block, sizeof block);
  RESULT(got, -EAGAIN);
  OK(gipc_close(b));
  assert_int_equal(waitpid(pid, &status, 0), pid);
  while ((got = gipc_put_step(a)) == -EAGAIN)
    ;
  RESULT(got, -EPIPE);
  RESULT(gipc_put(a, "x", 1, -1), -EPIPE);
  RESULT(gipc_get(a, -1, &data, &size), GIPC_EOF);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

/* ---- Other processes
 * --------------------------------------------------------- */

static int use_each(gipc_handle *r, gipc_handle *w) {
  char buffer[8];
  size_t pending, accepted;
  gipc_message one = {"x", 1};
  gipc_stats stats = {.size = sizeof stats};
  const void *seen;
  size_t count;
  gipc_handle *both[] = {r, w};
  for (int i = 0; i < 2; i++) {
    gipc_handle *h = both[i];
    int results[] = {gipc_try_get(h, &seen, &count),
                     gipc_get(h, -1, &seen, &count),
                     gipc_next_size(h, &count),
                     gipc_get_into(h, buffer, 8, &count),
                     gipc_get_cancel(h),
                     gipc_try_put(h, "x", 1),
                     gipc_put(h, "x", 1, -1),
                     gipc_put_start(h, "x", 1),
                     gipc_put_step(h),
                     gipc_put_cancel(h),
                     gipc_put_many(h, &one, 1, -1, &accepted),
                     gipc_flush_step(h),
                     gipc_flush(h, -1),
                     gipc_fd(h, GIPC_READ),
                     gipc_directions(h),
                     gipc_pending(h, GIPC_READ, &pending),
                     gipc_handle_stats(h, &stats),
                     gipc_set_limit(h, 5),
                     gipc_set_read_limit(h, 5),
                     gipc_set_marks(h, 1, 2),
                     gipc_set_budget(h, 1, 2),
                     gipc_pause(h),
                     gipc_stop(h),
                     gipc_shutdown(h),
                     gipc_close(h)};
    for (size_t j = 0; j < sizeof results / sizeof *results; j++)
      if (results[j] != GIPC_EWRONGPROC) {
        fprintf(stderr, "call %zu in a child: %d\n", j, results[j]);
        return 1;
      }
  }
  /* Freeing releases the memory and does not close the descriptors. */
  int fds = count_fds();
  gipc_handle_free(r);
  gipc_handle_free(w);
  return count_fds() == fds ? 0 : 2;
}

static void exact(gipc_handle *r, gipc_handle *w, int from) {
  for (int i = from; i < from + 1000; i++) {
    OK(gipc_put(w, &i, sizeof i, 10));
    OK(gipc_get(r, 10, &data, &size));
    assert_int_equal(size, sizeof i);
    assert_memory_equal(data, &i, sizeof i);
  }
}

static void a_child_of_a_plain_fork_cannot_use_a_handle(void **state) {
  /* H37, H36, H72, H73 */
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  exact(r, w, 0);
  OK(gipc_put(w, "waits", 5, -1));
  OK(gipc_try_put(w, "queued", 6));
  pid_t pid = fork();
  if (pid == 0)
    _exit(use_each(r, w));
  child_join(pid);
  OK(gipc_get(r, 10, &data, &size));
  assert_memory_equal(data, "waits", 5);
  OK(gipc_flush(w, 10));
  OK(gipc_get(r, 10, &data, &size));
  assert_memory_equal(data, "queued", 6);
  exact(r, w, 5000);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_child_of_a_raw_clone_cannot_use_a_handle(void **state) { /* H37 */
  gipc_handle *r, *w;
  if (slow())
    skip_because("valgrind and sanitizers do not survive a raw clone");
  OK(gipc_pipe(&r, &w));
  exact(r, w, 0);
  pid_t pid = raw_fork();
  if (pid == 0)
    syscall(SYS_exit_group, use_each(r, w));
  child_join(pid);
  exact(r, w, 5000);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void
a_child_of_a_plain_fork_can_make_its_own_handles(void **state) { /* H37 */
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  pid_t pid = fork();
  if (pid == 0) {
    gipc_handle *a, *b;
    const void *seen;
    size_t count;
    CHILD_CHECK(gipc_pipe(&a, &b) == 0);
    CHILD_CHECK(gipc_put(b, "mine", 4, 10) == 0);
    CHILD_CHECK(gipc_get(a, 10, &seen, &count) == 0 && count == 4);
    CHILD_CHECK(gipc_put(w, "x", 1, 10) == GIPC_EWRONGPROC);
    pid_t grandchild = fork();
    if (grandchild == 0)
      _exit(gipc_put(b, "x", 1, 10) == GIPC_EWRONGPROC &&
                    gipc_put(w, "x", 1, 10) == GIPC_EWRONGPROC
                ? 0
                : 1);
    int status;
    CHILD_CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
    gipc_handle_free(a);
    gipc_handle_free(b);
    gipc_handle_free(r);
    gipc_handle_free(w);
    _exit(0);
  }
  child_join(pid);
  exact(r, w, 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_descriptor_closed_by_other_code_is_an_error(void **state) {
  /* H90 */
  for (int way = 0; way < 2; way++) {
    gipc_handle *a, *b;
    char text[8];
    OK(gipc_pipe_duplex(&a, &b));
    for (int direction = GIPC_READ; direction <= GIPC_WRITE; direction++) {
      OK(gipc_set_transport(a, GIPC_TRANSPORT_PLAIN)); /* each call uses it */
      int fd = gipc_fd(a, direction), file = memfd_create("file", MFD_CLOEXEC);
      assert_int_equal(ftruncate(file, 0), 0);
      close(fd);
      if (way == 1)
        assert_int_equal(dup3(file, fd, O_CLOEXEC), fd);
      int result = direction == GIPC_READ ? gipc_get(a, 10, &data, &size)
                                          : gipc_put(a, "hello", 5, 10);
      assert_true(way == 1 ? result == -ENOTSOCK : result == -EBADF);
      assert_int_equal(lseek(file, 0, SEEK_END), 0); /* it is empty */
      assert_int_equal(pread(file, text, 8, 0), 0);
      if (way == 0) /* for the close of the handle */
        assert_int_equal(dup3(file, fd, O_CLOEXEC), fd);
      close(file);
    }
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_put_without_a_reader_is_an_error_and_raises_no_signal),
      TEST(a_peer_that_closes_with_unread_bytes_ends_cleanly),
      TEST(a_get_without_a_timeout_returns_messages_received_before_a_reset),
      TEST(a_reset_of_a_network_connection_is_reported_after_earlier_messages),
      TEST(a_peer_that_dies_within_a_message_truncates_the_stream),
      TEST(a_peer_that_dies_while_a_put_waits_ends_the_put),
      TEST(a_child_of_a_plain_fork_cannot_use_a_handle),
      TEST(a_child_of_a_raw_clone_cannot_use_a_handle),
      TEST(a_child_of_a_plain_fork_can_make_its_own_handles),
      TEST(a_descriptor_closed_by_other_code_is_an_error),
  };
  return cmocka_run_group_tests_name("pipe peer", tests, NULL, NULL);
}
