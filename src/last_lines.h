// The last lines that a process of a pool or a keeper wrote to its stderr.
#pragma once

#include "fd.h"
#include "gipc.h"
#include "this_process.h"
#include "watch.h"

#include <optional>

namespace gipc {

// Reads a pipe on a loop, always, so that its writer never waits for long, and
// keeps the end of what was read.
class LastLines {
public:
  // Throws bad_alloc.
  void start(struct ev_loop *loop, Fd &&pipe);
  // The writer has ended: reads what is there.  A process that it left behind
  // may have the pipe open, so the end of the stream is not waited for.
  void finish() noexcept;
  // In a forked process, to which the loop does not belong.
  void forget() noexcept;
  // Whole lines, if the last one is not too long; valid until more is read.
  gipc_text text() const noexcept;

private:
  void read_some() noexcept;
  void keep(const char *data, size_t size) noexcept;
  void stop() noexcept;
  static const HandleWatch::Events watch_events;

  registry::Held pipe_; // a worker that is forked later does not keep it open
  std::optional<HandleWatch> watch_;
  static constexpr size_t most_ = 4096;
  char kept_[most_];
  size_t size_ = 0;
  bool is_cut_ = false; // something was dropped before it
};

} // namespace gipc
