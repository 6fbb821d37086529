// Static probes, which a tracer such as perf or bpftrace finds in the library.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sys/types.h>

namespace gipc::os {

// Not 0 while an event is of interest to anyone, so that an event costs one
// load and one branch while it is to no one.  Tracers count themselves in the
// first two bytes; the other two are the program's.
extern std::atomic<uint32_t> probes_switch asm("gipc_probes_switch")
    __attribute__((visibility("hidden")));
// A bit of the program's half.
constexpr uint32_t probes_bit(unsigned number) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return uint32_t{0x10000} << number;
#else
  return uint32_t{1} << number;
#endif
}

// Whether there are probes, which depends on the build.
extern const bool has_probes;
// Each is an instruction that does nothing, with these arguments at hand.
void probe_start(uint64_t process, pid_t pid, const char *name) noexcept;
void probe_end(uint64_t process, pid_t pid, int code, int signal) noexcept;
void probe_put(uint64_t handle, size_t size, size_t queued) noexcept;
void probe_get(uint64_t handle, size_t size) noexcept;
void probe_stall(uint64_t handle, size_t size, size_t queued) noexcept;
void probe_bell(uint64_t handle) noexcept;
void probe_task(uint64_t task, uint64_t worker, pid_t pid,
                const char *what) noexcept;
void probe_restart(uint64_t worker, size_t service, unsigned times) noexcept;

} // namespace gipc::os
