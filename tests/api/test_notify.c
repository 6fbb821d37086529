/* Readiness and signs of life by the protocol of sd_notify(3): what
 * gipc_ready() and gipc_alive() send, and what the other end believes. */
#include "support_process.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static gipc_notify_socket *new_socket(void) {
  gipc_notify_socket *s;
  CHECK_OK(gipc_notify_socket_new(&s));
  CHECK_OK(setenv("NOTIFY_SOCKET", gipc_notify_socket_address(s), 1));
  return s;
}

static void free_socket(gipc_notify_socket *s) {
  gipc_notify_socket_free(s);
  unsetenv("NOTIFY_SOCKET");
}

/* A datagram to s, with count descriptors. */
static void send_to(gipc_notify_socket *s, const void *data, size_t size,
                    const int *fds, size_t count) {
  const char *address = gipc_notify_socket_address(s);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  struct iovec part = {(void *)(uintptr_t)data, size};
  union {
    struct cmsghdr header;
    char bytes[1024];
  } control = {0};
  struct msghdr header = {.msg_name = &to, .msg_iov = &part, .msg_iovlen = 1};
  memcpy(to.sun_path, address, strlen(address));
  header.msg_namelen =
      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
  if (address[0] == '@')
    to.sun_path[0] = '\0';
  if (count > 0) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(count * sizeof *fds);
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(first), fds, count * sizeof *fds);
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK_IS(sendmsg(fd, &header, 0), (long)size);
  close(fd);
}

/* ---- What is sent -------------------------------------------------------- */

static void nothing_is_sent_without_a_valid_address(void **state) {
  char long_name[200];
  memset(long_name, 'x', sizeof long_name - 1);
  long_name[0] = '@';
  long_name[sizeof long_name - 1] = '\0';
  unsetenv("NOTIFY_SOCKET");
  RESULT(gipc_ready(), -ENOENT);
  RESULT(gipc_alive(), -ENOENT);
  const struct {
    const char *address;
    int result;
  } cases[] = {{"", -ENOENT},
               {"name", -EAFNOSUPPORT},
               {"vsock:2:1234", -EAFNOSUPPORT},
               {"/no/such/folder", -ENOENT},
               {"@there is no such name", -ECONNREFUSED},
               {long_name, -ENAMETOOLONG}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    setenv("NOTIFY_SOCKET", cases[i].address, 1);
    RESULT(gipc_ready(), cases[i].result);
    RESULT(gipc_alive(), cases[i].result);
  }
  unsetenv("NOTIFY_SOCKET");
}

/* As systemd has it: a path, and no library at the other end. */
static void any_supervisor_gets_the_words_of_the_protocol(void **state) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char path[128], text[64];
  scratch("notify", path);
  memcpy(address.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK_OK(bind(fd, (struct sockaddr *)&address, sizeof address));
  setenv("NOTIFY_SOCKET", path, 1);
  OK(gipc_ready());
  OK(gipc_alive());
  assert_int_equal(recv(fd, text, sizeof text, 0), 7);
  assert_memory_equal(text, "READY=1", 7);
  assert_int_equal(recv(fd, text, sizeof text, 0), 10);
  assert_memory_equal(text, "WATCHDOG=1", 10);
  unsetenv("NOTIFY_SOCKET");
  close(fd);
  unlink(path);
}

/* It does not know yet that nobody reads. */
static int fill_and_be_ready(struct ev_loop *fresh, void *argument) {
  int result, count = 0;
  while ((result = gipc_alive()) == 0)
    ++count;
  if (result != -EAGAIN || count == 0)
    return 1;
  return gipc_ready() == 0 ? 0 : 2;
}

static void a_sign_of_life_never_waits_and_readiness_does(void **state) {
  gipc_notify_socket *s = new_socket();
  gipc_process *p = start(fill_and_be_ready, NULL, NULL);
  int mask = 0;
  while (mask != GIPC_NOTIFY_READY) {
    CHECK(wait_fd(gipc_notify_socket_fd(s), POLLIN, 60000));
    mask = gipc_notify_socket_receive(s, 0);
    CHECK(mask == GIPC_NOTIFY_READY || mask == GIPC_NOTIFY_ALIVE);
  }
  assert_int_equal(end_of(p), 0);
  free_socket(s);
}

/* ---- What is received ---------------------------------------------------- */

static void each_datagram_is_read_by_its_lines(void **state) {
  const struct {
    const char *text;
    size_t size;
    int mask;
  } cases[] = {
#define TEXT(text) text, sizeof text - 1
      {TEXT("READY=1"), GIPC_NOTIFY_READY},
      {TEXT("READY=1\n"), GIPC_NOTIFY_READY},
      {TEXT("STATUS=all is well\nREADY=1\nMAINPID=1\n"), GIPC_NOTIFY_READY},
      {TEXT("WATCHDOG=1"), GIPC_NOTIFY_ALIVE},
      {TEXT("STOPPING=1"), GIPC_NOTIFY_STOPPING},
      {TEXT("STOPPING=1\nWATCHDOG=1\nREADY=1"), 7},
      {TEXT("\n\nREADY=1\n\n"), GIPC_NOTIFY_READY},
      {TEXT("READY=1 "), 0},
      {TEXT("READY=10"), 0},
      {TEXT("XREADY=1"), 0},
      {TEXT("READY=0"), 0},
      {TEXT("READY=1\0"), 0},
      {TEXT("WATCHDOG=trigger"), 0},
      {TEXT("\0\xff\n"), 0},
      {TEXT("\n"), 0},
      {TEXT(""), 0},
  };
  gipc_notify_socket *s = new_socket();
  RESULT(gipc_notify_socket_receive(s, 0), -EAGAIN);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    send_to(s, cases[i].text, cases[i].size, NULL, 0);
    assert_true(wait_fd(gipc_notify_socket_fd(s), POLLIN, 0));
    RESULT(gipc_notify_socket_receive(s, 0), cases[i].mask);
    RESULT(gipc_notify_socket_receive(s, 0), -EAGAIN);
  }
  free_socket(s);
}

static void a_datagram_that_is_cut_says_nothing(void **state) {
  gipc_notify_socket *s = new_socket();
  char text[4097] = "READY=1\n";
  memset(text + 8, 'x', sizeof text - 8);
  send_to(s, text, sizeof text - 1, NULL, 0);
  send_to(s, text, sizeof text, NULL, 0);
  RESULT(gipc_notify_socket_receive(s, 0), GIPC_NOTIFY_READY);
  RESULT(gipc_notify_socket_receive(s, 0), 0);
  free_socket(s);
}

/* H133: sd_notify_barrier(3) waits for the end of its pipe. */
static void descriptors_of_a_datagram_are_closed(void **state) {
  gipc_notify_socket *s = new_socket();
  enum { most = 100 };
  int ends[2], copies[most];
  char byte;
  for (size_t count = 1; count <= most; count += most - 1) {
    assert_int_equal(pipe(ends), 0);
    for (size_t i = 0; i < count; i++)
      copies[i] = ends[1];
    send_to(s, "BARRIER=1", 9, copies, count);
    close(ends[1]);
    assert_false(wait_fd(ends[0], POLLIN, 0));
    RESULT(gipc_notify_socket_receive(s, 0), 0);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
  }
  free_socket(s);
}

/* ---- Who is believed ----------------------------------------------------- */

static int notify_as_nobody(struct ev_loop *fresh, void *argument) {
  if (setgid(65534) != 0 || setuid(65534) != 0)
    return 1;
  int result = gipc_ready();
  return result == 0 ? 0 : result == -EACCES ? 13 : 2;
}

/* H134 */
static void another_user_is_believed_only_if_it_is_the_process(void **state) {
  if (geteuid() != 0)
    skip_because("only root can be another user");
  gipc_notify_socket *s = new_socket();
  for (int is_it = 0; is_it < 2; is_it++) {
    gipc_process *p = start(notify_as_nobody, NULL, NULL);
    pid_t pid = gipc_process_pid(p);
    if (portable()) { /* it cannot reach the folder */
      assert_int_equal(end_of(p), 13);
      RESULT(gipc_notify_socket_receive(s, pid), -EAGAIN);
      continue;
    }
    assert_int_equal(end_of(p), 0);
    RESULT(gipc_notify_socket_receive(s, is_it ? pid : pid + 1),
           is_it ? GIPC_NOTIFY_READY : 0);
    RESULT(gipc_notify_socket_receive(s, pid), -EAGAIN);
  }
  free_socket(s);
}

/* ---- Programs of others -------------------------------------------------- */

/* It waits until its descriptor is closed, as sd_notify_barrier(3) does. */
static void systemd_notify_is_understood(void **state) {
  const char *const argv[] = {"systemd-notify", "--ready", NULL};
  gipc_notify_socket *s = new_socket();
  gipc_process *p;
  int result = gipc_exec_process(argv, NULL, &p), seen = 0;
  if (result == -ENOENT) {
    free_socket(s);
    skip_because("there is no systemd-notify");
  }
  OK(result);
  while (gipc_process_is_alive(p) == 1)
    if (wait_fd(gipc_notify_socket_fd(s), POLLIN, 5))
      seen |= gipc_notify_socket_receive(s, gipc_process_pid(p));
  while ((result = gipc_notify_socket_receive(s, gipc_process_pid(p))) >= 0)
    seen |= result;
  assert_int_equal(end_of(p), 0);
  assert_int_equal(seen, GIPC_NOTIFY_READY);
  free_socket(s);
}

/* ---- The socket ---------------------------------------------------------- */

static void the_address_is_private_and_goes_with_the_socket(void **state) {
  gipc_notify_socket *s = new_socket(), *other = new_socket();
  char address[128];
  struct stat info;
  snprintf(address, sizeof address, "%s", gipc_notify_socket_address(s));
  assert_string_not_equal(address, gipc_notify_socket_address(other));
  free_socket(other);
  assert_int_equal(address[0], portable() ? '/' : '@');
  if (portable()) {
    *strrchr(address, '/') = '\0';
    assert_int_equal(stat(address, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
  }
  free_socket(s);
  if (portable())
    assert_int_equal(stat(address, &info), -1);
}

/* Returns the number of its first fault. */
static int use_in_child(struct ev_loop *fresh, void *argument) {
  gipc_notify_socket *s = argument;
  int fd = 0;
  while (fd < 40) /* also at the number that the socket had */
    fd = fcntl(0, F_DUPFD, 3);
  if (gipc_notify_socket_fd(s) != GIPC_EWRONGPROC)
    return 1;
  if (gipc_notify_socket_receive(s, 0) != GIPC_EWRONGPROC)
    return 2;
  gipc_notify_socket_free(s);
  for (; fd > 2; fd--)
    if (fcntl(fd, F_GETFD) < 0)
      return 3;
  return gipc_ready() == 0 ? 0 : 4; /* the address is that of its parent */
}

static int use_in_own_fork(void *argument) {
  return use_in_child(NULL, argument);
}

static void a_child_can_send_to_the_socket_and_not_use_it(void **state) {
  gipc_notify_socket *s = new_socket();
  assert_int_equal(in_child(use_in_child, s, NULL), 0);
  RESULT(gipc_notify_socket_receive(s, 0), GIPC_NOTIFY_READY);
  in_own_fork(use_in_own_fork, s);
  RESULT(gipc_notify_socket_receive(s, 0), GIPC_NOTIFY_READY);
  RESULT(gipc_notify_socket_receive(s, 0), -EAGAIN);
  free_socket(s);
}

static void a_wrong_argument_changes_nothing(void **state) {
  gipc_notify_socket *s = new_socket();
  RESULT(gipc_notify_socket_new(NULL), -EINVAL);
  assert_null(gipc_notify_socket_address(NULL));
  RESULT(gipc_notify_socket_fd(NULL), -EINVAL);
  RESULT(gipc_notify_socket_receive(NULL, 0), -EINVAL);
  OK(gipc_ready());
  RESULT(gipc_notify_socket_receive(s, -1), -EINVAL);
  RESULT(gipc_notify_socket_receive(s, 0), GIPC_NOTIFY_READY);
  gipc_notify_socket_free(NULL);
  free_socket(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(nothing_is_sent_without_a_valid_address),
      TEST(any_supervisor_gets_the_words_of_the_protocol),
      TEST(a_sign_of_life_never_waits_and_readiness_does),
      TEST(each_datagram_is_read_by_its_lines),
      TEST(a_datagram_that_is_cut_says_nothing),
      TEST(descriptors_of_a_datagram_are_closed),
      TEST(another_user_is_believed_only_if_it_is_the_process),
      TEST(systemd_notify_is_understood),
      TEST(the_address_is_private_and_goes_with_the_socket),
      TEST(a_child_can_send_to_the_socket_and_not_use_it),
      TEST(a_wrong_argument_changes_nothing),
  };
  return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
