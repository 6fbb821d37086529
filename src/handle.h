// One end of a pipe: descriptors, inbox, outbox, and a loop when it is started.
#pragma once

#include "deadline.h"
#include "fd.h"
#include "gipc.h"
#include "inbox.h"
#include "membership.h"
#include "outbox.h"
#include "stream.h"
#include "this_process.h"
#include "waker.h"

#include <atomic>
#include <memory>
#include <pthread.h>
#include <vector>

namespace gipc {

class Push;

class Handle final : public registry::Entry {
public:
  // These two throw bad_alloc.
  static int pipe(bool duplex, Handle *&a, Handle *&b);
  static int open(int read_fd, int write_fd, Handle *&out);

  int close() noexcept;
  // Waits for the queue, then closes whatever became of it.
  int close_within(Deadline deadline);
  int shutdown() noexcept;
  // Deletes it, now or when its last callback has returned and its last byte
  // has left.
  void free() noexcept;

  int fd(int direction) const noexcept;
  int directions() const noexcept;
  int set_limit(size_t limit) noexcept;
  int set_read_limit(size_t bytes) noexcept;
  int set_marks(size_t low, size_t high) noexcept;
  int set_budget(size_t messages, size_t bytes) noexcept;
  int pending(int direction, size_t &bytes) const noexcept;
  int stats(gipc_stats &out) const noexcept;
  int set_user(void *user) noexcept;
  void *user() const noexcept { return user_; }

  // ---- Waiting for several
  Memberships &memberships() noexcept { return memberships_; }
  bool is_started() const noexcept { return push_ != nullptr; }
  // Of these directions, those that answer at once, whatever a descriptor says.
  int ready_without_waiting(int directions) noexcept;

  // ---- Ending a wait from outside
  int set_interruptible(bool on); // throws bad_alloc
  int interrupt() noexcept;

  // ---- Step tier
  int try_get(View &out) noexcept {
    int error = usable(get_gate_);
    return error != 0 ? error : take(out);
  }
  int next_size(size_t &size) noexcept;
  int get_into(void *buffer, size_t capacity, size_t &size) noexcept;
  int get_cancel() noexcept;
  int try_put(const void *data, size_t size) noexcept {
    // Behind other messages, which whatever sends them sends this one with.
    if (__builtin_expect(size <= easy_size_ && data != nullptr &&
                             outbox_.tail() + frame::short_header + size <=
                                 easy_tail_ &&
                             is_ours(),
                         1)) {
      outbox_.append(data, size);
      return 0;
    }
    return try_put_slow(data, size);
  }
  int put_start(const void *data, size_t size) noexcept;
  int read_ahead() noexcept;
  int put_step() noexcept;
  int put_cancel() noexcept;
  int flush_step() noexcept;

  // ---- Blocking tier: left by unwinding when the thread is cancelled.
  int get(Deadline deadline, View &out);
  int put(const void *data, size_t size, Deadline &deadline);
  int put_many(const gipc_message *messages, size_t count, Deadline deadline,
               size_t &taken);
  int flush(Deadline deadline);

  // ---- Push tier, in push.cc
  int start(struct ev_loop *loop, const gipc_events &events, void *user);
  int stop() noexcept;
  int pause() noexcept;
  int resume() noexcept;

  // ---- Moves
  // Whether it may be passed: 0 or an error.  An exec'd child cannot be given
  // what is buffered here.
  int check_pass(bool exec) const noexcept;
  // Around a fork that passes it: the end of this process, in another thread,
  // must not send meanwhile what the child is going to send.
  int begin_pass() noexcept;
  void end_pass() noexcept;
  // In the parent, once the child has it.
  void give_away() noexcept;
  // In the child, with its descriptors there where they are others; the handle
  // is this process's from now on.
  void arrive_in_child(registry::Held &read, registry::Held &write) noexcept;
  // In a child that cannot begin: the descriptors are closed, the rest is the
  // parent's.
  void close_in_child() noexcept;

  // At the end of this process: sends what all its handles have queued, until
  // for patience seconds (< 0: for ever) not a byte has gone.  False: something
  // is left.
  static bool flush_all(double patience) noexcept;

private:
  friend class Push;
  // A queue of this length is sent without waiting for the end of the turn.
  static constexpr size_t flush_step_size = 64 * 1024;
  // From this size a message goes straight from the caller's memory.
  static constexpr size_t large = 32 * 1024;
  // What one call of the step tier moves at most, so that a fast peer cannot
  // keep it busy; the descriptor stays ready, and the caller comes again.
  static constexpr size_t per_call = 1024 * 1024;

  Handle() noexcept;
  void attach(Fd read, const Stream &in, Fd write, const Stream &out) noexcept;
  ~Handle();

  int usable(const std::atomic<int> &gate) const noexcept {
    if (__builtin_expect(owner_ != generation::current(), 0))
      return GIPC_EWRONGPROC;
    return gate.load(std::memory_order_relaxed);
  }
  // Not so in a child that the application forked, and that runs the same loop.
  bool is_ours() const noexcept { return owner_ == generation::current(); }
  int open_somewhere() const noexcept;
  bool operation_in_progress() const noexcept;
  void update_gates() noexcept;
  void close_now() noexcept;
  void shutdown_now() noexcept;
  void delete_if_done() noexcept;

  int take(View &out) noexcept {
    int result = inbox_.next(limit_, out);
    return __builtin_expect(result == 0, 1) ? 0 : take_slow(result, out);
  }
  int take_slow(int result, View &out) noexcept;
  int next_received(View &out) noexcept;
  int note_broken(int result) noexcept;
  ssize_t receive(size_t most = SIZE_MAX) noexcept;
  ssize_t received(ssize_t size) noexcept;
  ssize_t receive_waiting();

  int put_error(const void *data, size_t size) const noexcept;
  int try_put_slow(const void *data, size_t size) noexcept;
  int put_large(const void *data, size_t size) noexcept;
  int copy_borrowed(const void *data) noexcept;
  int break_off(int why) noexcept;
  int send_some() noexcept;
  int sent(ssize_t size) noexcept;
  int send_waiting();
  int send_at_once() noexcept;
  int send_step() noexcept;
  int send_all(Deadline &deadline);
  int flush_waiting(Deadline &deadline);
  int queue_or_send(const void *data, size_t size) noexcept;
  int begin_put(const void *data, size_t size) noexcept;
  int step_put() noexcept;
  int cancel_put() noexcept;
  class Borrowing;
  int put_waiting(const void *data, size_t size, Deadline &deadline, int &why);
  int queue_many(const gipc_message *messages, size_t count, Deadline &deadline,
                 size_t &taken);
  class Sending;
  // The process, by its generation, in which flush_all() was called.
  static std::atomic<uint32_t> ending_;
  enum class Exit { done, lost, blocked, busy, moved };
  Exit flush_at_exit() noexcept;
  bool read_here() const noexcept;
  class Waiting;
  size_t wants_ahead() noexcept;
  int interrupted(const std::atomic<int> &gate) noexcept;
  int wait(int direction, Deadline &deadline);

  // What every call reads comes first.
  uint32_t owner_ = generation::current();
  std::atomic<int> get_gate_{0}; // what a get answers; 0: go on
  std::atomic<int> put_gate_{0};
  // A put of this size, that leaves the tail of the queue here, is a copy and
  // nothing else; 0 when something has to be looked at first.
  size_t easy_size_ = 0, easy_tail_ = 0;
  size_t limit_ = GIPC_DEFAULT_LIMIT;
  size_t high_ = 256 * 1024, low_ = 64 * 1024;
  size_t flush_at_; // the length of the queue that makes a put send
  Push *push_ = nullptr;
  Inbox inbox_;
  Outbox outbox_;

  registry::Held read_, write_;
  Stream in_, out_;
  int read_end_ = 0, write_end_ = 0; // why a direction is over, for good
  bool readable_ = false, writable_ = false; // from its creation
  std::atomic<bool> waiting_{false};         // in a blocking call
  // The thread that uses the writing direction, or ends this process.
  std::atomic<pthread_t> sender_{};
  bool exiting_ = false; // what is queued is being sent by flush_all()
  uint64_t pair_ = 0;    // the same at both ends of a pipe of this library
  bool put_borrowed_ = false;
  size_t put_size_ = 0;   // of the put that is in progress
  bool refused_ = false;  // a put; on_drain is due
  bool closing_ = false;  // closed for the user, while the queue leaves
  bool shutting_ = false; // the same for the writing direction
  bool freed_ = false;
  int callbacks_ = 0; // that are running now
  void *user_ = nullptr;
  Memberships memberships_;
  std::unique_ptr<Waker> waker_; // of a handle that can be interrupted
  size_t read_limit_ = GIPC_DEFAULT_READ_LIMIT; // of receiving ahead
  size_t budget_messages_ = 4096, budget_bytes_ = 256 * 1024;
  uint64_t reads_ = 0, writes_ = 0, bytes_in_ = 0;
  std::atomic<uint64_t> bytes_out_{0}; // read by flush_all() of any thread
};

// While this thread uses the writing direction.  The end of the process, which
// may come in another thread at any moment, sends what is queued; it must not
// see a message half queued, nor send bytes twice.
class Handle::Sending {
public:
  explicit Sending(Handle &handle) noexcept : handle_(handle) {
    pthread_t none{};
    mine_ = handle.sender_.compare_exchange_strong(none, pthread_self(),
                                                   std::memory_order_acquire);
  }
  ~Sending() {
    if (mine_)
      handle_.sender_.store(pthread_t{}, std::memory_order_release);
  }
  Sending(const Sending &) = delete;
  Sending &operator=(const Sending &) = delete;
  explicit operator bool() const noexcept { return mine_; }

private:
  Handle &handle_;
  bool mine_;
};

inline int Handle::put_error(const void *data, size_t size) const noexcept {
  if (int error = usable(put_gate_))
    return error;
  if (size > limit_)
    return GIPC_ETOOBIG;
  return size > PTRDIFF_MAX || (data == nullptr && size > 0) ? -EINVAL : 0;
}

} // namespace gipc
