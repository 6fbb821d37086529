/* Ending a wait from another thread, or from a signal handler. */
#include "support_process.h"

#include <pthread.h>

static gipc_wait_set *set;
static gipc_handle *r, *w;

static int setup(void **state) {
  int result = test_setup(state);
  result = result != 0 ? result : gipc_wait_set_new(&set);
  return result != 0 ? result : gipc_pipe(&r, &w);
}

static int end(void **state) {
  gipc_wait_set_free(set);
  gipc_handle_free(r);
  gipc_handle_free(w);
  return test_end(state);
}

/* ---- Wait sets ------------------------------------------------------------
 */

static void *wake(void *argument) {
  CHECK_OK(gipc_wait_set_wake(argument));
  return NULL;
}
static void another_thread_ends_a_wait(void **state) {
  for (size_t i = 0; i < many(2000, 100); i++) {
    pthread_t thread;
    CHECK_OK(pthread_create(&thread, NULL, wake, set));
    CHECK_IS(gipc_wait(set, 60), -ECANCELED);
    CHECK_OK(pthread_join(thread, NULL));
    CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  }
}

static void wake_in_handler(int signal) {
  if (gipc_wait_set_wake(set) != 0)
    abort();
}
static void *interrupt_process(void *argument) {
  CHECK_OK(kill(getpid(), SIGUSR1));
  return NULL;
}
static void a_signal_handler_ends_a_wait(void **state) {
  struct sigaction action = {.sa_handler = wake_in_handler}, before;
  pthread_t thread;
  CHECK_OK(sigaction(SIGUSR1, &action, &before));
  CHECK_OK(pthread_create(&thread, NULL, interrupt_process, NULL));
  CHECK_IS(gipc_wait(set, 60), -ECANCELED);
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_OK(sigaction(SIGUSR1, &before, NULL));
}

/* ---- Blocking calls -------------------------------------------------------
 */

static void *interrupt(void *h) {
  CHECK_OK(gipc_interrupt(h));
  return NULL;
}

static void another_thread_ends_a_get(void **state) {
  const void *data = NULL;
  size_t size = 77;
  CHECK_OK(gipc_set_interruptible(r, 1));
  for (size_t i = 0; i < many(2000, 100); i++) {
    pthread_t thread;
    CHECK_OK(pthread_create(&thread, NULL, interrupt, r));
    CHECK_IS(gipc_get(r, i % 2 == 0 ? -1 : 60, &data, &size), -ECANCELED);
    CHECK_OK(pthread_join(thread, NULL));
    CHECK_IS(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
  }
  CHECK(data == NULL && size == 77);
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_OK(gipc_get(r, -1, &data, &size)); /* it waits as before */
}

/* Waits in get until it is interrupted. */
static void *get_until_interrupted(void *h) {
  const void *data;
  size_t size, count = 0;
  int result;
  while ((result = gipc_get(h, -1, &data, &size)) == 0)
    count++;
  CHECK_IS(result, -ECANCELED);
  return (void *)count;
}
static void messages_that_never_end_do_not_hide_an_interruption(void **state) {
  pthread_t thread;
  void *count;
  size_t put = 0;
  CHECK_OK(gipc_set_interruptible(r, 1));
  CHECK_OK(pthread_create(&thread, NULL, get_until_interrupted, r));
  for (; put < 1000; put++)
    CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_OK(gipc_interrupt(r));
  for (int result = 0; result == 0; put += result == 0)
    result = gipc_put(w, "x", 1, 0); /* until the reader has ended */
  CHECK_OK(pthread_join(thread, &count));
  CHECK((size_t)count <= put);
}

static void an_interruption_before_the_call_counts_once(void **state) {
  const void *data;
  size_t size, accepted = 77;
  gipc_message one = {"y", 1};
  CHECK_OK(gipc_set_interruptible(r, 1));
  CHECK_OK(gipc_set_interruptible(w, 1));
  CHECK_OK(gipc_interrupt(w));
  CHECK_OK(gipc_interrupt(w));
  CHECK_IS(gipc_put(w, "x", 1, -1), -ECANCELED); /* nothing was put */
  CHECK_OK(gipc_put(w, "a", 1, -1));
  CHECK_OK(gipc_interrupt(w));
  CHECK_IS(gipc_put_many(w, &one, 1, -1, &accepted), -ECANCELED);
  CHECK_IS(accepted, 0);
  CHECK_OK(gipc_interrupt(w));
  CHECK_IS(gipc_flush(w, -1), -ECANCELED);
  CHECK_OK(gipc_flush(w, -1));
  CHECK_OK(gipc_interrupt(r));
  CHECK_IS(gipc_get(r, -1, &data, &size), -ECANCELED);
  CHECK_OK(gipc_get(r, -1, &data, &size));
  CHECK(size == 1 && memcmp(data, "a", 1) == 0);
  /* The step tier does not wait, and is not interrupted. */
  CHECK_OK(gipc_interrupt(r));
  CHECK_IS(gipc_try_get(r, &data, &size), -EAGAIN);
  CHECK_IS(gipc_get(r, 0, &data, &size), -ECANCELED);
}

/* Interrupts when a part of the message is written: nothing reads the other
 * end, which is too small for all of it. */
static void *interrupt_when_stuck(void *argument) {
  gipc_handle *h = argument;
  CHECK(wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 60000));
  CHECK_OK(gipc_interrupt(h));
  return NULL;
}
static void an_interrupted_put_is_whole_or_not_put(void **state) {
  enum { big = 4 << 20 };
  char *data = calloc(1, big);
  gipc_message many_of_them[] = {{"a", 1}, {data, big}, {"b", 1}};
  const void *got;
  size_t size, accepted = 77;
  pthread_t thread;
  CHECK(data != NULL);
  CHECK_OK(gipc_set_interruptible(w, 1));
  CHECK_OK(pthread_create(&thread, NULL, interrupt_when_stuck, w));
  CHECK_IS(gipc_put(w, data, big, -1), -EINPROGRESS);
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_OK(gipc_interrupt(w)); /* nothing is written before the queue */
  CHECK_IS(gipc_put(w, "no", 2, -1), -ECANCELED);
  CHECK_IS(gipc_put(w, "no", 2, 0), -ETIMEDOUT);
  do {
    int result = gipc_flush_step(w);
    CHECK(result == 0 || result == -EAGAIN);
  } while (gipc_try_get(r, &got, &size) == -EAGAIN);
  CHECK(size == big);
  CHECK_OK(pthread_create(&thread, NULL, interrupt_when_stuck, w));
  CHECK_IS(gipc_put_many(w, many_of_them, 3, 60, &accepted), -ECANCELED);
  CHECK_IS(accepted, 2);
  CHECK_OK(pthread_join(thread, NULL));
  free(data);
}

static void an_interrupted_close_has_closed(void **state) {
  static char block[60 * 1000];
  CHECK_OK(gipc_set_interruptible(w, 1));
  while (gipc_try_put(w, block, sizeof block) == 0)
    ;
  CHECK_OK(gipc_interrupt(w));
  CHECK_IS(gipc_close_within(w, -1), -ECANCELED);
  CHECK_IS(gipc_directions(w), GIPC_ECLOSED);
  CHECK_OK(gipc_interrupt(w)); /* until it is freed this does no harm */
}

static gipc_handle *in_handler;
static void interrupt_in_handler(int signal) {
  int before = errno;
  if (gipc_interrupt(in_handler) != 0 || errno != before)
    abort();
}
static void a_signal_handler_ends_a_get(void **state) {
  struct sigaction action = {.sa_handler = interrupt_in_handler}, before;
  const void *data;
  size_t size;
  pthread_t thread;
  in_handler = r;
  CHECK_OK(gipc_set_interruptible(r, 1));
  CHECK_OK(sigaction(SIGUSR1, &action, &before));
  CHECK_OK(pthread_create(&thread, NULL, interrupt_process, NULL));
  CHECK_IS(gipc_get(r, -1, &data, &size), -ECANCELED);
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_OK(sigaction(SIGUSR1, &before, NULL));
}

/* ---- Rules ----------------------------------------------------------------
 */

static int use_in_fork(void *argument) {
  return gipc_interrupt(r) == GIPC_EWRONGPROC &&
                 gipc_set_interruptible(r, 1) == GIPC_EWRONGPROC
             ? 0
             : 1;
}
static void only_the_owner_interrupts_an_interruptible_handle(void **state) {
  int fds = count_fds();
  CHECK_IS(gipc_interrupt(NULL), -EINVAL);
  CHECK_IS(gipc_set_interruptible(NULL, 1), -EINVAL);
  CHECK_IS(gipc_interrupt(r), -EINVAL);
  CHECK_OK(gipc_set_interruptible(r, 1));
  CHECK_OK(gipc_set_interruptible(r, 1));
  CHECK_IS(count_fds(), fds + 2);
  in_own_fork(use_in_fork, NULL);
  CHECK_OK(gipc_set_interruptible(r, 0));
  CHECK_IS(count_fds(), fds);
  CHECK_IS(gipc_interrupt(r), -EINVAL);
  CHECK_OK(gipc_close(r));
  CHECK_IS(gipc_set_interruptible(r, 1), GIPC_ECLOSED);
}

/* Only a call that waits uses what interrupts it. */
static void an_operation_in_steps_does_not_lock_interruptions(void **state) {
  static char block[60 * 1000], into[sizeof block];
  const void *data;
  size_t size;
  CHECK_IS(write(gipc_fd(w, GIPC_WRITE),
                 "\0\0\xea\x60"
                 ".",
                 5),
           5);
  CHECK_IS(gipc_get_into(r, into, sizeof into, &size), -EAGAIN);
  CHECK_OK(gipc_set_interruptible(r, 1));
  CHECK_OK(gipc_interrupt(r));
  CHECK_OK(gipc_get_cancel(r));
  CHECK_IS(gipc_get(r, -1, &data, &size), -ECANCELED);
  int result;
  while ((result = gipc_put_start(w, block, sizeof block)) == 0)
    ;
  CHECK_IS(result, -EAGAIN);
  CHECK_OK(gipc_set_interruptible(w, 1));
  CHECK_OK(gipc_set_interruptible(w, 0));
  CHECK_IS(gipc_interrupt(w), -EINVAL);
}

/* The child has to ask for it again, and has no descriptor of the parent's. */
static int use_in_child(struct ev_loop *fresh, void *h) {
  const void *data;
  size_t size;
  int fds = count_fds();
  CHECK_IS(gipc_interrupt(h), -EINVAL);
  CHECK_IS(gipc_get(h, 0, &data, &size), -ETIMEDOUT);
  CHECK_OK(gipc_set_interruptible(h, 1));
  CHECK_IS(count_fds(), fds + 2);
  CHECK_OK(gipc_interrupt(h));
  CHECK_IS(gipc_get(h, -1, &data, &size), -ECANCELED);
  gipc_handle_free(h);
  CHECK_IS(count_fds(), fds - 1);
  return 0;
}
static void a_passed_handle_is_not_interruptible(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_set_interruptible(r, 1));
  CHECK_OK(gipc_interrupt(r));
  CHECK_OK(gipc_options_pass(o, NULL, r));
  CHECK_IS(in_child(use_in_child, r, o), 0);
  gipc_options_free(o);
}

#define SET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      SET_TEST(another_thread_ends_a_wait),
      SET_TEST(a_signal_handler_ends_a_wait),
      SET_TEST(another_thread_ends_a_get),
      SET_TEST(messages_that_never_end_do_not_hide_an_interruption),
      SET_TEST(an_interruption_before_the_call_counts_once),
      SET_TEST(an_interrupted_put_is_whole_or_not_put),
      SET_TEST(an_interrupted_close_has_closed),
      SET_TEST(a_signal_handler_ends_a_get),
      SET_TEST(only_the_owner_interrupts_an_interruptible_handle),
      SET_TEST(an_operation_in_steps_does_not_lock_interruptions),
      SET_TEST(a_passed_handle_is_not_interruptible),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
