/* Fairness: a busy handle starves neither timers nor other handles. */
#include "support.h"

#include <ev.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ev_loop *loop;
static size_t ticks;

static void on_tick(struct ev_loop *l, ev_timer *timer, int what) {
  if (--ticks == 0)
    ev_break(l, EVBREAK_ALL);
}

/* The most that one handle delivered in one loop iteration, for which a timer
 * or another handle has to wait.  It is counted rather than timed, because a
 * busy machine delays a timer, too. */
struct work {
  gipc_handle *h;
  unsigned iteration;
  size_t messages, in_iteration, most_messages;
  uint64_t received, most_received;
};

static void begin_iteration(struct work *one, unsigned iteration) {
  gipc_stats stats = {.size = sizeof stats};
  OK(gipc_handle_stats(one->h, &stats));
  if (one->messages > 0) {
    /* A large message may take several iterations. */
    uint64_t received =
        (stats.bytes_in - one->received) / (iteration - one->iteration);
    if (received > one->most_received)
      one->most_received = received;
  }
  one->received = stats.bytes_in;
  one->iteration = iteration;
  one->in_iteration = 0;
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  struct work *one = user;
  unsigned iteration = ev_iteration(loop);
  if (one->messages == 0 || iteration != one->iteration)
    begin_iteration(one, iteration);
  one->messages++;
  if (++one->in_iteration > one->most_messages)
    one->most_messages = one->in_iteration;
}
static const gipc_events events = {sizeof events, on_message, NULL, NULL};

/* Writes frames as fast as possible, until the reader is gone. */
struct writer {
  int fd;
  size_t size, count;
};
static void *keep_writing(void *argument) {
  struct writer *writer = argument;
  size_t frame = writer->size + 4, count = (1 << 17) / frame + 1;
  unsigned char *block = calloc(count, frame);
  for (size_t i = 0; i < count; i++)
    for (int j = 0; j < 4; j++)
      block[i * frame + (size_t)j] =
          (unsigned char)(writer->size >> (24 - 8 * j));
  for (;;) {
    size_t at = 0;
    while (at < count * frame) {
      ssize_t sent =
          send(writer->fd, block + at, count * frame - at, MSG_NOSIGNAL);
      if (sent <= 0) {
        free(block);
        return NULL;
      }
      at += (size_t)sent;
    }
  }
}

/* Runs until a timer has expired often enough; a starved one never does. */
static void run_for_ticks(size_t count) {
  ev_timer timer;
  ticks = count;
  ev_timer_init(&timer, on_tick, 0.001, 0.001);
  ev_timer_start(loop, &timer);
  ev_run(loop, 0);
  ev_timer_stop(loop, &timer);
}

static void check_work(const struct work *one, size_t size, size_t budget) {
  print_message("%zu bytes: in an iteration at most %zu messages, %llu bytes\n",
                size, one->most_messages,
                (unsigned long long)one->most_received);
  /* The budget counts twice: for what the descriptor has, and for what the
   * handle holds already. */
  assert_in_range(one->most_messages, 1, 2 * budget);
  /* The message that exceeds the budget of bytes is still delivered, and one
   * read more than that received. */
  assert_in_range(one->most_messages * size, 1, 2 * ((256 << 10) + size));
  assert_in_range(one->most_received, 1, 2 * ((256 << 10) + (1 << 20)));
}

static void a_timer_with_busy_handles(size_t size, size_t handles, int budget) {
  struct writer writer[4];
  struct work work[4];
  pthread_t thread[4];
  loop = ev_loop_new(0);
  for (size_t i = 0; i < handles; i++) {
    int s[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    work[i] = (struct work){0};
    OK(gipc_open(s[0], -1, &work[i].h));
    writer[i] = (struct writer){s[1], size, 0};
    if (budget)
      OK(gipc_set_budget(work[i].h, (size_t)budget, (size_t)budget));
    OK(gipc_start(work[i].h, loop, &events, &work[i]));
    assert_int_equal(pthread_create(&thread[i], NULL, keep_writing, &writer[i]),
                     0);
  }
  run_for_ticks(many(400, 50));
  /* Each has its share, however long the ticks took. */
  for (size_t i = 0; i < handles; i++)
    while (work[i].messages < 2 || work[i].most_received == 0)
      ev_run(loop, EVRUN_ONCE);
  for (size_t i = 0; i < handles; i++) {
    gipc_handle_free(work[i].h);
    pthread_join(thread[i], NULL);
    close(writer[i].fd);
  }
  ev_loop_destroy(loop);
  for (size_t i = 0; i < handles; i++)
    check_work(&work[i], size, budget ? (size_t)budget : 4096);
}

static void a_handle_with_small_messages_does_not_starve_a_timer(void **state) {
  a_timer_with_busy_handles(16, 1, 0); /* H81 */
}
static void
a_handle_with_large_messages_does_not_starve_a_timer(void **state) { /* H81 */
  a_timer_with_busy_handles(1 << 20, 1, 0);
}
static void several_busy_handles_do_not_starve_a_timer(void **state) { /* H81 */
  a_timer_with_busy_handles(100, 3, 0);
}
static void a_backlog_of_one_message_an_iteration_does_not_starve_a_timer(
    void **state) { /* H81 */
  a_timer_with_busy_handles(16, 1, 1);
}

/* All wait at once: an iteration delivers at most the budget of each. */
static size_t in_iteration, worst, messages[8];
static unsigned iteration;
static void count_in_iteration(gipc_handle *h, const void *data, size_t size,
                               void *user) {
  if (user == &messages[0]) {
    in_iteration = ev_iteration(loop) == iteration ? in_iteration + 1 : 1;
    iteration = ev_iteration(loop);
    worst = in_iteration > worst ? in_iteration : worst;
  }
  ++*(size_t *)user;
}

static void a_full_pipe_does_not_starve_other_handles(void **state) { /* H81 */
  gipc_events counting = {sizeof counting, count_in_iteration, NULL, NULL};
  gipc_handle *r[8], *w[8];
  gipc_message batch[2000];
  size_t accepted;
  loop = ev_loop_new(0);
  in_iteration = worst = 0;
  for (int i = 0; i < 2000; i++)
    batch[i] = (gipc_message){"x", 1};
  for (int i = 0; i < 8; i++) {
    messages[i] = 0;
    OK(gipc_pipe(&r[i], &w[i]));
    OK(gipc_set_budget(r[i], 10, 1 << 20));
    OK(gipc_start(r[i], loop, &counting, &messages[i]));
    OK(gipc_put_many(w[i], batch, i == 0 ? 2000 : 10, 10, &accepted));
  }
  /* Handles with few messages have got them all before the one with many. */
  for (int i = 0; i < 3; i++)
    ev_run(loop, EVRUN_NOWAIT);
  for (int i = 1; i < 8; i++)
    assert_int_equal(messages[i], 10);
  assert_true(messages[0] < 100);
  while (messages[0] < 2000)
    ev_run(loop, EVRUN_ONCE);
  assert_in_range(worst, 1, 10);
  for (int i = 0; i < 8; i++) {
    gipc_handle_free(r[i]);
    gipc_handle_free(w[i]);
  }
  ev_loop_destroy(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_handle_with_small_messages_does_not_starve_a_timer),
      TEST(a_handle_with_large_messages_does_not_starve_a_timer),
      TEST(several_busy_handles_do_not_starve_a_timer),
      TEST(a_backlog_of_one_message_an_iteration_does_not_starve_a_timer),
      TEST(a_full_pipe_does_not_starve_other_handles),
  };
  return cmocka_run_group_tests_name("push fair", tests, NULL, NULL);
}
