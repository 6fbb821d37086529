// Each source of an exit status, and what is known when it fails.
#include "support_process.h"

#include "os.h"
#include "status.h"
#include "sys.h"

#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace {

using gipc::Fd;
using gipc::Part;
using gipc::Status;
using Record = gipc::control::Record;

// ---- The hook ---------------------------------------------------------------

struct Failing {
  std::string call;
  int error;
};
// Set before the hook, and read by it only.
std::vector<Failing> failing;
int calls, polls;

int fail_named(const char *name) noexcept {
  ++calls;
  polls += std::strcmp(name, "poll") == 0 ? 1 : 0;
  for (const Failing &one : failing)
    if (one.call == name)
      return one.error;
  return 0;
}

class Hook {
public:
  explicit Hook(std::vector<Failing> which) {
    failing = std::move(which);
    calls = polls = 0;
    gipc::sys::fault = fail_named;
  }
  ~Hook() { gipc::sys::fault = nullptr; }
};

// ---- Children ---------------------------------------------------------------

enum class Kind { function, program };

// Forked here; it sends the records, and ends with the code or by the signal
// when `let_go` is closed.
struct Child {
  Status status;
  pid_t pid;
  int let_go;

  Child(Kind kind, int code, const std::vector<Record> &records,
        int signal = 0) {
    int gate[2], control[2];
    CHECK_OK(pipe2(gate, O_CLOEXEC));
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control));
    pid = fork();
    if (pid == 0) {
      char byte;
      close(gate[1]);
      CHECK_IS(read(gate[0], &byte, 1), 0);
      for (const Record &record : records)
        gipc::control::send(control[1], record);
      if (signal != 0)
        raise(signal);
      _exit(code);
    }
    CHECK(pid > 0);
    close(gate[0]);
    let_go = gate[1];
    Fd exit_fd;
    (void)gipc::os::open_exit_fd(pid, exit_fd);
    gipc::registry::Held parent_end{Fd(control[0])};
    close(control[1]);
    if (kind == Kind::function)
      status.set_control(std::move(parent_end));
    status.set_started(pid, std::move(exit_fd));
    if (kind == Kind::program)
      status.set_control(std::move(parent_end));
  }

  void wait_for_end() {
    siginfo_t info;
    CHECK_OK(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT));
  }
  void end() {
    close(let_go);
    wait_for_end();
  }
  void end_and_be_stolen() {
    end();
    CHECK_IS(waitpid(pid, nullptr, 0), pid);
  }
};

const std::vector<Record> told_seven = {{Record::begun, 0, 0},
                                        {Record::ended, 7, GIPC_ENDED_RETURN}};

gipc_exit_info described(const Status &status) {
  gipc_exit_info info{};
  CHECK(status.is_known());
  status.describe(info);
  return info;
}

void check_known(const Status &status, int from, int code) {
  int got = 4711;
  CHECK_IS(described(status).how, from);
  CHECK_IS(described(status).code, code);
  CHECK_OK(status.exitcode(got));
  CHECK_IS(got, code);
}

void check_lost(const Status &status) {
  int got = 4711;
  CHECK_IS(described(status).how, GIPC_STATUS_LOST);
  CHECK_IS(described(status).code, -1);
  CHECK_IS(status.exitcode(got), GIPC_ESTATUSLOST);
  CHECK_IS(got, 4711);
}

bool kernel_keeps_status() {
  Child child(Kind::program, 0, {});
  child.end_and_be_stolen();
  int status;
  return child.status.exit_fd() >= 0 &&
         gipc::os::kept_status(child.status.exit_fd(), &status) == 1;
}

// ---- Waiting ----------------------------------------------------------------

void the_status_of_an_ended_child_comes_from_wait(void **) {
  Child child(Kind::function, 7, told_seven);
  CHECK(!child.status.reap_or_sleep());
  CHECK(!child.status.is_known());
  child.end();
  CHECK(child.status.reap_or_sleep());
  check_known(child.status, GIPC_STATUS_FROM_WAIT, 7);
  CHECK_IS(described(child.status).ended, GIPC_ENDED_RETURN);
  CHECK(described(child.status).max_rss > 0);
}

void a_child_is_reaped_by_number_where_its_descriptor_cannot(void **) {
  for (int error : {ENOSYS, EPERM, EINVAL}) {
    Child child(Kind::program, 7, {});
    child.end();
    Hook hook({{"waitid", error}});
    CHECK(child.status.reap_or_sleep());
    check_known(child.status, GIPC_STATUS_FROM_WAIT, 7);
  }
}

void a_question_neither_asks_the_kernel_nor_reaps(void **) {
  Child child(Kind::program, 7, {});
  child.end();
  Hook hook({});
  CHECK(!child.status.is_known());
  CHECK_IS(calls, 0);
  CHECK_IS(count_zombies(), 1);
  CHECK(child.status.reap_or_sleep());
  CHECK_IS(count_zombies(), 0);
  calls = 0;
  check_known(child.status, GIPC_STATUS_FROM_WAIT, 7);
  CHECK(child.status.reap_or_sleep()); // known once is known
  CHECK_IS(calls, 0);
}

void a_signal_is_told_from_a_code(void **) {
  Child child(Kind::function, 0, {{Record::begun, 0, 0}}, SIGKILL);
  int code;
  child.end();
  CHECK(child.status.reap_or_sleep());
  CHECK_OK(child.status.exitcode(code));
  CHECK_IS(code, -SIGKILL);
  CHECK_IS(described(child.status).code, -1);
  CHECK_IS(described(child.status).signal, SIGKILL);
  CHECK_IS(described(child.status).ended, GIPC_ENDED_UNKNOWN);
}

// ---- Another reaper ---------------------------------------------------------

void a_stolen_status_comes_from_the_kernel(void **) {
  if (!kernel_keeps_status())
    skip_because("this kernel keeps no status that another reaper took");
  Child child(Kind::function, 9, told_seven);
  child.end_and_be_stolen();
  CHECK(child.status.reap_or_sleep());
  check_known(child.status, GIPC_STATUS_FROM_KERNEL, 9);
  CHECK_IS(described(child.status).max_rss, -1); // nobody measured it
}

void a_status_that_the_kernel_does_not_keep_comes_from_the_child(void **) {
  Child child(Kind::function, 9, told_seven);
  child.end_and_be_stolen();
  Hook hook({{"ioctl", ENOTTY}});
  CHECK(child.status.reap_or_sleep());
  check_known(child.status, GIPC_STATUS_FROM_CHILD, 7);
  CHECK_IS(described(child.status).ended, GIPC_ENDED_RETURN);
}

void a_status_that_no_source_has_is_lost(void **) {
  Child child(Kind::function, 9, told_seven);
  child.end_and_be_stolen();
  Hook hook({{"ioctl", ENOTTY}, {"recv", ECONNRESET}});
  CHECK(child.status.reap_or_sleep());
  check_lost(child.status);
  CHECK_IS(described(child.status).ended, GIPC_ENDED_BEFORE_START);
}

void the_lifeline_of_a_program_is_not_a_source(void **) {
  Child child(Kind::program, 9, told_seven);
  child.end_and_be_stolen();
  Hook hook({{"ioctl", ENOTTY}});
  CHECK(child.status.reap_or_sleep());
  check_lost(child.status);
  CHECK_IS(described(child.status).ended, GIPC_ENDED_UNKNOWN);
}

// Ended, and no more for this process to reap: another thread is in the middle
// of it.
void a_child_that_is_being_reaped_counts_as_running(void **) {
  if (!kernel_keeps_status())
    skip_because("this kernel keeps no status that another reaper took");
  Child child(Kind::program, 9, {});
  child.end();
  {
    Hook hook({{"waitid", ECHILD}});
    CHECK(!child.status.reap_or_sleep());
    CHECK_IS(polls, 2); // a look, and the millisecond
  }
  CHECK_IS(waitpid(child.pid, nullptr, 0), child.pid);
  CHECK(child.status.reap_or_sleep());
  check_known(child.status, GIPC_STATUS_FROM_KERNEL, 9);
}

// ---- What was reported ------------------------------------------------------

void a_reported_status_is_used_when_it_is_reported(void **) {
  Child child(Kind::function, 9, told_seven);
  child.end_and_be_stolen();
  Hook hook({});
  child.status.report(9 << 8);
  CHECK_IS(polls, 0); // and the call does not sleep
  check_known(child.status, GIPC_STATUS_FROM_REPORTED, 9);
  CHECK_IS(described(child.status).ended, GIPC_ENDED_RETURN);
}

void a_status_reported_of_a_running_child_waits_for_its_end(void **) {
  for (bool stolen : {false, true}) {
    Child child(Kind::program, 9, {});
    child.status.report(4 << 8);
    CHECK(!child.status.is_known());
    CHECK(!child.status.reap_or_sleep());
    if (stolen)
      child.end_and_be_stolen();
    else
      child.end();
    CHECK(child.status.reap_or_sleep());
    if (stolen)
      check_known(child.status, GIPC_STATUS_FROM_REPORTED, 4);
    else
      check_known(child.status, GIPC_STATUS_FROM_WAIT, 9);
  }
}

void a_reported_status_replaces_only_what_is_less_sure(void **) {
  Child waited(Kind::program, 9, {});
  waited.end();
  CHECK(waited.status.reap_or_sleep());
  waited.status.report(4 << 8);
  check_known(waited.status, GIPC_STATUS_FROM_WAIT, 9);
  for (Kind kind : {Kind::function, Kind::program}) {
    Child child(kind, 9, told_seven);
    child.end_and_be_stolen();
    Hook hook({{"ioctl", ENOTTY}});
    CHECK(child.status.reap_or_sleep());
    child.status.report(4 << 8);
    check_known(child.status, GIPC_STATUS_FROM_REPORTED, 4);
    child.status.report(5 << 8);
    check_known(child.status, GIPC_STATUS_FROM_REPORTED, 4);
  }
}

// ---- The beginning ----------------------------------------------------------

void a_child_that_could_not_begin_tells_why(void **) {
  Child child(Kind::function, 127,
              {{Record::failed, -ENOENT, static_cast<int32_t>(Part::cwd)}});
  close(child.let_go);
  CHECK(child.status.begins_within(-1));
  gipc::Failure failure = child.status.failure();
  CHECK_IS(failure.error, -ENOENT);
  CHECK(failure.part == Part::cwd);
  CHECK_IS(waitpid(child.pid, nullptr, 0), child.pid);
}

void a_child_that_began_or_ended_without_a_word_has_not_failed(void **) {
  for (int begun : {1, 0}) {
    Child child(
        Kind::function, 3,
        std::vector<Record>(static_cast<size_t>(begun), {Record::begun, 0, 0}));
    close(child.let_go);
    CHECK(child.status.begins_within(-1));
    CHECK_OK(child.status.failure().error);
    if (!child.status.is_known())
      child.wait_for_end();
    CHECK(child.status.reap_or_sleep());
    check_known(child.status, GIPC_STATUS_FROM_WAIT, 3);
    CHECK_IS(described(child.status).ended,
             begun != 0 ? GIPC_ENDED_UNKNOWN : GIPC_ENDED_BEFORE_START);
  }
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(the_status_of_an_ended_child_comes_from_wait),
      TEST(a_child_is_reaped_by_number_where_its_descriptor_cannot),
      TEST(a_question_neither_asks_the_kernel_nor_reaps),
      TEST(a_signal_is_told_from_a_code),
      TEST(a_stolen_status_comes_from_the_kernel),
      TEST(a_status_that_the_kernel_does_not_keep_comes_from_the_child),
      TEST(a_status_that_no_source_has_is_lost),
      TEST(the_lifeline_of_a_program_is_not_a_source),
      TEST(a_child_that_is_being_reaped_counts_as_running),
      TEST(a_reported_status_is_used_when_it_is_reported),
      TEST(a_status_reported_of_a_running_child_waits_for_its_end),
      TEST(a_reported_status_replaces_only_what_is_less_sure),
      TEST(a_child_that_could_not_begin_tells_why),
      TEST(a_child_that_began_or_ended_without_a_word_has_not_failed),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
