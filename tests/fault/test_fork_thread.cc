// A fork of one thread while other threads use the library: no lock is held
// during the fork, and the child has none of their descriptors (H1, H122).
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>

namespace {

class Event {
public:
  Event() { CHECK_OK(sem_init(&semaphore_, 0, 0)); }
  ~Event() { (void)sem_destroy(&semaphore_); }
  void set() { CHECK_OK(sem_post(&semaphore_)); }
  void wait() {
    while (sem_wait(&semaphore_) != 0)
      CHECK(errno == EINTR);
  }

private:
  sem_t semaphore_;
};

pthread_t begin_thread(void *(*body)(void *), void *argument) {
  pthread_t thread;
  CHECK_OK(pthread_create(&thread, nullptr, body, argument));
  return thread;
}

void use_a_pipe() {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_OK(gipc_get(r, -1, &data, &size));
  gipc_handle_free(r);
  gipc_handle_free(w);
}

// Two ways to run code of the test right before and after the fork of a start.
// Both return the result of the target.
enum Way { by_option, by_hand };
int (*in_the_child)(void *);
void *of_the_child;

struct ForkHooks {
  void (*before)(void *), (*after)(void *), (*child)(void *);
  void *argument;
};

pid_t fork_with_hooks(void *user) {
  auto *hooks = static_cast<ForkHooks *>(user);
  if (hooks->before != nullptr)
    hooks->before(hooks->argument);
  pid_t pid = fork();
  if (pid > 0 && hooks->after != nullptr)
    hooks->after(hooks->argument);
  if (pid == 0 && hooks->child != nullptr)
    hooks->child(hooks->argument);
  return pid;
}

int call_in_the_child(struct ev_loop *, void *) {
  return in_the_child(of_the_child);
}

int start_in(Way way, ForkHooks hooks, gipc_options *o, int (*body)(void *),
             void *argument) {
  gipc_process *p = nullptr;
  in_the_child = body;
  of_the_child = argument;
  if (way == by_option) {
    CHECK_OK(gipc_options_set_fork(o, fork_with_hooks, &hooks));
    return in_child(call_in_the_child, nullptr, o);
  }
  gipc_fork_context *f = nullptr;
  CHECK_OK(gipc_fork_prepare(o, &f));
  pid_t pid = fork_with_hooks(&hooks);
  if (pid == 0) {
    CHECK_OK(gipc_fork_child(f));
    gipc_exit(body(argument));
  }
  CHECK_OK(gipc_fork_parent(f, pid, &p));
  return end_of(p);
}

int nothing(void *) { return 0; }

// ---- Another thread runs ----------------------------------------------------

struct Other {
  Event begin, done;
};

void *work_once(void *argument) {
  auto *other = static_cast<Other *>(argument);
  other->begin.wait();
  for (int i = 0; i < 20; ++i)
    use_a_pipe();
  CHECK_IS(end_of(execute(nullptr, "sh", "-c", "exit 4", nullptr)), 4);
  other->done.set();
  return nullptr;
}

void let_it_work(void *argument) {
  auto *other = static_cast<Other *>(argument);
  other->begin.set();
  other->done.wait();
}

void another_thread_works_before_and_after_a_fork(Way way) {
  for (bool after : {false, true}) {
    Other other;
    gipc_options *o = new_options();
    pthread_t thread = begin_thread(work_once, &other);
    ForkHooks hooks{after ? nullptr : let_it_work,
                    after ? let_it_work : nullptr, nullptr, &other};
    CHECK_IS(start_in(way, hooks, o, nothing, nullptr), 0);
    CHECK_OK(pthread_join(thread, nullptr));
    gipc_options_free(o);
  }
}

void a_fork_function_may_wait_for_a_thread_that_uses_the_library(void **) {
  another_thread_works_before_and_after_a_fork(by_option); // H122
}

void a_fork_by_hand_may_wait_for_a_thread_that_uses_the_library(void **) {
  another_thread_works_before_and_after_a_fork(by_hand); // H122
}

// ---- Another thread is in the middle of it ----------------------------------

struct Stop {
  const char *call;
  pthread_t thread;
  Event begin, reached, go_on, done;
};
Stop *stop_here;

int stop_in_call(const char *name) noexcept {
  Stop *stop = stop_here;
  if (stop != nullptr && std::strcmp(name, stop->call) == 0 &&
      pthread_equal(pthread_self(), stop->thread) != 0) {
    stop_here = nullptr;
    stop->reached.set();
    stop->go_on.wait();
  }
  return 0;
}

void *make_a_pipe(void *argument) {
  auto *stop = static_cast<Stop *>(argument);
  gipc_handle *r, *w;
  stop->thread = pthread_self();
  stop->begin.wait();
  CHECK_OK(gipc_pipe(&r, &w));
  stop->done.wait();
  gipc_handle_free(r);
  gipc_handle_free(w);
  return nullptr;
}

void reach(void *argument) {
  auto *stop = static_cast<Stop *>(argument);
  stop_here = stop;
  stop->begin.set();
  stop->reached.wait();
}

void go_on(void *argument) { static_cast<Stop *>(argument)->go_on.set(); }

struct Fds {
  int numbers[64], count;
};

// How many more there are than before.
int has_only(void *argument) {
  auto *before = static_cast<Fds *>(argument);
  Fds now;
  now.count = list_fds(now.numbers, 64);
  int others = 0;
  for (int i = 0; i < now.count; ++i) {
    bool known = false;
    for (int k = 0; k < before->count; ++k)
      known |= before->numbers[k] == now.numbers[i];
    others += known ? 0 : 1;
  }
  for (int k = 0; k < before->count; ++k)
    CHECK(fcntl(before->numbers[k], F_GETFD) >= 0);
  return others;
}

// The socket of its start, and the fresh loop.
int in_each_child(Way way) { return way == by_option ? 2 : 1; }

void *fail_to_start(void *argument) {
  auto *stop = static_cast<Stop *>(argument);
  const char *missing[] = {"/no/such/program", nullptr};
  gipc_process *p;
  stop->thread = pthread_self();
  stop->begin.wait();
  CHECK_IS(gipc_exec_process(missing, nullptr, &p), -ENOENT);
  return nullptr;
}

void *ask_for_features(void *argument) {
  auto *stop = static_cast<Stop *>(argument);
  stop->thread = pthread_self();
  stop->begin.wait();
  CHECK(gipc_features() >= 0);
  stop->reached.set(); // there may have been nothing to try
  return nullptr;
}

// Descriptors of a thread that is stopped in this call during the fork.
void is_not_in_the_child(Way way, const char *call,
                         void *(*body)(void *) = make_a_pipe) {
  Stop stop;
  Fds before;
  gipc_options *o = new_options();
  stop.call = call;
  stop_here = nullptr;
  gipc::sys::fault = stop_in_call;
  pthread_t thread = begin_thread(body, &stop);
  before.count = list_fds(before.numbers, 64);
  int others =
      start_in(way, {reach, go_on, nullptr, &stop}, o, has_only, &before);
  gipc::sys::fault = nullptr;
  stop.done.set();
  CHECK_OK(pthread_join(thread, nullptr));
  gipc_options_free(o);
  CHECK_IS(others, in_each_child(way));
}

void a_descriptor_that_is_made_at_a_fork_is_not_in_the_child(void **) {
  is_not_in_the_child(by_option, "shutdown"); // H1
  is_not_in_the_child(by_hand, "shutdown");
}

void a_descriptor_of_a_failed_start_is_not_in_the_child(void **) {
  is_not_in_the_child(by_option, "wait4", fail_to_start); // H1
  is_not_in_the_child(by_hand, "wait4", fail_to_start);
}

void nothing_that_was_opened_for_a_try_is_in_the_child(void **) { // H1
  is_not_in_the_child(by_option, "preadv2", ask_for_features);
}

// ---- Numbers that mean another file in the child ----------------------------

struct Reused {
  int fd;
  gipc_handle *r, *w;
};

void take_its_number(void *argument) {
  auto *reused = static_cast<Reused *>(argument);
  close(reused->fd);
  CHECK_OK(gipc_pipe(&reused->r, &reused->w));
  CHECK(gipc_fd(reused->r, GIPC_READ) == reused->fd ||
        gipc_fd(reused->w, GIPC_WRITE) == reused->fd);
}

void leave_its_number(void *argument) {
  auto *reused = static_cast<Reused *>(argument);
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  int number = gipc_fd(r, GIPC_READ);
  gipc_handle_free(r);
  gipc_handle_free(w);
  reused->fd = fcntl(0, F_DUPFD_CLOEXEC, number);
  CHECK_IS(reused->fd, number);
}

int still_has_it(void *argument) {
  return fcntl(static_cast<Reused *>(argument)->fd, F_GETFD) >= 0 ? 0 : 1;
}

void a_number_that_was_taken_after_a_fork_is_the_childs(void **) {
  for (Way way : {by_option, by_hand}) {
    Reused reused{};
    gipc_options *o = new_options();
    reused.fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
    CHECK_IS(start_in(way, {nullptr, take_its_number, nullptr, &reused}, o,
                      still_has_it, &reused),
             0);
    gipc_handle_free(reused.r);
    gipc_handle_free(reused.w);
    gipc_options_free(o);
  }
}

// Files of the kernel without a name all look the same.
struct Nameless {
  int fd;
  gipc_process *process;
  pid_t pid;
};

void take_its_number_for_a_set(void *argument) {
  auto *nameless = static_cast<Nameless *>(argument);
  close(nameless->fd);
  gipc_process_free(nameless->process);
}

int still_counts(void *argument) {
  uint64_t value = 7;
  int fd = static_cast<Nameless *>(argument)->fd;
  return write(fd, &value, sizeof value) == sizeof value ? 0 : 1;
}

void a_nameless_file_at_such_a_number_is_the_childs(void **) {
  for (Way way : {by_option, by_hand}) {
    Nameless nameless{};
    gipc_options *o = new_options();
    nameless.process = start(wait_for_signal, nullptr, nullptr);
    nameless.pid = gipc_process_pid(nameless.process);
    nameless.fd = eventfd(0, EFD_CLOEXEC);
    CHECK_IS(start_in(way,
                      {nullptr, take_its_number_for_a_set, nullptr, &nameless},
                      o, still_counts, &nameless),
             0);
    CHECK_OK(kill(nameless.pid, SIGKILL));
    CHECK(gone_within(nameless.pid, 20));
    gipc_process_free(nullptr);
    gipc_options_free(o);
  }
}

void a_number_that_was_left_before_a_fork_is_the_childs(void **) {
  for (Way way : {by_option, by_hand}) {
    Reused reused{};
    gipc_options *o = new_options();
    CHECK_IS(start_in(way, {leave_its_number, nullptr, nullptr, &reused}, o,
                      still_has_it, &reused),
             0);
    close(reused.fd);
    gipc_options_free(o);
  }
}

// ---- Many changes -----------------------------------------------------------

struct Flood {
  size_t wanted;
  std::atomic<size_t> made;
  std::atomic<bool> over;
  Event enough;
};

void *flood(void *argument) {
  auto *all = static_cast<Flood *>(argument);
  while (!all->over.load()) {
    gipc_handle *r, *w;
    CHECK_OK(gipc_pipe(&r, &w));
    gipc_handle_free(r);
    gipc_handle_free(w);
    if (all->made.fetch_add(1) + 1 == all->wanted)
      all->enough.set();
  }
  return nullptr;
}

void until_enough(void *argument) {
  auto *all = static_cast<Flood *>(argument);
  all->made.store(0); // from now on
  all->enough.wait();
}

// As a runtime does whose own lock the other thread holds.
void a_fork_may_wait_for_any_number_of_changes(void **) {
  for (Way way : {by_option, by_hand})
    for (bool after : {false, true}) {
      Flood all{};
      Fds before;
      all.wanted = many(20000, 3000);
      gipc_options *o = new_options();
      before.count = list_fds(before.numbers, 64);
      pthread_t thread = begin_thread(flood, &all);
      ForkHooks hooks{after ? nullptr : until_enough,
                      after ? until_enough : nullptr, nullptr, &all};
      int others = start_in(way, hooks, o, has_only, &before);
      all.over.store(true);
      CHECK_OK(pthread_join(thread, nullptr));
      gipc_options_free(o);
      CHECK_IS(others, in_each_child(way));
    }
}

void forks_while_many_handles_are_made_leak_nothing(void **) {
  Flood all{};
  Fds before;
  all.wanted = SIZE_MAX;
  before.count = list_fds(before.numbers, 64);
  pthread_t thread = begin_thread(flood, &all);
  for (size_t i = 0; i < many(400, 40); ++i) {
    gipc_options *o = new_options();
    Way way = i % 2 == 0 ? by_option : by_hand;
    int others = start_in(way, {nullptr, nullptr, nullptr, nullptr}, o,
                          has_only, &before);
    gipc_options_free(o);
    CHECK_IS(others, in_each_child(way));
  }
  all.over.store(true);
  CHECK_OK(pthread_join(thread, nullptr));
}

// ---- The hooks of a runtime -------------------------------------------------

struct Hooked {
  gipc_handle *by_parent[2], *by_child[2], *mine, *yours;
  gipc_process *process;
};

void free_in_parent(void *argument) {
  auto *hooked = static_cast<Hooked *>(argument);
  for (gipc_handle *h : hooked->by_parent)
    gipc_handle_free(h);
  use_a_pipe();
}

// What it frees is the parent's; what it makes is its own.
void free_in_child(void *argument) {
  auto *hooked = static_cast<Hooked *>(argument);
  for (gipc_handle *h : hooked->by_child)
    gipc_handle_free(h);
  gipc_process_free(hooked->process);
  use_a_pipe();
}

int use_passed(void *argument) {
  auto *hooked = static_cast<Hooked *>(argument);
  CHECK_OK(gipc_put(hooked->yours, "hello", 5, -1));
  use_a_pipe();
  Fds now;
  now.count = list_fds(now.numbers, 64);
  return now.count;
}

void hooks_around_a_fork_may_free_handles_and_processes(void **) {
  for (Way way : {by_option, by_hand}) {
    Hooked hooked{};
    const void *data;
    size_t size;
    gipc_options *o = new_options();
    Fds before;
    before.count = list_fds(before.numbers, 64);
    CHECK_OK(gipc_pipe(&hooked.by_child[0], &hooked.by_parent[0]));
    CHECK_OK(gipc_pipe(&hooked.mine, &hooked.yours));
    hooked.process = execute(nullptr, "sleep", "60", nullptr);
    CHECK_OK(gipc_pipe(&hooked.by_parent[1], &hooked.by_child[1]));
    CHECK_OK(gipc_options_pass(o, nullptr, hooked.yours));
    int count = start_in(way, {nullptr, free_in_parent, free_in_child, &hooked},
                         o, use_passed, &hooked);
    CHECK_IS(count, before.count + 1 + in_each_child(way)); // the handle
    CHECK_OK(gipc_get(hooked.mine, -1, &data, &size));
    CHECK_IS((long)size, 5);
    destroy(hooked.process);
    for (gipc_handle *h : hooked.by_child)
      gipc_handle_free(h);
    gipc_handle_free(hooked.mine);
    gipc_handle_free(hooked.yours);
    gipc_options_free(o);
  }
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_fork_function_may_wait_for_a_thread_that_uses_the_library),
      TEST(a_fork_by_hand_may_wait_for_a_thread_that_uses_the_library),
      TEST(nothing_that_was_opened_for_a_try_is_in_the_child),
      TEST(a_descriptor_that_is_made_at_a_fork_is_not_in_the_child),
      TEST(a_descriptor_of_a_failed_start_is_not_in_the_child),
      TEST(a_number_that_was_taken_after_a_fork_is_the_childs),
      TEST(a_number_that_was_left_before_a_fork_is_the_childs),
      TEST(a_nameless_file_at_such_a_number_is_the_childs),
      TEST(a_fork_may_wait_for_any_number_of_changes),
      TEST(forks_while_many_handles_are_made_leak_nothing),
      TEST(hooks_around_a_fork_may_free_handles_and_processes),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
