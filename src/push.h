// A handle that is started: its loop delivers its messages and sends its queue.
#pragma once

#include "gipc.h"
#include "watch.h"

namespace gipc {

class Handle;

class Push {
public:
  // Throws bad_alloc.
  Push(Handle &handle, struct ev_loop *loop, const gipc_events &events,
       void *user);
  ~Push();

  void begin() noexcept;
  void pause() noexcept;
  void resume() noexcept;
  // Sends the queue at the end of the loop's turn.
  void send_later() noexcept { watch_.want_turn_end(); }
  bool waits_to_write() const noexcept { return watch_.wants_write(); }
  // There may be messages that make no descriptor readable any more.
  void received_ahead() noexcept { apply_reading(); }
  // Only the queue is of interest from now on.
  void linger() noexcept;
  void stop_writing() noexcept;
  // Ends this object; its handle is in the step tier again.
  void detach() noexcept;
  // The same in a forked child, where the loop must not be touched.
  void forget() noexcept;

private:
  struct Scope;
  static const HandleWatch::Events watch_events;

  void renew_budget() noexcept;
  int read_more(int result, bool &may_read, size_t &received) noexcept;
  void deliver(bool may_read) noexcept;
  void send() noexcept;
  void finish(int why) noexcept;
  void release() noexcept;
  void interrupt() noexcept;
  void loop_gone() noexcept;
  void apply_reading() noexcept;

  Handle &handle_;
  struct ev_loop *loop_;
  gipc_events events_;
  void *user_;
  Scope *scope_ = nullptr; // of the callback that is running now
  bool paused_ = false;
  bool ended_ = false; // on_end was called
  bool held_ = false;  // readable while a callback ran
  // The iteration in which messages were delivered, and what it may still take.
  unsigned iteration_ = ~0u;
  size_t messages_left_ = 0, bytes_left_ = 0;
  HandleWatch watch_;
};

} // namespace gipc
