// How a child ended: where that is known from, and what is known of it.
//
// No loop and no signal: it asks the kernel and the child's own records.
#pragma once

#include "control.h"
#include "fd.h"
#include "gipc.h"
#include "options.h"
#include "relaxed.h"
#include "this_process.h"

#include <atomic>
#include <optional>
#include <sys/resource.h>
#include <sys/types.h>

namespace gipc {

class Status {
public:
  // The parent's end of the control socket of a function child, or of the
  // lifeline of a program, which sends no records.
  void set_control(registry::Held control) noexcept {
    control_ = std::move(control);
  }
  int control() const noexcept { return control_.get(); }
  // The child runs.  exit_fd may be empty.
  void set_started(pid_t pid, Fd exit_fd) noexcept;
  // By which events name the process: its pid is that of the root of a tree.
  void set_shown(uint64_t id, pid_t pid) noexcept {
    shown_id_ = id;
    shown_pid_ = pid;
  }
  pid_t pid() const noexcept { return pid_; }
  // -1: there is none.
  int exit_fd() const noexcept { return exit_fd_.get(); }
  // Waits until a function child has begun or ended (0), or could not begin:
  // what it failed with.
  Failure wait_until_begun() noexcept;
  // The child is the guard of a tree.  The number of its root, as soon as that
  // is known; -1: the guard has ended before.
  pid_t wait_for_root() noexcept;
  int tree() const noexcept { return records_.tree; } // GIPC_TREE_...
  // Whether the guard has ended and has not told how: it was killed.
  bool has_lost_guard() const noexcept {
    return known_ && records_.root > 0 && !records_.tree_status;
  }

  // Whether the end of the child has been found.  Asks nobody.
  bool is_known() const noexcept {
    return known_.load(std::memory_order_acquire);
  }
  // Looks for the end of the child where it may be found, the surest place
  // first, which reaps the child; true when it is known.  Sleeps a millisecond
  // at most, while another thread reaps it.
  bool reap_or_sleep() noexcept;
  // What waitpid(2) gave another reaper.  It is used at once if the child has
  // been reaped, and when that is found if not; it replaces a status that
  // nothing surer told.  Does not sleep.
  void report(int wait_status) noexcept;

  // Of a known end: 0, or GIPC_ESTATUSLOST.
  int exitcode(int &code) const noexcept;
  void describe(gipc_exit_info &out) const noexcept;
  // Only code, signal, core and how: for any thread.
  void describe_status(gipc_exit_info &out) const noexcept;

  // In a process that is not the owner: the descriptors may be other files.
  void forget() noexcept;

private:
  // What a function child tells of itself.
  struct Records {
    bool begun = false;
    Failure failure{0, Part::none}; // what it could not begin for
    int code = -1;                  // < 0: it has not told
    int ended = GIPC_ENDED_UNKNOWN;
    // Of a guard.
    pid_t root = -1;
    int tree = GIPC_TREE_NONE;
    std::optional<int> tree_status; // of wait(2), of the root
    int left = 0, killed = 0, max_rss = 0;
  };

  int reap(int &wait_status, rusage &usage) noexcept;
  bool find_without_reaping() noexcept;
  bool find_kept_or_sleep() noexcept;
  bool end(int wait_status, int from) noexcept;
  int read_records() noexcept;
  void note_tree(const control::Record &record) noexcept;

  pid_t pid_ = -1;
  uint64_t shown_id_ = 0; // 0: the others do not know it
  pid_t shown_pid_ = -1;
  registry::Held exit_fd_, control_;
  bool function_ = false; // has, or had, a control socket that it tells through
  Records records_;
  control::Partial part_;
  std::optional<int> reported_; // a wait status
  // The end, if it is known.  What it was is stored before.
  std::atomic<bool> known_{false};
  Relaxed<int> wait_status_ = 0;
  Relaxed<int> from_ = 0; // GIPC_STATUS_...
  rusage usage_{};        // where it is from wait
};

} // namespace gipc
