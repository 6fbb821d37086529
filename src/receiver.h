// The receiving direction of a handle: a channel, the messages received, and
// what a get answers.  Never waits but where its name says so.
#pragma once

#include "channel.h"
#include "gipc.h"
#include "inbox.h"

#include <atomic>
#include <cstddef>

namespace gipc {

class Receiver {
public:
  enum class State {
    absent,  // this end has no such direction
    idle,    // a get goes on
    into,    // a message is on its way to memory of the caller
    waiting, // a call of the blocking tier waits
    pushed,  // a loop delivers the messages
    closed
  };

  Channel &channel() noexcept { return channel_; }
  const Channel &channel() const noexcept { return channel_; }
  State state() const noexcept {
    return state_.load(std::memory_order_relaxed);
  }
  bool is_open() const noexcept { return channel_.is_open(); }
  // What a get answers before anything else; 0: it goes on.
  int gate() const noexcept {
    return __builtin_expect(state() == State::idle, 1) ? 0 : answer();
  }
  // Why there will be no more bytes; 0: there may be.
  int end() const noexcept { return end_; }

  void open(Fd fd) noexcept;
  // The direction answers so from now on; its descriptor closes with close().
  void refuse() noexcept { set(State::closed); }
  void close() noexcept;
  // A call that waits begins, and ends.
  void begin_wait() noexcept;
  void end_wait() noexcept;
  // A loop has it, or has it no more.
  void push(bool on) noexcept;

  void set_limit(size_t limit) noexcept { limit_ = limit; }
  void set_ahead_limit(size_t bytes) noexcept { ahead_limit_ = bytes; }
  size_t held() const noexcept { return inbox_.bytes(); }
  uint64_t messages() const noexcept { return inbox_.messages(); }
  // Whether this is a message, or a part of one, that a get returned.
  bool lends(const void *data) const noexcept { return inbox_.lends(data); }
  // Whether next() answers something else than -EAGAIN.
  bool is_ready() noexcept { return end_ != 0 || inbox_.ready(limit_); }
  // Whether the last read probably left more to read.
  bool may_have_more(size_t last_read) const noexcept {
    return last_read >= Inbox::read_ahead / 2 || inbox_.full();
  }
  void rest() noexcept { inbox_.rest(); }

  // ---- What follows expects an open gate, or comes from the loop.
  // One read.  The number of bytes, -EAGAIN, or why the direction is over.
  ssize_t receive(size_t most = SIZE_MAX) noexcept;
  // The same, but waits in the kernel; left by unwinding when the thread is
  // cancelled.
  ssize_t receive_waiting();
  // The next message of those received; why there will be none; or -EAGAIN.
  int next_received(View &out) noexcept {
    int result = inbox_.next(limit_, out);
    return __builtin_expect(result == 0, 1) ? 0 : no_message(result);
  }
  // The same, and reads.
  int next(View &out) noexcept {
    int result = inbox_.next(limit_, out);
    return __builtin_expect(result == 0, 1) ? 0 : next_slow(result, out);
  }
  int next_size(size_t &size) noexcept;
  // Also while one into the same memory is in progress.
  int get_into(void *buffer, size_t capacity, size_t &size) noexcept;
  int cancel_into() noexcept;
  void forget_into() noexcept;
  // Receives while nothing gets the messages, up to the limit of that.  lent: a
  // message is in use, and must stay where it is.
  size_t wanted_ahead(bool lent) noexcept;
  int read_ahead(bool lent) noexcept;

private:
  void set(State state) noexcept {
    state_.store(state, std::memory_order_relaxed);
  }
  int answer() const noexcept;
  ssize_t received(ssize_t size) noexcept;
  int note_broken(int result) noexcept;
  int no_message(int result) noexcept;
  int next_slow(int result, View &out) noexcept;
  int next_into(void *buffer, size_t capacity, size_t &size) noexcept;

  std::atomic<State> state_{State::absent};
  int end_ = 0;
  size_t limit_ = GIPC_DEFAULT_LIMIT;
  Inbox inbox_;
  Channel channel_;
  size_t ahead_limit_ = GIPC_DEFAULT_READ_LIMIT;
};

} // namespace gipc
