// Trees and templates; see sites.h.
#include "sites.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>

namespace {

constexpr int as_asked = 7, failed = 90;

struct Started {
  gipc_process *p = nullptr;
  gipc_options *o = nullptr;
  gipc_template *t = nullptr;
  gipc_handle *r = nullptr, *w = nullptr;
  int alive = -1; // all processes of the tree hold the other end of this pipe

  ~Started() {
    // A call that failed for a moment is repeated.
    if (p != nullptr && gipc_process_join(p, 60) != 0)
      (void)!gipc_process_join(p, 60);
    gipc_process_free(p);
    gipc_options_free(o);
    gipc_template_free(t);
    gipc_handle_free(r);
    gipc_handle_free(w);
    close(alive);
  }
  int is_as_asked() {
    gipc_exit_info info{};
    info.size = sizeof info;
    int result = gipc_process_join(p, 60);
    if (result != 0)
      return result;
    TRY(gipc_process_info(p, &info));
    if (info.how == GIPC_STATUS_LOST)
      return GIPC_ESTATUSLOST;
    if (info.code == 127 || info.ended == GIPC_ENDED_BEFORE_START)
      return sites::ended_before_start;
    // By a guard that has lost its root.
    if (info.signal == SIGKILL || info.code == failed)
      return sites::failed_in_child;
    CHECK_IS(info.code, as_asked);
    return 0;
  }
};

// ---- Trees ------------------------------------------------------------------

// Leaves one that has left its session.
int leave_one(struct ev_loop *, void *) {
  sites::stop_failing();
  if (fork() == 0) {
    setsid();
    for (;;)
      pause();
  }
  return as_asked;
}

int function_tree() {
  Started it;
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_TREE));
  TRY(gipc_start_process(leave_one, nullptr, it.o, &it.p));
  return it.is_as_asked();
}

// Its guard reaps what ends before the root does.
int leave_none(struct ev_loop *, void *) {
  sites::stop_failing();
  int ends[2];
  pid_t orphan = -1, child;
  CHECK_OK(pipe(ends));
  if ((child = fork()) == 0) {
    orphan = fork();
    if (orphan != 0)
      (void)!write(ends[1], &orphan, sizeof orphan);
    _exit(0);
  }
  (void)!waitpid(child, nullptr, 0);
  CHECK(read(ends[0], &orphan, sizeof orphan) == sizeof orphan);
  // Where there is no guard, it may not be reaped.
  for (int i = 0; i < 10000 && kill(orphan, 0) == 0; ++i)
    usleep(500);
  return as_asked;
}

int orphaned_tree() {
  Started it;
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_TREE));
  TRY(gipc_start_process(leave_none, nullptr, it.o, &it.p));
  return it.is_as_asked();
}

int program_tree() {
  Started it;
  const char *const argv[] = {"sh", "-c", "setsid sleep 300 & exit 7", nullptr};
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_TREE));
  TRY(gipc_exec_process(argv, it.o, &it.p));
  return it.is_as_asked();
}

int stopped_tree() {
  Started it;
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_TREE));
  TRY(gipc_start_process(wait_for_signal, nullptr, it.o, &it.p));
  int result = gipc_process_signal(it.p, 0);
  if (result == 0)
    result = gipc_process_signal_group(it.p, 0);
  if (result == 0)
    result = gipc_process_stop_group(it.p, 0.5);
  if (result != 0 && gipc_process_stop_group(it.p, 0.5) != 0)
    kill(gipc_process_pid(it.p), SIGKILL);
  return result;
}

// ---- Templates --------------------------------------------------------------

int target(struct ev_loop *, void *argument) {
  gipc_handle *h = nullptr;
  int error = gipc_inherit("it", &h);
  sites::stop_failing();
  if (error != 0)
    return failed;
  char cwd[64];
  rlimit limit;
  bool right = getcwd(cwd, sizeof cwd) != nullptr &&
               std::strcmp(cwd, "/usr") == 0 && getpgrp() == getpid() &&
               getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 &&
               gipc_directions(h) == GIPC_WRITE && fcntl(0, F_GETFD) >= 0 &&
               fcntl(600, F_GETFD) >= 0 && std::getenv("GIPC_TEST") &&
               std::strcmp(static_cast<char *>(argument), "argument") == 0 &&
               signal_field("SigBlk") == 0;
  return right ? as_asked : 66;
}

int options_of(Started &it) {
  TRY(gipc_options_new(&it.o));
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_options_pass(it.o, "it", it.w));
  TRY(gipc_options_set_cwd(it.o, "/usr"));
  TRY(gipc_options_set_env(it.o, "GIPC_TEST", "1"));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_NEW));
  TRY(gipc_options_set_daemon(it.o, 1));
  TRY(gipc_options_set_rlimit(it.o, RLIMIT_CORE, 0, 0));
  TRY(gipc_options_map_fd(it.o, 2, 600));
  TRY(gipc_options_set_stdio(it.o, 0, GIPC_STDIO_PIPE, -1));
  TRY(gipc_options_set_stdio(it.o, 2, GIPC_STDIO_NULL, -1));
  TRY(gipc_options_set_no_new_privileges(it.o, 1));
  return gipc_options_keep_fds(it.o, nullptr, 0);
}

int from_template() {
  Started it;
  int result = gipc_template_new(nullptr, &it.t);
  if (portable())
    return result == -EOPNOTSUPP ? 0 : result;
  TRY(result);
  TRY(options_of(it));
  TRY(gipc_template_start(it.t, target, "argument", sizeof "argument", it.o,
                          &it.p));
  int fd = gipc_process_stdio(it.p, 0);
  if (fd >= 0)
    close(fd);
  return it.is_as_asked();
}

int end_as_asked(struct ev_loop *, void *) {
  sites::stop_failing();
  return as_asked;
}

// With a terminal, what is kept, and numbers that what comes has there.
int template_with_terminal() {
  struct Close {
    int a = -1, b = -1;
    ~Close() {
      close(a);
      close(b);
    }
  } both;
  Started it;
  CHECK_OK(openpty(&both.a, &both.b, nullptr, nullptr, nullptr));
  TRY(gipc_options_new(&it.o));
  if (!portable())
    TRY(gipc_options_map_fd(it.o, 2, 90));
  int result = gipc_template_new(it.o, &it.t);
  if (portable())
    return result == -EOPNOTSUPP ? 0 : result;
  TRY(result);
  gipc_options_free(it.o);
  it.o = nullptr;
  TRY(gipc_options_new(&it.o));
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_options_pass(it.o, "it", it.w));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_SESSION));
  TRY(gipc_options_set_terminal(it.o, both.b));
  const int kept[] = {both.a};
  TRY(gipc_options_keep_fds(it.o, kept, 1));
  for (int number = 3; number < 16; ++number)
    if (number != both.a)
      TRY(gipc_options_map_fd(it.o, 2, number));
  TRY(gipc_template_start(it.t, end_as_asked, nullptr, 0, it.o, &it.p));
  return it.is_as_asked();
}

int tree_from_template() {
  Started it;
  int result = gipc_template_new(nullptr, &it.t);
  if (portable())
    return result == -EOPNOTSUPP ? 0 : result;
  TRY(result);
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_TREE));
  TRY(gipc_template_start(it.t, leave_one, nullptr, 0, it.o, &it.p));
  return it.is_as_asked();
}

const sites::Scenario trees[] = {{"tree_function", function_tree},
                                 {"tree_orphaned", orphaned_tree},
                                 {"tree_program", program_tree},
                                 {"tree_stop", stopped_tree}};
const sites::Scenario templates[] = {
    {"template", from_template},
    {"template_terminal", template_with_terminal},
    {"template_tree", tree_from_template}};

} // namespace

namespace sites {
const Scenarios tree_scenarios{trees, sizeof trees / sizeof *trees};
const Scenarios template_scenarios{templates,
                                   sizeof templates / sizeof *templates};
} // namespace sites
