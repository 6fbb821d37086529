/* Adopted streams: sockets, pipes, terminals, files; descriptors that are
 * refused. */
#include "support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static const void *data;
static size_t size;

/* Messages of some sizes from w to r, both in this process. */
static void transfer(gipc_handle *w, gipc_handle *r) {
  static const size_t sizes[] = {0, 1, 255, 4092, 4096, 65537, 200000};
  char *block = malloc(200000);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int got;
    fill(block, sizes[i], i);
    int put = gipc_put_start(w, block, sizes[i]);
    while ((got = gipc_try_get(r, &data, &size)) == -EAGAIN) {
      if (put == -EAGAIN)
        put = gipc_put_step(w);
      else
        assert_true(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 10000));
    }
    OK(put);
    OK(got);
    assert_int_equal(size, sizes[i]);
    assert_true(filled(data, size, i));
  }
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  free(block);
}

static void end_of(gipc_handle *w, gipc_handle *r) {
  OK(gipc_close(w));
  RESULT(gipc_get(r, 10, &data, &size), GIPC_EOF);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

static void a_socketpair_carries_messages_both_ways(void **state) {
  int s[2];
  gipc_handle *a, *b;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(gipc_open(s[0], s[0], &a));
  OK(gipc_open(s[1], s[1], &b));
  RESULT(gipc_directions(a), GIPC_READ | GIPC_WRITE);
  transfer(a, b);
  transfer(b, a);
  end_of(a, b);
}

static void pipes_keep_their_status_flags(void **state) { /* H74 */
  for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
    int p[2];
    gipc_handle *r, *w;
    assert_int_equal(pipe2(p, flags), 0);
    int before[2] = {fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL)};
    OK(gipc_open(p[0], -1, &r));
    OK(gipc_open(-1, p[1], &w));
    transfer(w, r);
    RESULT(gipc_get(r, 0.005, &data, &size), -ETIMEDOUT);
    for (int i = 0; i < 2; i++) {
      assert_int_equal(fcntl(p[i], F_GETFL), before[i]);
      assert_int_equal(fcntl(p[i], F_GETFD), FD_CLOEXEC);
    }
    /* A full pipe is not waited for, blocking or not. */
    static char block[1 << 20];
    RESULT(gipc_put(w, block, sizeof block, 0), -EINPROGRESS);
    while (gipc_flush_step(w) == -EAGAIN)
      assert_true(gipc_try_get(r, &data, &size) != GIPC_EOF);
    assert_int_equal(fcntl(p[1], F_GETFL), before[1]);
    OK(gipc_get(r, 10, &data, &size));
    end_of(w, r);
  }
}

static void a_pair_of_pipes_makes_one_handle(void **state) {
  int there[2], back[2];
  gipc_handle *a, *b;
  assert_int_equal(pipe(there) | pipe(back), 0);
  OK(gipc_open(back[0], there[1], &a));
  OK(gipc_open(there[0], back[1], &b));
  transfer(a, b);
  transfer(b, a);
  /* Half a close, though pipes know no shutdown. */
  OK(gipc_shutdown(a));
  RESULT(gipc_get(b, 10, &data, &size), GIPC_EOF);
  transfer(b, a);
  end_of(b, a);
}

static void a_raw_terminal_carries_messages(void **state) {
  struct termios raw;
  gipc_handle *a, *b;
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
  if (master < 0)
    skip_because("devpts is missing");
  assert_int_equal(grantpt(master) | unlockpt(master), 0);
  slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  assert_true(slave >= 0);
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  OK(gipc_open(master, master, &a));
  OK(gipc_open(slave, slave, &b));
  transfer(a, b);
  transfer(b, a);
  assert_int_equal(fcntl(master, F_GETFL) & O_NONBLOCK, 0);
  gipc_handle_free(b);
  /* The end of a terminal is an error, and never a message. */
  int end = gipc_get(a, 10, &data, &size);
  assert_true(end == -EIO || end == GIPC_EOF);
  RESULT(gipc_get(a, 10, &data, &size), end);
  gipc_handle_free(a);
}

static void standard_input_and_output_can_be_adopted(void **state) {
  int there[2], back[2];
  gipc_handle *mine;
  assert_int_equal(pipe2(there, O_CLOEXEC) | pipe2(back, O_CLOEXEC), 0);
  pid_t pid = fork();
  if (pid == 0) {
    gipc_handle *h;
    const void *seen;
    size_t count;
    dup2(there[0], 0);
    dup2(back[1], 1);
    close(there[0]), close(there[1]), close(back[0]), close(back[1]);
    CHILD_CHECK(gipc_open(0, 1, &h) == 0);
    /* Later children still inherit them. */
    CHILD_CHECK(fcntl(0, F_GETFD) == 0 && fcntl(1, F_GETFD) == 0);
    while (gipc_get(h, -1, &seen, &count) == 0) {
      char copy[100];
      memcpy(copy, seen, count);
      CHILD_CHECK(gipc_put(h, copy, count, -1) == 0);
    }
    CHILD_CHECK(gipc_close(h) == 0);
    gipc_handle_free(h);
    _exit(0);
  }
  close(there[0]);
  close(back[1]);
  OK(gipc_open(back[0], there[1], &mine));
  for (int i = 0; i < 100; i++) {
    OK(gipc_put(mine, &i, sizeof i, 10));
    OK(gipc_get(mine, 10, &data, &size));
    assert_memory_equal(data, &i, sizeof i);
  }
  OK(gipc_shutdown(mine));
  RESULT(gipc_get(mine, 10, &data, &size), GIPC_EOF);
  gipc_handle_free(mine);
  child_join(pid);
}

static void a_regular_file_is_written_and_read_back(void **state) {
  int file = memfd_create("messages", MFD_CLOEXEC), again;
  char path[64];
  gipc_handle *h;
  assert_true(file >= 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  assert_true((again = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
  OK(gipc_open(-1, file, &h));
  for (int i = 0; i < 1000; i++)
    OK(gipc_put(h, &i, sizeof i, 10));
  OK(gipc_close(h));
  gipc_handle_free(h);
  OK(gipc_open(again, -1, &h));
  for (int i = 0; i < 1000; i++) {
    OK(gipc_get(h, 10, &data, &size));
    assert_memory_equal(data, &i, sizeof i);
  }
  RESULT(gipc_get(h, 10, &data, &size), GIPC_EOF);
  gipc_handle_free(h);
}

static void tcp_pair(int s[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  s[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
  assert_int_equal(listen(listener, 1), 0);
  getsockname(listener, (struct sockaddr *)&address, &length);
  assert_int_equal(connect(s[0], (struct sockaddr *)&address, length), 0);
  s[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(s[1] >= 0);
  close(listener);
}

static void tcp_carries_messages(void **state) {
  int s[2];
  gipc_handle *a, *b;
  tcp_pair(s);
  OK(gipc_open(s[0], s[0], &a));
  OK(gipc_open(s[1], s[1], &b));
  transfer(a, b);
  transfer(b, a);
  OK(gipc_shutdown(a));
  RESULT(gipc_get(b, 10, &data, &size), GIPC_EOF);
  transfer(b, a);
  end_of(b, a);
}

static void
a_reset_of_a_network_connection_is_not_a_clean_end(void **state) { /* H76 */
  int s[2];
  gipc_handle *a;
  struct linger now_or_never = {1, 0};
  tcp_pair(s);
  OK(gipc_open(s[0], s[0], &a));
  setsockopt(s[1], SOL_SOCKET, SO_LINGER, &now_or_never, sizeof now_or_never);
  close(s[1]);
  RESULT(gipc_get(a, 10, &data, &size), -ECONNRESET);
  RESULT(gipc_get(a, 10, &data, &size), -ECONNRESET);
  gipc_handle_free(a);
}

static void
a_file_that_is_not_a_stream_is_refused_and_stays_the_callers(void **state) {
  int s[2], p[2], before = count_fds();
  gipc_handle *h = (gipc_handle *)&s;
  for (int type = SOCK_DGRAM; type <= SOCK_SEQPACKET;
       type += SOCK_SEQPACKET - SOCK_DGRAM) {
    assert_int_equal(socketpair(AF_UNIX, type, 0, s), 0);
    RESULT(gipc_open(s[0], s[0], &h), -EINVAL);
    RESULT(gipc_open(s[0], -1, &h), -EINVAL);
    RESULT(gipc_open(-1, s[1], &h), -EINVAL);
    assert_int_equal(close(s[0]) | close(s[1]), 0);
  }
  assert_int_equal(pipe(p), 0);
  RESULT(gipc_open(p[1], -1, &h), -EINVAL); /* the wrong way round */
  RESULT(gipc_open(-1, p[0], &h), -EINVAL);
  RESULT(gipc_open(p[0], p[0], &h), -EINVAL);
  RESULT(gipc_open(-1, -1, &h), -EINVAL);
  RESULT(gipc_open(-2, p[1], &h), -EINVAL);
  RESULT(gipc_open(p[0], -7, &h), -EINVAL);
  RESULT(gipc_open(p[0], 9999, &h), -EBADF);
  RESULT(gipc_open(9999, -1, &h), -EBADF);
  assert_ptr_equal(h, (gipc_handle *)&s);
  assert_int_equal(fcntl(p[0], F_GETFD), 0); /* untouched */
  assert_int_equal(close(p[0]) | close(p[1]), 0);
  assert_int_equal(count_fds(), before);
}

static void closing_closes_what_was_adopted(void **state) {
  int s[2], before = count_fds();
  gipc_handle *h;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(gipc_open(s[0], s[0], &h));
  OK(gipc_close(h));
  assert_int_equal(count_fds(), before + 1);
  gipc_handle_free(h);
  close(s[1]);
}

/* Over the quota of a user a new pipe has room for a page or two. */
static int thousand_pipes(void *unused) {
  enum { count = 1100 };
  static gipc_handle *r[count], *w[count];
  static char block[20000];
  struct rlimit files = {4096, 4096};
  CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
  if (geteuid() == 0)
    CHILD_CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 &&
                setuid(65534) == 0);
  for (int i = 0; i < count; i++) {
    int p[2];
    CHILD_CHECK(pipe(p) == 0);
    CHILD_CHECK(gipc_open(p[0], -1, &r[i]) == 0);
    CHILD_CHECK(gipc_open(-1, p[1], &w[i]) == 0);
  }
  for (int i = 0; i < count; i++) {
    const void *seen;
    size_t length;
    int got, put;
    fill(block, sizeof block, (uint64_t)i);
    put = gipc_put_start(w[i], block, sizeof block);
    while ((got = gipc_try_get(r[i], &seen, &length)) == -EAGAIN)
      put = put == -EAGAIN ? gipc_put_step(w[i]) : put;
    CHILD_CHECK(put == 0 && got == 0 && length == sizeof block);
    CHILD_CHECK(filled(seen, length, (uint64_t)i));
    gipc_handle_free(r[i]);
    gipc_handle_free(w[i]);
  }
  return 0;
}

static void
a_thousand_pipes_work_for_an_unprivileged_user(void **state) { /* H87 */
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max < 4096 || slow()) /* valgrind keeps some */
    skip_because("too few descriptors");
  child_join(child_start(thousand_pipes, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_socketpair_carries_messages_both_ways),
      TEST(pipes_keep_their_status_flags),
      TEST(a_pair_of_pipes_makes_one_handle),
      TEST(a_raw_terminal_carries_messages),
      TEST(standard_input_and_output_can_be_adopted),
      TEST(a_regular_file_is_written_and_read_back),
      TEST(tcp_carries_messages),
      TEST(a_reset_of_a_network_connection_is_not_a_clean_end),
      TEST(a_file_that_is_not_a_stream_is_refused_and_stays_the_callers),
      TEST(closing_closes_what_was_adopted),
      TEST(a_thousand_pipes_work_for_an_unprivileged_user),
  };
  return cmocka_run_group_tests_name("pipe open", tests, NULL, NULL);
}
