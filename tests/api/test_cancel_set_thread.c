/* Cancellation of a thread that waits for several at once, for the end of a
 * queue that is being closed, or for the end of a process group (H117). */
#include "support_process.h"

#include <pthread.h>
#include <semaphore.h>

static sem_t begun;

struct waiter {
  gipc_wait_set *set;
  gipc_handle *handle;
  gipc_process *process;
};

static void *wait_for_set(void *argument) {
  struct waiter *w = argument;
  CHECK(sem_post(&begun) == 0);
  (void)!gipc_wait(w->set, -1);
  return NULL;
}

static void *close_slowly(void *argument) {
  struct waiter *w = argument;
  CHECK(sem_post(&begun) == 0);
  (void)!gipc_close_within(w->handle, -1);
  return NULL;
}

static void *stop_group(void *argument) {
  struct waiter *w = argument;
  CHECK(sem_post(&begun) == 0);
  (void)!gipc_process_stop_group(w->process, 3000);
  return NULL;
}

/* The call need not have begun to wait: then it is cancelled at its start. */
static void cancel_in(void *(*body)(void *), struct waiter *w) {
  pthread_t thread;
  void *result = NULL;
  CHECK(sem_init(&begun, 0, 0) == 0);
  CHECK_OK(pthread_create(&thread, NULL, body, w));
  CHECK(sem_wait(&begun) == 0);
  CHECK_OK(pthread_cancel(thread));
  CHECK_OK(pthread_join(thread, &result));
  CHECK(result == PTHREAD_CANCELED);
}

static void a_set_can_be_waited_for_again(void **state) {
  struct waiter w = {0};
  gipc_handle *r, *writer, *ready = NULL;
  gipc_process *none = NULL;
  int directions = 0;
  CHECK_OK(gipc_pipe(&r, &writer));
  CHECK_OK(gipc_wait_set_new(&w.set));
  CHECK_OK(gipc_wait_set_add_handle(w.set, r, GIPC_READ));
  for (int i = 0; i < 20; i++)
    cancel_in(wait_for_set, &w);
  CHECK_IS(gipc_wait(w.set, 0), -ETIMEDOUT);
  CHECK_OK(gipc_put(writer, "x", 1, -1));
  CHECK_IS(gipc_wait(w.set, -1), 1);
  CHECK_OK(gipc_wait_set_next(w.set, &ready, &none, &directions));
  CHECK(ready == r && none == NULL && directions == GIPC_READ);
  gipc_wait_set_free(w.set);
  gipc_handle_free(r);
  gipc_handle_free(writer);
}

static void a_cancelled_close_closes_the_handle(void **state) {
  static char block[4000000];
  for (int i = 0; i < 20; i++) {
    struct waiter w = {0};
    gipc_handle *r;
    const void *data;
    size_t size;
    CHECK_OK(gipc_pipe(&r, &w.handle));
    CHECK_OK(gipc_try_put(w.handle, block, sizeof block));
    cancel_in(close_slowly, &w);
    /* Unless the thread was cancelled before it called anything. */
    int closed = gipc_directions(w.handle);
    CHECK(closed == GIPC_ECLOSED || closed == GIPC_WRITE);
    gipc_handle_free(w.handle);
    CHECK_IS(gipc_get(r, -1, &data, &size), GIPC_ETRUNCATED);
    gipc_handle_free(r);
  }
}

static int ignore_term(struct ev_loop *fresh, void *ready) {
  signal(SIGTERM, SIG_IGN);
  return gipc_put(ready, "", 0, -1) == 0 ? wait_for_signal(fresh, NULL) : 1;
}

static void a_group_can_be_stopped_after_a_cancelled_stop(void **state) {
  struct waiter w = {0};
  gipc_handle *r, *ready;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe(&r, &ready));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, NULL, ready));
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
  w.process = start(ignore_term, ready, o);
  gipc_options_free(o);
  CHECK_OK(gipc_get(r, -1, &data, &size));
  for (int i = 0; i < 20; i++)
    cancel_in(stop_group, &w);
  CHECK_IS(gipc_process_is_alive(w.process), 1);
  CHECK_OK(gipc_process_stop_group(w.process, 0));
  CHECK_IS(end_of(w.process), -SIGKILL);
  gipc_handle_free(ready);
  gipc_handle_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_set_can_be_waited_for_again),
      TEST(a_cancelled_close_closes_the_handle),
      TEST(a_group_can_be_stopped_after_a_cancelled_stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
