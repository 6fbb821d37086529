// A function child: what happens before, in and after the fork, whoever calls
// fork(2).
#pragma once

#include "options.h"
#include "setup.h"
#include "this_process.h"

#include <memory>
#include <optional>
#include <vector>

struct ev_loop;

namespace gipc {

class Handle;
class Process;

class Fork {
public:
  // Blocks signals until parent() or child(), in the same thread.  options may
  // be null, and must live as long.  Throws bad_alloc.
  // kept: a registered descriptor that stays open in the child.
  static int prepare(const Options *options, Fork *&out, int kept = -1);
  // Calls the runtime's fork function or fork(2); the pid, 0, or -errno.
  int fork() noexcept;
  // After the fork; both let go of it.  In the child the result is an error
  // that the child should end with, because its parent knows it.
  static int parent(Fork *self, int pid, Process *&out) noexcept;
  static int child(Fork *self) noexcept;

private:
  // A handle that is passed, and its descriptors in the child, where they are
  // others than here.
  struct Passed {
    Handle *handle;
    registry::Held read, write;
  };

  Fork() = default;
  ~Fork();
  int prepare_all(int kept);
  int prepare_handles();
  int become_child() noexcept;
  int abandon_loops(struct ev_loop **known, int count) noexcept;
  void close_passed() noexcept;

  Options standard_; // what a start without options uses
  const Options *options_ = nullptr;
  Setup setup_;
  Process *process_ = nullptr;
  registry::Held child_end_;
  std::vector<Passed> handles_;
  bool may_fail_ = false; // the child, before its target
  std::unique_ptr<SignalBlock> signals_;
  std::optional<registry::ForkWindow> window_;
};

namespace child {

// Seconds without progress after which the end of a process gives up sending
// what is queued; < 0: never.
extern double exit_timeout;
// Lets exit(3) end this process as finish() does.
void report_exit() noexcept;
// Runs target on a fresh loop and ends this process.
[[noreturn]] void run(int (*target)(struct ev_loop *, void *), void *argument);
// Flushes, tells the parent, and ends.  ended is one of GIPC_ENDED_.
[[noreturn]] void finish(int code, int ended) noexcept;

} // namespace child

} // namespace gipc
