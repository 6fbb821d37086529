// What this process holds through this library, for the rules of fork: the
// descriptors that a child closes, the objects that it flushes at its end.
//
// The lock is held from before a fork that this library knows of until after
// it, in both processes, so that no handle of another thread is half made when
// the child looks.  A fork that it does not know of may leave the lock to a
// thread that the child does not have; the lock therefore carries the
// generation of its holder, and one of an older generation is void.
#pragma once

#include "fd.h"

#include <cstdint>
#include <vector>

struct ev_loop;

namespace gipc::registry {

// Recursive, because a runtime may collect garbage, handles among it, in its
// own at-fork hooks.
void lock() noexcept;
void unlock() noexcept;

class Lock {
public:
  Lock() noexcept { lock(); }
  ~Lock() { unlock(); }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;
};

// A descriptor that a forked child closes, unless it is passed.  To be made
// under the lock together with the descriptor itself.
class Held {
public:
  Held() = default;
  Held(const Held &) = delete;
  Held &operator=(const Held &) = delete;
  Held &operator=(Fd &&fd) noexcept;
  ~Held() { reset(); }

  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  void reset() noexcept;
  // It is somebody else's from now on.
  int release() noexcept;
  // In a child: it was passed, or closed with the others.
  void keep_in_child() noexcept;
  void forget() noexcept { (void)fd_.release(); }

private:
  Fd fd_;
};

// An object that has something to flush.
class Entry {
public:
  Entry() noexcept = default;
  Entry(const Entry &) = delete;
  Entry &operator=(const Entry &) = delete;
  // At the end of a child: waits until what is queued has been sent.
  virtual void flush_before_exit() noexcept = 0;

protected:
  virtual ~Entry() = default;
  // A constructor's last act, and that of an object which goes on in a child.
  void enter() noexcept;
  // A destructor's first act.
  void leave() noexcept;

private:
  friend struct List;
  Entry *previous_ = nullptr, *next_ = nullptr;
  uint32_t generation_ = 0;
};

// An object is on this loop from now on, or no more.
void enter_loop(struct ev_loop *loop) noexcept;
void leave_loop(struct ev_loop *loop) noexcept;

// In a forked child, with the parent's lock held: calls visit for each loop
// that objects are on, forgets all objects, closes all descriptors but those in
// keep, and releases the lock.
void forget_in_child(void (*visit)(struct ev_loop *) noexcept,
                     const std::vector<int> &keep) noexcept;
// Every object sends what it has queued.
void flush_all() noexcept;

// What a function child reports its end to; -1 in any other process.
int child_control() noexcept;
void set_child_control(int fd) noexcept;

} // namespace gipc::registry
