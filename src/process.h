// A child: its descriptors, waiting for its end, its stop sequence.
#pragma once

#include "deadline.h"
#include "fd.h"
#include "gipc.h"
#include "membership.h"
#include "options.h"
#include "relaxed.h"
#include "status.h"
#include "this_process.h"
#include "tree.h"
#include "watch.h"

#include <memory>
#include <string>

namespace gipc {

class Process final : public registry::Entry {
public:
  // A child that is about to be started.  Throws bad_alloc.
  explicit Process(const std::string &name);
  // What it will hold: the parent's end of the control socket of a function
  // child, and of its stdio pipes.
  void set_control(registry::Held control) noexcept {
    status_.set_control(std::move(control));
  }
  void set_stdio(int which, registry::Held fd) noexcept {
    stdio_[which] = std::move(fd);
  }
  int control() const noexcept { return status_.control(); }
  // Before the start, under the registry's lock: the child will be the guard of
  // a tree.  The path of its cgroup, which may be empty.  Throws bad_alloc.
  void prepare_tree();
  const char *cgroup() const noexcept {
    return tree_ != nullptr ? tree_->cgroup() : "";
  }
  // Under the registry's lock: it runs.  exit_fd may be empty.  leads: a
  // process group of its own.
  void started(pid_t pid, Fd exit_fd, bool leads) noexcept;
  // Finds the root of a tree, before its gate is opened.
  void find_root() noexcept;
  // Waits until a function child has begun or ended (0), or could not begin:
  // what it failed with.
  Failure wait_until_begun() noexcept { return status_.wait_until_begun(); }

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
  // For any thread, under the registry's lock.
  void describe(gipc_process_entry &out) const noexcept;
  Memberships &memberships() noexcept { return memberships_; }

  // Reaps children whose Process was freed before they ended.
  static void reap_detached() noexcept;

private:
  friend struct Detached;
  ~Process() { leave(); }

  int usable() const noexcept {
    return owner_ == generation::current() ? 0 : GIPC_EWRONGPROC;
  }
  // As Status::reap_or_sleep(); what a killed guard did not end is killed.
  bool has_ended() noexcept;
  // Under the registry's lock: it has its name and its number, and the others
  // may see it.
  void announce(pid_t pid) noexcept;
  void set_name(pid_t pid) noexcept;
  void detach() noexcept;
  int send(int number) noexcept;
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
  std::string name_;
  Status status_;
  std::unique_ptr<Tree> tree_; // whose guard the status is of
  registry::Held stdio_[3];
  bool leads_group_ = false;
  bool stopping_group_ = false;    // begin_stop_group() was called
  struct ev_loop *loop_ = nullptr; // that it is watched on
  Relaxed<bool> is_watched_ = false;
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
