// One end of a pipe: a receiver, a sender or both, and their life.
#pragma once

#include "deadline.h"
#include "driver.h"
#include "fd.h"
#include "gipc.h"
#include "membership.h"
#include "receiver.h"
#include "sender.h"
#include "this_process.h"
#include "waker.h"

#include <atomic>
#include <memory>

namespace gipc {

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

  // ---- State
  // 0, or why no call goes on.
  int check_open() const noexcept;
  // Not so in a child that the application forked, and that runs the same loop.
  bool is_ours() const noexcept { return owner_ == generation::current(); }
  bool is_closing() const noexcept { return life_ == Life::lingering; }
  // Whether a call that waits, a put or a get into memory of the caller has
  // begun and not ended.
  bool operation_in_progress() const noexcept;
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
  bool is_started() const noexcept { return sender_.driver() != nullptr; }
  // Of these directions, those that answer at once, whatever a descriptor says.
  int ready_without_waiting(int directions) noexcept;

  // ---- Ending a wait from outside
  int set_interruptible(bool on); // throws bad_alloc
  int interrupt() noexcept;

  // ---- Step tier
  int try_get(View &out) noexcept {
    int error = is_ours() ? receiver_.gate() : GIPC_EWRONGPROC;
    return __builtin_expect(error != 0, 0) ? error : receiver_.next(out);
  }
  int next_size(size_t &size) noexcept;
  int get_into(void *buffer, size_t capacity, size_t &size) noexcept;
  int get_cancel() noexcept;
  int try_put(const void *data, size_t size) noexcept {
    // Behind other messages, which whatever sends them sends this one with.
    if (__builtin_expect(sender_.is_quick(data, size) && is_ours(), 1)) {
      sender_.put_quickly(data, size);
      return 0;
    }
    return is_ours() ? sender_.try_put(data, size) : GIPC_EWRONGPROC;
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

  // ---- For what is above: the loop that the handle is on
  Receiver &receiver() noexcept { return receiver_; }
  Sender &sender() noexcept { return sender_; }
  Driver *driver() const noexcept { return sender_.driver(); }
  void set_driver(Driver *driver) noexcept;
  size_t budget_messages() const noexcept { return budget_messages_; }
  size_t budget_bytes() const noexcept { return budget_bytes_; }
  // A callback that was given the handle, and a message in it, runs.
  bool in_callback() const noexcept { return callbacks_ > 0; }
  void begin_callback() noexcept { ++callbacks_; }
  // True for the outermost one.
  bool end_callback() noexcept { return --callbacks_ == 0; }
  // What was closed while its queue was left is closed now; true if something
  // was.
  bool finish_closing() noexcept;
  // After the last callback, or the last byte.
  void delete_if_done() noexcept;

  // ---- Moves
  // Whether it may be passed: 0 or an error.  An exec'd child cannot be given
  // what is buffered here.
  int check_pass(bool exec) const noexcept;
  // Around a fork that passes it: the end of this process, in another thread,
  // must not send meanwhile what the child is going to send.
  int begin_pass() noexcept { return sender_.begin_pass(); }
  void end_pass() noexcept { sender_.end_pass(); }
  // In the parent, once the child has it.
  void give_away() noexcept { close_now(); }
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
  enum class Life {
    open,
    lingering, // closed for the user, while the queue leaves
    closed
  };

  Handle() noexcept;
  ~Handle();

  void close_now() noexcept;
  void shutdown_now() noexcept;
  int check_get() const noexcept {
    return is_ours() ? receiver_.gate() : GIPC_EWRONGPROC;
  }
  int check_put() const noexcept {
    return is_ours() ? sender_.gate() : GIPC_EWRONGPROC;
  }

  class Waiting;
  class Putting;
  int interrupted() noexcept;
  int wait(const pollfd &what, pollfd *more, Deadline &deadline);
  int wait_to_get(Deadline &deadline);
  int wait_to_put(Deadline &deadline);
  int put_waiting(const void *data, size_t size, Deadline &deadline, int &why);
  int queue_many(const gipc_message *messages, size_t count, Deadline &deadline,
                 size_t &taken);
  int send_all(Deadline &deadline);

  bool is_read_here() const noexcept;
  Sender::Exit flush_at_exit() noexcept;

  // What every call reads comes first.
  uint32_t owner_ = generation::current();
  Life life_ = Life::open;
  Sender sender_;
  Receiver receiver_;
  bool freed_ = false;
  int callbacks_ = 0; // that are running now
  uint64_t pair_ = 0; // the same at both ends of a pipe of this library
  void *user_ = nullptr;
  Memberships memberships_;
  std::unique_ptr<Waker> waker_; // of a handle that can be interrupted
  size_t budget_messages_ = 4096, budget_bytes_ = 256 * 1024;
};

} // namespace gipc
