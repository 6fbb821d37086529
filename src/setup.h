// What a child does to itself before it begins, prepared by the parent.
//
// apply() is async-signal-safe: it runs between a vfork and an exec, in the
// parent's memory.
#pragma once

#include "fd.h"
#include "options.h"
#include "this_process.h"

#include <csignal>
#include <vector>

namespace gipc {

class Setup {
public:
  // exec: the child runs another program.  Throws bad_alloc.  options must
  // live as long.  Under the registry's lock.
  int prepare(const Options &options, bool exec);
  // Whether the child has something else under this number.
  bool replaces(int fd) const noexcept;
  // A descriptor (at 3 or above) that the child keeps; with expose also across
  // its exec.
  void keep(int fd, bool expose);
  // Once all are known.
  void finish();

  Failure apply() noexcept;
  // All signals are blocked before the fork; this is the child's own mask.
  void unmask() const noexcept;
  // The parent's ends of stdio pipes.
  registry::Held &parent_stdio(int which) { return parent_stdio_[which]; }
  // The descriptors of the child that this library made, for the registry.
  const std::vector<int> &kept() const { return kept_; }
  // In the parent after the fork, and in the child once apply() is done: the
  // copies of what is redirected go.
  void close_sources() noexcept;

private:
  struct Source {
    // A copy at 3 or above, at no number that is redirected.
    registry::Held fd;
    int number; // where it goes in the child
  };

  int reserve_numbers();
  int prepare_stdio(int which);
  int redirect() noexcept;
  int fill_stdio() const noexcept;
  int set_group() noexcept;
  int set_terminal() noexcept;
  int change_directory() noexcept;
  int next_kept(int from) const noexcept;
  int close_others() noexcept;
  int set_mask_and_nice() noexcept;
  int set_limits() noexcept;
  int set_identity() noexcept;
  int set_no_new_privileges() noexcept;

  const Options *options_ = nullptr;
  bool exec_ = false;
  bool close_others_ = false;
  std::vector<Source> sources_;
  std::vector<registry::Held> reserved_;
  registry::Held parent_stdio_[3];
  std::vector<int> kept_;
  std::vector<int> exposed_;
  sigset_t mask_;
  std::vector<gid_t> found_groups_; // room to read back what was set
};

// Blocks all signals while it lives, so that no handler of the parent runs in
// a child.
class SignalBlock {
public:
  SignalBlock() noexcept;
  ~SignalBlock();
  SignalBlock(const SignalBlock &) = delete;
  SignalBlock &operator=(const SignalBlock &) = delete;

  // The mask is somebody else's from now on.
  void dismiss() noexcept { active_ = false; }
  // The mask that comes back.
  const sigset_t &outside() const noexcept { return old_; }

private:
  sigset_t old_;
  bool active_ = true;
};

} // namespace gipc
