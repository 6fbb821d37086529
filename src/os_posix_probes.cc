// No static probes.
#include "os_probes.h"

namespace gipc::os {

const bool has_probes = false;
std::atomic<uint32_t> probes_switch{0};

void probe_start(uint64_t, pid_t, const char *) noexcept {}
void probe_end(uint64_t, pid_t, int, int) noexcept {}
void probe_put(uint64_t, size_t, size_t) noexcept {}
void probe_get(uint64_t, size_t) noexcept {}
void probe_stall(uint64_t, size_t, size_t) noexcept {}
void probe_bell(uint64_t) noexcept {}
void probe_task(uint64_t, uint64_t, pid_t, const char *) noexcept {}
void probe_restart(uint64_t, size_t, unsigned) noexcept {}

} // namespace gipc::os
