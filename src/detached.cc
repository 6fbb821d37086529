// Children whose Process was freed before they ended.
#include "process.h"

#include "os.h"

namespace gipc {

// Guarded by the registry's lock; void in a forked child, whose children they
// are not.
//
// A set of descriptors tells which of them have ended, so that a call costs the
// same with a thousand of them as with none.  Where there is no such set, they
// are looked at when some child of this process has ended.
struct Detached {
  static int set;        // -1: none
  static size_t in_set;  // how many are
  static Process *first; // those that are not in the set
  static uint32_t generation;

  // Under the lock.
  static void begin() noexcept {
    if (generation == generation::current())
      return;
    // The parent's set was closed with the rest, or is this child's to ignore.
    generation = generation::current();
    set = -1;
    in_set = 0;
    first = nullptr;
  }

  static void close_if_empty() noexcept {
    if (set >= 0 && in_set == 0)
      registry::drop(std::exchange(set, -1));
  }

  static void add(Process *process) noexcept {
    registry::Lock hold;
    begin();
    if (process->status_.exit_fd() >= 0) {
      Fd made;
      if (set < 0 && os::open_exit_set(made) == 0)
        set = registry::hold(std::move(made));
      if (set >= 0 &&
          os::enter_exit_set(set, process->status_.exit_fd(), process) == 0) {
        ++in_set;
        return;
      }
      close_if_empty();
    }
    process->next_detached_ = first;
    first = process;
  }

  // One that has ended, and is in the set no more; or nullptr.
  static Process *take_ended() noexcept {
    registry::Lock hold;
    begin();
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
  static Process *take_others() noexcept {
    registry::Lock hold;
    begin();
    return first != nullptr && os::some_child_ended()
               ? std::exchange(first, nullptr)
               : nullptr;
  }
};
int Detached::set = -1;
size_t Detached::in_set = 0;
Process *Detached::first = nullptr;
uint32_t Detached::generation = 0;

void Process::detach() noexcept { Detached::add(this); }

void Process::reap_detached() noexcept {
  Process *running = nullptr;
  auto look_at = [&](Process *process) {
    if (process->status_.reap_or_sleep()) {
      delete process;
    } else {
      process->next_detached_ = running;
      running = process;
    }
  };
  while (Process *process = Detached::take_ended())
    look_at(process);
  for (Process *next = Detached::take_others(); next != nullptr;)
    look_at(std::exchange(next, next->next_detached_));
  while (running != nullptr)
    Detached::add(std::exchange(running, running->next_detached_));
}

} // namespace gipc
