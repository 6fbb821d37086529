// Children whose Process was freed before they ended.
#include "process.h"

#include "os.h"

namespace gipc {

// Guarded by the registry's lock; void in a forked child, whose children they
// are not: the set was closed there with the rest, or is not the child's.
//
// A set of descriptors tells which of them have ended, so that a call costs the
// same with a thousand of them as with none.  Where there is no such set, they
// are looked at when some child of this process has ended.
struct Detached {
  int set = -1;             // -1: none
  size_t in_set = 0;        // how many are
  Process *first = nullptr; // those that are not in the set

  void close_if_empty() noexcept {
    if (set >= 0 && in_set == 0)
      registry::drop(std::exchange(set, -1));
  }

  void add(Process *process) noexcept {
    int exit_fd = process->status_.exit_fd();
    if (exit_fd >= 0) {
      Fd made;
      if (set < 0 && os::open_exit_set(made) == 0)
        set = registry::hold(std::move(made));
      if (set >= 0 && os::enter_exit_set(set, exit_fd, process) == 0) {
        ++in_set;
        return;
      }
      close_if_empty();
    }
    process->next_detached_ = first;
    first = process;
  }

  // One that has ended, and is in the set no more; or nullptr.
  Process *take_ended() noexcept {
    auto *process =
        static_cast<Process *>(set < 0 ? nullptr : os::ended_of_exit_set(set));
    if (process != nullptr) {
      os::leave_exit_set(set, process->status_.exit_fd());
      --in_set;
      close_if_empty();
    }
    return process;
  }

  // Those that are in no set, when they are worth a look.
  Process *take_others() noexcept {
    return first != nullptr && os::some_child_ended()
               ? std::exchange(first, nullptr)
               : nullptr;
  }
};

namespace {

PerProcess<Detached> detached;

} // namespace

void Process::detach() noexcept {
  registry::Lock hold;
  detached.renew();
  detached->add(this);
}

void Process::reap_detached() noexcept {
  Process *running = nullptr, *others = nullptr;
  auto take_next = [&] {
    registry::Lock hold;
    detached.renew();
    Process *ended = detached->take_ended();
    if (ended == nullptr)
      others = detached->take_others();
    return ended;
  };
  auto look_at = [&](Process *process) {
    if (process->has_ended()) {
      delete process;
    } else {
      process->next_detached_ = running;
      running = process;
    }
  };
  while (Process *process = take_next())
    look_at(process);
  while (others != nullptr)
    look_at(std::exchange(others, others->next_detached_));
  while (running != nullptr)
    std::exchange(running, running->next_detached_)->detach();
}

} // namespace gipc
