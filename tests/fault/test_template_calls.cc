// Every system call of a start from a template fails once: in the program, in
// the template, in the child.  What was begun is rolled back, or the child is
// what was asked for.
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <set>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>

namespace {

// ---- The fault: in memory that all processes share --------------------------

enum Who : int { program, server, child };
struct Fault {
  pid_t program, server, spare;
  Who who;
  int countdown, error, failed;
  char name[32];
};
Fault *shared;

int on_call(const char *name) noexcept {
  pid_t self = getpid();
  Who here = self == shared->program  ? program
             : self == shared->server ? server
                                      : child;
  if (self == shared->spare || here != shared->who || shared->countdown == 0 ||
      --shared->countdown > 0)
    return 0;
  ++shared->failed;
  std::snprintf(shared->name, sizeof shared->name, "%s", name);
  return shared->error;
}

int make_shared(void **) {
  void *memory = mmap(nullptr, sizeof(Fault), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared = static_cast<Fault *>(memory);
  return memory == MAP_FAILED ? -1 : 0;
}

// ---- A start with everything ------------------------------------------------

constexpr int as_asked = 7, not_as_asked = 66;

// In the child: whether it is all that was asked for.
int target(struct ev_loop *, void *argument) {
  gipc::sys::fault = nullptr;
  char cwd[64];
  rlimit limit;
  gipc_handle *h = nullptr;
  bool right = getcwd(cwd, sizeof cwd) != nullptr &&
               std::string(cwd) == "/usr" && getpgrp() == getpid() &&
               getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 &&
               gipc_inherit("it", &h) == 0 &&
               gipc_directions(h) == GIPC_WRITE && fcntl(0, F_GETFD) >= 0 &&
               fcntl(500, F_GETFD) < 0 && fcntl(600, F_GETFD) >= 0 &&
               std::getenv("GIPC_TEST") != nullptr &&
               std::strcmp(static_cast<char *>(argument), "argument") == 0 &&
               signal_field("SigBlk") == 0;
  return right ? as_asked : not_as_asked;
}

struct Scene {
  gipc_template *t = nullptr;
  gipc_options *o;
  gipc_handle *r, *w;

  Scene() {
    o = new_options();
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_options_pass(o, "it", w));
    CHECK_OK(gipc_options_set_cwd(o, "/usr"));
    CHECK_OK(gipc_options_set_env(o, "GIPC_TEST", "1"));
    CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
    CHECK_OK(gipc_options_set_daemon(o, 1));
    CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_CORE, 0, 0));
    CHECK_OK(gipc_options_map_fd(o, 2, 600));
    CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
    CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
    CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_NULL, -1));
    CHECK_OK(gipc_options_set_no_new_privileges(o, 1));
    CHECK_OK(gipc_options_keep_fds(o, nullptr, 0));
  }
  ~Scene() {
    gipc_template_free(t);
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }

  int start(gipc_process **p) const {
    return gipc_template_start(t, target, "argument", sizeof "argument", o, p);
  }
};

// The template and the spare.
void find_servers() {
  char path[64], text[256], *end;
  std::snprintf(path, sizeof path, "/proc/self/task/%d/children",
                static_cast<int>(getpid()));
  if (access(path, R_OK) != 0)
    skip_because("the kernel does not list children");
  read_file(path, text, sizeof text);
  shared->server = static_cast<pid_t>(std::strtol(text, &end, 10));
  shared->spare = static_cast<pid_t>(std::strtol(end, nullptr, 10));
  // Calls are counted from a request on: until then it waits for one.
  while (state_of(shared->server) != 'S')
    sched_yield();
}

void expect_child(gipc_process *p, Who who, const std::string &what) {
  auto check = [&](bool holds, const char *condition) {
    check_at(holds, (what + ": " + condition).c_str(), __FILE__, __LINE__);
  };
  for (int which = 0; which < 3; ++which) {
    int fd = gipc_process_stdio(p, which);
    if (fd >= 0)
      close(fd);
  }
  check(gipc_process_join(p, 100) == 0, "it ends");
  gipc_exit_info info{};
  info.size = sizeof info;
  CHECK_OK(gipc_process_info(p, &info));
  // A child that finds no gate ends itself; what it does run is right.
  check(info.code == as_asked || (who == child && info.code == 127),
        ("code " + std::to_string(info.code)).c_str());
  gipc_process_free(p);
}

// One start with the Nth call failing.  False when there was none to fail.
bool fail_one(Who who, int nth, int error, std::set<std::string> &names) {
  int fds = count_fds();
  bool failed;
  {
    Scene scene;
    auto *none = reinterpret_cast<gipc_process *>(&scene);
    gipc_process *p = none;
    *shared = Fault{getpid(), 0, 0, who, 0, error, 0, ""};
    gipc::sys::fault = on_call; // which the template inherits
    int result = gipc_template_new(nullptr, &scene.t);
    gipc::sys::fault = nullptr;
    CHECK_OK(result);
    int fds_before = count_fds();
    find_servers();
    gipc::sys::fault = on_call;
    shared->countdown = nth;
    result = scene.start(&p);
    shared->countdown = 0;
    gipc::sys::fault = nullptr;
    std::string what = std::string(shared->name) + " is call " +
                       std::to_string(nth) + " of " + std::to_string(who) +
                       " with " + std::to_string(error);
    auto check = [&](bool holds, const char *condition) {
      check_at(holds, (what + ": " + condition).c_str(), __FILE__, __LINE__);
    };
    if (result == 0 && std::strcmp(shared->name, "wait4") == 0) {
      // It fails for a reaped child only, so the child counts as reaped.
      gipc_process_free(p);
    } else if (result == 0) {
      expect_child(p, who, what);
    } else {
      check(result == -error || result == -ECHILD ||
                (result == -EOPNOTSUPP && who == server),
            gipc_strerror(result));
      check(p == none, "the output");
      check(count_zombies() == 0, "no child is left");
      check(gipc_directions(scene.w) == GIPC_WRITE, "nothing has moved");
    }
    // A spare may have been started, or lost.
    check(count_fds() <= fds_before, "no descriptor is left");
    CHECK_IS(run_from(scene.t, return_argument, INT(3), 0, nullptr), 3);
    failed = shared->failed > 0;
    if (failed)
      names.insert(shared->name);
  }
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  check_at(!has_children(), "a child is left", __FILE__, __LINE__);
  check_at(count_fds() == fds, "a descriptor is left", __FILE__, __LINE__);
  return failed;
}

void each_call(Who who, const std::set<std::string> &expected) {
  gipc_template_free(new_template(nullptr)); // or skips
  for (int error : {ENOMEM, EMFILE, EPERM, ENOSYS}) {
    std::set<std::string> names;
    int nth = 1;
    while (fail_one(who, nth, error, names))
      CHECK(nth++ < 200);
    for (const std::string &name : expected)
      check_at(names.count(name) == 1, name.c_str(), __FILE__, __LINE__);
  }
}

void a_failed_call_in_the_program_fails_the_start(void **) {
  each_call(program, {"socketpair", "pipe", "fcntl", "sendmsg"});
}

void a_child_needs_no_descriptor(void **) {
  gipc_template *t = new_template(nullptr);
  for (int error : {ENOSYS, EMFILE}) {
    fault::fail_call("pidfd_open", 1, error);
    gipc_process *p = start_from(t, return_argument, INT(5), 0, nullptr);
    CHECK_IS(fault::stop_calls(), 1);
    CHECK_IS(gipc_process_fd(p), -EOPNOTSUPP);
    CHECK_IS(end_of(p), 5);
  }
  gipc_template_free(t);
}

void a_failed_call_in_the_template_fails_the_start_or_is_made_good(void **) {
  // Its answer may come after that of the child, with which the start ends.
  each_call(server, {"prctl", "clone"});
}

void a_failed_call_in_the_child_fails_the_start(void **) {
  each_call(child, {"dup2", "chdir", "setpgid", "setrlimit", "prctl", "setenv",
                    "fstat", "fcntl"});
}

// ---- A new template ---------------------------------------------------------

bool fail_new(int nth, int error) {
  int fds = count_fds();
  gipc_template *t = nullptr;
  *shared = Fault{getpid(), 0, 0, program, nth, error, 0, ""};
  gipc::sys::fault = on_call;
  int result = gipc_template_new(nullptr, &t);
  gipc::sys::fault = nullptr;
  if (result == 0)
    CHECK_IS(run_from(t, return_argument, INT(3), 0, nullptr), 3);
  else
    check_at(result == -error && t == nullptr, shared->name, __FILE__,
             __LINE__);
  gipc_template_free(t);
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  check_at(!has_children(), shared->name, __FILE__, __LINE__);
  check_at(count_fds() == fds, shared->name, __FILE__, __LINE__);
  return shared->failed > 0;
}

void a_failed_call_fails_a_new_template(void **) {
  gipc_template_free(new_template(nullptr)); // or skips
  for (int error : {ENOMEM, EMFILE, EPERM, ENOSYS})
    for (int nth = 1; fail_new(nth, error); ++nth)
      CHECK(nth < 200);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_failed_call_in_the_program_fails_the_start),
      TEST(a_child_needs_no_descriptor),
      TEST(a_failed_call_in_the_template_fails_the_start_or_is_made_good),
      TEST(a_failed_call_in_the_child_fails_the_start),
      TEST(a_failed_call_fails_a_new_template),
  };
  return cmocka_run_group_tests(tests, make_shared, nullptr);
}
