// Which process this is, and what it holds through this library, for the rules
// of fork: the descriptors that a child closes, the objects that it flushes at
// its end, and what it tells its own end through.
//
// Every object remembers the generation that owns it, so that its use in a
// process that inherited it by a fork, of whatever kind, is an error and never
// disturbs the owner's stream.  The number lives in a page that the kernel
// wipes in each forked child, so asking costs one load, and no at-fork handler
// has to be registered (those would forbid dlclose).
//
// No lock is held while a process forks, because a fork, with the hooks of a
// runtime around it, may take seconds.  A child may therefore see a descriptor
// of another thread that is not in the registry yet, or not any more.  While a
// fork is under way, each change is noted with the file it concerns; the parent
// tells the child what has changed, and the child closes those of these files
// that it has.
#pragma once

#include "fd.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

struct ev_loop;

namespace gipc::generation {

struct alignas(4096) Page {
  std::atomic<uint32_t> value;
  // The process that has begun to end.  Here, because a child writes the page
  // anyway.
  std::atomic<uint32_t> ending;
};
extern Page page;

uint32_t renew() noexcept;

inline uint32_t current() noexcept {
  uint32_t value = page.value.load(std::memory_order_relaxed);
  return __builtin_expect(value != 0, 1) ? value : renew();
}

} // namespace gipc::generation

namespace gipc {

// What belongs to one process.  In a forked child it is what the parent left,
// until it is made anew there.  Without a destructor, and under the registry's
// lock or where there is one thread.
template <typename T> class PerProcess {
public:
  bool is_own() const noexcept { return generation_ == generation::current(); }
  uint32_t owner() const noexcept { return generation_; }
  T *operator->() noexcept { return &value_; }
  // What it refers to is not released: that is the parent's.
  void renew() noexcept {
    if (is_own())
      return;
    new (&value_) T{};
    generation_ = generation::current();
  }

private:
  T value_{};
  uint32_t generation_ = 0;
};

} // namespace gipc

namespace gipc::registry {

// Sleeps while another thread holds it, and lends that thread its priority.
// Held while a descriptor is made and registered, and while the lists change.
// Recursive, because those nest.  In a forked child it is free, whoever held
// it in the parent.
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
  explicit Held(Fd &&fd) noexcept { *this = std::move(fd); }
  Held(const Held &) = delete;
  Held &operator=(const Held &) = delete;
  Held(Held &&other) noexcept : fd_(std::move(other.fd_)) {}
  Held &operator=(Held &&other) noexcept;
  Held &operator=(Fd &&fd) noexcept;
  ~Held() { reset(); }

  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  void reset() noexcept;
  // The caller owns it from now on.
  int release() noexcept;
  // In a child: it was passed; or it was closed with the others.
  void keep_in_child() noexcept;
  void forget() noexcept { (void)fd_.release(); }

private:
  Fd fd_;
};

// The same for a variable that may have no destructor.
int hold(Fd fd) noexcept;
void drop(int fd) noexcept;
// A connected pair of stream sockets.
int socket_pair(Held &one, Held &other) noexcept;
// For one that was made under the lock and is not to be registered: forks that
// are under way may have copied it.
void note_made(int fd) noexcept;
// Whether a child would close this descriptor.
bool holds(int fd) noexcept;

// An object that others ask for: a handle, which has something to flush, or a
// process.
enum class Kind : unsigned char { handle, process };
constexpr unsigned kinds = 2;

class Entry {
public:
  explicit Entry(Kind kind) noexcept : kind_(kind) {}
  Entry(const Entry &) = delete;
  Entry &operator=(const Entry &) = delete;

  // A number that no other object of this process has, or had.
  uint64_t id() const noexcept { return id_; }
  // When it was entered, on the monotonic clock.
  double since() const noexcept { return since_; }

protected:
  ~Entry() = default;
  // A constructor's last act, and that of an object which goes on in a child.
  // Under the lock, which the callers that make descriptors hold anyway.
  void enter() noexcept;
  // A destructor's first act.
  void leave() noexcept;

private:
  friend struct List;
  Entry *previous_ = nullptr, *next_ = nullptr;
  uint64_t id_ = 0;
  double since_ = 0;
  uint32_t generation_ = 0;
  const Kind kind_;
};

// The entries of a kind one after the other, under the lock.
Entry *first_entry(Kind kind) noexcept;
Entry *next_entry(const Entry *entry) noexcept;

// An object is on this loop from now on, or no more.
void enter_loop(struct ev_loop *loop) noexcept;
void leave_loop(struct ev_loop *loop) noexcept;
// Whether an object is on any loop but this one.
bool on_loop_beside(const struct ev_loop *loop) noexcept;

// ---- Forks -----------------------------------------------------------------

// A descriptor that was registered, or closed, while a fork was under way.
struct Change {
  uint64_t device, inode;
  int32_t fd;
  int32_t known; // 0: the file could not be asked
};

// Around the making of a descriptor that takes too long to be done under the
// lock: that of a program, which is there when the program has begun.
class Making {
public:
  Making() noexcept;
  ~Making();
  Making(const Making &) = delete;
  Making &operator=(const Making &) = delete;

private:
  uint64_t *place_ = nullptr;
};

// From before a fork until its parent has told the child what changed.
class ForkWindow {
public:
  ForkWindow() noexcept;
  ~ForkWindow() { close(); }
  ForkWindow(const ForkWindow &) = delete;
  ForkWindow &operator=(const ForkWindow &) = delete;

  // In the parent after the fork, under the lock, before it changes anything
  // itself: what no other thread had in the making, its child cannot have.
  void close_if_settled() noexcept;
  // Waits until other threads have registered what they were making when this
  // is called.  The number of changes so far; -ENOMEM: they could not all be
  // noted.
  int wait_until_settled() const noexcept;
  // Copies some of them.
  void copy(int first, Change *out, int count) const noexcept;

private:
  friend struct Windows;
  void close() noexcept;

  uint64_t begin_;
  ForkWindow *next_;
  uint32_t owner_; // the process that forks
  bool is_open_ = true;
};

// In a forked child: forgets all objects, and closes all descriptors but those
// in keep, which is sorted.  The number of loops that objects were on.
int forget_in_child(const std::vector<int> &keep) noexcept;
// Right after that: one of those loops.
struct ev_loop *inherited_loop(int index) noexcept;

// What a function child reports its end to; -1 in any other process.
int child_control() noexcept;
// has_lifeline: the end of the other end is a signal.
void set_child_control(int fd, bool has_lifeline) noexcept;
bool child_has_lifeline() noexcept;

} // namespace gipc::registry
