// What this process reports while it runs: lines of JSON on a descriptor,
// static probes, and when a handle was used last.  All of it is off at first,
// and then an event costs one load and one branch.
#pragma once

#include "gipc.h"
#include "os_probes.h"

#include <cstddef>
#include <cstdint>
#include <sys/types.h>

namespace gipc::trace {

// Whether anybody wants to know of an event: ask before each.
inline bool is_on() noexcept {
  return __builtin_expect(
      os::probes_switch.load(std::memory_order_relaxed) != 0, 0);
}

// From now on lines are written to a copy of this descriptor; -1: no more.
// -EINVAL: a socket that keeps message boundaries.
int write_to(int fd) noexcept;
// From now on handles note when they are used.
void note_uses() noexcept;

// Any thread may call these, and hold the registry's lock.
void started(uint64_t process, pid_t pid, const char *name) noexcept;
void ended(uint64_t process, pid_t pid, const gipc_exit_info &info) noexcept;
void put(uint64_t handle, size_t size, size_t queued) noexcept;
void got(uint64_t handle, size_t size) noexcept;
// A put of this size has to wait, or was refused.
void stalled(uint64_t handle, size_t size, size_t queued) noexcept;
// The writer of a ring woke its reader.
void rang(uint64_t handle) noexcept;
// what: "send" or "finish"; why: how it finished, or nullptr.
void task(uint64_t id, uint64_t worker, pid_t pid, unsigned attempt,
          const char *what, const char *why) noexcept;
// times: how often the worker, or the service, was started before.
void restarted(uint64_t worker, size_t service, unsigned times) noexcept;

} // namespace gipc::trace
