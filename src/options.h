// How a child is to be started: the values, checked and copied.
#pragma once

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <sys/types.h>
#include <vector>

struct ev_loop;

namespace gipc {

class Handle;

// The parts of a start that can fail by themselves; names in options.cc.
enum class Part : int32_t {
  none,
  program,
  cwd,
  env,
  pass,
  stdio,
  map_fd,
  keep_fds,
  group,
  terminal,
  nice,
  rlimit,
  user,
  no_new_privileges,
  death_signal
};

struct Failure {
  int error; // 0: none
  Part part;
};

// Which part failed; a copy of options starts without.
struct LastFailure : std::atomic<Part> {
  LastFailure() noexcept : atomic(Part::none) {}
  LastFailure(const LastFailure &) noexcept : LastFailure() {}
  using atomic::operator=;
};

// The setters throw bad_alloc; a value they refuse (-EINVAL) changes nothing.
struct Options {
  struct Passed {
    std::string name;
    Handle *handle;
  };
  struct Variable {
    std::string name;
    std::optional<std::string> value; // none: removed
  };
  struct Stdio {
    int mode;
    int fd;
  };
  struct Limit {
    int resource;
    rlimit value;
  };
  struct Mapping {
    int fd;       // here
    int child_fd; // there
  };
  struct User { // what is not set stays as it is
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;
    std::optional<std::vector<gid_t>> groups; // sorted
  };

  // What the child has, in groups.
  struct Environment {
    bool clear = false;
    std::vector<Variable> variables;
    bool changes() const noexcept { return clear || !variables.empty(); }
  };
  struct Files {
    Stdio stdio[3] = {};
    std::vector<Mapping> mapped;
    std::optional<std::vector<int>> kept; // sorted
    bool keep_all = false;
  };
  struct Session {
    int group = 0;
    int terminal = -1;
  };
  struct Rights {
    std::optional<mode_t> umask;
    int nice = 0;
    std::optional<User> user;
    bool no_new_privileges = false;
    std::vector<Limit> limits;
  };
  struct ForkFunction {
    pid_t (*function)(void *) = nullptr;
    void *user = nullptr;
  };

  std::string name;
  int death_signal = 0;      // 0: no daemon
  bool chose_daemon = false; // that was set
  std::vector<Passed> passed;
  std::string cwd;
  std::string program; // empty: argv[0]
  Environment environment;
  Files files;
  Session session;
  Rights rights;
  std::vector<int> blocked_signals;
  std::vector<struct ev_loop *> left_loops;
  ForkFunction fork;
  // Of the last start with these options, which may run in several threads.
  mutable LastFailure failed;

  int set_daemon(int on) noexcept;
  int set_death_signal(int signal) noexcept;
  int pass(const char *name, Handle *handle);
  int set_env(const char *variable, const char *value);
  int set_cwd(const char *path);
  int set_stdio(int which, int mode, int fd) noexcept;
  int map_fd(int fd, int child_fd);
  int set_program(const char *path);
  int set_terminal(int fd) noexcept;
  int set_umask(mode_t mode) noexcept;
  int set_nice(int increment) noexcept;
  int set_group(int value) noexcept;
  int set_user(uid_t uid, gid_t gid, const gid_t *groups, size_t count);
  int set_uid(uid_t uid);
  int set_gid(gid_t gid);
  int set_rlimit(int resource, uint64_t soft, uint64_t hard);
  int keep(const int *fds, size_t count);
  int block_signal(int signal);

  int note(Part part, int error) const noexcept {
    if (error < 0)
      failed = part;
    return error;
  }
  int note(Failure failure) const noexcept {
    return note(failure.part, failure.error);
  }
  // nullptr: none did.
  const char *failed_part() const noexcept;

  // Gives this process the environment that was asked for, in a function child.
  int change_environment() const noexcept;
  bool leads_group() const noexcept { return session.group != 0; }
  bool is_tree() const noexcept;
  // Whether the child watches its parent; of a tree, the guard does.
  bool has_lifeline() const noexcept;
  // Whether something that a function child does to itself can fail.
  bool can_fail_in_child() const noexcept;
};

} // namespace gipc
