/* Different handles in different threads, each with a loop of its own. */
#include "support.h"

#include <ev.h>
#include <pthread.h>
#include <unistd.h>

struct end {
  gipc_handle *h;
  size_t put, wanted, got, bad, drains;
  bool full;
  int why;
};

/* Puts until refused; on_drain continues. */
static void put_more(struct end *e) {
  while (e->put < e->wanted) {
    size_t number[4] = {e->put, e->put, e->put, e->put};
    int result = gipc_try_put(e->h, number, sizeof *number * (1 + e->put % 4));
    if (result == -EAGAIN)
      return;
    if (result != 0) {
      e->bad++;
      return;
    }
    e->put++;
  }
}
static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  struct end *e = user;
  size_t number;
  memcpy(&number, data, sizeof number);
  e->bad += number != e->got || size != sizeof number * (1 + number % 4);
  e->got++;
}
static void on_drain(gipc_handle *h, void *user) {
  struct end *e = user;
  e->drains++;
  put_more(e);
}
static void on_end(gipc_handle *h, int why, void *user) {
  ((struct end *)user)->why = why;
}

static void *run(void *argument) {
  struct end *e = argument;
  gipc_events events = {sizeof events, on_message, on_drain, on_end};
  struct ev_loop *loop = ev_loop_new(0);
  if (gipc_start(e->h, loop, &events, e) != 0)
    return "start";
  put_more(e);
  while (e->put < e->wanted || (e->wanted == 0 && e->why == 0))
    ev_run(loop, EVRUN_ONCE);
  if (e->wanted > 0 && gipc_close(e->h) != 0)
    return "close";
  ev_run(loop, 0);
  ev_loop_destroy(loop);
  return NULL;
}

static void loops_in_threads_exchange_exact_streams(void **state) {
  /* H93, H100 */
  enum { pairs = 3 };
  struct end writers[pairs], readers[pairs];
  pthread_t threads[2 * pairs];
  for (int i = 0; i < pairs; i++) {
    writers[i] = (struct end){.wanted = many(200000, 5000)};
    readers[i] = (struct end){0};
    OK(gipc_pipe(&readers[i].h, &writers[i].h));
    assert_int_equal(pthread_create(&threads[i], NULL, run, &writers[i]), 0);
    assert_int_equal(
        pthread_create(&threads[pairs + i], NULL, run, &readers[i]), 0);
  }
  for (int i = 0; i < 2 * pairs; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  for (int i = 0; i < pairs; i++) {
    assert_int_equal(readers[i].got, writers[i].wanted);
    assert_int_equal(readers[i].bad + writers[i].bad, 0);
    RESULT(readers[i].why, GIPC_EOF);
    gipc_handle_free(readers[i].h);
    gipc_handle_free(writers[i].h);
  }
}

static void *make_and_drop(void *argument) {
  size_t rounds = *(size_t *)argument;
  for (size_t i = 0; i < rounds; i++) {
    gipc_handle *a, *b;
    const void *data;
    size_t size;
    if (gipc_pipe_duplex(&a, &b) != 0)
      return "pipe";
    if (gipc_put(a, &i, sizeof i, 10) != 0)
      return "put";
    if (gipc_get(b, 10, &data, &size) != 0 || memcmp(data, &i, sizeof i) != 0)
      return "get";
    if (i % 2 && gipc_close(a) != 0)
      return "close";
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
  return NULL;
}

static void handles_are_made_and_freed_in_many_threads(void **state) {
  enum { count = 4 };
  pthread_t threads[count];
  size_t rounds = many(2000, 200);
  for (int i = 0; i < count; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, make_and_drop, &rounds),
                     0);
  for (int i = 0; i < count; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
}

/* Made here, used there, freed here again: one thread at a time. */
static void *use(void *argument) {
  gipc_handle **pair = argument;
  const void *data;
  size_t size;
  for (int i = 0; i < 100; i++)
    if (gipc_put(pair[1], "x", 1, 10) != 0 ||
        gipc_get(pair[0], 10, &data, &size) != 0)
      return "use";
  return NULL;
}

static void a_handle_may_move_from_thread_to_thread(void **state) {
  gipc_handle *pair[2];
  OK(gipc_pipe(&pair[0], &pair[1]));
  for (int i = 0; i < 10; i++) {
    pthread_t thread;
    void *failed;
    assert_int_equal(pthread_create(&thread, NULL, use, pair), 0);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_null(use(pair));
  }
  gipc_handle_free(pair[0]);
  gipc_handle_free(pair[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(loops_in_threads_exchange_exact_streams),
      TEST(handles_are_made_and_freed_in_many_threads),
      TEST(a_handle_may_move_from_thread_to_thread),
  };
  return cmocka_run_group_tests_name("push thread", tests, NULL, NULL);
}
