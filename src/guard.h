// The guard of a tree: a process between this one and the root of the tree,
// that is, the child that was asked for.  It ends what the root leaves behind,
// or what the death of this process leaves, and then itself as the root did.
//
// It is the parent of the root and, where the system has subreapers, of all
// that lose their parent in the tree.  So it has nothing but its own children
// to kill, whose numbers are not given to other processes before it has reaped
// them, and nothing is left when it has no child.
#pragma once

#include <sys/types.h>

namespace gipc::guard {

struct Plan {
  int control;        // the child's end of the control socket
  const char *cgroup; // its path; empty: there is none
  int death_signal;   // 0: the tree outlives the parent
};

// In a child right after its fork, with all signals blocked: forks the root,
// and returns in it.  The calling process becomes the guard, which tells the
// parent the number of the root.  An error: no root was made, and the calling
// process has its own number told.
int become(const Plan &plan) noexcept;
// The same for a root that executes a program: what it returns in the root, by
// one call of report(), is why it could not.
int become_for_program(const Plan &plan, int &report_fd) noexcept;
// In the root: ends the process.
[[noreturn]] void report(int report_fd, int error, int part) noexcept;

} // namespace gipc::guard
