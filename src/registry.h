// The objects of this process that hold descriptors, for the rules of fork.
//
// The lock is held from before a fork that this library knows of until after
// it, in both processes, so that no handle of another thread is half made when
// the child looks at the list.  A fork that it does not know of may leave the
// lock to a thread that the child does not have; the lock therefore carries the
// generation of its holder, and one of an older generation is void.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

struct ev_loop;

namespace gipc::registry {

class Entry {
public:
  static constexpr int max_descriptors = 6;

  Entry() noexcept = default;
  Entry(const Entry &) = delete;
  Entry &operator=(const Entry &) = delete;
  // The descriptors it holds now, at most max_descriptors; their number.
  virtual int descriptors(int *out) const noexcept = 0;
  // The loop it is on, or NULL.
  virtual struct ev_loop *loop() const noexcept = 0;
  // At the end of a child: waits until what is queued has been sent.
  virtual void flush_before_exit() noexcept = 0;

protected:
  virtual ~Entry() = default;
  // A constructor's last act, and that of an object which goes on in a child:
  // from then on another thread may ask for its descriptors.
  void enter() noexcept;
  // A destructor's first act.
  void leave() noexcept;

private:
  friend struct List;
  Entry *previous_ = nullptr, *next_ = nullptr;
  uint32_t generation_ = 0;
};

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

// With the lock held: room for every descriptor there is.  -ENOMEM.
int reserve(std::vector<int> &out) noexcept;
// In a forked child, with the parent's lock held: forgets all objects, closes
// their descriptors but those in keep (sorted), and releases the lock.
// scratch is what reserve() filled.
// visit(loop) is called for each loop that objects are on.
void forget_in_child(void (*visit)(struct ev_loop *) noexcept,
                     std::vector<int> &scratch,
                     const std::vector<int> &keep) noexcept;
// Every object sends what it has queued.
void flush_all() noexcept;

// What a function child reports its end to; -1 in any other process.
int child_control() noexcept;
void set_child_control(int fd) noexcept;

} // namespace gipc::registry
