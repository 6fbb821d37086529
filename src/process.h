// A child: its descriptors, its end, its stop sequence.
#pragma once

#include "deadline.h"
#include "fd.h"
#include "generation.h"
#include "gipc.h"
#include "membership.h"
#include "options.h"
#include "registry.h"
#include "watch.h"

#include <memory>
#include <string>
#include <sys/resource.h>

namespace gipc {

class Process final {
public:
  // A child that is about to be started.  Throws bad_alloc.
  explicit Process(const std::string &name);
  // What it will hold: the parent's end of the control socket of a function
  // child, and of its stdio pipes.
  void set_control(registry::Held control) noexcept {
    control_ = std::move(control);
  }
  void set_stdio(int which, registry::Held fd) noexcept {
    stdio_[which] = std::move(fd);
  }
  int control() const noexcept { return control_.get(); }
  // It runs.  pidfd may be empty.  leads: a process group of its own.
  void started(pid_t pid, Fd pidfd, bool leads) noexcept;
  // Waits until a function child has begun or ended (0), or could not begin:
  // what it failed with.
  Failure wait_until_begun() noexcept;

  // Deletes it, now or when the child has been reaped.
  void free() noexcept;

  // join() and stop() are left by unwinding when their thread is cancelled.
  int pid() const noexcept;
  const char *name() const noexcept { return name_.c_str(); }
  int fd() const noexcept;
  int take_stdio(int which) noexcept;
  int is_alive() noexcept;
  int join(Deadline deadline);
  int exitcode(int &code) noexcept;
  int info(gipc_exit_info &out) noexcept;
  int signal(int number) noexcept;
  int signal_group(int number) noexcept;
  int stop(double grace);
  int begin_stop(double grace) noexcept;
  // The same for all of its process group, which must be its own.
  int stop_group(double grace);
  int begin_stop_group(double grace) noexcept;
  int watch(struct ev_loop *loop, gipc_exit_callback callback, void *user);
  int unwatch() noexcept;
  int report(int wait_status) noexcept;
  int set_user(void *user) noexcept {
    int error = usable();
    if (error == 0)
      own_pointer_ = user;
    return error;
  }
  void *user() const noexcept { return own_pointer_; }
  Memberships &memberships() noexcept { return memberships_; }

  // Reaps children whose Process was freed before they ended.
  static void reap_detached() noexcept;

private:
  friend struct Detached;
  ~Process() = default;

  int usable() const noexcept {
    return owner_ == generation::current() ? 0 : GIPC_EWRONGPROC;
  }
  bool has_ended() noexcept;
  bool find_status() noexcept;
  void end(int wait_status, int how) noexcept;
  bool find_kept_status() noexcept;
  int read_records() noexcept;
  void detach() noexcept;
  int kill(int number) noexcept;
  int kill_group(int number) noexcept;
  bool was_reaped() noexcept;
  int ask_to_end(bool group) noexcept;
  bool wait_unreaped(Deadline &deadline);
  int begin_stop(double grace, bool group) noexcept;
  void on_end() noexcept;
  void drop_watch() noexcept;
  static const ProcessWatch::Events watch_events;

  uint32_t owner_ = generation::current();
  pid_t pid_ = -1;
  std::string name_;
  registry::Held pidfd_, control_, stdio_[3];
  struct ev_loop *loop_ = nullptr; // that it is watched on
  bool function_ = false;          // has, or had, a control socket
  bool leads_group_ = false;
  bool stopping_group_ = false; // begin_stop_group() was called
  bool begun_ = false;
  bool ended_ = false;
  bool reported_ = false;
  int wait_status_ = 0; // that it ended with, or that was reported
  int how_ = 0;
  Failure failure_{0, Part::none}; // what a function child could not begin for
  int recorded_code_ = -1;
  int recorded_how_ = GIPC_ENDED_UNKNOWN;
  rusage usage_{};
  std::unique_ptr<ProcessWatch> watch_;
  gipc_exit_callback callback_ = nullptr;
  void *user_ = nullptr;        // of the callback
  void *own_pointer_ = nullptr; // of the program
  Memberships memberships_;
  bool freed_ = false;
  bool in_callback_ = false;
  Process *next_detached_ = nullptr;
};

} // namespace gipc
