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
  // Returns the number of members that are ready.  Throws bad_alloc.
  int wait(Deadline deadline);
  // Stores one of them, and the directions in which it is ready.
  int next(Handle *&handle, Process *&process, int &directions) noexcept;
  // Async-signal-safe.
  int wake() noexcept;

private:
  struct Member {
    Membership membership;
    Handle *handle;
    Process *process;
    int wanted; // directions of a handle to wait for
    int ready;  // those that are ready; 1 for a process that has ended
  };

  WaitSet() = default;
  ~WaitSet() = default;

  int check_owner() const noexcept;
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
  size_t next_ = 0; // index of the member that next() checks first
  // The descriptors to poll: that of the waker, then those of the members, in
  // the order of sources_.
  struct Source {
    Member *member;
    int direction; // of a handle, or 1 for a process
  };
  std::vector<pollfd> fds_;
  std::vector<Source> sources_;
};

} // namespace gipc
