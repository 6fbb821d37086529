// Threads, rings, templates and pools in orders of their calls that are rare by
// themselves.
extern "C" {
#include "support_ring.h"
#include "support_workers.h"
}
#include "support_schedule.h"

#include <atomic>
#include <cstring>
#include <initializer_list>
#include <pthread.h>
#include <sched.h>

namespace {

struct Pipe {
  gipc_handle *r, *w;
  Pipe() { CHECK_OK(gipc_pipe(&r, &w)); }
  ~Pipe() {
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
};

pthread_t thread_of(void *(*body)(void *), void *argument) {
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, nullptr, body, argument));
  return thread;
}

void join(pthread_t thread) { CHECK_OK(pthread_join(thread, nullptr)); }

gipc_options *passing(gipc_handle *h) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, nullptr, h));
  return o;
}

// ---- An end beside a put ----------------------------------------------------

// Of the child.
std::atomic<uint32_t> *numbers_put() {
  static std::atomic<uint32_t> count;
  return &count;
}

void *put_numbers(void *h) {
  for (uint32_t i = 0;; ++i) {
    if (gipc_put(static_cast<gipc_handle *>(h), &i, sizeof i, -1) != 0)
      return nullptr;
    *numbers_put() = i + 1;
  }
}

int end_beside_a_put(struct ev_loop *, void *h) {
  *numbers_put() = 0;
  (void)thread_of(put_numbers, h);
  while (*numbers_put() < 2)
    sched_yield();
  return 7;
}

// What was put is read once, in order, and then the end of the stream.
void an_end_beside_a_put_writes_whole_messages() {
  Pipe pipe;
  gipc_options *o = passing(pipe.w);
  gipc_process *p = start(end_beside_a_put, pipe.w, o);
  const void *data;
  size_t size;
  uint32_t count = 0;
  int result;
  while ((result = gipc_get(pipe.r, 100, &data, &size)) == 0) {
    CHECK(size == sizeof count && std::memcmp(data, &count, size) == 0);
    ++count;
  }
  CHECK_IS(result, GIPC_EOF);
  CHECK(count >= 2);
  CHECK_IS(end_of(p), 7);
  gipc_options_free(o);
}

// ---- Rings ------------------------------------------------------------------

constexpr uint32_t round_trips = 3;

int answer(struct ev_loop *, void *argument) {
  auto *h = static_cast<gipc_handle *>(argument);
  schedule::wait_until_armed();
  for (uint32_t i = 0; i < round_trips; ++i) {
    get_number(h, i);
    put_number(h, i);
  }
  expect_end(h);
  return 7;
}

// From the socket into a ring, and on: each message once.
void each_message_arrives_while_a_pipe_changes_to_a_ring() {
  gipc_handle *mine, *its;
  CHECK_OK(gipc_pipe_duplex(&mine, &its));
  for (gipc_handle *h : {mine, its})
    CHECK_OK(gipc_set_transport(h, GIPC_TRANSPORT_RING));
  gipc_options *o = passing(its);
  gipc_process *p = start(answer, its, o);
  schedule::arm();
  for (uint32_t i = 0; i < round_trips; ++i) {
    put_number(mine, i);
    get_number(mine, i);
  }
  CHECK_OK(gipc_close(mine));
  gipc_handle_free(mine);
  CHECK_IS(end_of(p), 7);
  gipc_options_free(o);
}

int put_all(struct ev_loop *, void *argument) {
  auto *h = static_cast<gipc_handle *>(argument);
  schedule::wait_until_armed();
  for (uint32_t i = 0; i < round_trips; ++i)
    put_number(h, i);
  return gipc_close(h) == 0 ? 7 : 1;
}

// The reader sleeps, or does not, when the writer looks at the flag.
void the_bell_of_a_ring_wakes_its_reader() {
  Pipe pipe;
  use_ring(pipe.r, pipe.w);
  gipc_options *o = passing(pipe.w);
  gipc_process *p = start(put_all, pipe.w, o);
  schedule::arm();
  for (uint32_t i = 0; i < round_trips; ++i)
    get_number(pipe.r, i);
  expect_end(pipe.r);
  CHECK_IS(end_of(p), 7);
  gipc_options_free(o);
}

// ---- Cancelled and interrupted calls ----------------------------------------

void *interrupt(void *h) {
  CHECK_OK(gipc_interrupt(static_cast<gipc_handle *>(h)));
  return nullptr;
}

void *put_one(void *h) {
  put_number(static_cast<gipc_handle *>(h), 1);
  return nullptr;
}

// A message and an interruption: the get returns either, and loses neither.
void an_interrupted_get_loses_no_message(bool ring) {
  Pipe pipe;
  const void *data;
  size_t size;
  uint32_t count = 0;
  if (ring)
    use_ring(pipe.r, pipe.w);
  CHECK_OK(gipc_set_interruptible(pipe.r, 1));
  pthread_t threads[] = {thread_of(put_one, pipe.w),
                         thread_of(interrupt, pipe.r)};
  bool interrupted = false;
  while (count == 0 || !interrupted) {
    int result = gipc_get(pipe.r, -1, &data, &size);
    CHECK(result == 0 || result == -ECANCELED);
    count += result == 0 ? 1 : 0;
    interrupted |= result == -ECANCELED;
  }
  for (pthread_t thread : threads)
    join(thread);
  CHECK_IS(count, 1);
  CHECK_IS(gipc_get(pipe.r, 0, &data, &size), -ETIMEDOUT);
}
void an_interrupted_get_loses_nothing_on_a_socket() {
  an_interrupted_get_loses_no_message(false);
}
void an_interrupted_get_loses_nothing_in_a_ring() {
  an_interrupted_get_loses_no_message(true);
}

void *get_until_cancelled(void *h) {
  const void *data;
  size_t size;
  for (;;) {
    int state;
    if (gipc_get(static_cast<gipc_handle *>(h), -1, &data, &size) != 0)
      return nullptr;
    // What it returned is counted before the next place to be cancelled in.
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    *numbers_put() += 1;
    pthread_setcancelstate(state, nullptr);
  }
}

// A thread that is cancelled has returned a message, or has left it.
void a_cancelled_thread_loses_no_message() {
  Pipe pipe;
  const void *data;
  size_t size;
  *numbers_put() = 0;
  pthread_t thread = thread_of(get_until_cancelled, pipe.r);
  for (uint32_t i = 0; i < 3; ++i)
    put_number(pipe.w, i);
  CHECK_OK(pthread_cancel(thread));
  join(thread);
  uint32_t count = *numbers_put();
  while (gipc_get(pipe.r, 0, &data, &size) == 0)
    ++count;
  CHECK_IS(count, 3);
}

// ---- Wait sets --------------------------------------------------------------

void *wake(void *set) {
  CHECK_OK(gipc_wait_set_wake(static_cast<gipc_wait_set *>(set)));
  return nullptr;
}

// A wake and a message end two waits, in either order; or one both.
void a_wake_beside_a_message_ends_a_wait() {
  Pipe pipe;
  gipc_wait_set *set;
  CHECK_OK(gipc_wait_set_new(&set));
  CHECK_OK(gipc_wait_set_add_handle(set, pipe.r, GIPC_READ));
  pthread_t threads[] = {thread_of(wake, set), thread_of(put_one, pipe.w)};
  for (bool woken = false, got = false; !woken || !got;) {
    int result = gipc_wait(set, -1);
    woken |= result == -ECANCELED;
    CHECK(result == -ECANCELED || result >= 0);
    if (result >= 0 && !got) {
      get_number(pipe.r, 1);
      got = true;
    }
  }
  for (pthread_t thread : threads)
    join(thread);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  gipc_wait_set_free(set);
}

// ---- Threads that start -----------------------------------------------------

void *start_and_join(void *) {
  CHECK_IS(in_child(return_argument, INT(5), nullptr), 5);
  return nullptr;
}

// A child has no descriptor that another thread opens and closes meanwhile.
void starts_beside_a_close_hold_no_stream_open() {
  pthread_t thread = thread_of(start_and_join, nullptr);
  for (int i = 0; i < 3; ++i) {
    Pipe pipe;
    put_number(pipe.w, 1);
    CHECK_OK(gipc_close(pipe.w));
    get_number(pipe.r, 1);
    expect_end(pipe.r);
  }
  join(thread);
}

void two_threads_start_at_once() {
  pthread_t thread = thread_of(start_and_join, nullptr);
  CHECK_IS(in_child(return_argument, INT(6), nullptr), 6);
  join(thread);
}

// ---- Templates, pools -------------------------------------------------------

void a_template_starts_a_child() {
  gipc_template *t = new_template(nullptr);
  gipc_process *p = start_from(t, return_argument, INT(7), 0, nullptr);
  CHECK_IS(run_from(t, return_argument, INT(8), 0, nullptr), 8);
  gipc_template_free(t);
  CHECK_IS(end_of(p), 7);
}

void a_failed_setup_is_an_error_of_a_template() {
  gipc_template *t = new_template(nullptr);
  gipc_options *o = new_options();
  gipc_process *p = nullptr;
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(gipc_template_start(t, return_argument, nullptr, 0, o, &p), -ENOENT);
  CHECK(p == nullptr);
  gipc_options_free(o);
  gipc_template_free(t);
}

// The task that kills its worker is reported once, and another worker does the
// next.
void a_pool_replaces_a_worker_that_dies() {
  gipc_pool *pool = new_pool("most=1 first_delay=0.001");
  CHECK_IS(do_task(pool, "e1"), GIPC_WHY_DONE);
  CHECK_IS(do_task(pool, "k"), GIPC_WHY_DIED);
  CHECK_IS(do_task(pool, "e2"), GIPC_WHY_DONE);
  end_pool(pool);
}

// ---- Tests ------------------------------------------------------------------

#define BY_SEEDS(scenario) schedule::by_seeds(#scenario, scenario)
#define IN_EACH_ORDER(scenario)                                                \
  schedule::in_each_order(#scenario, scenario, nullptr)

void ends_and_threads_are_right_with_every_seed(void **) {
  BY_SEEDS(an_end_beside_a_put_writes_whole_messages);
  BY_SEEDS(an_interrupted_get_loses_nothing_on_a_socket);
  BY_SEEDS(a_cancelled_thread_loses_no_message);
  BY_SEEDS(a_wake_beside_a_message_ends_a_wait);
  BY_SEEDS(starts_beside_a_close_hold_no_stream_open);
  BY_SEEDS(two_threads_start_at_once);
}

void rings_are_right_with_every_seed(void **) {
  if (portable())
    skip_because("there are no rings here");
  BY_SEEDS(each_message_arrives_while_a_pipe_changes_to_a_ring);
  BY_SEEDS(the_bell_of_a_ring_wakes_its_reader);
  BY_SEEDS(an_interrupted_get_loses_nothing_in_a_ring);
}

void rings_are_right_in_each_order(void **) {
  if (portable())
    skip_because("there are no rings here");
  IN_EACH_ORDER(the_bell_of_a_ring_wakes_its_reader);
  IN_EACH_ORDER(each_message_arrives_while_a_pipe_changes_to_a_ring);
}

void templates_are_right_with_every_seed(void **) {
  gipc_template_free(new_template(nullptr)); // or skips
  BY_SEEDS(a_template_starts_a_child);
  BY_SEEDS(a_failed_setup_is_an_error_of_a_template);
}

void pools_are_right_with_every_seed(void **) {
  BY_SEEDS(a_pool_replaces_a_worker_that_dies);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      SCHEDULE_TEST(ends_and_threads_are_right_with_every_seed),
      SCHEDULE_TEST(rings_are_right_with_every_seed),
      SCHEDULE_TEST(rings_are_right_in_each_order),
      SCHEDULE_TEST(templates_are_right_with_every_seed),
      SCHEDULE_TEST(pools_are_right_with_every_seed),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
