// A child that is found to have ended is checked once more after its end: for
// an error of its setup, its status, and what it reported (H113).
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

namespace {

pid_t starter;
// The state of the child between a check of its parent and the next step.
void (*between)();
const char *look; // the call that looks
int looks_left, look_error;
const char *always_failing; // a call of the parent
int always_error;
const char *fatal; // a call in which the child kills itself

// Waits for the end of any child, without reaping it.
void until_ended() {
  siginfo_t info;
  CHECK_OK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
}

// The same.  On a busy machine it may have ended before its gate was opened:
// then it is reaped, and what it told is read after that.
void until_ended_or_reaped() {
  siginfo_t info;
  if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) != 0)
    CHECK_IS(errno, ECHILD);
}

void until_reaped_by_another() {
  until_ended();
  CHECK(waitpid(-1, nullptr, 0) > 0);
}

int on_call(const char *name) noexcept {
  if (getpid() != starter) {
    if (fatal != nullptr && std::strcmp(name, fatal) == 0)
      raise(SIGKILL);
    return 0;
  }
  if (always_failing != nullptr && std::strcmp(name, always_failing) == 0)
    return always_error;
  if (look == nullptr || std::strcmp(name, look) != 0 || looks_left-- != 1)
    return 0;
  between();
  return look_error;
}

// The nth check finds nothing, and then the child ends.
void end_after(const char *name, int nth, int error, void (*how)()) {
  starter = getpid();
  look = name;
  looks_left = nth;
  look_error = error;
  between = how;
  gipc::sys::fault = on_call;
}

void no_more() {
  gipc::sys::fault = nullptr;
  look = always_failing = fatal = nullptr;
}

// ---- A failed start ---------------------------------------------------------

gipc_options *to_nowhere() {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  return o;
}

int start_to_nowhere(bool own_fork, gipc_process **p) {
  gipc_options *o = to_nowhere();
  gipc_fork_context *f = nullptr;
  int result;
  if (own_fork) {
    CHECK_OK(gipc_fork_prepare(o, &f));
    pid_t pid = fork();
    if (pid == 0)
      _exit(gipc_fork_child(f) == 0 ? 0 : 1);
    result = gipc_fork_parent(f, pid, p);
  } else {
    result = gipc_start_process(return_argument, INT(0), o, p);
  }
  gipc_options_free(o);
  return result;
}

void fail_after_a_look(void (*how)(), const char *lacking) {
  for (bool own_fork : {false, true}) {
    gipc_process *p = nullptr;
    end_after("recv", 1, EAGAIN, how);
    always_failing = lacking;
    always_error = ENOSYS;
    int result = start_to_nowhere(own_fork, &p);
    no_more();
    CHECK(looks_left <= 0); // it did look
    CHECK_IS(result, -ENOENT);
    CHECK(p == nullptr && !has_children());
  }
}

void a_child_that_fails_after_a_check_fails_the_start(void **) {
  fail_after_a_look(until_ended, nullptr);
}

void a_child_that_fails_after_a_check_fails_the_start_without_pidfd(void **) {
  fail_after_a_look(until_ended, "pidfd_open");
}

void a_failed_child_that_another_reaper_reaped_fails_the_start(void **) {
  fail_after_a_look(until_reaped_by_another, nullptr);
  fail_after_a_look(until_reaped_by_another, "pidfd_open");
}

void a_child_that_dies_before_its_gate_has_started_and_been_killed(void **) {
  for (int nth = 1; nth < 3; ++nth) {
    gipc_process *p = nullptr;
    gipc_options *o = to_nowhere();
    // The look is the opening of the gate, or the one after that.
    end_after(nth == 1 ? "send" : "recv", 1, 0, until_ended_or_reaped);
    fatal = "chdir";
    int result = gipc_start_process(return_argument, INT(0), o, &p);
    no_more();
    gipc_options_free(o);
    CHECK_OK(result);
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.signal, SIGKILL);
    CHECK_IS(info.ended, GIPC_ENDED_BEFORE_START);
    gipc_process_free(p);
  }
}

int burn(void *) {
  for (;;) {
  }
}

void three_hundred_failed_starts_fail_on_a_busy_machine(void **) {
  pid_t busy[6];
  int told_as_success = 0;
  for (pid_t &pid : busy)
    pid = child_start(burn, nullptr);
  for (size_t i = 0; i < many(300, 30); ++i) {
    gipc_process *p = nullptr;
    int result = start_to_nowhere(i % 2 == 1, &p);
    told_as_success += result == 0 ? 1 : 0;
    CHECK(result == 0 || result == -ENOENT);
  }
  for (pid_t pid : busy) {
    CHECK_OK(kill(pid, SIGKILL));
    CHECK_IS(waitpid(pid, nullptr, 0), pid);
  }
  CHECK_IS(told_as_success, 0);
}

// ---- A status ---------------------------------------------------------------

int gate = -1;

void open_gate() {
  close(gate);
  gate = -1;
  until_reaped_by_another();
}

int end_at_gate(struct ev_loop *, void *argument) {
  char byte;
  const int *ends = static_cast<int *>(argument);
  close(ends[1]);
  return read(ends[0], &byte, 1) == 0 ? 7 : 1;
}

// The child runs when the parent asks whether it has ended, and is gone, with
// its status, when the answer comes.
void a_child_that_ends_during_a_check_has_reported_its_code(void **) {
  for (const char *lacking : {"ioctl", "pidfd_open"}) {
    int ends[2];
    CHECK_OK(pipe2(ends, O_CLOEXEC));
    gate = ends[1];
    starter = getpid();
    always_failing = lacking;
    always_error = ENOTTY;
    gipc::sys::fault = on_call;
    gipc_process *p = start(end_at_gate, ends, nullptr);
    // The child is in the start gate: nothing was read, and it is not reaped.
    CHECK_IS(gipc_process_is_alive(p), 1);
    end_after(portable() || strcmp(lacking, "ioctl") != 0 ? "wait4" : "waitid",
              1, 0, open_gate);
    int alive = gipc_process_is_alive(p);
    no_more();
    CHECK_IS(alive, 0);
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.code, 7);
    // The kernel of today may have kept what that of the hook has not.
    CHECK(info.how == GIPC_STATUS_FROM_CHILD ||
          info.how == GIPC_STATUS_FROM_KERNEL);
    CHECK_IS(info.ended, GIPC_ENDED_RETURN);
    gipc_process_free(p);
    close(ends[0]);
  }
}

// Ended and not reaped, but no more for this process to reap: another thread is
// in the middle of it.
int polls;
int in_reaping(const char *name) noexcept {
  polls += std::strcmp(name, "poll") == 0 ? 1 : 0;
  return std::strcmp(name, "waitid") == 0 ? ECHILD : 0;
}

int be_slowly_reaped(void *argument) {
  gipc_process *p = execute(nullptr, "sh", "-c", "exit 6", nullptr);
  until_ended();
  gipc::sys::fault = in_reaping;
  for (int i = 0; i < 300; ++i) {
    polls = 0;
    CHECK_IS(gipc_process_is_alive(p), 1);
    CHECK(polls <= 2); // each of them a millisecond at most
  }
  int code = 4711;
  CHECK_IS(gipc_process_exitcode(p, &code), -EAGAIN);
  CHECK_IS(gipc_process_join(p, 0.15), -ETIMEDOUT);
  if (argument != nullptr) {
    // The other reaper reports the status.
    CHECK_OK(gipc_process_report(p, 6 << 8));
  } else {
    CHECK(waitpid(gipc_process_pid(p), nullptr, 0) > 0);
  }
  CHECK_OK(gipc_process_join(p, -1));
  gipc::sys::fault = nullptr;
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.code, 6);
  CHECK_IS(info.how, argument != nullptr ? GIPC_STATUS_FROM_REPORTED
                                         : GIPC_STATUS_FROM_KERNEL);
  gipc_process_free(p);
  if (argument != nullptr)
    CHECK(waitpid(-1, nullptr, 0) > 0);
  return 0;
}

// Whether the kernel keeps the status of a reaped child (Linux 6.15).
bool kernel_keeps_status() {
  struct {
    uint64_t mask, unused[7];
  } info = {1u << 3, {}};
  siginfo_t end;
  if (portable() || under_valgrind())
    return false;
  pid_t pid = fork();
  if (pid == 0)
    _exit(0);
  int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  CHECK(fd >= 0 && waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED) == 0);
  bool keeps =
      ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, 64), &info) == 0;
  close(fd);
  return keeps;
}

void play_slow_reaper(void *argument) {
  if (!kernel_keeps_status()) {
    print_message("skipped: no status is kept here\n");
    skip();
  }
  in_own_fork(be_slowly_reaped, argument);
}

void a_slow_reaper_does_not_make_a_status_lost(void **) {
  play_slow_reaper(nullptr);
}

void a_report_during_a_slow_reaping_is_the_status(void **) {
  play_slow_reaper(INT(1));
}

// Also where the kernel would have kept the status.
void a_reported_status_is_the_first_to_be_used(void **) {
  for (bool late : {false, true}) {
    gipc_options *o = new_options();
    CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
    gipc_process *p = execute(o, "sh", "-c", "read x; exit 6", nullptr);
    gipc_options_free(o);
    int in = gipc_process_stdio(p, 0), status = -1;
    if (!late)
      CHECK_OK(gipc_process_report(p, 6 << 8)); // it still runs
    close(in);
    until_ended();
    CHECK_IS(waitpid(gipc_process_pid(p), &status, 0), gipc_process_pid(p));
    if (late)
      CHECK_OK(gipc_process_report(p, status));
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.code, 6);
    CHECK_IS(info.how, GIPC_STATUS_FROM_REPORTED);
    gipc_process_free(p);
  }
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_child_that_fails_after_a_check_fails_the_start),
      TEST(a_child_that_fails_after_a_check_fails_the_start_without_pidfd),
      TEST(a_failed_child_that_another_reaper_reaped_fails_the_start),
      TEST(a_child_that_dies_before_its_gate_has_started_and_been_killed),
      TEST(three_hundred_failed_starts_fail_on_a_busy_machine),
      TEST(a_child_that_ends_during_a_check_has_reported_its_code),
      TEST(a_slow_reaper_does_not_make_a_status_lost),
      TEST(a_report_during_a_slow_reaping_is_the_status),
      TEST(a_reported_status_is_the_first_to_be_used),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
