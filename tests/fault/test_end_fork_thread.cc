// The end of a process in one thread, while another thread does something with
// a handle whose queue it sends.
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <cstring>
#include <pthread.h>
#include <semaphore.h>

namespace {

// All of it in the child that ends.
sem_t looked, go_on;
pthread_t ending;
bool stops;

// The end of the process has checked every handle, and is about to wait.
int stop_in_poll(const char *name) noexcept {
  if (stops && std::strcmp(name, "poll") == 0 &&
      pthread_equal(pthread_self(), ending) != 0) {
    stops = false;
    CHECK_OK(sem_post(&looked));
    CHECK_OK(sem_wait(&go_on));
  }
  return 0;
}

void *end(void *) {
  ending = pthread_self();
  stops = true;
  gipc_exit(0);
}

void begin_to_end() {
  pthread_t thread;
  CHECK_OK(sem_init(&looked, 0, 0));
  CHECK_OK(sem_init(&go_on, 0, 0));
  gipc::sys::fault = stop_in_poll;
  CHECK_OK(pthread_create(&thread, nullptr, end, nullptr));
  CHECK_OK(sem_wait(&looked));
}

constexpr int messages = 3;

pid_t fork_beside_the_end(void *) {
  begin_to_end();
  return fork();
}

int end_at_once(struct ev_loop *, void *) { return 0; }

int pass_on(struct ev_loop *, void *argument) {
  auto *w = static_cast<gipc_handle *>(argument);
  for (int i = 0; i < messages; ++i)
    CHECK_OK(gipc_try_put(w, &i, sizeof i));
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, nullptr, w));
  CHECK_OK(gipc_options_set_fork(o, fork_beside_the_end, nullptr));
  start(end_at_once, nullptr, o);
  CHECK_OK(sem_post(&go_on));
  for (;;)
    pause();
}

void check_messages(gipc_handle *r, int count) {
  const void *data;
  size_t size;
  for (int i = 0; i < count; ++i) {
    CHECK_OK(gipc_get(r, -1, &data, &size));
    CHECK(std::memcmp(data, &i, sizeof i) == 0);
  }
  CHECK_IS(gipc_get(r, -1, &data, &size), GIPC_EOF);
}

gipc_process *start_with(gipc_handle *w,
                         int (*target)(struct ev_loop *, void *)) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, nullptr, w));
  gipc_process *p = start(target, w, o);
  gipc_options_free(o);
  return p;
}

void a_queue_is_written_by_one_of_two_processes(void **) { // H114
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_process *p = start_with(w, pass_on);
  check_messages(r, messages);
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

// ---- Closing it -------------------------------------------------------------

int filled_with;

int close_beside_the_end(struct ev_loop *, void *argument) {
  auto *w = static_cast<gipc_handle *>(argument);
  static char block[60 * 1000];
  for (int i = 0; i < filled_with; ++i) {
    std::memcpy(block, &i, sizeof i);
    CHECK_OK(gipc_try_put(w, block, sizeof block));
  }
  begin_to_end();
  CHECK_IS(gipc_close_within(w, 0), GIPC_ELOCKED);
  CHECK_IS(gipc_directions(w), GIPC_WRITE);
  CHECK_OK(sem_post(&go_on));
  for (;;)
    pause();
}

void a_handle_whose_queue_is_written_at_the_end_stays_open(void **) {
  gipc_handle *r, *w;
  filled_with = 20; // more than a socket holds
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_set_marks(w, 0, SIZE_MAX));
  gipc_process *p = start_with(w, close_beside_the_end);
  check_messages(r, filled_with);
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_queue_is_written_by_one_of_two_processes),
      TEST(a_handle_whose_queue_is_written_at_the_end_stays_open),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
