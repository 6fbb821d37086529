// The sending direction of a handle: a channel, the queue, and what a put
// answers.  Never waits but where its name says so.
#pragma once

#include "channel.h"
#include "driver.h"
#include "gipc.h"
#include "outbox.h"
#include "this_process.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <pthread.h>

namespace gipc {

class Sender {
public:
  enum class State {
    absent,   // this end has no such direction
    idle,     // a put goes on
    putting,  // a put has begun, and is not all sent
    waiting,  // a call of the blocking tier waits
    shutting, // to be closed when the queue has left
    failed,   // end() says why
    closed
  };
  class Using;

  Channel &channel() noexcept { return channel_; }
  const Channel &channel() const noexcept { return channel_; }
  State state() const noexcept {
    return state_.load(std::memory_order_relaxed);
  }
  bool is_open() const noexcept { return channel_.is_open(); }
  // What a put answers before anything else; 0: it goes on.
  int gate() const noexcept;
  // Why nothing can be sent any more; 0: something can.
  int end() const noexcept { return end_; }

  void open(Fd fd) noexcept;
  // The direction answers so from now on; its descriptor closes with close().
  void refuse() noexcept { set(State::closed); }
  void begin_shutdown() noexcept { set(State::shutting); }
  void close() noexcept;
  // A call that waits begins, and ends.
  void begin_wait() noexcept;
  void end_wait() noexcept;
  // The loop that it is on, or nullptr.
  Driver *driver() const noexcept { return driver_; }
  void set_driver(Driver *driver) noexcept;

  void set_limit(size_t limit) noexcept;
  void set_marks(size_t low, size_t high) noexcept;
  bool is_empty() const noexcept { return outbox_.empty(); }
  size_t queued() const noexcept { return outbox_.bytes(); }
  uint64_t messages() const noexcept { return outbox_.messages(); }
  // Whether a put was refused, and the queue is at the low mark again.
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
  // Sends what it can, whatever the gate says.
  int flush_step() noexcept;
  // The memory of a put that has begun is not to be read any more.
  void forget_put() noexcept;

  // ---- For the blocking tier, inside a Using
  int check_put(const void *data, size_t size) const noexcept;
  int begin_put(const void *data, size_t size) noexcept;
  // The put goes on from a copy.
  int copy_put(const void *data) noexcept;
  int step_put() noexcept;
  // 0: nothing of it was sent; 1: the rest of it is queued; or an error, after
  // which the put is still in progress, or the direction has failed.
  int cancel_put() noexcept;
  // A part of a message has left and the rest cannot: the stream ends there.
  int break_off(int why) noexcept;
  // Copies a message behind the queue, and sends nothing.
  int queue(const void *data, size_t size) noexcept {
    return outbox_.put(data, size);
  }
  // Sends until everything has left (0) or no more can (-EAGAIN, an error).
  int send_some() noexcept;
  // The same, but waits in the kernel; left by unwinding when the thread is
  // cancelled.
  int send_waiting();

  // A message of this size goes straight from the caller's memory.
  static bool is_large(size_t size) noexcept { return size >= large; }
  // What is worth one system call.
  static constexpr size_t batch = 256 * 1024;

  // ---- The way to a child
  // Around a fork that passes it: the end of this process, in another thread,
  // must not send meanwhile what the child is going to send.
  int begin_pass() noexcept;
  void end_pass() noexcept;
  void arrive_in_child(registry::Held &moved) noexcept;

  // ---- The end of this process, while its other threads may go on
  enum class Exit {
    ready,   // something can be sent
    moved,   // some of it was
    blocked, // not until the peer has read
    busy,    // another thread is in a put, which goes on to its end
    lost,    // there is something that cannot be sent
    done
  };
  static void begin_end_of_process() noexcept;
  static bool process_ends() noexcept {
    return ending_.load(std::memory_order_relaxed) == generation::current();
  }
  Exit begin_exit() noexcept;
  // One write.
  Exit send_at_exit() noexcept;

private:
  // A queue of this length is sent without waiting for the end of the turn.
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
  int queue_or_send(const void *data, size_t size) noexcept;

  // The process, by its generation, that ends.
  static std::atomic<uint32_t> ending_;

  // What every put reads comes first.
  Outbox outbox_;
  std::atomic<State> state_{State::absent};
  int end_ = 0;
  size_t limit_ = GIPC_DEFAULT_LIMIT;
  size_t low_ = 64 * 1024, high_ = 256 * 1024;
  size_t flush_at_ = flush_step_size; // the length that makes a put send
  size_t put_size_ = 0;               // of the put that is in progress
  Driver *driver_ = nullptr;
  Channel channel_;
  // The thread that uses this direction, or ends this process.
  std::atomic<pthread_t> user_{};
  bool refused_ = false; // a put
  bool exiting_ = false; // what is queued is being sent at the end
};

// While this thread uses the direction.  The end of the process, which may come
// in another thread at any moment, sends what is queued; it must not see a
// message half queued, nor send bytes twice.
class Sender::Using {
public:
  explicit Using(Sender &sender) noexcept : sender_(sender) {
    pthread_t none{};
    mine_ = sender.user_.compare_exchange_strong(none, pthread_self(),
                                                 std::memory_order_acquire);
  }
  ~Using() {
    if (mine_)
      sender_.user_.store(pthread_t{}, std::memory_order_release);
  }
  Using(const Using &) = delete;
  Using &operator=(const Using &) = delete;
  explicit operator bool() const noexcept { return mine_; }

private:
  Sender &sender_;
  bool mine_;
};

} // namespace gipc
