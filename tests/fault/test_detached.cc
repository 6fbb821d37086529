// Detached children: the cost of later calls, and that each child is reaped.
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <cstring>
#include <fcntl.h>

namespace {

constexpr int most = 50;

// ---- What calls cost --------------------------------------------------------

pid_t counting;
int calls, gate;
const char *refused; // a call that this kernel lacks

// The child that is joined ends when it is waited for, so that the order is
// fixed.
int count(const char *name) noexcept {
  if (getpid() != counting)
    return 0;
  ++calls;
  if (std::strcmp(name, "poll") == 0 && gate >= 0) {
    siginfo_t info;
    close(gate);
    gate = -1;
    CHECK_OK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
  }
  return refused != nullptr && std::strcmp(name, refused) == 0 ? ENOSYS : 0;
}

int end_at_gate(struct ev_loop *, void *argument) {
  char byte;
  const int *ends = static_cast<int *>(argument);
  close(ends[1]);
  return read(ends[0], &byte, 1) == 0 ? 7 : 1;
}

int calls_of_a_life() {
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  counting = getpid();
  calls = 0;
  gate = -1;
  gipc::sys::fault = count;
  gipc_process *p = start(end_at_gate, ends, nullptr);
  gate = ends[1];
  CHECK_OK(gipc_process_join(p, -1));
  gipc_process_free(p);
  gipc::sys::fault = nullptr;
  close(ends[0]);
  return calls;
}

gipc_process *begin(int which) {
  counting = getpid();
  gate = -1;
  gipc::sys::fault = count;
  gipc_process *p = which % 2 == 0 ? start(wait_for_signal, nullptr, nullptr)
                                   : execute(nullptr, "sleep", "60", nullptr);
  gipc::sys::fault = nullptr;
  return p;
}

void detach(pid_t (&pids)[most]) {
  for (int i = 0; i < most; ++i) {
    gipc_process *p = begin(i);
    pids[i] = gipc_process_pid(p);
    gipc_process_free(p);
  }
}

// All have ended, and none has been reaped.
void kill_all(const pid_t *pids, int many_of_them) {
  for (int i = 0; i < many_of_them; ++i)
    CHECK_OK(kill(pids[i], SIGKILL));
  for (int i = 0; i < many_of_them; ++i) {
    siginfo_t info;
    CHECK_OK(
        waitid(P_PID, static_cast<id_t>(pids[i]), &info, WEXITED | WNOWAIT));
  }
}

void cost_nothing(const char *lacking) {
  pid_t pids[most];
  int fds = count_fds();
  refused = lacking;
  int alone = calls_of_a_life();
  detach(pids);
  int beside = calls_of_a_life();
  // Without a set of descriptors a call asks once whether any child has ended.
  bool set = !portable() && lacking == nullptr;
  CHECK(set ? beside <= alone + 3 : beside <= alone + most + 5);
  CHECK_IS(beside, calls_of_a_life());
  kill_all(pids, most);
  gipc_process_free(nullptr);
  refused = nullptr;
  CHECK(!has_children());
  CHECK_IS(count_fds(), fds);
}

void detached_children_that_run_cost_no_call(void **) { cost_nothing(nullptr); }

void detached_children_are_reaped_without_pidfd(void **) {
  cost_nothing("pidfd_open");
}

void detached_children_are_reaped_without_a_set(void **) {
  cost_nothing("epoll_create1");
  cost_nothing("epoll_ctl");
}

// ---- Any call reaps ---------------------------------------------------------

void by_start() {
  CHECK_IS(end_of(start(return_argument, nullptr, nullptr)), 0);
}
void by_exec() { CHECK_IS(end_of(execute(nullptr, "true", nullptr)), 0); }
void by_free() { gipc_process_free(nullptr); }
void by_failed_exec() {
  const char *argv[] = {"/does/not/exist", nullptr};
  gipc_process *p = nullptr;
  CHECK_IS(gipc_exec_process(argv, nullptr, &p), -ENOENT);
}

void the_next_call_reaps_all_that_have_ended(void **) {
  for (auto call : {by_start, by_exec, by_free, by_failed_exec}) {
    pid_t pids[most];
    detach(pids);
    kill_all(pids, most / 2);
    call();
    for (int i = 0; i < most; ++i)
      CHECK_IS(state_of(pids[i]) == 'X', i < most / 2);
    kill_all(pids + most / 2, most - most / 2);
    call();
    CHECK(!has_children());
  }
}

void a_detached_child_that_another_reaper_reaped_is_forgotten(void **) {
  pid_t pids[most];
  int fds = count_fds();
  detach(pids);
  kill_all(pids, most);
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  gipc_process_free(nullptr);
  CHECK_IS(count_fds(), fds);
}

// ---- In a child of the program's own fork -----------------------------------

int use_processes(void *) {
  // Those of the parent are not reaped here; this process has its own.
  by_start();
  by_exec();
  pid_t own[most];
  detach(own);
  kill_all(own, most);
  by_free();
  return has_children();
}

int use_processes_in_child(struct ev_loop *, void *) {
  return use_processes(nullptr);
}

void detached_children_of_a_forked_process_are_left_alone(void **) {
  pid_t pids[most];
  int fds = count_fds();
  detach(pids);
  kill_all(pids, most / 2);
  in_own_fork(use_processes, nullptr);
  for (pid_t pid : pids)
    CHECK(state_of(pid) != 'X');
  // A start reaps first, so these are others.
  kill_all(pids + most / 2, most - most / 2);
  in_own_fork(use_processes, nullptr);
  CHECK_IS(in_child(use_processes_in_child, nullptr, nullptr), 0);
  CHECK(!has_children());
  CHECK_IS(count_fds(), fds);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(detached_children_that_run_cost_no_call),
      TEST(detached_children_are_reaped_without_pidfd),
      TEST(detached_children_are_reaped_without_a_set),
      TEST(the_next_call_reaps_all_that_have_ended),
      TEST(a_detached_child_that_another_reaper_reaped_is_forgotten),
      TEST(detached_children_of_a_forked_process_are_left_alone),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
