/* Messages with descriptors between processes. */
#include "support_fds.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { small = 16 };

static gipc_options *passing(const char *name, gipc_handle *h) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, name, h));
  return o;
}

/* ---- Function children ----------------------------------------------------
 */

static int echo(struct ev_loop *fresh, void *argument) {
  gipc_handle *h = argument;
  const void *data;
  size_t size;
  int fds[GIPC_MOST_FDS], result;
  while ((result = gipc_get(h, 60, &data, &size)) == 0) {
    int count = gipc_take_fds(h, fds, GIPC_MOST_FDS);
    if (count < 0 || gipc_put_with(h, data, size, fds, (size_t)count, 60) != 0)
      return 1;
    while (count > 0)
      close(fds[--count]);
  }
  gipc_handle_free(h);
  return result == GIPC_EOF ? 0 : 2;
}

static void a_function_child_gets_and_puts_them(void **state) {
  gipc_handle *h, *theirs;
  need_descriptors();
  CHECK_OK(gipc_pipe_duplex(&h, &theirs));
  gipc_options *o = passing("h", theirs);
  gipc_process *p = start(echo, theirs, o);
  int before = count_fds();
  for (uint32_t i = 0; i < 200; i++) {
    CHECK_OK(put_fds(h, i, small + i * 20, i % 4, 20));
    get_fds(h, i, small + i * 20, i % 4);
  }
  CHECK_IS(count_fds(), before);
  gipc_handle_free(h);
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(theirs);
  gipc_options_free(o);
}

static void a_handle_that_has_some_is_not_passed(void **state) {
  static char block[4096];
  gipc_handle *r, *w;
  gipc_process *p;
  need_descriptors();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(put_fds(w, 1, small, 1, 20));
  CHECK_OK(gipc_read_ahead(r));
  gipc_options *o = passing("h", r);
  CHECK_IS(gipc_start_process(echo, NULL, o, &p), -EBUSY);
  get_fds(r, 1, small, 1);
  CHECK_OK(gipc_options_clear_passed(o));
  CHECK_OK(gipc_set_marks(w, 1, 64 << 20));
  while (gipc_flush_step(w) == 0)
    CHECK_OK(gipc_try_put(w, block, sizeof block));
  CHECK_OK(try_put_fds(w, 2, small, 1));
  CHECK_OK(gipc_options_pass(o, "h", w));
  CHECK_IS(gipc_start_process(echo, NULL, o, &p), -EBUSY);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
}

/* Those of a message that was got and not taken, too. */
static void a_child_has_none_that_was_not_taken(void **state) { /* H12 */
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  int fd, watched;
  need_descriptors();
  for (int passed = 0; passed < 2; passed++) {
    CHECK_OK(gipc_pipe(&r, &w));
    watched = make_watched(&fd);
    CHECK_OK(gipc_put_with(w, "a", 1, &fd, 1, 20));
    close(fd);
    CHECK_OK(gipc_get(r, 20, &data, &size));
    gipc_options *o = passed ? passing("h", r) : new_options();
    gipc_process *p = start(wait_for_signal, NULL, o);
    CHECK_IS(gipc_take_fds(r, &fd, 1), passed ? GIPC_ECLOSED : 1);
    if (!passed)
      close(fd);
    /* It closes them before it begins. */
    CHECK(wait_fd(watched, POLLIN, 60000) && is_gone(watched));
    destroy(p);
    gipc_handle_free(r);
    gipc_handle_free(w);
    gipc_options_free(o);
    close(watched);
  }
}

struct dying {
  gipc_handle *w;
  int fd;
};
static int put_large(struct ev_loop *fresh, void *argument) {
  static char large[8 << 20];
  struct dying *dying = argument;
  return gipc_put_with(dying->w, large, sizeof large, &dying->fd, 1, -1);
}

static void a_sender_that_is_killed_in_a_message_leaves_none(void **state) {
  need_descriptors();
  struct dying dying;
  gipc_handle *r;
  size_t size;
  const void *data;
  int watched = make_watched(&dying.fd);
  CHECK_OK(gipc_pipe(&r, &dying.w));
  CHECK_OK(put_fds(dying.w, 1, small, 1, 20));
  gipc_options *o = passing("w", dying.w);
  gipc_process *p = start(put_large, &dying, o);
  close(dying.fd);
  get_fds(r, 1, small, 1);
  while (gipc_next_size(r, &size) == -EAGAIN)
    CHECK(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 60000));
  destroy(p);
  CHECK(!is_gone(watched));
  CHECK_IS(gipc_get(r, 20, &data, &size), GIPC_ETRUNCATED);
  CHECK(is_gone(watched));
  gipc_handle_free(r);
  gipc_handle_free(dying.w);
  gipc_options_free(o);
  close(watched);
}

static int leave_queued(struct ev_loop *fresh, void *argument) {
  static char block[4096];
  gipc_handle *w = argument;
  CHECK_OK(gipc_set_marks(w, 1, 64 << 20));
  while (gipc_flush_step(w) == 0)
    CHECK_OK(gipc_try_put(w, block, sizeof block));
  for (uint32_t i = 0; i < 5; i++)
    CHECK_OK(try_put_fds(w, i, small, i % 3));
  return 0;
}

static void a_child_writes_its_queue_at_its_end(void **state) {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  uint32_t got = 0;
  need_descriptors();
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_options *o = passing("w", w);
  gipc_process *p = start(leave_queued, w, o);
  while (gipc_get(r, 60, &data, &size) == 0)
    if (size == small) {
      expect_fds(r, data, size, got, small, got % 3);
      got++;
    }
  CHECK_IS(got, 5);
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
}

/* ---- Program children -----------------------------------------------------
 */

static void a_program_gets_and_puts_them(void **state) {
  gipc_handle *to[2], *from[2];
  const void *data;
  size_t size;
  char text[8] = "";
  int ends[2], fd;
  need_descriptors();
  CHECK_OK(gipc_pipe(&to[0], &to[1]));
  CHECK_OK(gipc_pipe(&from[0], &from[1]));
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  gipc_options *o = passing("in", to[0]);
  CHECK_OK(gipc_options_pass(o, "out", from[1]));
  gipc_process *p = execute(o, PROGRAM("child_pass"), NULL);
  CHECK_OK(gipc_get(from[0], 60, &data, &size)); /* it is ready */
  CHECK_OK(gipc_put_with(to[1], "hello", 5, &ends[1], 1, 20));
  close(ends[1]);
  CHECK_IS(read_text(ends[0], text, sizeof text), 5);
  CHECK(strcmp(text, "hello") == 0);
  CHECK_OK(gipc_get(from[0], 60, &data, &size));
  CHECK_IS(gipc_take_fds(from[0], &fd, 1), 1);
  CHECK_IS(end_of(p), 0);
  CHECK_IS(read_text(fd, text, sizeof text), 5);
  for (int i = 0; i < 2; i++) {
    gipc_handle_free(to[i]);
    gipc_handle_free(from[i]);
  }
  gipc_options_free(o);
}

/* It may be a program that reads the descriptor itself. */
static void a_program_that_inherits_no_handle_gets_none(void **state) {
  gipc_handle *r, *w;
  int fd = 0;
  for (int as_stdin = 0; as_stdin < 2; as_stdin++) {
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_AUTO));
    gipc_options *o = as_stdin ? new_options() : passing("h", r);
    if (as_stdin)
      CHECK_OK(
          gipc_options_set_stdio(o, 0, GIPC_STDIO_FD, gipc_fd(r, GIPC_READ)));
    gipc_process *p = execute(o, PROGRAM("child_stubborn"), NULL);
    CHECK_IS(gipc_put_with(w, "a", 1, &fd, 1, 0), -EOPNOTSUPP);
    CHECK_IS(gipc_try_put_with(w, "a", 1, &fd, 1), -EOPNOTSUPP);
    destroy(p);
    gipc_handle_free(r);
    gipc_handle_free(w);
    gipc_options_free(o);
  }
}

/* ---- A listener, whose children get the accepted sockets ------------------
 */

enum { workers = 3 };

static int serve(struct ev_loop *fresh, void *argument) {
  gipc_handle *r = argument;
  const void *data;
  size_t size;
  int fd;
  while (gipc_get(r, 60, &data, &size) == 0) {
    if (gipc_take_fds(r, &fd, 1) != 1 || !write_all(fd, data, size))
      return 1;
    close(fd);
  }
  return 0;
}

static int make_listener(struct sockaddr_in *address) {
  socklen_t size = sizeof *address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  *address = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
  CHECK_OK(bind(fd, (struct sockaddr *)address, size));
  CHECK_OK(listen(fd, 16));
  CHECK_OK(getsockname(fd, (struct sockaddr *)address, &size));
  return fd;
}

static void children_get_the_sockets_of_a_listener(void **state) {
  gipc_handle *r[workers], *w[workers];
  gipc_process *p[workers];
  struct sockaddr_in address;
  need_descriptors();
  int listener = make_listener(&address);
  for (int i = 0; i < workers; i++) {
    CHECK_OK(gipc_pipe(&r[i], &w[i]));
    gipc_options *o = passing("sockets", r[i]);
    p[i] = start(serve, r[i], o);
    gipc_handle_free(r[i]);
    gipc_options_free(o);
  }
  int before = count_fds();
  for (uint32_t i = 0; i < many(500, 50); i++) {
    uint32_t got;
    char end;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_OK(connect(client, (struct sockaddr *)&address, sizeof address));
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK_OK(gipc_put_with(w[i % workers], &i, sizeof i, &server, 1, 20));
    close(server);
    CHECK(read_all(client, &got, sizeof got));
    CHECK_IS(got, i);
    CHECK_IS(read(client, &end, 1), 0); /* no copy is left */
    close(client);
  }
  CHECK_IS(count_fds(), before);
  for (int i = 0; i < workers; i++) {
    gipc_handle_free(w[i]);
    CHECK_IS(end_of(p[i]), 0);
  }
  close(listener);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_function_child_gets_and_puts_them),
      TEST(a_handle_that_has_some_is_not_passed),
      TEST(a_child_has_none_that_was_not_taken),
      TEST(a_sender_that_is_killed_in_a_message_leaves_none),
      TEST(a_child_writes_its_queue_at_its_end),
      TEST(a_program_gets_and_puts_them),
      TEST(a_program_that_inherits_no_handle_gets_none),
      TEST(children_get_the_sockets_of_a_listener),
  };
  return cmocka_run_group_tests_name("fds children", tests, NULL, NULL);
}
