// A function child: what happens before, in and after the fork, whoever calls
// fork(2).
#pragma once

#include "options.h"
#include "setup.h"
#include "this_process.h"

#include <optional>
#include <vector>

struct ev_loop;

namespace gipc {

class Handle;
class Process;

class Fork {
public:
  // options may be null, and must live as long.
  explicit Fork(const Options *options) noexcept
      : options_(options != nullptr ? options : &standard_) {}
  ~Fork();
  Fork(const Fork &) = delete;
  Fork &operator=(const Fork &) = delete;
  // Blocks signals until parent() or child(), in the same thread.  Throws
  // bad_alloc.
  // kept: a registered descriptor that stays open in the child.
  int prepare(int kept = -1);
  // Calls the runtime's fork function or fork(2); the pid, 0, or -errno.
  int fork() noexcept;
  // After the fork.  In the child the result is an error that the child should
  // end with, because its parent knows it; else the Fork is not freed there:
  // that would copy pages of memory which the child may never need.
  int parent(int pid, Process *&out) noexcept;
  int child() noexcept;
  // In the child: whether its fresh loop has to ask the environment.
  bool has_loop_flags() const noexcept { return has_loop_flags_; }

private:
  // A handle that is passed, and its descriptors in the child, where they are
  // others than here.
  struct Passed {
    Handle *handle;
    registry::Held read, write;
    bool kept_memory; // true if the child keeps the descriptor of a ring
  };

  int prepare_all(int kept);
  int prepare_handles();
  Failure become_root() noexcept;
  int become_child() noexcept;
  int abandon_loops(int known) noexcept;
  void close_passed() noexcept;

  Options standard_; // what a start without options uses
  const Options *options_;
  Setup setup_;
  Process *process_ = nullptr;
  registry::Held child_end_, parent_gate_, child_gate_;
  std::vector<Passed> handles_;
  bool may_fail_ = false; // the child, before its target
  bool has_loop_flags_ = false;
  std::optional<SignalBlock> signals_;
  std::optional<registry::ForkWindow> window_;
};

namespace child {

// Seconds without progress after which the end of a process gives up sending
// what is queued; < 0: never.
extern double exit_timeout;
// Lets exit(3) end this process as finish() does.
void report_exit() noexcept;
// Runs target on a fresh loop and ends this process.
[[noreturn]] void run(int (*target)(struct ev_loop *, void *), void *argument,
                      bool has_loop_flags);
// Flushes, tells the parent, and ends.  ended is one of GIPC_ENDED_.
[[noreturn]] void finish(int code, int ended) noexcept;

} // namespace child

} // namespace gipc
