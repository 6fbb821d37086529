/* Peers that do not know rings, which never notice them: programs that read the
 * descriptor themselves, and standard streams. */
#include "support_ring.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { batch = 64, frame_size = 8 };

static void make_pair(int (*s)[2]) {
  CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, *s), 0);
}

static gipc_handle *open_as(int read_fd, int write_fd, int wanted) {
  gipc_handle *h;
  CHECK_OK(gipc_open(read_fd, write_fd, &h));
  CHECK_OK(gipc_set_transport(h, wanted));
  return h;
}

/* A pipe that uses a ring by itself. */
static void make_ring_by_itself(gipc_handle **r, gipc_handle **w) {
  CHECK_OK(gipc_pipe(r, w));
  CHECK_OK(gipc_set_transport(*r, GIPC_TRANSPORT_AUTO));
  CHECK_OK(gipc_set_transport(*w, GIPC_TRANSPORT_AUTO));
  for (uint32_t i = 0; i < 60; i++) {
    put_number(*w, i);
    get_number(*r, i);
  }
  CHECK_IS(transport(*r, GIPC_READ), GIPC_TRANSPORT_RING);
  CHECK_IS(transport(*w, GIPC_WRITE), GIPC_TRANSPORT_RING);
}

/* ---- Programs that read the descriptor themselves -------------------------
 */

/* A short read would be one that ends at a descriptor. */
static void a_read_of_many_frames_is_never_short(void **state) {
  int s[2];
  uint32_t number = 0;
  make_pair(&s);
  gipc_handle *w = open_as(-1, s[1], GIPC_TRANSPORT_AUTO);
  for (int round = 0; round < 100; round++) {
    unsigned char got[batch * frame_size];
    for (int i = 0; i < batch; i++)
      put_number(w, number++);
    CHECK_IS(recv(s[0], got, sizeof got, MSG_WAITALL), sizeof got);
    CHECK(memcmp(got, "\0\0\0\4", 4) == 0);
  }
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  close(s[0]);
  gipc_handle_free(w);
}

/* Reads size bytes, and takes descriptors, of which none may come. */
static bool take(int fd, void *into, size_t size) {
  char control[CMSG_SPACE(4 * sizeof(int))];
  for (size_t taken = 0; taken < size;) {
    struct iovec part = {(char *)into + taken, size - taken};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof control};
    ssize_t moved = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    if (moved <= 0 || header.msg_controllen != 0)
      return false;
    taken += (size_t)moved;
  }
  return true;
}

static void a_peer_that_takes_descriptors_gets_none(void **state) {
  static char block[40000], got[sizeof block + 4];
  int s[2];
  make_pair(&s);
  gipc_handle *w = open_as(-1, s[1], GIPC_TRANSPORT_AUTO);
  for (int i = 0; i < 3000; i++) {
    size_t size = i % 50 == 0 ? sizeof block : 4;
    CHECK_OK(gipc_put(w, block, size, 20));
    CHECK(take(s[0], got, size + 4));
  }
  close(s[0]);
  gipc_handle_free(w);
}

/* As an emulated program, whose numbers in shared memory are in the other
 * order. */
static void
a_reader_of_the_other_byte_order_gets_descriptors_and_no_ring(void **state) {
  const uint16_t one = 1;
  const bool little = *(const unsigned char *)&one == 1;
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int s[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  make_pair(&s);
  int length =
      snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "gipc %s %x",
               little ? "bigend" : "reader", (unsigned)getpid());
  CHECK_IS(bind(s[0], (struct sockaddr *)&name,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
                    (socklen_t)length),
           0);
  gipc_handle *w = open_as(-1, s[1], GIPC_TRANSPORT_AUTO);
  for (int i = 0; i < 3000; i++) {
    unsigned char got[frame_size];
    put_number(w, (uint32_t)i);
    CHECK(take(s[0], got, sizeof got));
  }
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  CHECK_OK(gipc_put_with(w, "", 0, &null, 1, 20));
  close(null);
  close(s[0]);
  gipc_handle_free(w);
}

static void a_ring_follows_when_the_peer_is_a_handle(void **state) {
  int s[2];
  uint32_t number = 0;
  make_pair(&s);
  gipc_handle *w = open_as(-1, s[1], GIPC_TRANSPORT_AUTO);
  for (int i = 0; i < 3000; i++) {
    unsigned char got[frame_size];
    put_number(w, number++);
    CHECK(read_all(s[0], got, sizeof got));
  }
  gipc_handle *r = open_as(s[0], -1, GIPC_TRANSPORT_AUTO);
  for (int i = 0; i < 3000; i++) {
    put_number(w, number);
    get_number(r, number++);
  }
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_RING);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_refused_offer_is_made_again_later(void **state) {
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  for (int phase = 0; phase < 3; phase++) {
    static const int of_r[] = {GIPC_TRANSPORT_AUTO, GIPC_TRANSPORT_PLAIN,
                               GIPC_TRANSPORT_AUTO};
    CHECK_OK(gipc_set_transport(r, of_r[phase]));
    if (phase < 2)
      CHECK_OK(gipc_set_transport(w, phase == 0 ? GIPC_TRANSPORT_PLAIN
                                                : GIPC_TRANSPORT_AUTO));
    for (uint32_t i = 0; i < (phase == 2 ? 20000 : 3000); i++) {
      put_number(w, i);
      get_number(r, i);
    }
    CHECK_IS(transport(w, GIPC_WRITE),
             phase == 2 ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN);
  }
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* Such a socket has a name already, the one that clients connect to. */
static void a_named_socket_stays_plain(void **state) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  socklen_t size = sizeof name.sun_family; /* the kernel chooses */
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_IS(bind(listener, (struct sockaddr *)&name, size), 0);
  CHECK_IS(listen(listener, 1), 0);
  size = sizeof name;
  CHECK_IS(getsockname(listener, (struct sockaddr *)&name, &size), 0);
  CHECK_IS(connect(client, (struct sockaddr *)&name, size), 0);
  int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  gipc_handle *r = open_as(server, -1, GIPC_TRANSPORT_AUTO);
  gipc_handle *w = open_as(-1, client, GIPC_TRANSPORT_AUTO);
  for (uint32_t i = 0; i < 3000; i++) {
    put_number(w, i);
    get_number(r, i);
  }
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  gipc_handle_free(r);
  gipc_handle_free(w);
  close(listener);
}

/* ---- Standard streams -----------------------------------------------------
 */

/* The child reads or writes frames by itself. */
static gipc_process *start_cat(int in, int out) {
  gipc_options *o = new_options();
  if (in >= 0)
    CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_FD, in));
  if (out >= 0)
    CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_FD, out));
  gipc_process *p = execute(o, "cat", NULL);
  gipc_options_free(o);
  return p;
}

static void a_program_gets_all_frames_on_its_stdin(void **state) {
  gipc_handle *a, *b;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_set_transport(a, GIPC_TRANSPORT_AUTO));
  gipc_process *p = start_cat(gipc_fd(b, GIPC_READ), gipc_fd(b, GIPC_WRITE));
  CHECK_OK(gipc_close(b));
  for (uint32_t i = 0; i < 3000; i++) {
    put_number(a, i);
    get_number(a, i);
  }
  CHECK_IS(transport(a, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  CHECK_OK(gipc_shutdown(a));
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void a_writer_in_a_ring_leaves_it_for_a_programs_stdout(void **state) {
  gipc_handle *r, *w;
  int in[2];
  make_ring_by_itself(&r, &w);
  CHECK_IS(pipe2(in, O_CLOEXEC), 0);
  put_number(w, 1);
  gipc_process *p = start_cat(in[0], gipc_fd(w, GIPC_WRITE));
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  close(in[0]);
  CHECK_OK(gipc_close(w));
  get_number(r, 1);
  for (uint32_t i = 0; i < 100; i++) {
    unsigned char frame[frame_size] = {0, 0, 0, 4};
    memcpy(frame + 4, &i, sizeof i);
    CHECK(write_all(in[1], frame, sizeof frame));
    get_number(r, i);
  }
  close(in[1]);
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

enum { many_frames = 40000 }; /* more than lie between two offers */

static int take_frames(struct ev_loop *fresh, void *argument) {
  unsigned char frame[frame_size];
  int fd = *(int *)argument;
  for (uint32_t i = 0; i < many_frames; i++)
    if (!take(fd, frame, sizeof frame) || memcmp(frame + 4, &i, 4) != 0)
      return 1;
  return read(fd, frame, 1) == 0 ? 0 : 2;
}

static void a_reader_in_a_ring_leaves_it_for_a_mapped_descriptor(void **state) {
  gipc_handle *r, *w;
  gipc_process *p;
  int child_fd = 9;
  make_ring_by_itself(&r, &w);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_map_fd(o, gipc_fd(r, GIPC_READ), child_fd));
  /* Bytes that only the ring has are not left behind. */
  put_number(w, 7);
  CHECK_IS(gipc_start_process(take_frames, &child_fd, o, &p), -EBUSY);
  assert_string_equal(gipc_options_failed(o), "map_fd");
  get_number(r, 7);
  CHECK_IS(gipc_start_process(take_frames, &child_fd, o, &p), -EBUSY);
  put_number(w, 8); /* on the socket, behind the mark */
  get_number(r, 8);
  CHECK_OK(gipc_start_process(take_frames, &child_fd, o, &p));
  gipc_options_free(o);
  CHECK_OK(gipc_close(r));
  for (uint32_t i = 0; i < many_frames; i++)
    put_number(w, i);
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  CHECK_OK(gipc_close(w));
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static int use_stdio(struct ev_loop *fresh, void *argument) {
  gipc_handle *h;
  CHECK_OK(gipc_stdio(&h));
  for (uint32_t i = 0; i < 3000; i++) {
    get_number(h, i);
    put_number(h, i);
  }
  CHECK_IS(transport(h, GIPC_READ), GIPC_TRANSPORT_PLAIN);
  CHECK_IS(transport(h, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  gipc_handle_free(h);
  return 5;
}

/* Other programs may have the same stdin and stdout. */
static void a_handle_of_stdin_and_stdout_stays_plain(void **state) {
  gipc_handle *a, *b;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_set_transport(a, GIPC_TRANSPORT_AUTO));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_FD, gipc_fd(b, GIPC_READ)));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_FD, gipc_fd(b, GIPC_WRITE)));
  gipc_process *p = start(use_stdio, NULL, o);
  gipc_options_free(o);
  CHECK_OK(gipc_close(b));
  for (uint32_t i = 0; i < 3000; i++) {
    put_number(a, i);
    get_number(a, i);
  }
  CHECK_IS(transport(a, GIPC_READ), GIPC_TRANSPORT_PLAIN);
  CHECK_IS(transport(a, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  CHECK_IS(end_of(p), 5);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

/* The kernel chooses the lowest number for a descriptor that it passes on. */
static void a_ring_is_not_put_on_a_closed_standard_stream(void **state) {
  int saved = fcntl(0, F_DUPFD_CLOEXEC, 10);
  gipc_handle *r, *w;
  close(0);
  make_ring_by_itself(&r, &w);
  bool closed = fcntl(0, F_GETFD) < 0;
  gipc_handle_free(r);
  gipc_handle_free(w);
  dup2(saved, 0);
  close(saved);
  CHECK(closed);
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
      TEST(a_read_of_many_frames_is_never_short),
      TEST(a_peer_that_takes_descriptors_gets_none),
      TEST(a_reader_of_the_other_byte_order_gets_descriptors_and_no_ring),
      TEST(a_ring_follows_when_the_peer_is_a_handle),
      TEST(a_refused_offer_is_made_again_later),
      TEST(a_named_socket_stays_plain),
      TEST(a_program_gets_all_frames_on_its_stdin),
      TEST(a_writer_in_a_ring_leaves_it_for_a_programs_stdout),
      TEST(a_reader_in_a_ring_leaves_it_for_a_mapped_descriptor),
      TEST(a_handle_of_stdin_and_stdout_stays_plain),
      TEST(a_ring_is_not_put_on_a_closed_standard_stream),
  };
  if (portable())
    return cmocka_run_group_tests_name("ring peers", plain, NULL, NULL);
  return cmocka_run_group_tests_name("ring peers", tests, NULL, NULL);
}
