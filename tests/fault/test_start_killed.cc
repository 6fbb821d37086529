// A parent that is killed at each system call of a start, of every kind: the
// daemon that it has, and the one that it starts, end with it (H39).
#include "support_process.h"

#include "sys.h"

#include <cstdio>
#include <set>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>

namespace {

// In memory that all of them share.
struct Kill {
  pid_t parent;
  int countdown;
  char name[32]; // of the call; empty: it was not reached
};
Kill *shared;
int alive[2]; // its end comes when no process has the writing end

int on_call(const char *name) noexcept {
  if (getpid() != shared->parent || shared->countdown == 0 ||
      --shared->countdown > 0)
    return 0;
  std::snprintf(shared->name, sizeof shared->name, "%s", name);
  return raise(SIGKILL);
}

int make_shared(void **) {
  void *memory = mmap(nullptr, sizeof(Kill), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared = static_cast<Kill *>(memory);
  return memory == MAP_FAILED ? -1 : 0;
}

enum class Kind { function, program, tree, program_tree, child_of_template };
constexpr Kind kinds[] = {Kind::function, Kind::program, Kind::tree,
                          Kind::program_tree, Kind::child_of_template};
constexpr const char *names[] = {"function", "program", "tree",
                                 "tree of a program", "child of a template"};

bool is_program(Kind kind) {
  return kind == Kind::program || kind == Kind::program_tree;
}

gipc_options *daemon_options(Kind kind) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_daemon(o, 1));
  if (kind == Kind::tree || kind == Kind::program_tree)
    CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  if (is_program(kind))
    CHECK_OK(gipc_options_keep_fds(o, &alive[1], 1));
  return o;
}

// In the parent, which does not return.
int start_and_die(void *argument) {
  Kind kind = *static_cast<Kind *>(argument);
  const char *argv[] = {"sleep", "300", nullptr};
  gipc_options *o = daemon_options(Kind::function);
  gipc_template *t = nullptr;
  close(alive[0]);
  if (kind == Kind::child_of_template)
    CHECK_OK(gipc_template_new(o, &t));
  gipc_process *p = start(wait_for_signal, nullptr, o);
  gipc_options_free(o);
  // The first tree of a process removes what others left: calls without number.
  o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  if (kind == Kind::tree || kind == Kind::program_tree)
    CHECK_IS(in_child(return_argument, INT(3), o), 3);
  gipc_options_free(o);
  o = daemon_options(kind);
  shared->parent = getpid();
  gipc::sys::fault = on_call;
  if (is_program(kind))
    CHECK_OK(gipc_exec_process(argv, o, &p));
  else if (kind == Kind::child_of_template)
    CHECK_OK(gipc_template_start(t, wait_for_signal, nullptr, 0, o, &p));
  else
    CHECK_OK(gipc_start_process(wait_for_signal, nullptr, o, &p));
  return raise(SIGKILL);
}

// Waits for what this process has adopted: guards and templates, too.
void wait_for_all() {
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
}

// False when there was no Nth call.
bool kill_at(Kind kind, int nth, std::set<std::string> &seen) {
  char byte;
  *shared = {};
  shared->countdown = nth;
  CHECK_OK(pipe(alive));
  pid_t pid = child_start(start_and_die, &kind);
  close(alive[1]);
  int status;
  CHECK_IS(waitpid(pid, &status, 0), pid);
  bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  // A daemon needs no time to end, but a processor.
  bool all_ended = wait_fd(alive[0], POLLIN, 60000);
  ssize_t size = all_ended ? read(alive[0], &byte, 1) : -1;
  close(alive[0]);
  if (!was_killed || size != 0)
    print_error("%s, killed at call %d, %s: status %#x, %s\n",
                names[static_cast<int>(kind)], nth, shared->name,
                static_cast<unsigned>(status),
                size == 0 ? "all ended" : "a daemon lives on");
  CHECK(was_killed && size == 0);
  wait_for_all();
  seen.insert(shared->name);
  return shared->name[0] != '\0';
}

void no_daemon_outlives_a_parent_killed_at_any_call_of_a_start(
    void **) { // H39, H113
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  for (Kind kind : kinds) {
    if (kind == Kind::child_of_template &&
        (portable() || under_valgrind() || is_limited_by("clone_parent")))
      continue; // there are none
    if (portable() && (kind == Kind::tree || kind == Kind::program_tree))
      continue;
    std::set<std::string> seen;
    int nth = 1;
    while (kill_at(kind, nth, seen))
      nth++;
    print_message("%s: killed at %d calls of %zu names\n",
                  names[static_cast<int>(kind)], nth - 1, seen.size() - 1);
    CHECK(nth > 5);
    if (kind != Kind::program) // where no call follows the fork
      CHECK(seen.count("send") == 1 || seen.count("sendmsg") == 1);
  }
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(no_daemon_outlives_a_parent_killed_at_any_call_of_a_start),
  };
  return cmocka_run_group_tests_name("start killed", tests, make_shared,
                                     nullptr);
}
