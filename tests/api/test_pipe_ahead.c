/* Receiving ahead: peers that put several messages at the same time do not
 * block each other, up to a limit in bytes, and what happens beyond it.
 *
 * GIPC_TEST_SEED repeats a run. */
#include "support_peers.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

static const void *data;
static size_t size;

/* ---- Two peers ------------------------------------------------------------
 */

static void *put_then_get(void *argument) {
  struct side *s = argument;
  s->result = put_all(s);
  if (s->result == 0)
    s->result = get_all(s);
  return NULL;
}

/* Puts as a program with a loop of its own would. */
static int put_in_steps(struct side *s, const void *block, size_t length) {
  int result = gipc_put_start(s->h, block, length);
  while (result == -EAGAIN) {
    int ahead = gipc_read_ahead(s->h);
    bool both = ahead == 0 || ahead == -EAGAIN;
    struct pollfd fds[] = {{gipc_fd(s->h, GIPC_WRITE), POLLOUT, 0},
                           {gipc_fd(s->h, GIPC_READ), POLLIN, 0}};
    if (poll(fds, both ? 2 : 1, 60000) <= 0)
      return -ETIMEDOUT;
    if (fds[0].revents != 0)
      result = gipc_put_step(s->h);
  }
  return result;
}

static void *step_then_get(void *argument) {
  struct side *s = argument;
  char *block = malloc(4 << 20);
  for (size_t i = 0; i < s->count && s->result == 0; i++) {
    fill(block, s->sizes[i], s->seed + i);
    s->result = put_in_steps(s, block, s->sizes[i]);
  }
  free(block);
  if (s->result == 0)
    s->result = get_all(s);
  return NULL;
}

static uint64_t a_seed(void) {
  const char *given = getenv("GIPC_TEST_SEED");
  uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(0);
  print_message("GIPC_TEST_SEED=%llu\n", (unsigned long long)seed);
  return seed;
}

static void
peers_that_put_several_messages_at_the_same_time_do_not_block_each_other(
    void **state) {
  /* H78; without a timeout, too, where a put might wait in the kernel */
  uint64_t seed = a_seed();
  for (size_t round = 0; round < many(8, 2); round++)
    for (int way = 0; way < way_count; way++)
      for (int bodies = 0; bodies < 2; bodies++) {
        struct side a = {0}, b = {0};
        draw(&a, &seed, 3 << 20);
        draw(&b, &seed, 3 << 20);
        a.timeout = random_next(&seed) % 2 ? 60 : -1;
        b.timeout = random_next(&seed) % 2 ? 60 : -1;
        ways[way](&a.h, &b.h);
        run(&a, &b, bodies == 0 ? put_then_get : step_then_get);
        OK(a.result);
        OK(b.result);
        assert_int_equal(held(a.h) + held(b.h), 0);
        free_both(&a, &b);
      }
}

static void two_messages_against_one_reach_both_peers(void **state) {
  for (int way = 0; way < way_count; way++)
    for (size_t i = 0; i < many(10, 2); i++) {
      struct side a = {.count = 2, .sizes = {1000000, 1000000}, .seed = 1};
      struct side b = {.count = 1, .sizes = {1000000}, .seed = 2};
      a.timeout = b.timeout = 60;
      ways[way](&a.h, &b.h);
      run(&a, &b, put_then_get);
      OK(a.result);
      OK(b.result);
      free_both(&a, &b);
    }
}

static void *echo(void *argument) {
  struct side *s = argument;
  const void *got;
  size_t length;
  while ((s->result = gipc_get(s->h, -1, &got, &length)) == 0)
    if ((s->result = gipc_put(s->h, got, length, -1)) != 0)
      break;
  return NULL;
}

static void a_view_that_is_put_again_is_not_overwritten(void **state) {
  /* H66: while it waits, others arrive that move what the handle holds */
  for (int way = 0; way < way_count; way++) {
    struct side a = {.count = most_messages, .seed = 5, .timeout = 60};
    struct side b = {0};
    pthread_t thread;
    uint64_t seed = 9;
    for (size_t i = 0; i < a.count; i++)
      a.sizes[i] = 1 + random_next(&seed) % (i % 2 ? 60000 : 2000000);
    ways[way](&a.h, &b.h);
    a.other = &a; /* what it gets is its own */
    assert_int_equal(pthread_create(&thread, NULL, echo, &b), 0);
    for (size_t i = 0; i < many(5, 1); i++)
      put_then_get(&a);
    OK(a.result);
    gipc_handle_free(a.h);
    pthread_join(thread, NULL);
    RESULT(b.result, GIPC_EOF);
    gipc_handle_free(b.h);
  }
}

/* A message is got as a view, and put again while the peer reads nothing. */
struct put_again {
  gipc_handle *h;
  size_t size; /* of the message */
  pthread_barrier_t is_full;
  int result;
};

static void *put_view_again(void *argument) {
  static char filler[1000];
  struct put_again *it = argument;
  const void *view = NULL;
  size_t length = 0;
  it->result = gipc_get(it->h, 60, &view, &length);
  while (it->result == 0)
    it->result = gipc_try_put(it->h, filler, sizeof filler);
  pthread_barrier_wait(&it->is_full);
  if (it->result == -EAGAIN)
    it->result = gipc_put(it->h, view, length, 60);
  return NULL;
}

static void
a_view_is_copied_before_another_message_takes_its_place(void **state) {
  /* H66: the other message is one that only fits into the peer's memory */
  static char block[4 << 20];
  static const size_t sizes[] = {20000, 50000, 1000000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes * way_count; i++) {
    struct put_again b = {.size = sizes[i / way_count]};
    gipc_handle *a;
    pthread_t thread;
    ways[i % way_count](&a, &b.h);
    OK(pthread_barrier_init(&b.is_full, NULL, 2));
    OK(gipc_set_read_limit(a, 0));
    assert_int_equal(pthread_create(&thread, NULL, put_view_again, &b), 0);
    fill(block, b.size, 1);
    OK(gipc_put(a, block, b.size, 60));
    pthread_barrier_wait(&b.is_full);
    fill(block, sizeof block, 2);
    OK(gipc_put(a, block, sizeof block, 60));
    do
      OK(gipc_get(a, 60, &data, &size));
    while (size == 1000);
    assert_int_equal(size, b.size);
    assert_true(filled(data, size, 1));
    pthread_join(thread, NULL);
    OK(b.result);
    OK(gipc_get(b.h, 60, &data, &size));
    assert_true(size == sizeof block && filled(data, size, 2));
    pthread_barrier_destroy(&b.is_full);
    gipc_handle_free(a);
    gipc_handle_free(b.h);
  }
}

/* ---- The bound ------------------------------------------------------------
 */

/* Puts in steps until the kernel and the peer accept no more; returns how many.
 */
static size_t put_until_full(gipc_handle *from, gipc_handle *to,
                             const void *block, size_t length, int *why) {
  size_t count = 0;
  int put = gipc_put_start(from, block, length);
  do {
    *why = gipc_read_ahead(to);
    if (put == 0) {
      count++;
      put = gipc_put_start(from, block, length);
    } else {
      put = gipc_put_step(from);
    }
  } while (put == 0 || *why == 0);
  RESULT(put, -EAGAIN);
  return count;
}

static void no_more_is_received_ahead_than_the_read_limit(void **state) {
  /* H79 */
  static char block[100000];
  for (int way = 0; way < way_count; way++) {
    gipc_handle *a, *b;
    int why;
    ways[way](&a, &b);
    RESULT(gipc_read_ahead(a), -EAGAIN);
    OK(gipc_set_read_limit(a, 1000001));
    put_until_full(b, a, block, sizeof block, &why);
    RESULT(why, -ENOBUFS);
    assert_in_range(held(a), 1000001 - 4, 1000001);
    for (int i = 0; i < 10; i++)
      RESULT(gipc_read_ahead(a), -ENOBUFS);
    /* A get allows more bytes to be received ahead. */
    OK(gipc_try_get(a, &data, &size));
    assert_int_equal(size, sizeof block);
    OK(gipc_read_ahead(a));
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

static void one_message_of_any_size_is_received_ahead(void **state) {
  static char block[3000000];
  gipc_handle *a, *b;
  int why;
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_set_read_limit(a, 1));
  assert_true(put_until_full(b, a, block, sizeof block, &why) >= 1);
  RESULT(why, -ENOBUFS);
  assert_in_range(held(a), sizeof block, sizeof block + 4);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static void a_read_limit_of_0_disables_receiving_ahead(void **state) {
  static char block[3000000];
  gipc_handle *a, *b;
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_set_read_limit(a, 0));
  OK(gipc_put(b, "waits", 5, 60));
  RESULT(gipc_read_ahead(a), -ENOBUFS);
  RESULT(gipc_put(a, block, sizeof block, 0.01), -EINPROGRESS);
  assert_int_equal(held(a), 0);
  OK(gipc_get(a, 60, &data, &size));
  assert_int_equal(size, 5);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

/* Gets all messages that two sides have put, with steps of both. */
static void recover(struct side *a, size_t of_b, struct side *b, size_t of_a) {
  struct side *sides[] = {a, b};
  size_t left[] = {of_b, of_a}, got[] = {0, 0};
  while (left[0] + left[1] > 0)
    for (int i = 0; i < 2; i++) {
      int result;
      while ((result = gipc_try_get(sides[i]->h, &data, &size)) == 0) {
        assert_true(filled(data, size, sides[i]->other->seed + got[i]));
        got[i]++;
        left[i]--;
      }
      RESULT(result, -EAGAIN);
      result = gipc_flush_step(sides[i]->h);
      assert_true(result == 0 || result == -EAGAIN);
    }
}

static void *put_what_fits(void *argument) {
  struct side *s = argument;
  char *block = malloc(s->sizes[0]);
  s->count = 0; /* how many were put, with one of which a part is queued */
  do {
    fill(block, s->sizes[0], s->seed + s->count);
    s->result = gipc_put(s->h, block, s->sizes[0], 0.2);
    s->count += s->result == 0 || s->result == -EINPROGRESS;
  } while (s->result == 0);
  free(block);
  return NULL;
}

static void
beyond_the_read_limit_a_put_times_out_and_both_recover(void **state) {
  /* H78, H79: neither gets any, so that no speed of the machine helps. */
  for (int way = 0; way < way_count; way++) {
    struct side a = {.sizes = {1000000}, .seed = 100, .timeout = 60};
    struct side b = {.sizes = {1000000}, .seed = 200, .timeout = 60};
    ways[way](&a.h, &b.h);
    OK(gipc_set_read_limit(a.h, 2500000));
    OK(gipc_set_read_limit(b.h, 2500000));
    run(&a, &b, put_what_fits);
    assert_true(a.result == -EINPROGRESS || a.result == -ETIMEDOUT);
    assert_true(b.result == -EINPROGRESS || b.result == -ETIMEDOUT);
    /* One may have given up before the other one began. */
    assert_in_range(held(a.h), 0, 2500000);
    assert_in_range(held(b.h), 0, 2500000);
    assert_true(held(a.h) + held(b.h) > 0);
    recover(&a, b.count, &b, a.count);
    free_both(&a, &b);
  }
}

static void memory_of_receiving_ahead_is_released_after_the_gets(void **state) {
  static char block[100000];
  gipc_handle *a, *b;
  int why;
  OK(gipc_pipe_duplex(&a, &b));
  size_t before = resident();
  size_t count = put_until_full(b, a, block, sizeof block, &why);
  RESULT(why, -ENOBUFS);
  assert_true(slow() || resident() - before > 40 << 20);
  RESULT(gipc_put_cancel(b), 1);
  for (size_t i = 0; i <= count; i++)
    while (gipc_try_get(a, &data, &size) == -EAGAIN)
      assert_true(gipc_flush_step(b) == 0 || held(a) < sizeof block);
  RESULT(gipc_try_get(a, &data, &size), -EAGAIN);
#ifdef __GLIBC__
  malloc_trim(0); /* malloc may keep freed memory */
#endif
  assert_true(slow() || resident() < before + (4 << 20));
  gipc_handle_free(a);
  gipc_handle_free(b);
}

/* ---- What it says ---------------------------------------------------------
 */

static void receiving_ahead_reports_why_it_ends(void **state) {
  static char block[300000], got_here[sizeof(block)];
  gipc_handle *reader, *writer;
  size_t got;
  OK(gipc_pipe(&reader, &writer));
  RESULT(gipc_read_ahead(writer), GIPC_EDIRECTION);
  RESULT(gipc_read_ahead(NULL), -EINVAL);
  /* Only the get in progress may receive the remaining bytes. */
  RESULT(gipc_put_start(writer, block, sizeof(block)), -EAGAIN);
  RESULT(gipc_get_into(reader, got_here, sizeof(block), &got), -EAGAIN);
  RESULT(gipc_read_ahead(reader), GIPC_ELOCKED);
  OK(gipc_put_step(writer));
  OK(gipc_get_into(reader, got_here, sizeof(block), &got));
  /* The get returns the end as well. */
  OK(gipc_put(writer, "last", 4, 60));
  gipc_handle_free(writer);
  OK(gipc_read_ahead(reader));
  RESULT(gipc_read_ahead(reader), GIPC_EOF);
  OK(gipc_try_get(reader, &data, &size));
  RESULT(gipc_try_get(reader, &data, &size), GIPC_EOF);
  OK(gipc_close(reader));
  RESULT(gipc_read_ahead(reader), GIPC_ECLOSED);
  gipc_handle_free(reader);
}

static void the_read_limit_is_any_size_of_an_open_handle(void **state) {
  gipc_handle *a, *b;
  OK(gipc_pipe_duplex(&a, &b));
  RESULT(gipc_set_read_limit(NULL, 1), -EINVAL);
  OK(gipc_set_read_limit(a, 0));
  OK(gipc_set_read_limit(a, GIPC_UNLIMITED));
  OK(gipc_put(b, "message", 7, 60));
  OK(gipc_read_ahead(a));
  OK(gipc_set_read_limit(a, GIPC_DEFAULT_READ_LIMIT));
  OK(gipc_try_get(a, &data, &size));
  OK(gipc_close(a));
  RESULT(gipc_set_read_limit(a, 1), GIPC_ECLOSED);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(
          peers_that_put_several_messages_at_the_same_time_do_not_block_each_other),
      TEST(two_messages_against_one_reach_both_peers),
      TEST(a_view_that_is_put_again_is_not_overwritten),
      TEST(a_view_is_copied_before_another_message_takes_its_place),
      TEST(no_more_is_received_ahead_than_the_read_limit),
      TEST(one_message_of_any_size_is_received_ahead),
      TEST(a_read_limit_of_0_disables_receiving_ahead),
      TEST(beyond_the_read_limit_a_put_times_out_and_both_recover),
      TEST(memory_of_receiving_ahead_is_released_after_the_gets),
      TEST(receiving_ahead_reports_why_it_ends),
      TEST(the_read_limit_is_any_size_of_an_open_handle),
  };
  return cmocka_run_group_tests_name("receiving ahead", tests, NULL, NULL);
}
