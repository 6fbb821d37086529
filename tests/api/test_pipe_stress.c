/* A million messages between two processes: each once, in order, exact. */
#include "support.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

struct job {
  int fd;
  size_t count;
  int way;
};

static size_t next_size(uint64_t *seed) {
  uint64_t x = random_next(seed);
  return x % 1009 == 0 ? x >> 40 & 0x1ffff : x >> 20 & 0x7f;
}

static char block[1 << 17];

/* The numbers themselves are in the messages, as far as they have room. */
static void make(uint64_t number, size_t size) {
  memcpy(block, &number, size < 8 ? size : 8);
}

static int write_all_messages(void *argument) {
  struct job *job = argument;
  uint64_t seed = 93;
  gipc_handle *w;
  size_t accepted;
  CHILD_CHECK(gipc_open(-1, job->fd, &w) == 0);
  for (uint64_t i = 0; i < job->count; i++) {
    size_t size = next_size(&seed);
    int result;
    make(i, size);
    gipc_message one = {block, size};
    switch (job->way == 3 ? (int)(i / 1000 % 3) : job->way) {
    case 0:
      while ((result = gipc_try_put(w, block, size)) == -EAGAIN)
        CHILD_CHECK(gipc_flush(w, 60) == 0);
      break;
    case 1:
      result = gipc_put(w, block, size, 60);
      break;
    default:
      result = gipc_put_many(w, &one, 1, 60, &accepted);
    }
    CHILD_CHECK(result == 0);
  }
  CHILD_CHECK(gipc_flush(w, 60) == 0);
  CHILD_CHECK(gipc_close(w) == 0);
  gipc_handle_free(w);
  return 0;
}

static uint64_t reader_seed, reader_count;
static bool exact;

static void look(const void *data, size_t size) {
  size_t expected = next_size(&reader_seed);
  make(reader_count++, expected);
  exact = exact && size == expected &&
          memcmp(data, block, size < 8 ? size : 8) == 0;
}
static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  look(data, size);
}
static void on_end(gipc_handle *h, int why, void *user) { *(int *)user = why; }

static void stream(size_t count, int put_way, int get_way) {
  int s[2], result = 0;
  gipc_handle *r;
  pid_t pid;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
  struct job job = {s[1], count, put_way};
  if ((pid = fork()) == 0) {
    close(s[0]);
    _exit(write_all_messages(&job));
  }
  close(s[1]);
  OK(gipc_open(s[0], -1, &r));
  reader_seed = 93;
  reader_count = 0;
  exact = true;
  if (get_way == 1) {
    gipc_events events = {sizeof events, on_message, NULL, on_end};
    struct ev_loop *loop = ev_loop_new(0);
    OK(gipc_start(r, loop, &events, &result));
    ev_run(loop, 0);
    ev_loop_destroy(loop);
  } else {
    const void *data;
    size_t size;
    while ((result = gipc_get(r, 60, &data, &size)) == 0)
      look(data, size);
  }
  RESULT(result, GIPC_EOF);
  assert_true(exact);
  assert_int_equal(reader_count, count);
  gipc_handle_free(r);
  child_join(pid);
}

static void a_million_messages_arrive_in_order(void **state) { /* H93 */
  stream(many(1000000, 20000), 0, 0);
}
static void a_million_more_arrive_on_a_loop(void **state) { /* H93 */
  stream(many(1000000, 20000), 0, 1);
}
static void every_way_of_putting_makes_the_same_stream(void **state) {
  for (int get_way = 0; get_way < 2; get_way++)
    for (int put_way = 1; put_way < 4; put_way++)
      stream(many(60000, 3000), put_way, get_way);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_million_messages_arrive_in_order),
      TEST(a_million_more_arrive_on_a_loop),
      TEST(every_way_of_putting_makes_the_same_stream),
  };
  return cmocka_run_group_tests_name("pipe stress", tests, NULL, NULL);
}
