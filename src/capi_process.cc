// extern "C": options, processes, forks.  Check, guard, forward.
#include "capi.h"

#include "exec.h"
#include "fork.h"
#include "handle.h"
#include "launch.h"
#include "process.h"

#include <cmath>
#include <memory>
#include <unistd.h>

using namespace gipc;

// ---- Options ----------------------------------------------------------------

int gipc_options_new(gipc_options **options) {
  if (options == nullptr)
    return -EINVAL;
  return guard([&] {
    *options = reinterpret_cast<gipc_options *>(new Options);
    return 0;
  });
}

void gipc_options_free(gipc_options *o) { delete unwrap(o); }

int gipc_options_set_name(gipc_options *o, const char *name) {
  if (o == nullptr || name == nullptr)
    return -EINVAL;
  return guard([&] {
    unwrap(o)->name = name;
    return 0;
  });
}

int gipc_options_set_daemon(gipc_options *o, int daemon) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_daemon(daemon);
}

int gipc_options_set_death_signal(gipc_options *o, int signal) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_death_signal(signal);
}

int gipc_options_pass(gipc_options *o, const char *name, gipc_handle *h) {
  if (o == nullptr || h == nullptr)
    return -EINVAL;
  return guard([&] { return unwrap(o)->pass(name, unwrap(h)); });
}

int gipc_options_clear_passed(gipc_options *o) {
  if (o == nullptr)
    return -EINVAL;
  unwrap(o)->passed.clear();
  return 0;
}

int gipc_options_set_env(gipc_options *o, const char *name, const char *value) {
  if (o == nullptr || name == nullptr)
    return -EINVAL;
  return guard([&] { return unwrap(o)->set_env(name, value); });
}

int gipc_options_clear_env(gipc_options *o) {
  if (o == nullptr)
    return -EINVAL;
  unwrap(o)->environment.clear = true;
  return 0;
}

int gipc_options_set_cwd(gipc_options *o, const char *path) {
  if (o == nullptr || path == nullptr)
    return -EINVAL;
  return guard([&] { return unwrap(o)->set_cwd(path); });
}

int gipc_options_set_stdio(gipc_options *o, int which, int mode, int fd) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_stdio(which, mode, fd);
}

int gipc_options_map_fd(gipc_options *o, int fd, int child_fd) {
  return o == nullptr ? -EINVAL
                      : guard([&] { return unwrap(o)->map_fd(fd, child_fd); });
}

int gipc_options_set_program(gipc_options *o, const char *path) {
  if (o == nullptr || path == nullptr)
    return -EINVAL;
  return guard([&] { return unwrap(o)->set_program(path); });
}

int gipc_options_set_terminal(gipc_options *o, int fd) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_terminal(fd);
}

int gipc_options_set_umask(gipc_options *o, mode_t mode) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_umask(mode);
}

int gipc_options_set_nice(gipc_options *o, int increment) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_nice(increment);
}

int gipc_options_set_group(gipc_options *o, int group) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_group(group);
}

int gipc_options_set_user(gipc_options *o, uid_t uid, gid_t gid,
                          const gid_t *groups, size_t count) {
  if (o == nullptr || (groups == nullptr && count > 0))
    return -EINVAL;
  return guard([&] { return unwrap(o)->set_user(uid, gid, groups, count); });
}

int gipc_options_set_uid(gipc_options *o, uid_t uid) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_uid(uid);
}

int gipc_options_set_gid(gipc_options *o, gid_t gid) {
  return o == nullptr ? -EINVAL : unwrap(o)->set_gid(gid);
}

int gipc_options_set_no_new_privileges(gipc_options *o, int on) {
  if (o == nullptr)
    return -EINVAL;
  unwrap(o)->rights.no_new_privileges = on != 0;
  return 0;
}

int gipc_options_set_rlimit(gipc_options *o, int resource, uint64_t soft,
                            uint64_t hard) {
  if (o == nullptr)
    return -EINVAL;
  return guard([&] { return unwrap(o)->set_rlimit(resource, soft, hard); });
}

int gipc_options_keep_fds(gipc_options *o, const int *fds, size_t count) {
  if (o == nullptr || (fds == nullptr && count > 0))
    return -EINVAL;
  return guard([&] { return unwrap(o)->keep(fds, count); });
}

int gipc_options_keep_all_fds(gipc_options *o) {
  if (o == nullptr)
    return -EINVAL;
  unwrap(o)->files.keep_all = true;
  unwrap(o)->files.kept.reset();
  return 0;
}

const char *gipc_options_failed(const gipc_options *o) {
  return o == nullptr ? nullptr : unwrap(o)->failed_part();
}

int gipc_options_block_signal(gipc_options *o, int signal) {
  return o == nullptr ? -EINVAL
                      : guard([&] { return unwrap(o)->block_signal(signal); });
}

int gipc_options_release_signals(gipc_options *o, struct ev_loop *loop) {
  if (o == nullptr || loop == nullptr)
    return -EINVAL;
  return guard([&] {
    unwrap(o)->left_loops.push_back(loop);
    return 0;
  });
}

int gipc_options_set_fork(gipc_options *o, pid_t (*fork_function)(void *),
                          void *user) {
  if (o == nullptr)
    return -EINVAL;
  unwrap(o)->fork.function = fork_function;
  unwrap(o)->fork.user = user;
  return 0;
}

// ---- Starts -----------------------------------------------------------------

int gipc_start_process(int (*target)(struct ev_loop *, void *), void *argument,
                       const gipc_options *options, gipc_process **process) {
  if (target == nullptr || process == nullptr)
    return -EINVAL;
  return guard([&] {
    // On the stack, whose page both processes write anyway.
    Fork fork(unwrap(options));
    if (int error = fork.prepare())
      return error;
    int pid = fork.fork();
    if (pid == 0) {
      if (fork.child() != 0)
        _exit(127);
      child::run(target, argument, fork.has_loop_flags());
    }
    Process *started;
    int error = fork.parent(pid, started);
    if (error == 0)
      *process = wrap(started);
    return error;
  });
}

int gipc_exec_process(const char *const argv[], const gipc_options *options,
                      gipc_process **process) {
  if (argv == nullptr || argv[0] == nullptr || process == nullptr)
    return -EINVAL;
  return guard([&] {
    Options standard;
    const Options *chosen = options != nullptr ? unwrap(options) : &standard;
    Process *started;
    int error = start_program(argv, *chosen, started);
    if (error == 0)
      *process = wrap(started);
    return error;
  });
}

int gipc_launch(const char *const argv[], const gipc_options *options,
                gipc_process **process, gipc_handle **handle) {
  if (argv == nullptr || argv[0] == nullptr || process == nullptr ||
      handle == nullptr)
    return -EINVAL;
  return guard([&] {
    Options standard;
    const Options *chosen = options != nullptr ? unwrap(options) : &standard;
    Process *started;
    Handle *opened;
    int error = launch(argv, *chosen, started, opened);
    if (error == 0) {
      *process = wrap(started);
      *handle = wrap(opened);
    }
    return error;
  });
}

int gipc_fork_prepare(const gipc_options *options, gipc_fork_context **f) {
  if (f == nullptr)
    return -EINVAL;
  return guard([&] {
    auto fork = std::make_unique<Fork>(unwrap(options));
    int error = fork->prepare();
    if (error == 0)
      *f = reinterpret_cast<gipc_fork_context *>(fork.release());
    return error;
  });
}

int gipc_fork_parent(gipc_fork_context *f, pid_t pid, gipc_process **process) {
  if (f == nullptr || process == nullptr || pid == 0)
    return -EINVAL;
  int result = pid > 0 ? pid : errno != 0 ? -errno : -EAGAIN;
  return guard([&] {
    std::unique_ptr<Fork> fork(unwrap(f));
    Process *started;
    int error = fork->parent(result, started);
    if (error == 0)
      *process = wrap(started);
    return error;
  });
}

int gipc_fork_child(gipc_fork_context *f) {
  if (f == nullptr)
    return -EINVAL;
  return guard([&] {
    // For a leak checker: it stays referred to.
    static Fork *of_this_child;
    of_this_child = unwrap(f);
    int error = of_this_child->child();
    if (error != 0)
      delete std::exchange(of_this_child, nullptr);
    return error;
  });
}

void gipc_exit(int code) { gipc_exit_as(code, GIPC_ENDED_EXIT); }

void gipc_exit_as(int code, int ended) {
  if (ended != GIPC_ENDED_RETURN && ended != GIPC_ENDED_EXCEPTION)
    ended = GIPC_ENDED_EXIT;
  child::finish(code < 0 || code > 255 ? 255 : code, ended);
}

int gipc_set_exit_timeout(double seconds) {
  if (std::isnan(seconds))
    return -EINVAL;
  child::exit_timeout = seconds;
  return 0;
}

// ---- Processes --------------------------------------------------------------

int gipc_process_pid(const gipc_process *p) {
  return p == nullptr ? -EINVAL : unwrap(p)->pid();
}

const char *gipc_process_name(const gipc_process *p) {
  return p == nullptr ? "" : unwrap(p)->name();
}

int gipc_process_set_user(gipc_process *p, void *user) {
  return p == nullptr ? -EINVAL : unwrap(p)->set_user(user);
}

void *gipc_process_user(const gipc_process *p) {
  return p == nullptr ? nullptr : unwrap(p)->user();
}

int gipc_process_fd(const gipc_process *p) {
  return p == nullptr ? -EINVAL : unwrap(p)->fd();
}

int gipc_process_stdio(gipc_process *p, int which) {
  return p == nullptr ? -EINVAL : unwrap(p)->take_stdio(which);
}

int gipc_process_is_alive(gipc_process *p) {
  return p == nullptr ? -EINVAL : guard([&] { return unwrap(p)->is_alive(); });
}

int gipc_process_join(gipc_process *p, double timeout) {
  Deadline deadline;
  if (p == nullptr || Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] { return unwrap(p)->join(deadline); });
}

int gipc_process_exitcode(gipc_process *p, int *code) {
  return p == nullptr || code == nullptr
             ? -EINVAL
             : guard([&] { return unwrap(p)->exitcode(*code); });
}

int gipc_process_info(gipc_process *p, gipc_exit_info *info) {
  constexpr size_t least = offsetof(gipc_exit_info, code) + sizeof info->code;
  if (p == nullptr || info == nullptr)
    return -EINVAL;
  if (int error = check_size(info->size, least))
    return error;
  return guard([&] {
    gipc_exit_info filled{};
    int error = unwrap(p)->info(filled);
    if (error == 0)
      copy_out(filled, info);
    return error;
  });
}

int gipc_process_signal(gipc_process *p, int signal) {
  return p == nullptr ? -EINVAL
                      : guard([&] { return unwrap(p)->signal(signal); });
}

int gipc_process_terminate(gipc_process *p) {
  return gipc_process_signal(p, SIGTERM);
}

int gipc_process_kill(gipc_process *p) {
  return gipc_process_signal(p, SIGKILL);
}

int gipc_process_stop(gipc_process *p, double grace) {
  return p == nullptr ? -EINVAL : guard([&] { return unwrap(p)->stop(grace); });
}

int gipc_process_begin_stop(gipc_process *p, double grace) {
  return p == nullptr ? -EINVAL
                      : guard([&] { return unwrap(p)->begin_stop(grace); });
}

int gipc_process_signal_group(gipc_process *p, int signal) {
  return p == nullptr ? -EINVAL
                      : guard([&] { return unwrap(p)->signal_group(signal); });
}

int gipc_process_stop_group(gipc_process *p, double grace) {
  return p == nullptr ? -EINVAL
                      : guard([&] { return unwrap(p)->stop_group(grace); });
}

int gipc_process_begin_stop_group(gipc_process *p, double grace) {
  return p == nullptr
             ? -EINVAL
             : guard([&] { return unwrap(p)->begin_stop_group(grace); });
}

int gipc_process_watch(gipc_process *p, struct ev_loop *loop,
                       gipc_exit_callback callback, void *user) {
  if (p == nullptr || loop == nullptr || callback == nullptr)
    return -EINVAL;
  return guard([&] { return unwrap(p)->watch(loop, callback, user); });
}

int gipc_process_unwatch(gipc_process *p) {
  return p == nullptr ? -EINVAL : guard([&] { return unwrap(p)->unwatch(); });
}

int gipc_process_report(gipc_process *p, int wait_status) {
  return p == nullptr ? -EINVAL
                      : guard([&] { return unwrap(p)->report(wait_status); });
}

void gipc_process_free(gipc_process *p) {
  (void)guard([&] {
    if (p != nullptr)
      unwrap(p)->free();
    Process::reap_detached();
    return 0;
  });
}

// ---- Names of 0.1 -----------------------------------------------------------

int gipc_options_leave_loop(gipc_options *o, struct ev_loop *loop) {
  return gipc_options_release_signals(o, loop);
}
