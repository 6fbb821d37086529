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
  // By which events name the process.
  void set_id(uint64_t id) noexcept { id_ = id; }
  pid_t pid() const noexcept { return pid_; }
  // -1: there is none.
  int exit_fd() const noexcept { return exit_fd_.get(); }
  // Waits until a function child has begun or ended (0), or could not begin:
  // what it failed with.
  Failure wait_until_begun() noexcept;

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
  };

  int reap(int &wait_status, rusage &usage) noexcept;
  bool find_without_reaping() noexcept;
  bool find_kept_or_sleep() noexcept;
  bool end(int wait_status, int from) noexcept;
  int read_records() noexcept;

  pid_t pid_ = -1;
  uint64_t id_ = 0;
  registry::Held exit_fd_, control_;
  bool function_ = false; // has, or had, a control socket that it tells through
  Records records_;
  std::optional<int> reported_; // a wait status
  // The end, if it is known.  What it was is stored before.
  std::atomic<bool> known_{false};
  Relaxed<int> wait_status_ = 0;
  Relaxed<int> from_ = 0; // GIPC_STATUS_...
  rusage usage_{};        // where it is from wait
};

} // namespace gipc
