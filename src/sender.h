// The sending direction of a handle: a channel, the write queue, and the state
// that decides what a put returns.  Only send_waiting() blocks.
#pragma once

#include "channel.h"
#include "descriptors.h"
#include "driver.h"
#include "gipc.h"
#include "outbox.h"
#include "relaxed.h"
#include "this_process.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <pthread.h>

namespace gipc {

class Sender {
public:
  enum class State {
    absent,   // this end has no such direction
    idle,     // a put may proceed
    putting,  // a put_start() is in progress
    waiting,  // a call of the blocking tier waits
    shutting, // to be shut down when the queue is written
    failed,   // end() is the error
    closed
  };
  class TryLock;

  Channel &channel() noexcept { return channel_; }
  const Channel &channel() const noexcept { return channel_; }
  State state() const noexcept {
    return state_.load(std::memory_order_relaxed);
  }
  bool is_open() const noexcept { return channel_.is_open(); }
  // The error that a put returns in this state; 0: it may proceed.  The usual
  // answer is inline, because put_many asks for each message.
  int gate() const noexcept {
    return state() == State::idle && !process_ends() ? 0 : refusal();
  }
  // The reason why no more bytes can be written; 0: they can.
  int end() const noexcept { return end_; }

  void open(Fd fd) noexcept;
  // From now on calls return GIPC_ECLOSED; close() closes the descriptor.
  void refuse() noexcept { set(State::closed); }
  void begin_shutdown() noexcept { set(State::shutting); }
  // Under the registry's lock: flush_all() may use the channel in another
  // thread.
  void close() noexcept;
  // Called at the begin and the end of a wait in the blocking tier.
  void begin_wait() noexcept;
  void end_wait() noexcept;
  // nullptr if the handle is not started on a loop.
  Driver *driver() const noexcept { return driver_; }
  void set_driver(Driver *driver) noexcept;

  void set_limit(size_t limit) noexcept;
  void set_marks(size_t low, size_t high) noexcept;
  bool is_empty() const noexcept { return outbox_.empty(); }
  size_t queued() const noexcept { return outbox_.bytes(); }
  size_t seen_queued() const noexcept { return outbox_.seen_bytes(); }
  uint64_t messages() const noexcept { return outbox_.messages(); }
  // Whether a put was refused, and the queue has reached the low water mark.
  bool is_drained() const noexcept {
    return refused_ && end_ == 0 && outbox_.bytes() <= low_ &&
           state() != State::shutting && state() != State::closed;
  }
  void forget_refusal() noexcept { refused_ = false; }

  // ---- Step tier
  bool is_quick(const void *data, size_t size) const noexcept {
    return outbox_.is_quick(data, size);
  }
  void put_quickly(const void *data, size_t size) noexcept {
    outbox_.append(data, size);
  }
  int try_put(const void *data, size_t size) noexcept;
  int put_start(const void *data, size_t size) noexcept;
  int put_step() noexcept;
  int put_cancel() noexcept;
  // Of the message of the last put_start() that did not end at once.
  size_t put_size() const noexcept { return put_size_; }
  // A copy of the message and of the descriptors is queued, if it cannot be
  // written at once.
  int try_put_with(const void *data, size_t size, const int *fds,
                   uint32_t count) noexcept;
  // Writes queued bytes in every state, also while a put is in progress.
  int flush_step() noexcept;
  // Drops the put in progress: its memory is not read any more.
  void forget_put() noexcept;

  // ---- For the blocking tier, which holds a TryLock
  int check_put(const void *data, size_t size) const noexcept {
    if (int error = gate())
      return error;
    if (size > limit_)
      return GIPC_ETOOBIG;
    return size > PTRDIFF_MAX || (data == nullptr && size > 0) ? -EINVAL : 0;
  }
  int begin_put(const void *data, size_t size) noexcept;
  int begin_put_with(const void *data, size_t size, const int *fds,
                     uint32_t count) noexcept;
  // Copies the borrowed message, so that the caller's memory may change.
  int copy_put(const void *data) noexcept;
  int step_put() noexcept;
  // 0: no byte of the message was written; 1: the remaining bytes are queued;
  // or an error, after which the put is still in progress, or the direction has
  // failed.
  int cancel_put() noexcept;
  // Fails the direction permanently, because the remaining bytes of a partly
  // written message are lost.
  int fail_with(int why) noexcept;
  // Appends a copy of a message to the queue, and writes nothing.
  int queue(const void *data, size_t size) noexcept {
    return outbox_.put(data, size);
  }
  // Writes the queue.  0: it is empty.  -EAGAIN, or an error: no more can be
  // written.
  int send_some() noexcept;
  // The same, but waits in the kernel; unwound when the thread is cancelled.
  int send_waiting();

  // Whether a message is written straight from the caller's memory.
  static bool is_large(size_t size) noexcept { return size >= large; }
  // The number of queued bytes at which a batch is written.
  static constexpr size_t batch = 256 * 1024;

  // Whether the queue has messages with descriptors.
  bool has_descriptors() const noexcept { return descriptors_ != nullptr; }

  // ---- Passing to a child
  void arrive_in_child(registry::Held &moved) noexcept;
  // Of another process.
  void forget() noexcept;

  // ---- The end of this process, while its other threads may still run
  enum class Exit {
    ready,   // queued bytes can be written
    moved,   // some were written
    blocked, // the peer must read first
    busy,    // another thread is in a put, which is left to finish
    lost,    // some bytes cannot be written
    done
  };
  static void begin_end_of_process() noexcept {
    generation::page.ending.store(generation::current(),
                                  std::memory_order_relaxed);
  }
  static bool process_ends() noexcept {
    return generation::page.ending.load(std::memory_order_relaxed) ==
           generation::current();
  }
  Exit begin_exit() noexcept;
  // One write.
  Exit send_at_exit() noexcept;

private:
  int refusal() const noexcept;

  // A queue of this length is written without waiting for the end of the loop
  // iteration.
  static constexpr size_t flush_step_size = 64 * 1024;
  static_assert(batch >= flush_step_size, "a batch is several steps");
  static constexpr size_t large = 32 * 1024;

  void set(State state) noexcept {
    outbox_.close_quick();
    state_.store(state, std::memory_order_relaxed);
  }
  void settle() noexcept { set(end_ != 0 ? State::failed : State::idle); }
  int sent(ssize_t size) noexcept;
  int send_at_once() noexcept;
  int put_large(const void *data, size_t size) noexcept;
  int put_in_ring(const void *data, size_t size) noexcept;
  int queue_or_send(const void *data, size_t size) noexcept;
  int queue_with(const void *data) noexcept;
  int borrow_with(const void *data, size_t size, const int *fds,
                  uint32_t count) noexcept;
  ssize_t write(const iovec *areas, int count) noexcept {
    return __builtin_expect(descriptors_ == nullptr, 1)
               ? channel_.write(areas, count)
               : write_with(areas, count);
  }
  ssize_t write_with(const iovec *areas, int count) noexcept;
  bool is_refusal(ssize_t size) noexcept;
  void written(size_t size) noexcept;
  void drop_last() noexcept;
  int end_refused(int result) noexcept;

  // The members that every put reads come first.
  Outbox outbox_;
  std::atomic<State> state_{State::absent};
  Relaxed<int> end_ = 0;
  size_t limit_ = GIPC_DEFAULT_LIMIT;
  size_t low_ = 64 * 1024, high_ = 256 * 1024;
  size_t flush_at_ = flush_step_size; // queue length at which a put writes
  size_t put_size_ = 0;               // size of the message of put_start()
  uint32_t put_with_ = 0;             // number of its descriptors
  Relaxed<Driver *> driver_ = nullptr;
  Channel channel_;
  // Those of queued messages; nullptr: there are none.
  std::unique_ptr<DescriptorQueue> descriptors_;
  bool refused_ = false; // true after a refused put, until on_drain
  bool exiting_ = false; // true while the queue is written at process end
};

// A lock on the direction that is not waited for, which the thread that ends
// the process has, too.  The process may end in another thread at any moment,
// and then writes the queue; the lock prevents that it sees a message half
// queued, or writes bytes twice.
class Sender::TryLock {
public:
  explicit TryLock(Sender &sender) noexcept
      : sender_(sender), held_(sender.channel_.begin_use()) {}
  ~TryLock() {
    if (held_)
      sender_.channel_.end_use();
  }
  TryLock(const TryLock &) = delete;
  TryLock &operator=(const TryLock &) = delete;
  explicit operator bool() const noexcept { return held_; }

private:
  Sender &sender_;
  bool held_;
};

} // namespace gipc
