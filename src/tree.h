// A tree as its parent knows it: what the guard is given, and the root.
#pragma once

#include "fd.h"
#include "this_process.h"

#include <string>
#include <sys/types.h>

namespace gipc {

class Tree {
public:
  Tree() = default;
  Tree(const Tree &) = delete;
  Tree &operator=(const Tree &) = delete;
  ~Tree();

  // Before the fork, under the registry's lock: a cgroup, where one can be had.
  // Throws bad_alloc.
  void prepare();
  // Its path; empty: there is none.
  const char *cgroup() const noexcept { return cgroup_.c_str(); }
  // The guard runs, and has told the number of the root.
  void begin(pid_t guard, pid_t root) noexcept;
  // -1: it is not known.
  pid_t root() const noexcept { return root_; }

  // While the guard has not been reaped.  GIPC_EDEAD: the root has ended.
  int signal_root(int number) noexcept;
  // GIPC_EDEAD: none is left.
  int signal_all(int number, bool is_session) noexcept;
  // The guard has ended and said nothing: it was killed.  Does it once.
  void end_without_guard() noexcept;
  // In a process that is not the owner.
  void forget() noexcept;

private:
  std::string cgroup_;
  registry::Held lock_; // until the guard has its own
  registry::Held exit_fd_;
  pid_t guard_ = -1, root_ = -1;
};

} // namespace gipc
