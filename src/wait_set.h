// Several handles and processes that one thread waits for without a loop.
#pragma once

#include "deadline.h"
#include "membership.h"
#include "this_process.h"
#include "waker.h"

#include <memory>
#include <poll.h>
#include <vector>

namespace gipc {

class Handle;
class Process;

class WaitSet {
public:
  // These three throw bad_alloc.
  static int create(WaitSet *&out);
  int add(Handle *handle, int directions);
  int add(Process *process);
  void free() noexcept;

  int remove(Handle *handle) noexcept;
  int remove(Process *process) noexcept;
  // The number of members that are ready.  Throws bad_alloc.
  int wait(Deadline deadline);
  // One of them, and whether it is ready to be read, written or both.
  int next(Handle *&handle, Process *&process, int &directions) noexcept;
  // Async-signal-safe.
  int wake() noexcept;

private:
  struct Member {
    Membership membership;
    Handle *handle;
    Process *process;
    int wanted; // directions of a handle
    int ready;  // of them; 1 for a process that has ended
  };

  WaitSet() = default;
  ~WaitSet() = default;

  int usable() const noexcept;
  Member *find(const Memberships &object) const noexcept;
  void admit(Memberships &object, Handle *handle, Process *process, int wanted);
  void remove_gone() noexcept;
  bool list_descriptors();
  int look() noexcept;
  int note_ready() noexcept;
  void clear_ready() noexcept;

  uint32_t owner_ = generation::current();
  Waker waker_;
  std::vector<std::unique_ptr<Member>> members_;
  size_t next_ = 0; // that next() looks at
  // What is polled: first the waker's, then for each member the descriptors
  // that it is waited for by, in the order of sources_.
  struct Source {
    Member *member;
    int direction; // of a handle; 1 for a process
  };
  std::vector<pollfd> fds_;
  std::vector<Source> sources_;
};

} // namespace gipc
