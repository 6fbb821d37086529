// The receiving direction of a handle: a channel, the received messages, and
// the state that decides what a get returns.  Only receive_waiting() blocks.
#pragma once

#include "channel.h"
#include "descriptors.h"
#include "gipc.h"
#include "inbox.h"
#include "relaxed.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>

namespace gipc {

class Receiver {
public:
  enum class State {
    absent,  // this end has no such direction
    idle,    // a get may proceed
    into,    // a get_into() is in progress
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
  // The error that a get returns in this state; 0: it may proceed.
  int gate() const noexcept {
    return __builtin_expect(state() == State::idle, 1) ? 0 : state_error();
  }
  // The reason why no more bytes will be received; 0: more may be.
  int end() const noexcept { return end_; }

  void open(Fd fd) noexcept;
  // From now on calls return GIPC_ECLOSED; close() closes the descriptor.
  void refuse() noexcept { set(State::closed); }
  void close() noexcept;
  // Of another process.
  void forget() noexcept;
  void arrive_in_child(registry::Held &moved, bool kept_memory) noexcept;
  // Called at the begin and the end of a wait in the blocking tier.
  void begin_wait() noexcept;
  void end_wait() noexcept;
  // Whether a loop delivers the messages.
  void push(bool on) noexcept;

  void set_limit(size_t limit) noexcept { limit_ = limit; }
  // Below 2 GiB, so that no reserved length is one that the buffer can have.
  void set_ahead_limit(size_t bytes) noexcept {
    ahead_limit_ = std::min<size_t>(bytes, frame::short_limit);
  }
  size_t held() const noexcept { return inbox_.bytes(); }
  size_t seen_held() const noexcept { return inbox_.seen_bytes(); }
  // The same; and if there are none, the bytes that can be read without waiting
  // for the descriptor.
  size_t pending() noexcept {
    size_t bytes = held();
    return bytes == 0 && gate() == 0 && is_ready() ? channel_.held() : bytes;
  }
  uint64_t messages() const noexcept { return inbox_.messages(); }
  // Whether data points into memory that a get returned.
  bool contains(const void *data) const noexcept {
    return inbox_.contains(data);
  }
  // Whether next() would return something other than -EAGAIN.
  // If not, the descriptor becomes readable with the next bytes.
  bool is_ready() noexcept {
    return end_ != 0 || inbox_.ready(limit_) || channel_.is_ready();
  }
  // Whether there are probably more bytes to read after the last read.
  bool may_have_more(size_t last_read) const noexcept {
    // A ring says only with -EAGAIN that the descriptor may be waited for.
    return last_read >= Inbox::read_ahead / 2 || inbox_.full() ||
           channel_.reads_memory();
  }
  // ---- Descriptors
  // Whether there are some of a message that was not returned.
  bool has_descriptors() const noexcept {
    return !waiting_.empty() || channel_.has_descriptors();
  }
  // The number of those of the message that was returned last, which the caller
  // owns from now on; or an error, and nothing changes.
  int take_descriptors(int *out, size_t room) noexcept;
  // The same for those of its next handle.  -ENOENT: there is none.
  int take_handle(int (&out)[3], frame::Kind &kind) noexcept;

  // A read would have blocked.
  void note_idle() noexcept { inbox_.note_idle(); }

  // ---- Called after gate() returned 0, or by the loop
  // One read.  Returns the number of bytes, -EAGAIN, or end().
  ssize_t receive(size_t most = SIZE_MAX) noexcept;
  // The same, but waits in the kernel; unwound when the thread is cancelled.
  ssize_t receive_waiting();
  // Returns the next of the received messages; -EAGAIN; or end().
  int next_received(View &out) noexcept {
    int result = inbox_.next(limit_, out);
    return __builtin_expect(result == 0, 1) ? 0 : no_message(result, out);
  }
  // The same, and reads if no whole message is buffered.
  int next(View &out) noexcept {
    int result = inbox_.next(limit_, out);
    return __builtin_expect(result == 0, 1) ? 0 : next_slow(result, out);
  }
  int next_size(size_t &size) noexcept;
  // Begins a get into the buffer, or continues the one in progress.
  int get_into(void *buffer, size_t capacity, size_t &size) noexcept;
  int cancel_into() noexcept;
  void forget_into() noexcept;
  // The number of bytes that may be received ahead, up to the read limit.
  // view_in_use: a callback uses a view, whose memory must not move.
  size_t wanted_ahead(bool view_in_use) noexcept;
  // Receives up to wanted_ahead(), without returning a message.
  int read_ahead(bool view_in_use) noexcept;

private:
  void set(State state) noexcept {
    state_.store(state, std::memory_order_relaxed);
  }
  void settle() noexcept;
  int state_error() const noexcept;
  int prepare(iovec (&areas)[2], size_t most) noexcept;
  // Whether a call that has moved so many bytes is to end.  One that reads a
  // ring ends with a whole message or an empty ring: bytes that are left there
  // do not make the descriptor readable.
  bool is_enough(size_t moved) const noexcept;
  ssize_t received(ssize_t size) noexcept;
  void look_for_ring() noexcept;
  // An invalid frame, and a message over the limit, are permanent errors.
  static bool is_broken(int result) noexcept {
    return __builtin_expect(result == GIPC_EPROTOCOL || result == GIPC_ETOOBIG,
                            0);
  }
  int note_broken(int result) noexcept {
    return is_broken(result) ? end_with(result) : result;
  }
  int end_with(int error) noexcept;
  int note_end(ssize_t result) noexcept;
  int no_message(int result, View &out) noexcept;
  int next_with(int result, View &out) noexcept;
  int begin_taking() noexcept;
  void end_taking() noexcept;
  void look_for_descriptors() noexcept;
  int next_slow(int result, View &out) noexcept;
  int next_into(void *buffer, size_t capacity, size_t &size) noexcept;

  std::atomic<State> state_{State::absent};
  Relaxed<int> end_ = 0;
  size_t limit_ = GIPC_DEFAULT_LIMIT;
  Inbox inbox_;
  Channel channel_;
  size_t ahead_limit_ = GIPC_DEFAULT_READ_LIMIT;
  DescriptorQueue waiting_;              // of messages that were not returned
  std::unique_ptr<Descriptors> current_; // of the one returned last
};

} // namespace gipc
