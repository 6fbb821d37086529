/* Events as lines of JSON on a descriptor: gipc_trace(). */
#include "support_ring.h"
#include "support_workers.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* The lines that a trace has written to a file. */
static char lines[1 << 16];
static int file = -1;

static void trace_to_file(void) {
  char path[128];
  file = open(scratch("trace", path), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
              0600);
  CHECK_OK(gipc_trace(file));
}

static const char *end_trace(void) {
  CHECK_OK(gipc_trace(-1));
  ssize_t size = pread(file, lines, sizeof lines - 1, 0);
  CHECK(size >= 0);
  lines[size] = 0;
  close(file);
  return lines;
}

/* Number of lines that contain the text. */
static size_t count(const char *of, const char *text) {
  size_t found = 0;
  for (const char *at = of; (at = strstr(at, text)) != NULL; at++)
    found++;
  return found;
}

/* The values of a key in the first line of an event. */
static long value(const char *of, const char *event, const char *key) {
  char word[64];
  snprintf(word, sizeof word, "\"event\":\"%s\"", event);
  const char *line = strstr(of, word);
  CHECK(line != NULL);
  snprintf(word, sizeof word, "\"%s\":", key);
  const char *at = strstr(line, word);
  CHECK(at != NULL && at < strchr(line, '\n'));
  return strtol(at + strlen(word), NULL, 10);
}

static void exchange(gipc_handle *r, gipc_handle *w, size_t times) {
  const void *data;
  size_t size;
  for (size_t i = 0; i < times; i++) {
    CHECK_OK(gipc_put(w, "12345", 5, 60));
    CHECK_OK(gipc_get(r, 60, &data, &size));
  }
}

/* ---- Messages ----------------------------------------------------------- */

static void each_message_is_a_line(void **state) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  exchange(r, w, 1);
  trace_to_file();
  exchange(r, w, 3);
  const char *all = end_trace();
  exchange(r, w, 1);
  assert_int_equal(count(all, "\"event\":\"put\""), 3);
  assert_int_equal(count(all, "\"event\":\"get\""), 3);
  assert_int_equal(count(all, "\n"), 6);
  assert_int_equal(count(all, "{\"time\":"), 6);
  assert_int_equal(value(all, "put", "size"), 5);
  assert_int_equal(value(all, "get", "handle") + 1,
                   value(all, "put", "handle"));
  char pid[32];
  snprintf(pid, sizeof pid, "\"pid\":%d,", (int)getpid());
  assert_int_equal(count(all, pid), 6);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void each_way_to_put_and_to_get_is_traced_once(void **state) {
  gipc_handle *r, *w;
  const void *data;
  size_t size, accepted, large = 200000;
  char into[8], *text = calloc(1, large);
  OK(gipc_pipe(&r, &w));
  trace_to_file();
  OK(gipc_try_put(w, "1", 1));
  OK(gipc_try_put(w, "12", 2)); /* into the queue */
  OK(gipc_flush(w, 60));
  OK(gipc_put_start(w, "123", 3));
  gipc_message both[] = {{"1234", 4}, {"12345", 5}};
  OK(gipc_put_many(w, both, 2, 60, &accepted));
  OK(gipc_get_into(r, into, sizeof into, &size));
  for (int i = 0; i < 4; i++)
    OK(gipc_try_get(r, &data, &size));
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  gipc_message one = {text, large};
  OK(gipc_put_many(w, &one, 1, 60, &accepted));
  OK(gipc_get(r, 60, &data, &size));
  const char *all = end_trace();
  assert_int_equal(count(all, "\"event\":\"put\""), 6);
  assert_int_equal(count(all, "\"event\":\"get\""), 6);
  for (int i = 1; i <= 5; i++) {
    char of_size[32];
    snprintf(of_size, sizeof of_size, "\"size\":%d", i);
    assert_int_equal(count(all, of_size) >= 2, true);
  }
  gipc_handle_free(r);
  gipc_handle_free(w);
  free(text);
}

static void deliver(gipc_handle *h, const void *data, size_t size, void *user) {
  ev_break(user, EVBREAK_ALL);
}

static void a_message_that_a_loop_delivers_is_a_get(void **state) {
  gipc_handle *r, *w;
  struct ev_loop *loop = ev_loop_new(0);
  gipc_events events = {sizeof events, deliver, NULL, NULL};
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(r, loop, &events, loop));
  trace_to_file();
  OK(gipc_put(w, "123", 3, 60));
  ev_run(loop, 0);
  const char *all = end_trace();
  assert_int_equal(count(all, "\"event\":\"get\""), 1);
  assert_int_equal(value(all, "get", "size"), 3);
  gipc_handle_free(r);
  gipc_handle_free(w);
  ev_loop_destroy(loop);
}

static void a_put_that_waits_is_a_stall(void **state) {
  gipc_handle *r, *w;
  size_t size = 4 << 20;
  char *text = calloc(1, size);
  OK(gipc_pipe(&r, &w));
  trace_to_file();
  RESULT(gipc_put(w, text, size, 0.01), -EINPROGRESS);
  const char *all = end_trace();
  assert_int_equal(count(all, "\"event\":\"stall\""), 1);
  assert_int_equal(value(all, "stall", "size"), size);
  assert_true(value(all, "stall", "queued") > 0);
  /* A part was written, so that the message was put. */
  assert_int_equal(count(all, "\"event\":\"put\""), 1);
  gipc_handle_free(r);
  gipc_handle_free(w);
  free(text);
}

static bool has_rings(void) {
  const char *os = getenv("GIPC_TEST_OS");
  return os == NULL || strcmp(os, "posix") != 0;
}

static void a_ring_tells_its_bells(void **state) {
  if (!has_rings())
    skip_because("no rings");
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  make_ring(&r, &w);
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  trace_to_file();
  put_number(w, 1);
  put_number(w, 2); /* the reader is awake */
  const char *all = end_trace();
  assert_int_equal(count(all, "\"event\":\"bell\""), 1);
  assert_int_equal(value(all, "bell", "handle"), value(all, "put", "handle"));
  gipc_handle_free(r);
  gipc_handle_free(w);
}

/* ---- Processes ---------------------------------------------------------- */

static void names_are_escaped_and_cut(void **state) {
  char name[5000];
  static const char *const table[][2] = {
      {"plain", "\"name\":\"plain\""},
      {"a\"b\\c\n\x01", "\"name\":\"a\\\"b\\\\c\\u000a\\u0001\""},
      {"gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x98\x80",
       "\"name\":\"gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x98\x80\""},
      {"\xff\xc3(\xed\xa0\x80\xc0\x80",
       "\"name\":\"\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\""},
      {"\xe2\x82", "\"name\":\"\\ufffd\\ufffd\""},
  };
  gipc_options *o = new_options();
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    OK(gipc_options_set_name(o, table[i][0]));
    trace_to_file();
    CHECK_IS(end_of(execute(o, "true", NULL)), 0);
    assert_int_equal(count(end_trace(), table[i][1]), 1);
  }
  memset(name, 1, sizeof name - 1);
  name[sizeof name - 1] = 0;
  OK(gipc_options_set_name(o, name));
  trace_to_file();
  CHECK_IS(end_of(execute(o, "true", NULL)), 0);
  const char *all = end_trace();
  assert_int_equal(count(all, "\\u0001\"}\n"), 1);
  assert_true(strchr(all, '\n') - all < PIPE_BUF);
  gipc_options_free(o);
}

static void a_process_has_a_start_and_an_end(void **state) {
  trace_to_file();
  gipc_process *p = start(return_argument, INT(7), NULL);
  long pid = gipc_process_pid(p);
  CHECK_IS(end_of(p), 7);
  p = start(wait_for_signal, NULL, NULL);
  destroy(p);
  const char *all = end_trace();
  assert_int_equal(count(all, "\"event\":\"start\""), 2);
  assert_int_equal(count(all, "\"event\":\"end\""), 2);
  assert_int_equal(value(all, "start", "child"), pid);
  assert_int_equal(value(all, "end", "child"), pid);
  assert_int_equal(value(all, "end", "code"), 7);
  assert_int_equal(count(all, "\"signal\":9,"), 1);
  assert_int_equal(count(all, "\"how\":\"wait\",\"ended\":\"return\""), 1);
}

static int exchange_in_child(struct ev_loop *fresh, void *asks) {
  gipc_handle *r, *w;
  if (asks)
    CHECK_OK(gipc_trace(2));
  CHECK_OK(gipc_pipe(&r, &w));
  exchange(r, w, 1);
  gipc_handle_free(r);
  gipc_handle_free(w);
  return 0;
}
static int in_fork(void *argument) { return exchange_in_child(NULL, NULL); }

static void a_child_writes_only_if_it_asks(void **state) {
  gipc_options *o = new_options();
  trace_to_file();
  OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_FD, file));
  CHECK_IS(in_child(exchange_in_child, NULL, NULL), 0);
  in_own_fork(in_fork, NULL);
  assert_true(lseek(file, 0, SEEK_END) > 0);
  CHECK_IS(in_child(exchange_in_child, INT(1), o), 0);
  const char *all = end_trace();
  assert_int_equal(count(all, "\"event\":\"put\""), 1);
  assert_int_equal(count(all, "\"event\":\"get\""), 1);
  gipc_options_free(o);
}

/* ---- The descriptor ----------------------------------------------------- */

static void nothing_is_written_without_a_trace(void **state) {
  trace_to_file();
  assert_string_equal(end_trace(), "");
  RESULT(gipc_trace(-2), -EBADF);
  RESULT(gipc_trace(1000000), -EBADF);
  int both[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, both), 0);
  RESULT(gipc_trace(both[0]), -EINVAL);
  close(both[0]);
  close(both[1]);
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  RESULT(gipc_trace(null), -EINVAL);
  close(null);
}

static size_t dropped(const char *of) {
  static const char word[] = "\"event\":\"dropped\",\"count\":";
  size_t sum = 0;
  for (const char *at = of; (at = strstr(at, word)) != NULL; at++)
    sum += strtoul(at + strlen(word), NULL, 10);
  return sum;
}

/* A full reader: the program goes on, and is told how many lines are lost. */
static void expect_drops(int reader, int writer) {
  gipc_handle *r, *w;
  static char text[1 << 20];
  size_t size = 0, times = many(20000, 5000);
  OK(gipc_pipe(&r, &w));
  OK(gipc_trace(writer));
  exchange(r, w, times);
  ssize_t part;
  while ((part = recv(reader, text + size, 65536, MSG_DONTWAIT)) > 0 ||
         (part < 0 && errno == ENOTSOCK && wait_fd(reader, POLLIN, 0) &&
          (part = read(reader, text + size, 65536)) > 0))
    size += (size_t)part;
  size_t before = count(text, "\n");
  exchange(r, w, 1);
  OK(gipc_trace(-1));
  while (wait_fd(reader, POLLIN, 0) &&
         (part = read(reader, text + size, 65536)) > 0)
    size += (size_t)part;
  text[size] = 0;
  assert_true(before > 0 && before < 2 * times);
  /* Each line is whole: it begins like one. */
  assert_int_equal(count(text, "\n"), count(text, "{\"time\":"));
  assert_int_equal(count(text, "}\n{\"time\":") + 1, count(text, "\n"));
  assert_int_equal(count(text, "\n") - count(text, "dropped") + dropped(text),
                   2 * times + 2);
  gipc_handle_free(r);
  gipc_handle_free(w);
  memset(text, 0, sizeof text);
}

/* Which takes parts of a line, unlike a local one. */
static void tcp_pair(int both[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096,
      segment = 88;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  CHECK_OK(bind(listener, (struct sockaddr *)&address, size));
  CHECK_OK(listen(listener, 1));
  CHECK_OK(getsockname(listener, (struct sockaddr *)&address, &size));
  both[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(both[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  CHECK_OK(connect(both[1], (struct sockaddr *)&address, size));
  both[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK(both[0] >= 0);
  close(listener);
}

/* The end of a line that was cut comes before the next one. */
static void a_line_that_was_cut_is_completed(void **state) {
  static char text[1 << 20];
  gipc_handle *r, *w;
  size_t size = 0;
  ssize_t part;
  int both[2];
  tcp_pair(both);
  OK(gipc_pipe(&r, &w));
  OK(gipc_trace(both[1]));
  for (int i = 0; i < 200; i++) {
    exchange(r, w, 100);
    if ((part = recv(both[0], text + size, 1000, MSG_DONTWAIT)) > 0)
      size += (size_t)part;
  }
  OK(gipc_trace(-1));
  shutdown(both[1], SHUT_WR);
  while ((part = read(both[0], text + size, sizeof text - 1 - size)) > 0)
    size += (size_t)part;
  text[size] = 0;
  /* Only the last one may lack its end. */
  assert_true(count(text, "\n") > 10);
  size_t begun = count(text, "{\"time\":");
  assert_true(begun - count(text, "}\n") <= 1);
  assert_int_equal(count(text, "}\n{\"time\":") + 1, begun);
  gipc_handle_free(r);
  gipc_handle_free(w);
  close(both[0]);
  close(both[1]);
}

static void a_full_pipe_or_socket_never_blocks(void **state) {
  int both[2], small = 4096;
  assert_int_equal(pipe2(both, O_CLOEXEC), 0);
  expect_drops(both[0], both[1]);
  assert_int_equal(fcntl(both[1], F_GETFL) & O_NONBLOCK, 0);
  close(both[0]);
  close(both[1]);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
  setsockopt(both[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  expect_drops(both[0], both[1]);
  close(both[0]);
  close(both[1]);
}

static void a_reader_that_is_gone_ends_the_trace(void **state) {
  int both[2];
  assert_int_equal(pipe2(both, O_CLOEXEC), 0);
  int before = count_fds();
  OK(gipc_trace(both[1]));
  assert_int_equal(count_fds(), before + 1);
  close(both[0]);
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  exchange(r, w, 2); /* no SIGPIPE */
  gipc_handle_free(r);
  gipc_handle_free(w);
  assert_int_equal(count_fds(), before - 1);
  close(both[1]);
}

/* ---- Pools -------------------------------------------------------------- */

static void tasks_and_restarts_of_a_pool_are_traced(void **state) {
  trace_to_file();
  gipc_pool *pool = new_pool("most=1 first_delay=0.01");
  put(pool, "x");
  put(pool, "e1");
  run_until(2);
  end_pool(pool);
  const char *all = end_trace();
  assert_int_equal(count(all, "\"what\":\"send\""), 2);
  assert_int_equal(count(all, "\"what\":\"finish\""), 2);
  assert_int_equal(count(all, "\"why\":\"done\""), 1);
  assert_int_equal(count(all, "\"event\":\"restart\""), 1);
  assert_int_equal(value(all, "restart", "times"), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(each_message_is_a_line),
      TEST(each_way_to_put_and_to_get_is_traced_once),
      TEST(a_message_that_a_loop_delivers_is_a_get),
      TEST(a_put_that_waits_is_a_stall),
      TEST(a_ring_tells_its_bells),
      TEST(names_are_escaped_and_cut),
      TEST(a_process_has_a_start_and_an_end),
      TEST(a_child_writes_only_if_it_asks),
      TEST(nothing_is_written_without_a_trace),
      TEST(a_full_pipe_or_socket_never_blocks),
      TEST(a_line_that_was_cut_is_completed),
      TEST(a_reader_that_is_gone_ends_the_trace),
      TEST(tasks_and_restarts_of_a_pool_are_traced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
