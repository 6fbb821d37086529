// One end of a pipe: a receiver, a sender or both, and their life.
#pragma once

#include "deadline.h"
#include "driver.h"
#include "fd.h"
#include "gipc.h"
#include "membership.h"
#include "receiver.h"
#include "relaxed.h"
#include "sender.h"
#include "this_process.h"
#include "trace.h"
#include "waker.h"

#include <atomic>
#include <memory>

namespace gipc {

class Handle final : public registry::Entry {
public:
  // These two throw bad_alloc.
  static int pipe(bool duplex, Handle *&a, Handle *&b);
  // memory: that of a ring which the reader reads, or -1.
  static int open(int read_fd, int write_fd, Handle *&out, int memory = -1);

  int close() noexcept;
  // Waits until the queue is written, then closes in any case.
  int close_within(Deadline deadline);
  int shutdown() noexcept;
  // Deletes the handle: now, or when the last callback has returned and the
  // queue is written.
  void free() noexcept;

  // ---- State
  // 0, or the error that every call returns.
  int check_open() const noexcept;
  // Whether this process owns the handle.  False in a child that the
  // application forked, and that runs the same loop.
  bool is_owned() const noexcept { return owner_ == generation::current(); }
  bool is_closing() const noexcept { return life_ == Life::lingering; }
  // Whether a blocking call, a put_start() or a get_into() is in progress.
  bool operation_in_progress() const noexcept;
  int fd(int direction) const noexcept;
  int directions() const noexcept;
  int set_limit(size_t limit) noexcept;
  int set_read_limit(size_t bytes) noexcept;
  int set_marks(size_t low, size_t high) noexcept;
  int set_budget(size_t messages, size_t bytes) noexcept;
  int set_transport(int transport) noexcept;
  int pending(int direction, size_t &bytes) noexcept;
  int stats(gipc_stats &out) const noexcept;
  // For any thread, under the registry's lock.
  void describe(gipc_handle_entry &out) const noexcept;
  int set_user(void *user) noexcept;
  void *user() const noexcept { return user_; }

  // ---- Wait sets
  Memberships &memberships() noexcept { return memberships_; }
  bool is_started() const noexcept { return sender_.driver() != nullptr; }
  // Those of the directions in which a call returns a result at once, whether
  // or not the descriptor is ready.
  int ready_without_waiting(int directions) noexcept;

  // ---- Interrupting a blocking call
  int set_interruptible(bool on); // throws bad_alloc
  int interrupt() noexcept;

  // ---- Step tier
  int try_get(View &out) noexcept {
    int error = is_owned() ? receiver_.gate() : GIPC_EWRONGPROC;
    if (__builtin_expect(error != 0, 0))
      return error;
    int result = receiver_.next(out);
    if (trace::is_on())
      note_get(result, out.size);
    return result;
  }
  int next_size(size_t &size) noexcept;
  int get_into(void *buffer, size_t capacity, size_t &size) noexcept;
  int get_cancel() noexcept;
  int try_put(const void *data, size_t size) noexcept {
    // Other messages are queued, and this one is written together with them.
    if (__builtin_expect(sender_.is_quick(data, size) && is_owned(), 1)) {
      sender_.put_quickly(data, size);
      if (trace::is_on())
        note_put(0, size);
      return 0;
    }
    int result = is_owned() ? sender_.try_put(data, size) : GIPC_EWRONGPROC;
    if (trace::is_on())
      note_put(result, size);
    return result;
  }
  int put_start(const void *data, size_t size) noexcept;
  int read_ahead() noexcept;
  int put_step() noexcept;
  int put_cancel() noexcept;
  int flush_step() noexcept;
  int try_put_with(const void *data, size_t size, const int *fds,
                   size_t count) noexcept;
  int try_put_with(const void *data, size_t size,
                   const KeptDescriptors &with) noexcept;
  int take_descriptors(int *fds, size_t room) noexcept;
  // Puts a message in which handles move, and descriptors go.
  struct Moved {
    Handle *const *handles;
    size_t count;
  };
  int try_put_moving(const void *data, size_t size, const Moved &moved,
                     const int *fds, size_t count) noexcept;
  // Opens the next handle of the message that was returned last.  -ENOENT:
  // there is none.  Throws bad_alloc.
  int take_handle(Handle *&out);

  // ---- Blocking tier: unwound when the thread is cancelled
  int get(Deadline deadline, View &out);
  int put(const void *data, size_t size, Deadline &deadline);
  int put_with(const void *data, size_t size, const int *fds, size_t count,
               Deadline &deadline);
  int put_moving(const void *data, size_t size, const Moved &moved,
                 const int *fds, size_t count, Deadline &deadline);
  int put_many(const gipc_message *messages, size_t count, Deadline deadline,
               size_t &accepted);
  int flush(Deadline deadline);

  // ---- While trace::is_on(): the result of a call
  __attribute__((cold)) void note_get(int result, size_t size) noexcept;
  // -EAGAIN: the put has to wait, or is refused.
  __attribute__((cold)) void note_put(int result, size_t size) noexcept;

  // ---- For the push tier
  Receiver &receiver() noexcept { return receiver_; }
  Sender &sender() noexcept { return sender_; }
  Driver *driver() const noexcept { return sender_.driver(); }
  void set_driver(Driver *driver) noexcept;
  size_t budget_messages() const noexcept { return budget_messages_; }
  size_t budget_bytes() const noexcept { return budget_bytes_; }
  // Whether a callback of this handle runs, which may use a view of a message.
  bool in_callback() const noexcept { return callbacks_ > 0; }
  void begin_callback() noexcept { ++callbacks_; }
  // True for the outermost callback.
  bool end_callback() noexcept { return --callbacks_ == 0; }
  // Completes a close or a shutdown that waited for the queue.  True if there
  // was one.
  bool finish_closing() noexcept;
  // Called after the last callback, and after the queue was written.
  void delete_if_done() noexcept;

  // ---- Passing to a child
  // Whether the handle may be passed: 0 or an error.  Buffered bytes cannot be
  // passed to a program child.
  int check_pass(bool exec) const noexcept;
  // Called before and after a fork that passes the handle: while the child may
  // own the queue, the end of this process in another thread must not write it,
  // and no thread leaves the ring.
  int begin_pass() noexcept;
  void end_pass() noexcept;
  // A child gets a copy of this descriptor, and not as a handle: a handle that
  // has it leaves its ring, and uses none from now on.  0; -EBUSY: messages are
  // in the ring; GIPC_ELOCKED.
  static int make_plain(int fd) noexcept;
  // Called before a program child is started with the handle's descriptors.
  // memory is one more that it needs, or -1.
  int prepare_exec(int &memory) noexcept;
  // One that a function child may keep, or -1.
  int descriptor_of_memory() const noexcept {
    return receiver_.channel().descriptor_of_memory();
  }
  // In the parent, once the child owns the handle.
  void give_away() noexcept;
  void give_to_program() noexcept;
  // In the child: makes this process the owner.  read and write are the
  // descriptors to use instead, where they were moved to other numbers.
  // kept_memory: the child has kept descriptor_of_memory().
  void arrive_in_child(registry::Held &read, registry::Held &write,
                       bool kept_memory) noexcept;
  // In a child whose setup failed: closes the descriptors only, because the
  // parent still owns the handle.
  void close_in_child() noexcept;

  // At the end of this process: writes the queues of all its handles.  Gives up
  // when no byte was written for patience seconds (< 0: never).  False: some
  // bytes were not written.
  static bool flush_all(double patience) noexcept;

private:
  enum class Life {
    open,
    lingering, // closed for the user, while the loop writes the queue
    closed
  };

  Handle() noexcept;
  ~Handle();

  void enter_list() noexcept;
  void close_now() noexcept;
  void shutdown_now() noexcept;
  int check_get() const noexcept {
    return is_owned() ? receiver_.gate() : GIPC_EWRONGPROC;
  }
  int check_put() const noexcept {
    return is_owned() ? sender_.gate() : GIPC_EWRONGPROC;
  }

  class Waiting;
  class Putting;
  int interrupted() noexcept;
  int wait(const pollfd &what, pollfd *more, Deadline &deadline);
  int wait_to_get(Deadline &deadline);
  int wait_to_put(Deadline &deadline);
  int put_waiting(const void *data, size_t size, Deadline &deadline, int &why);
  // It waits: the usual put needs none of its registers.
  __attribute__((noinline)) int finish_put(const void *data, Deadline &deadline,
                                           int &why);
  int check_put_with(const int *fds, size_t count) const noexcept;
  struct Attached;
  int check_move(const Handle &moved) const noexcept;
  int attach(Handle &moved, size_t number, Attached &to) noexcept;
  int attach_all(const Moved &moved, const int *fds, size_t count,
                 Attached &to) noexcept;
  int queue_many(const gipc_message *messages, size_t count, Deadline &deadline,
                 size_t &accepted);
  int send_all(Deadline &deadline);

  Handle *other_end() const noexcept;
  void end_pair() noexcept;
  bool is_read_here() const noexcept;
  Sender::Exit flush_at_exit() noexcept;

  // The members that every call reads come first.
  uint32_t owner_ = generation::current();
  Relaxed<Life> life_ = Life::open;
  Sender sender_;
  Receiver receiver_;
  bool freed_ = false;
  int callbacks_ = 0; // number of callbacks that are running
  uint64_t pair_ = 0; // the same at both ends of a pipe of this library
  void *user_ = nullptr;
  Relaxed<double> used_at_ = -1; // -1: not since that is noted
  Memberships memberships_;
  std::unique_ptr<Waker> waker_; // set if the handle can be interrupted
  size_t budget_messages_ = 4096, budget_bytes_ = 256 * 1024;
};

} // namespace gipc
