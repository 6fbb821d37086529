// Every system call of a tree's start and end fails once, in the parent, in the
// guard and in the root: it is not started, or it ends whole.
extern "C" {
#include "support_tree.h"
}
#include "support_fault.h"

#include "sys.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <string>
#include <sys/prctl.h>

namespace {

constexpr int as_asked = 7;

// Leaves one that has left its session: a signal to the group does not reach
// it.
int leave_one(struct ev_loop *, void *) {
  int ready[2];
  char byte;
  if (pipe(ready) != 0)
    return 1;
  if (fork() == 0) {
    setsid();
    close(ready[0]);
    close(ready[1]);
    for (;;)
      pause();
  }
  close(ready[1]);
  (void)!read(ready[0], &byte, 1);
  close(ready[0]);
  return as_asked;
}

int start(bool program, gipc_options *o, gipc_process **p) {
  const char *argv[] = {
      "sh", "-c", ": $(setsid sh -c 'exec sleep 300 >/dev/null' &); exit 7",
      nullptr};
  return program ? gipc_exec_process(argv, o, p)
                 : gipc_start_process(leave_one, nullptr, o, p);
}

void end_leftovers() {
  char text[4096];
  std::string path =
      "/proc/self/task/" + std::to_string(getpid()) + "/children";
  while (has_children()) {
    read_file(path.c_str(), text, sizeof text);
    for (char *at = text; *at >= '0' && *at <= '9'; ++at)
      kill(static_cast<pid_t>(std::strtol(at, &at, 10)), SIGKILL);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

// Where no cgroup can be made, the guard has to find what is to be killed.
bool cgroups = true;
gipc::sys::Fault one_fails = nullptr;
int no_cgroup(const char *name) noexcept {
  return std::strcmp(name, "mkdir") == 0 ? EACCES : one_fails(name);
}

// False when there was no Nth call to fail.
bool fail_one(bool program, bool in_child, int nth, int error,
              std::set<std::string> &names) {
  gipc_options *o = new_options();
  gipc_process *p = nullptr;
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  int fds = count_fds();
  fault::fail_shared_call(in_child, nth, error);
  one_fails = gipc::sys::fault;
  if (!cgroups)
    gipc::sys::fault = no_cgroup;
  int result = start(program, o, &p);
  gipc_exit_info info{};
  info.size = sizeof info;
  if (result == 0) {
    int joined = -EAGAIN;
    for (int i = 0; i < 3 && joined != 0; ++i)
      joined = gipc_process_join(p, 60);
    gipc::sys::fault = nullptr;
    CHECK_OK(gipc_process_join(p, 60));
    CHECK_OK(gipc_process_info(p, &info));
    gipc_process_free(p);
  }
  gipc::sys::fault = nullptr;
  std::string what = std::string(fault::shared_call_failed()) + " is call " +
                     std::to_string(nth) +
                     (in_child ? " of the child" : " of the parent") + ", " +
                     gipc_strerror(-error);
  auto check = [&](bool holds, const char *condition) {
    check_at(holds, (what + ": " + condition).c_str(), __FILE__, __LINE__);
  };
  if (result == 0)
    check(info.code == as_asked || info.how == GIPC_STATUS_LOST ||
              (in_child && info.code == 127),
          ("code " + std::to_string(info.code)).c_str());
  else
    check(result == -error || result == -ECHILD, gipc_strerror(result));
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  // Of one whose end was not seen nothing is known.
  if (result == 0 && info.how != GIPC_STATUS_LOST &&
      info.tree != GIPC_TREE_SESSION)
    check(!has_children(), "it is whole");
  // What a tree without a subreaper left comes here.
  end_leftovers();
  check(count_fds() == fds, "descriptors");
  gipc_options_free(o);
  std::string name = fault::shared_call_failed();
  bool failed = !name.empty();
  if (failed)
    names.insert(name);
  return failed;
}

void each_call(bool in_child, const std::set<std::string> &expected) {
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  for (bool program : {false, true}) {
    std::set<std::string> names;
    int error = program ? EMFILE : EPERM;
    auto all_seen = [&] {
      return std::includes(names.begin(), names.end(), expected.begin(),
                           expected.end());
    };
    // A guard that is slow does not wait for a root that has ended: no ppoll.
    int runs = 0;
    do
      for (int nth = 1; fail_one(program, in_child, nth, error, names); ++nth)
        CHECK(nth < 400);
    while (!portable() && !all_seen() && ++runs < 20);
    for (const std::string &name : expected)
      if (!portable())
        check_at(names.count(name) == 1, name.c_str(), __FILE__, __LINE__);
  }
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
}

void a_failed_call_of_the_parent_starts_no_tree_or_a_whole_one(void **) {
  each_call(false, {"socketpair", "open", "fork", "pidfd_open", "poll"});
}

void a_failed_call_of_the_guard_or_root_leaves_nothing(void **) {
  each_call(true, {"setsid", "prctl", "open", "ppoll", "waitid", "wait4",
                   "kill", "send"});
}

void a_failed_call_of_a_guard_without_a_cgroup_leaves_nothing(void **) {
  cgroups = false;
  each_call(true, {"mmap", "readlink", "kill", "waitid"});
  cgroups = true;
}

// The last process of a session may end at any moment before the signal.
void a_signal_to_a_session_that_has_just_ended_finds_it_dead(void **) {
  gipc_options *o = new_options();
  gipc_process *p = nullptr;
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  fault::fail_call("prctl,mkdir", 1, EPERM, 1000);
  CHECK_OK(gipc_start_process(wait_for_signal, nullptr, o, &p));
  fault::fail_call("kill", 1, ESRCH);
  int result = gipc_process_signal_group(p, SIGTERM);
  CHECK_IS(fault::stop_calls(), 1);
  CHECK_IS(result, GIPC_EDEAD);
  fault::fail_call("kill", 1, ESRCH);
  CHECK_OK(gipc_process_stop_group(p, 0)); // SIGKILL follows
  CHECK_IS(fault::stop_calls(), 1);
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.tree, GIPC_TREE_SESSION);
  gipc_process_free(p);
  gipc_options_free(o);
}

// The call of the parent before which another process, that looks for abandoned
// cgroups, removes the new one; and how often.
const char *moment;
int removals;
pid_t parent;

int remove_new_cgroup(const char *name) noexcept {
  if (getpid() == parent && removals > 0 && std::strcmp(name, moment) == 0)
    removals -= remove_cgroups(parent);
  return 0;
}

int way_when_removed(const char *before, int times) {
  moment = before;
  removals = times;
  parent = getpid();
  gipc::sys::fault = remove_new_cgroup;
  int way = way_of_a_tree();
  gipc::sys::fault = nullptr;
  return way;
}

void a_new_cgroup_that_was_taken_for_an_abandoned_one_gets_another_name(
    void **) {
  int way = way_of_a_tree();
  for (const char *before : {"open", "flock"}) {
    CHECK_IS(way_when_removed(before, 3), way);
    if (way != GIPC_TREE_CGROUP)
      continue;
    CHECK_IS(removals, 0);
    // It does not try forever.
    CHECK_IS(way_when_removed(before, 1000), GIPC_TREE_SUBREAPER);
    CHECK(removals > 0);
  }
  CHECK_IS(count_cgroups(getpid()), 0);
}

// Others would take it for an abandoned one, and kill all in it.
void a_guard_that_cannot_lock_its_cgroup_does_without(void **) {
  int way = way_of_a_tree();
  fault::fail_call("flock", 2, ENOLCK); // the first is of the parent
  int without = way_of_a_tree();
  (void)fault::stop_calls();
  CHECK_IS(without, way == GIPC_TREE_CGROUP ? GIPC_TREE_SUBREAPER : way);
  CHECK_IS(count_cgroups(getpid()), 0);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_failed_call_of_the_parent_starts_no_tree_or_a_whole_one),
      TEST(a_failed_call_of_the_guard_or_root_leaves_nothing),
      TEST(a_failed_call_of_a_guard_without_a_cgroup_leaves_nothing),
      TEST(a_signal_to_a_session_that_has_just_ended_finds_it_dead),
      TEST(a_new_cgroup_that_was_taken_for_an_abandoned_one_gets_another_name),
      TEST(a_guard_that_cannot_lock_its_cgroup_does_without),
  };
  return cmocka_run_group_tests(tests, fault::share_calls, nullptr);
}
