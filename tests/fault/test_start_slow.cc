// A start returns the error of its program, however late the child executes it,
// and also if an emulator makes a fork of a vfork (H113, H123).
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <cstring>

namespace {

pid_t starter;

// The machine is busy: the child gets no time, longer than a start is patient
// with a descriptor that another thread's fork holds.
int lag(const char *name) noexcept {
  if (getpid() != starter && std::strcmp(name, "chdir") == 0)
    (void)poll(nullptr, 0, 700);
  return 0;
}

int refused_late(void *argument) {
  const char *argv[] = {"/does/not/exist", nullptr};
  gipc_options *o = new_options();
  gipc_process *p = nullptr;
  if (argument != nullptr)
    CHECK(make_madvise_lie());
  CHECK_OK(gipc_options_set_cwd(o, "/"));
  starter = getpid();
  gipc::sys::fault = lag;
  int result = gipc_exec_process(argv, o, &p);
  gipc::sys::fault = nullptr;
  CHECK_IS(result, -ENOENT);
  CHECK(p == nullptr && !has_children());
  gipc_options_free(o);
  return 0;
}

void a_program_that_is_refused_late_is_an_error_of_the_start(void **) {
  in_own_fork(refused_late, nullptr); // H113
  in_own_fork(refused_late, INT(1));
}

// CLONE_VFORK cannot be relied on, so clone(2) is not called.
int without_clone(void *) {
  const char *missing[] = {"/does/not/exist", nullptr};
  gipc_process *p = nullptr;
  CHECK(make_madvise_lie());
  for (size_t i = 0; i < many(100, 20); ++i) {
    fault::fail_call("clone", 1, ENOSYS, 1000);
    int result = gipc_exec_process(missing, nullptr, &p);
    int failed = fault::stop_calls();
    CHECK_IS(result, -ENOENT);
    CHECK_IS(failed, 0);
    CHECK(p == nullptr && !has_children());
    CHECK_IS(end_of(execute(nullptr, "sh", "-c", "exit 9", nullptr)), 9);
  }
  return 0;
}

void an_emulator_does_not_lose_the_error_of_an_exec(void **) {
  in_own_fork(without_clone, nullptr); // H123
}

// A fork of other code holds the descriptor whose end reports the exec.
pid_t holder;
int hold(const char *name) noexcept {
  if (getpid() == starter && std::strcmp(name, "fork") == 0 && holder == 0) {
    holder = fork();
    if (holder == 0)
      for (;;)
        pause();
  }
  return 0;
}

int start_with_a_holder(void *) {
  CHECK(make_madvise_lie());
  starter = getpid();
  gipc::sys::fault = hold;
  gipc_process *p = execute(nullptr, "sh", "-c", "exit 8", nullptr);
  gipc::sys::fault = nullptr;
  CHECK(holder > 0);
  CHECK_IS(end_of(p), 8);
  CHECK_OK(kill(holder, SIGKILL));
  CHECK_IS(waitpid(holder, nullptr, 0), holder);
  return 0;
}

void a_fork_of_other_code_does_not_delay_a_start(void **) {
  in_own_fork(start_with_a_holder, nullptr); // H8
}

} // namespace

// This process itself starts nothing: what it would find out of the kernel
// holds in its children.
int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_program_that_is_refused_late_is_an_error_of_the_start),
      TEST(an_emulator_does_not_lose_the_error_of_an_exec),
      TEST(a_fork_of_other_code_does_not_delay_a_start),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
