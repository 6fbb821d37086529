// A started handle: its loop delivers the messages and writes the queue.
#pragma once

#include "driver.h"
#include "gipc.h"
#include "watch.h"

namespace gipc {

class Handle;

class Push final : public Driver {
public:
  // Throws bad_alloc.
  static int start(Handle &handle, struct ev_loop *loop,
                   const gipc_events &events, void *user);
  static int stop(Handle &handle) noexcept;
  static int pause(Handle &handle) noexcept;
  static int resume(Handle &handle) noexcept;

  // Writes the queue at the end of the loop iteration.
  void send_later() noexcept override { watch_.want_turn_end(); }
  bool waits_to_write() const noexcept override { return watch_.wants_write(); }
  void changed() noexcept override;
  void detach() noexcept override;
  void forget() noexcept override;

private:
  struct Scope;
  Push(Handle &handle, struct ev_loop *loop, const gipc_events &events,
       void *user);
  ~Push();

  static const HandleWatch::Events watch_events;

  void renew_budget() noexcept;
  int read_more(bool &may_read, size_t &received) noexcept;
  void deliver(bool may_read) noexcept;
  void send() noexcept;
  void finish(int why) noexcept;
  void callbacks_returned() noexcept;
  void interrupt() noexcept;
  void loop_gone() noexcept;
  void apply_reading() noexcept;
  static Push *of(Handle &handle, int &error) noexcept;

  Handle &handle_;
  struct ev_loop *loop_;
  gipc_events events_;
  void *user_;
  Scope *scope_ = nullptr; // of the callback that is running
  bool paused_ = false;
  bool ended_ = false; // true after on_end was called
  bool held_ = false;  // true if a nested loop had something to deliver
  // The iteration in which messages were delivered last, and the remaining
  // budget of that iteration.
  unsigned iteration_ = ~0u;
  size_t messages_left_ = 0, bytes_left_ = 0;
  HandleWatch watch_;
};

} // namespace gipc
