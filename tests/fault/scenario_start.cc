// Starts with every option, in each way; see sites.h.
#include "sites.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>

namespace {

constexpr int as_asked = 7, not_as_asked = 66;

// In the child: whether it is all that was asked for.  From here on nothing
// fails.
int target(struct ev_loop *, void *argument) {
  sites::stop_failing();
  char cwd[64];
  rlimit limit;
  auto *h = static_cast<gipc_handle *>(argument);
  const char *nice = std::getenv("GIPC_TEST_NICE");
  bool right = getcwd(cwd, sizeof cwd) != nullptr &&
               std::strcmp(cwd, "/usr") == 0 && getpgrp() == getpid() &&
               getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 &&

               gipc_directions(h) == GIPC_WRITE && fcntl(0, F_GETFD) >= 0 &&
               fcntl(500, F_GETFD) < 0 && fcntl(600, F_GETFD) >= 0 &&
               nice != nullptr &&
               getpriority(PRIO_PROCESS, 0) == std::atoi(nice) &&
               signal_field("SigBlk") == 0;
  return right ? as_asked : not_as_asked;
}

const char script[] = "test \"$(pwd)\" = /usr && test \"$(ulimit -c)\" = 0 && "
                      "test -n \"$GIPC_HANDLES\" && "
                      "test ! -e /proc/$$/fd/500 && "
                      "test -e /proc/$$/fd/600 && "
                      "test \"$(nice)\" = \"$GIPC_TEST_NICE\" && "
                      "exit 7; exit 66";
const char *const shell[] = {"/bin/sh", "-c", script, nullptr};

struct Options {
  gipc_options *o = nullptr;
  gipc_handle *r = nullptr, *w = nullptr;
  ~Options() {
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }

  int all() {
    char nice[16];
    // By one: beside busy processes, one of the lowest priority hardly runs.
    std::snprintf(nice, sizeof nice, "%d",
                  std::min(getpriority(PRIO_PROCESS, 0) + 1, 19));
    TRY(gipc_options_new(&o));
    TRY(gipc_pipe(&r, &w));
    TRY(gipc_options_pass(o, "it", w));
    TRY(gipc_options_set_name(o, "all"));
    TRY(gipc_options_set_cwd(o, "/usr"));
    TRY(gipc_options_set_env(o, "GIPC_TEST_NICE", nice));
    TRY(gipc_options_set_daemon(o, 1));
    TRY(gipc_options_set_rlimit(o, RLIMIT_CORE, 0, 0));
    TRY(gipc_options_map_fd(o, 2, 600));
    TRY(gipc_options_set_nice(o, 1));
    TRY(gipc_options_set_umask(o, 022));
    TRY(gipc_options_set_program(o, "/bin/sh"));
    TRY(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
    TRY(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
    TRY(gipc_options_set_stdio(o, 2, GIPC_STDIO_NULL, -1));
    TRY(gipc_options_keep_fds(o, nullptr, 0));
    TRY(gipc_options_set_group(o, GIPC_GROUP_NEW));
    return portable() ? 0 : gipc_options_set_no_new_privileges(o, 1);
  }
};

// Joins it, looks at how it ended, and frees it.
int end_as_asked(gipc_process *p) {
  gipc_exit_info info{};
  info.size = sizeof info;
  for (int which = 0; which < 3; ++which) {
    int fd = gipc_process_stdio(p, which);
    if (fd >= 0)
      close(fd);
  }
  // One whose wait failed for a moment is joined again.
  int result = gipc_process_join(p, 60);
  for (int i = 0; i < 2 && gipc_process_join(p, 60) != 0; ++i) {
  }
  CHECK_OK(gipc_process_info(p, &info));
  gipc_process_free(p);
  if (result != 0 || info.how == GIPC_STATUS_LOST)
    return result != 0 ? result : GIPC_ESTATUSLOST;
  // A child that finds no gate ends itself; what it does run is right.
  if (info.code == 127 || info.ended == GIPC_ENDED_BEFORE_START)
    return sites::ended_before_start;
  CHECK_IS(info.code, as_asked);
  return 0;
}

int start_function(gipc_options *o, gipc_handle *w) {
  gipc_process *p = nullptr;
  TRY(gipc_start_process(target, w, o, &p));
  return end_as_asked(p);
}

int function() {
  Options it;
  TRY(it.all());
  return start_function(it.o, it.w);
}

int function_session() {
  Options it;
  TRY(it.all());
  TRY(gipc_options_set_daemon(it.o, 0));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_SESSION));
  TRY(gipc_options_clear_env(it.o));
  char nice[16];
  std::snprintf(nice, sizeof nice, "%d",
                std::min(getpriority(PRIO_PROCESS, 0) + 1, 19));
  TRY(gipc_options_set_env(it.o, "GIPC_TEST_NICE", nice));
  TRY(gipc_options_set_death_signal(it.o, SIGTERM));
  return start_function(it.o, it.w);
}

int function_user() {
  Options it;
  TRY(it.all());
  gid_t groups[] = {getegid()};
  if (geteuid() == 0)
    TRY(gipc_options_set_user(it.o, geteuid(), getegid(), groups, 1));
  return start_function(it.o, it.w);
}

int program() {
  Options it;
  gipc_process *p = nullptr;
  TRY(it.all());
  TRY(gipc_exec_process(shell, it.o, &p));
  return end_as_asked(p);
}

int program_user() {
  Options it;
  gipc_process *p = nullptr;
  TRY(it.all());
  gid_t groups[] = {getegid()};
  if (geteuid() == 0)
    TRY(gipc_options_set_user(it.o, geteuid(), getegid(), groups, 1));
  TRY(gipc_exec_process(shell, it.o, &p));
  return end_as_asked(p);
}

// Found in PATH, with a terminal of its own.
int program_terminal() {
  Options it;
  gipc_process *p = nullptr;
  int master, slave;
  TRY(it.all());
  CHECK_OK(openpty(&master, &slave, nullptr, nullptr, nullptr));
  struct Close {
    int a, b;
    ~Close() {
      close(a);
      close(b);
    }
  } both{master, slave};
  const char *const argv[] = {"sh", "-c", ": </dev/tty && exit 7; exit 66",
                              nullptr};
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_SESSION));
  TRY(gipc_options_set_terminal(it.o, slave));
  TRY(gipc_exec_process(argv, it.o, &p));
  return end_as_asked(p);
}

// With the fork of the program, which has threads, for instance.
pid_t own_fork(void *) { return fork(); }

int function_own_fork() {
  Options it;
  TRY(it.all());
  TRY(gipc_options_set_fork(it.o, own_fork, nullptr));
  return start_function(it.o, it.w);
}

int adopted() {
  Options it;
  gipc_process *p = nullptr;
  gipc_fork_context *f = nullptr;
  TRY(it.all());
  TRY(gipc_fork_prepare(it.o, &f));
  pid_t pid = fork();
  if (pid == 0)
    gipc_exit(gipc_fork_child(f) == 0 ? target(nullptr, it.w) : 127);
  TRY(gipc_fork_parent(f, pid, &p));
  return end_as_asked(p);
}

// One without any option, which is how most are started.
int bare_function() {
  gipc_process *p = nullptr;
  TRY(gipc_start_process(return_argument, INT(as_asked), nullptr, &p));
  return end_as_asked(p);
}

int bare_program() {
  gipc_process *p = nullptr;
  const char *const argv[] = {"sh", "-c", "exit 7", nullptr};
  TRY(gipc_exec_process(argv, nullptr, &p));
  return end_as_asked(p);
}

const sites::Scenario scenarios[] = {
    {"start_bare_function", bare_function},
    {"start_bare_program", bare_program},
    {"start_function", function},
    {"start_function_session", function_session},
    {"start_function_user", function_user},
    {"start_function_own_fork", function_own_fork},
    {"start_program", program},
    {"start_program_user", program_user},
    {"start_program_terminal", program_terminal},
    {"start_adopted", adopted},
};

} // namespace

namespace sites {
const Scenarios start_scenarios{scenarios,
                                sizeof scenarios / sizeof *scenarios};
}
