// The lock of the registry: a thread that waits for it sleeps, and the holder
// inherits the priority of the waiting thread (H122).
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <atomic>
#include <cstring>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <time.h>

namespace {

double cpu_of(clockid_t clock) {
  timespec time{};
  CHECK_OK(clock_gettime(clock, &time));
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) / 1e9;
}

double own_cpu() { return cpu_of(CLOCK_THREAD_CPUTIME_ID); }

struct Threads {
  sem_t inside, leave; // of the lock
  std::atomic<bool> hold;
  std::atomic<pid_t> waiting; // for the lock
  pthread_t holder;
  double burn; // processor seconds that the holder needs inside
};
Threads *all;

// The lock is held over the making of a pair.
int stay_inside(const char *name) noexcept {
  if (std::strcmp(name, "shutdown") == 0 && all->hold.load() &&
      pthread_equal(pthread_self(), all->holder) != 0) {
    CHECK_OK(sem_post(&all->inside));
    while (sem_wait(&all->leave) != 0) {
    }
    for (double until = own_cpu() + all->burn; own_cpu() < until;) {
    }
  }
  return 0;
}

void make_a_pipe() {
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_handle_free(r);
  gipc_handle_free(w);
}

void *hold_it(void *) {
  all->holder = pthread_self();
  all->hold.store(true);
  make_a_pipe();
  return nullptr;
}

void *want_it(void *) {
  all->waiting.store(static_cast<pid_t>(syscall(SYS_gettid)));
  make_a_pipe();
  return nullptr;
}

void begin(Threads &threads) {
  CHECK_OK(sem_init(&threads.inside, 0, 0));
  CHECK_OK(sem_init(&threads.leave, 0, 0));
  all = &threads;
  gipc::sys::fault = stay_inside;
}

void end() { gipc::sys::fault = nullptr; }

bool sleeps(pid_t thread) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  read_file(path, text, sizeof text);
  const char *at = std::strrchr(text, ')');
  return at != nullptr && at[2] == 'S';
}

void wait_until_asleep() {
  while (all->waiting.load() == 0 || !sleeps(all->waiting.load()))
    sched_yield();
}

void a_thread_that_waits_for_the_lock_sleeps(void **) {
  not_under_valgrind();
  Threads threads{};
  pthread_t holder, waiter;
  clockid_t clock;
  begin(threads);
  CHECK_OK(pthread_create(&holder, nullptr, hold_it, nullptr));
  while (sem_wait(&threads.inside) != 0) {
  }
  CHECK_OK(pthread_create(&waiter, nullptr, want_it, nullptr));
  CHECK_OK(pthread_getcpuclockid(waiter, &clock));
  wait_until_asleep();
  // A thread that spins uses as much processor time as this one.
  double before = cpu_of(clock);
  for (double until = own_cpu() + 0.3; own_cpu() < until;) {
  }
  double used = cpu_of(clock) - before;
  CHECK_OK(sem_post(&threads.leave));
  CHECK_OK(pthread_join(holder, nullptr));
  CHECK_OK(pthread_join(waiter, nullptr));
  end();
  CHECK(used < 0.01);
}

// ---- Priorities -------------------------------------------------------------

struct Middle {
  std::atomic<bool> runs, over;
  double gave_up; // after this many seconds; 0: the high one came first
};

bool become(int priority) {
  sched_param parameters{};
  parameters.sched_priority = priority;
  return pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters) == 0;
}

// Keeps the one processor from all of lower priority.
void *be_in_the_way(void *argument) {
  auto *middle = static_cast<Middle *>(argument);
  CHECK(become(10));
  double begin = now();
  middle->runs.store(true);
  while (!middle->over.load())
    if (now() - begin > 4) {
      middle->gave_up = now() - begin;
      break;
    }
  return nullptr;
}

void *be_high(void *argument) {
  auto *middle = static_cast<Middle *>(argument);
  pthread_t in_the_way;
  CHECK(become(20));
  CHECK_OK(pthread_create(&in_the_way, nullptr, be_in_the_way, middle));
  CHECK_OK(sem_post(&all->leave));
  make_a_pipe();
  middle->over.store(true);
  CHECK_OK(pthread_join(in_the_way, nullptr));
  return nullptr;
}

// On one processor: the low one holds the lock and has work to do, the high one
// waits for it, and the one between them would run indefinitely.
int invert_priorities(void *) {
  Threads threads{};
  Middle middle{};
  pthread_t low, high;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0)
    return 77;
  threads.burn = 0.4;
  begin(threads);
  CHECK_OK(pthread_create(&low, nullptr, hold_it, nullptr));
  while (sem_wait(&threads.inside) != 0) {
  }
  CHECK_OK(pthread_create(&high, nullptr, be_high, &middle));
  CHECK_OK(pthread_join(high, nullptr));
  CHECK_OK(pthread_join(low, nullptr));
  end();
  CHECK(middle.gave_up == 0);
  return 0;
}

int try_real_time(void *) { return become(1) ? 0 : 77; }

int result_of(int (*body)(void *)) {
  int status = -1;
  fflush(nullptr);
  pid_t pid = child_start(body, nullptr);
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

void the_holder_of_the_lock_has_the_priority_of_the_waiting_thread(void **) {
  not_under_valgrind();
  if (slow() || result_of(try_real_time) == 77) {
    print_message("skipped: no real-time priorities here\n");
    skip();
  }
  CHECK_IS(result_of(invert_priorities), 0);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_thread_that_waits_for_the_lock_sleeps),
      TEST(the_holder_of_the_lock_has_the_priority_of_the_waiting_thread),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
