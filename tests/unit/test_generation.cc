// Each process has a number of its own, whatever the kernel says to madvise(2).
#include "support_process.h"

#include "this_process.h"

#include <atomic>
#include <pthread.h>
#include <sys/syscall.h>

namespace {

using gipc::generation::current;

int another_number(void *argument) {
  auto parents = static_cast<uint32_t>(reinterpret_cast<intptr_t>(argument));
  CHECK(current() != parents);
  CHECK(current() == current());
  return 0;
}

int use_own_numbers(void *) {
  for (int i = 0; i < 3; ++i) {
    uint32_t mine = current();
    CHECK(mine != 0);
    in_own_fork(another_number, INT(mine));
    CHECK(current() == mine);
  }
  return 0;
}

int with_a_lie(void *argument) {
  CHECK(make_madvise_lie());
  return use_own_numbers(argument);
}

int with_an_old_kernel(void *argument) {
  CHECK(fail_call(SYS_madvise, EINVAL));
  return use_own_numbers(argument);
}

void a_fork_is_noticed_where_madvise_does_nothing(void **) {
  in_own_fork(with_a_lie, nullptr); // H37, H123
}

void a_fork_is_noticed_where_pages_are_not_wiped(void **) {
  in_own_fork(with_an_old_kernel, nullptr); // H37
}

// ---- Threads ----------------------------------------------------------------

std::atomic<int> waiting;
std::atomic<uint32_t> numbers[4];

void *ask(void *argument) {
  auto place = reinterpret_cast<intptr_t>(argument);
  waiting.fetch_add(-1);
  while (waiting.load() > 0) {
  }
  numbers[place].store(current());
  return nullptr;
}

// The first that ask in a new process, all at once.
int ask_at_once(void *) {
  pthread_t threads[4];
  waiting.store(4);
  for (int i = 0; i < 4; ++i)
    CHECK_OK(pthread_create(&threads[i], nullptr, ask, INT(i)));
  for (pthread_t thread : threads)
    CHECK_OK(pthread_join(thread, nullptr));
  for (const auto &number : numbers)
    CHECK(number.load() == current());
  return 0;
}

int ask_in_new_processes(void *argument) {
  if (argument != nullptr)
    CHECK(make_madvise_lie());
  CHECK(current() != 0);
  for (size_t i = 0; i < many(150, 10); ++i)
    in_own_fork(ask_at_once, nullptr);
  return 0;
}

void threads_that_ask_first_get_one_number(void **) {
  in_own_fork(ask_in_new_processes, nullptr);
  in_own_fork(ask_in_new_processes, INT(1));
}

} // namespace

// This process itself never asks: what it would find out holds in its children.
int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_fork_is_noticed_where_madvise_does_nothing),
      TEST(a_fork_is_noticed_where_pages_are_not_wiped),
      TEST(threads_that_ask_first_get_one_number),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
