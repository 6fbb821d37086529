// Runs a policy on a loop: what pools and keepers share.
#pragma once

#include "gipc.h"
#include "this_process.h"
#include "watch.h"

#include <memory>

namespace gipc {

class Supervisor {
public:
  struct Events {
    // Carries out the next action of the policy; false: there is none.
    bool (*next)(void *) noexcept;
    // When there will be one, without another event.
    double (*next_time)(void *) noexcept;
    // That time has come; actions follow.
    void (*time_came)(void *) noexcept;
    // It was freed, and the last callback has returned.
    void (*unused)(void *) noexcept;
  };

  Supervisor(const Events &events, void *owner) noexcept;
  Supervisor(const Supervisor &) = delete;
  Supervisor &operator=(const Supervisor &) = delete;

  int usable() const noexcept {
    return owner_ == generation::current() ? 0 : GIPC_EWRONGPROC;
  }
  // Throws bad_alloc.
  int start(struct ev_loop *loop);
  struct ev_loop *loop() const noexcept {
    return loop_;
  }
  bool is_freed() const noexcept { return freed_; }
  // After a call of the program: actions follow in the next loop iteration.
  void wake() noexcept;
  // In a callback of the loop: carries out the actions; some in the next
  // iteration, if there are very many.
  void run() noexcept;
  // All of them now, because something that they need is not there later.
  void run_all() noexcept;
  // Leaves the loop: there is nothing more to do.
  void end() noexcept;
  // `unused` is called: now, or when the last callback has returned.
  void free() noexcept;

  int set_dump_signal(int signal) noexcept;
  int dump_signal() const noexcept { return dump_signal_; }

  // Exists while something happens that may call callbacks, which may free.
  class Scope {
  public:
    explicit Scope(Supervisor &of) noexcept : of_(of) { ++of_.depth_; }
    ~Scope() {
      if (--of_.depth_ == 0 && of_.freed_)
        of_.events_.unused(of_.object_);
    }
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

  private:
    Supervisor &of_;
  };

private:
  void carry_out(int most) noexcept;
  void expire() noexcept;
  void set_time() noexcept;
  static const TimeWatch::Events watch_events;

  const uint32_t owner_ = generation::current();
  const Events &events_;
  void *const object_;
  struct ev_loop *loop_ = nullptr; // also when it was left
  std::unique_ptr<TimeWatch> watch_;
  double set_time_; // of the watch, or NaN: not known
  int dump_signal_ = 0;
  int depth_ = 0; // of scopes
  bool freed_ = false;
};

} // namespace gipc
