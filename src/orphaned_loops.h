// What a forked child does to the loops that it inherited.
#pragma once

#include <csignal>

struct ev_loop;

namespace gipc {

// Made in the parent, used in the child.
class InheritedLoops {
public:
  // The signals that were blocked in the thread that forked.
  explicit InheritedLoops(const sigset_t &blocked) noexcept
      : blocked_(blocked) {}

  // In the parent: whether the child may fail at the following.
  bool may_fail() const noexcept;
  // The default loop, its signals and its children are gone, without any of its
  // callbacks and without a trace in the parent.  -EOPNOTSUPP, or an error of
  // the system: it has a signalfd, which cannot be found or replaced.
  int abandon_default_loop() noexcept;
  // The same for the signals of another inherited loop, which itself stays:
  // libev lets a signal be watched on one loop only, be it an inherited one.
  int abandon_signals(struct ev_loop *loop) noexcept;

private:
  bool by_signalfd(int number) const noexcept;
  int stop_signals(struct ev_loop *loop) noexcept;

  sigset_t blocked_;
  bool detached_ = false; // there is no signalfd any more
};

// A loop for the child.  NULL when there are no descriptors or no memory.
// has_flags: the environment may have LIBEV_FLAGS; asking costs a child as much
// as all else that its loop does.
struct ev_loop *fresh_loop(bool has_flags) noexcept;

} // namespace gipc
