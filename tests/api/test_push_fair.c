/* Fairness: a busy pipe starves neither the timers of its loop nor its
 * siblings. */
#include "support.h"

#include <ev.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { most_ticks = 400 };

static struct ev_loop *loop;
static double late[most_ticks], due;
static size_t ticks, wanted, messages[8];

static void on_tick(struct ev_loop *l, ev_timer *timer, int what) {
  double t = now();
  late[ticks++] = t - due;
  if (ticks == wanted) {
    ev_timer_stop(l, timer);
    ev_break(l, EVBREAK_ALL);
    return;
  }
  ev_now_update(l);
  due = now() + 0.001;
  ev_timer_set(timer, 0.001, 0.);
  ev_timer_start(l, timer);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void start_ticking(ev_timer *timer, size_t count) {
  ticks = 0;
  wanted = count;
  ev_now_update(loop);
  due = now() + 0.001;
  ev_timer_init(timer, on_tick, 0.001, 0.);
  ev_timer_start(loop, timer);
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  ++*(size_t *)user;
}
static const gipc_events events = {sizeof events, on_message, NULL, NULL};

/* Frames of some size as fast as they go, until the reader is gone. */
struct hose {
  int fd;
  size_t size, count;
};
static void *pour(void *argument) {
  struct hose *hose = argument;
  size_t frame = hose->size + 4, count = (1 << 17) / frame + 1;
  unsigned char *block = calloc(count, frame);
  for (size_t i = 0; i < count; i++)
    for (int j = 0; j < 4; j++)
      block[i * frame + (size_t)j] =
          (unsigned char)(hose->size >> (24 - 8 * j));
  for (;;) {
    size_t at = 0;
    while (at < count * frame) {
      ssize_t sent =
          send(hose->fd, block + at, count * frame - at, MSG_NOSIGNAL);
      if (sent <= 0) {
        free(block);
        return NULL;
      }
      at += (size_t)sent;
    }
  }
}

static void a_timer_next_to_firehoses(size_t size, size_t hoses, int budget) {
  struct hose hose[4];
  gipc_handle *r[4];
  pthread_t thread[4];
  ev_timer timer;
  size_t least = (size_t)-1, most = 0, count = many(most_ticks, 50);
  loop = ev_loop_new(0);
  for (size_t i = 0; i < hoses; i++) {
    int s[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    OK(gipc_open(s[0], -1, &r[i]));
    hose[i] = (struct hose){s[1], size, 0};
    messages[i] = 0;
    if (budget)
      OK(gipc_set_budget(r[i], (size_t)budget, (size_t)budget));
    OK(gipc_start(r[i], loop, &events, &messages[i]));
    assert_int_equal(pthread_create(&thread[i], NULL, pour, &hose[i]), 0);
  }
  start_ticking(&timer, count);
  ev_run(loop, 0);
  qsort(late, count, sizeof *late, ascending);
  for (size_t i = 0; i < hoses; i++) {
    if (messages[i] < least)
      least = messages[i];
    if (messages[i] > most)
      most = messages[i];
    gipc_handle_free(r[i]);
    pthread_join(thread[i], NULL);
    close(hose[i].fd);
  }
  print_message("%zu bytes x %zu: late p50 %.0f us, p99 %.0f us; "
                "messages %zu to %zu\n",
                size, hoses, late[count / 2] * 1e6,
                late[count * 99 / 100] * 1e6, least, most);
  ev_loop_destroy(loop);
  assert_true(least > 0);
  /* Far over what a budget takes, far under what a starved timer sees. */
  assert_true(late[count / 2] < (slow() ? 1 : 0.01));
  assert_true(late[count * 99 / 100] < (slow() ? 2 : 0.05));
}

static void a_firehose_of_small_messages_does_not_starve_a_timer(void **state) {
  a_timer_next_to_firehoses(16, 1, 0); /* H81 */
}
static void nor_does_one_of_large_messages(void **state) { /* H81 */
  a_timer_next_to_firehoses(1 << 20, 1, 0);
}
static void nor_do_several(void **state) { /* H81 */
  a_timer_next_to_firehoses(100, 3, 0);
}
static void nor_does_a_backlog_of_one_message_a_turn(void **state) { /* H81 */
  a_timer_next_to_firehoses(16, 1, 1);
}

/* All wait at once: no turn delivers more of one than its budget. */
static size_t in_turn, worst;
static unsigned turn;
static void count_in_turn(gipc_handle *h, const void *data, size_t size,
                          void *user) {
  if (user == &messages[0]) {
    in_turn = ev_iteration(loop) == turn ? in_turn + 1 : 1;
    turn = ev_iteration(loop);
    worst = in_turn > worst ? in_turn : worst;
  }
  ++*(size_t *)user;
}

static void a_full_pipe_leaves_its_siblings_their_turn(void **state) { /* H81 */
  gipc_events counting = {sizeof counting, count_in_turn, NULL, NULL};
  gipc_handle *r[8], *w[8];
  gipc_message batch[2000];
  size_t taken;
  loop = ev_loop_new(0);
  in_turn = worst = 0;
  for (int i = 0; i < 2000; i++)
    batch[i] = (gipc_message){"x", 1};
  for (int i = 0; i < 8; i++) {
    messages[i] = 0;
    OK(gipc_pipe(&r[i], &w[i]));
    OK(gipc_set_budget(r[i], 10, 1 << 20));
    OK(gipc_start(r[i], loop, &counting, &messages[i]));
    OK(gipc_put_many(w[i], batch, i == 0 ? 2000 : 10, 10, &taken));
  }
  /* The many are not nearly through when the few have all had theirs. */
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
      TEST(a_firehose_of_small_messages_does_not_starve_a_timer),
      TEST(nor_does_one_of_large_messages),
      TEST(nor_do_several),
      TEST(nor_does_a_backlog_of_one_message_a_turn),
      TEST(a_full_pipe_leaves_its_siblings_their_turn),
  };
  return cmocka_run_group_tests_name("push fair", tests, NULL, NULL);
}
