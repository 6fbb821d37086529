// A function child: what happens before, in and after the fork, whoever calls
// fork(2).
#pragma once

#include "fd.h"
#include "options.h"
#include "setup.h"

#include <memory>
#include <vector>

struct ev_loop;

namespace gipc {

class Handle;
class Process;

class Fork {
public:
  // Locks the registry and blocks signals until parent() or child().  options
  // may be null, and must live as long.  Throws bad_alloc.
  static int prepare(const Options *options, Fork *&out);
  // Calls the runtime's fork function or fork(2); the pid, 0, or -errno.
  int fork() noexcept;
  // After the fork; both let go of it.  In the child the result is an error
  // that the child should end with, because its parent knows it.
  static int parent(Fork *self, int pid, Process *&out) noexcept;
  static int child(Fork *self) noexcept;

private:
  Fork() = default;
  ~Fork();
  int prepare_handles();
  void change_environment() noexcept;
  int become_child() noexcept;

  Options standard_; // what a start without options uses
  const Options *options_ = nullptr;
  Setup setup_;
  Process *process_ = nullptr;
  Fd child_end_;
  std::vector<Handle *> handles_;
  std::unique_ptr<SignalBlock> signals_;
  bool locked_ = false;
};

namespace child {

// Runs target on a fresh loop and ends this process.
[[noreturn]] void run(int (*target)(struct ev_loop *, void *), void *argument);
// Flushes, tells the parent, and ends.  ended is one of GIPC_ENDED_.
[[noreturn]] void finish(int code, int ended) noexcept;

} // namespace child

} // namespace gipc
