// Ends of children, in each way; see sites.h.
#include "sites.h"

#include <cstdlib>

namespace {

constexpr double grace = 0.5;

// One that was made to fail is ended by other means.
struct Child {
  gipc_process *p = nullptr;
  gipc_options *o = nullptr;
  gipc_handle *r = nullptr, *w = nullptr;
  ~Child() {
    if (p != nullptr && gipc_process_is_alive(p) != 0) {
      kill(gipc_process_pid(p), SIGKILL);
      (void)!gipc_process_join(p, 60);
    }
    gipc_process_free(p);
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
  int begin(target_function target) {
    TRY(gipc_options_new(&o));
    return gipc_start_process(target, nullptr, o, &p);
  }
  int code(int wanted) {
    int got;
    TRY(gipc_process_exitcode(p, &got));
    // Or its end was asked for in vain.
    return got == wanted || got == -SIGKILL ? 0 : sites::failed_in_child;
  }
};

int join() {
  Child it;
  TRY(it.begin(return_argument));
  int alive = gipc_process_is_alive(it.p);
  if (alive < 0)
    return alive;
  TRY(gipc_process_join(it.p, 60));
  CHECK_IS(gipc_process_is_alive(it.p), 0);
  return it.code(0);
}

int stop() {
  Child it;
  TRY(it.begin(wait_for_signal));
  TRY(gipc_process_signal(it.p, 0));
  TRY(gipc_process_stop(it.p, grace));
  return it.code(-SIGTERM);
}

int stop_group() {
  Child it;
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_NEW));
  TRY(gipc_start_process(wait_for_signal, nullptr, it.o, &it.p));
  TRY(gipc_process_signal_group(it.p, 0));
  TRY(gipc_process_stop_group(it.p, grace));
  return it.code(-SIGTERM);
}

int ignore(struct ev_loop *fresh, void *argument) {
  signal(SIGTERM, SIG_IGN);
  return wait_for_signal(fresh, argument);
}

int stop_by_force() {
  Child it;
  TRY(it.begin(ignore));
  TRY(gipc_process_stop(it.p, 0.01));
  return 0;
}

// Freed while they run, two at once.
int detach() {
  gipc_process *p[2] = {};
  int result = 0;
  for (gipc_process *&one : p)
    if (result == 0)
      result = gipc_start_process(return_argument, INT(0), nullptr, &one);
  for (gipc_process *one : p)
    gipc_process_free(one);
  return result;
}

// Freed while they run, and reaped by a later call.
int detach_running() {
  gipc_process *p[2] = {};
  pid_t pids[2] = {};
  int result = 0;
  for (int i = 0; i < 2 && result == 0; ++i) {
    result = gipc_start_process(wait_for_signal, nullptr, nullptr, &p[i]);
    pids[i] = result == 0 ? gipc_process_pid(p[i]) : 0;
  }
  for (gipc_process *one : p)
    gipc_process_free(one);
  for (pid_t pid : pids)
    if (pid > 0) {
      siginfo_t info;
      kill(pid, SIGKILL);
      (void)!waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    }
  for (int i = 0; i < 3; ++i)
    gipc_process_free(nullptr);
  return result;
}

// One that has SIGTERM blocked, so that the grace period expires.
int stop_group_by_force() {
  Child it;
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_group(it.o, GIPC_GROUP_NEW));
  TRY(gipc_options_block_signal(it.o, SIGTERM));
  TRY(gipc_start_process(wait_for_signal, nullptr, it.o, &it.p));
  TRY(gipc_process_stop_group(it.p, 0.01));
  return it.code(-SIGKILL);
}

// What it has queued is written at its exit.
int put_and_exit(struct ev_loop *, void *argument) {
  static char big[200000];
  auto *w = static_cast<gipc_handle *>(argument);
  int result = gipc_set_marks(w, 0, sizeof big * 2);
  fill(big, sizeof big, 5);
  if (result == 0)
    result = gipc_try_put(w, big, sizeof big);
  if (result != 0)
    _exit(99);
  std::exit(4);
}

int last_messages() {
  Child it;
  const void *data;
  size_t size;
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_pass(it.o, "w", it.w));
  TRY(gipc_start_process(put_and_exit, it.w, it.o, &it.p));
  TRY(gipc_get(it.r, 60, &data, &size));
  CHECK(size == 200000 && filled(data, size, 5));
  TRY(gipc_process_join(it.p, 60));
  return it.code(4);
}

// Another reaper has taken it, and on some kernels its status.
int reaped_elsewhere() {
  Child it;
  TRY(it.begin(return_argument));
  (void)!waitpid(gipc_process_pid(it.p), nullptr, 0);
  int result = gipc_process_join(it.p, 60);
  result = result != 0 ? result : it.code(0);
  bool is_kept = (gipc_features() & GIPC_FEATURE_KEPT_STATUS) != 0;
  return result == GIPC_ESTATUSLOST && !is_kept ? 0 : result;
}

const sites::Scenario scenarios[] = {
    {"join", join},
    {"stop", stop},
    {"stop_group", stop_group},
    {"stop_by_force", stop_by_force},
    {"stop_group_by_force", stop_group_by_force},
    {"detach", detach},
    {"detach_running", detach_running},
    {"last_messages", last_messages},
    {"reaped_elsewhere", reaped_elsewhere},
};

} // namespace

namespace sites {
const Scenarios end_scenarios{scenarios, sizeof scenarios / sizeof *scenarios};
}
