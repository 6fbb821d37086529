// Every system call of a start fails once, in the parent and in the child:
// what was begun is rolled back, or the child is what was asked for (H24).
#include "support_fault.h"
#include "support_process.h"

#include "os.h"
#include "sys.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <malloc.h>
#include <set>
#include <string>
#include <sys/resource.h>

namespace {

// ---- A start with everything
// -------------------------------------------------

enum Way { function, program, adopted };
constexpr int as_asked = 7, not_as_asked = 66;

// In the child: whether it is all that was asked for.
int target(struct ev_loop *, void *argument) {
  char cwd[64];
  rlimit limit;
  auto *h = static_cast<gipc_handle *>(argument);
  gipc::sys::fault = nullptr;
  bool right = getcwd(cwd, sizeof cwd) != nullptr &&
               std::string(cwd) == "/usr" && getpgrp() == getpid() &&
               getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 &&
               gipc_directions(h) == GIPC_WRITE && fcntl(0, F_GETFD) >= 0 &&
               fcntl(500, F_GETFD) < 0 && fcntl(600, F_GETFD) >= 0 &&
               std::getenv("GIPC_TEST_NICE") != nullptr &&
               getpriority(PRIO_PROCESS, 0) ==
                   std::atoi(std::getenv("GIPC_TEST_NICE")) &&
               signal_field("SigBlk") == 0;
  return right ? as_asked : not_as_asked;
}

const char script[] = "test \"$(pwd)\" = /usr && test \"$(ulimit -c)\" = 0 && "
                      "test -n \"$GIPC_HANDLES\" && "
                      "test ! -e /proc/$$/fd/500 && "
                      "test -e /proc/$$/fd/600 && "
                      "test \"$(nice)\" = \"$GIPC_TEST_NICE\" && "
                      "exit 7; exit 66";

struct Scene {
  gipc_options *o;
  gipc_handle *r, *w;

  explicit Scene(bool user) {
    o = new_options();
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_options_pass(o, "it", w));
    CHECK_OK(gipc_options_set_cwd(o, "/usr"));
    // By one: beside busy processes, one of the lowest priority hardly runs.
    int nice = std::min(getpriority(PRIO_PROCESS, 0) + 1, 19);
    CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_NICE",
                                  std::to_string(nice).c_str()));
    CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
    CHECK_OK(gipc_options_set_daemon(o, 1));
    CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_CORE, 0, 0));
    CHECK_OK(gipc_options_map_fd(o, 2, 600));
    CHECK_OK(gipc_options_set_nice(o, 1));
    CHECK_OK(gipc_options_set_program(o, "/bin/sh"));
    CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
    CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
    CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_NULL, -1));
    if (!portable())
      CHECK_OK(gipc_options_set_no_new_privileges(o, 1));
    CHECK_OK(gipc_options_keep_fds(o, nullptr, 0));
    if (user)
      CHECK_OK(gipc_options_set_user(o, geteuid(), getegid(), nullptr, 0));
  }
  ~Scene() {
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }

  int start(Way way, gipc_process **p) {
    if (way == function)
      return gipc_start_process(target, w, o, p);
    if (way == program) {
      const char *argv[] = {"/bin/sh", "-c", script, nullptr};
      return gipc_exec_process(argv, o, p);
    }
    gipc_fork_context *f = nullptr;
    if (int error = gipc_fork_prepare(o, &f))
      return error;
    pid_t pid = fork();
    if (pid == 0)
      gipc_exit(gipc_fork_child(f) == 0 ? target(nullptr, w) : 127);
    return gipc_fork_parent(f, pid, p);
  }
};

// One start with the Nth call failing.  False when there was none to fail.
bool fail_one(Way way, bool in_child, int nth, int error,
              std::set<std::string> &names) {
  // As another user, even if it is the same one: another way to start.
  Scene scene(geteuid() == 0 && (error == EMFILE || error == ENOSYS));
  auto *none = reinterpret_cast<gipc_process *>(&scene);
  gipc_process *p = none;
  int fds = count_fds();
  uint64_t mask = signal_field("SigBlk");
  fault::fail_shared_call(in_child, nth, error);
  int result = scene.start(way, &p);
  gipc::sys::fault = nullptr;
  std::string what = std::string(fault::shared_call_failed()) + " is call " +
                     std::to_string(nth) +
                     (in_child ? " of the child" : " of the parent");
  auto check = [&](bool holds, const char *condition) {
    check_at(holds, (what + ": " + condition).c_str(), __FILE__, __LINE__);
  };
  check(signal_field("SigBlk") == mask, "the mask");
  if (result != 0) {
    check(result == -error || result == -ECHILD, gipc_strerror(result));
    check(p == none, "the output");
    check(!has_children(), "no child is left");
    check(count_fds() == fds, "no descriptor is left");
    check(gipc_directions(scene.w) == GIPC_WRITE, "nothing has moved");
  } else if (std::strcmp(fault::shared_call_failed(), "wait4") == 0) {
    // It fails for a reaped child only, so the child counts as reaped.
    gipc_process_free(p);
    while (waitpid(-1, nullptr, 0) > 0)
      ;
  } else {
    for (int which = 0; which < 3; ++which) {
      int fd = gipc_process_stdio(p, which);
      if (fd >= 0)
        close(fd);
    }
    check(gipc_process_join(p, 20) == 0, "it ends");
    gipc_exit_info info{};
    info.size = sizeof info;
    CHECK_OK(gipc_process_info(p, &info));
    // A child that finds no gate ends itself; what it does run is right.
    check(info.code == as_asked || (in_child && info.code == 127),
          ("code " + std::to_string(info.code)).c_str());
    gipc_process_free(p);
    check(!has_children(), "it is reaped");
  }
  std::string name = fault::shared_call_failed();
  bool failed = !name.empty();
  if (failed)
    names.insert(name);
  return failed;
}

void each_call(Way way, bool in_child, const std::set<std::string> &expected) {
  static const int errors[] = {ENOMEM, EMFILE, EPERM, ENOSYS};
  for (int error : errors) {
    std::set<std::string> names;
    int nth = 1;
    while (fail_one(way, in_child, nth, error, names)) {
      // The next start works.
      if (nth++ % 8 == 0)
        CHECK_IS(::in_child(return_argument, INT(3), nullptr), 3);
      CHECK(nth < 200);
    }
    for (std::string name : expected) {
      if (portable() && (name == "prctl" || name == "pidfd_open" ||
                         name == "clone" || name == "pipe"))
        continue;
      if (name == "clone" && gipc::os::spawn_forks())
        name = "fork"; // under an emulator
      check_at(names.count(name) == 1, name.c_str(), __FILE__, __LINE__);
    }
  }
}

void a_failed_call_in_the_parent_of_a_function_fails_the_start(void **) {
  each_call(function, false,
            {"socketpair", "pipe", "open", "fork", "pidfd_open"});
}

void a_failed_call_in_the_parent_of_a_program_fails_the_start(void **) {
  each_call(program, false,
            {"socketpair", "pipe", "open", "mmap", "clone", "fstat"});
}

void a_failed_call_in_an_adopting_parent_fails_the_start(void **) {
  each_call(adopted, false, {"socketpair", "pipe", "open", "pidfd_open"});
}

void a_failed_call_in_a_function_child_fails_the_start(void **) {
  each_call(
      function, true,
      {"dup2", "chdir", "setpgid", "nice", "setrlimit", "prctl", "setenv"});
}

void a_failed_call_in_a_program_child_fails_the_start(void **) {
  each_call(
      program, true,
      {"dup2", "chdir", "setpgid", "nice", "setrlimit", "prctl", "execve"});
}

void a_failed_call_in_an_adopted_child_fails_the_start(void **) {
  each_call(adopted, true,
            {"dup2", "chdir", "setpgid", "nice", "setrlimit", "prctl"});
}

void a_hundred_failed_starts_leave_no_memory(void **) {
#ifdef __GLIBC__
  std::set<std::string> names;
  size_t before = 0;
  for (int round = 0; round < 100; ++round) {
    if (round == 20)
      before = mallinfo2().uordblks;
    for (Way way : {function, program})
      (void)fail_one(way, false, 1 + round % 12, ENOMEM, names);
  }
  CHECK(mallinfo2().uordblks < before + 16 * 1024);
#else
  skip_because("this C library does not tell how much is allocated");
#endif
}

// ---- Without /dev/null ------------------------------------------------------

int writes_there(struct ev_loop *, void *argument) {
  int fd = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  return write(fd, "x", 1) == 1 ? 0 : 1;
}

void any_free_number_can_be_mapped_without_dev_null(void **) { /* H24 */
  int p[2];
  char byte;
  CHECK_OK(pipe2(p, O_CLOEXEC));
  int first = fcntl(p[0], F_DUPFD_CLOEXEC, 3);
  close(first); // the next that anything is opened at
  for (int fd = first; fd < first + 8; ++fd) {
    gipc_options *o = new_options();
    CHECK_OK(gipc_options_map_fd(o, p[1], fd));
    fault::fail_call("open", 1, ENOENT, 1 << 30);
    int result = in_child(writes_there, INT(fd), o);
    fault::stop_calls();
    CHECK_IS(result, 0);
    CHECK(read(p[0], &byte, 1) == 1);
    gipc_options_free(o);
  }
  close(p[0]);
  close(p[1]);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_failed_call_in_the_parent_of_a_function_fails_the_start),
      TEST(a_failed_call_in_the_parent_of_a_program_fails_the_start),
      TEST(a_failed_call_in_an_adopting_parent_fails_the_start),
      TEST(a_failed_call_in_a_function_child_fails_the_start),
      TEST(a_failed_call_in_a_program_child_fails_the_start),
      TEST(a_failed_call_in_an_adopted_child_fails_the_start),
      TEST(a_hundred_failed_starts_leave_no_memory),
      TEST(any_free_number_can_be_mapped_without_dev_null),
  };
  return cmocka_run_group_tests(tests, fault::share_calls, nullptr);
}
