// Static probes by <sys/sdt.h>, where that is there: notes in the library say
// at which instruction each is, where its arguments are, and which counter a
// tracer raises.
#include "os_probes.h"

#if __has_include(<sys/sdt.h>)
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>
#define HAS_PROBES true
// All probes share one counter.
#define HIDDEN __attribute__((visibility("hidden")))
#define COUNTER(NAME)                                                          \
  extern "C" HIDDEN unsigned short libgipc_##NAME##_semaphore;                 \
  asm(".globl libgipc_" #NAME "_semaphore\n"                                   \
      ".hidden libgipc_" #NAME "_semaphore\n"                                  \
      ".set libgipc_" #NAME "_semaphore, gipc_probes_switch")
COUNTER(start);
COUNTER(end);
COUNTER(put);
COUNTER(get);
COUNTER(stall);
COUNTER(bell);
COUNTER(task);
COUNTER(restart);
#else
#define HAS_PROBES false
#define STAP_PROBE1(provider, name, a) (void)(a)
#define STAP_PROBE2(provider, name, a, b) (void)(a), (void)(b)
#define STAP_PROBE3(provider, name, a, b, c) (void)(a), (void)(b), (void)(c)
#define STAP_PROBE4(provider, name, a, b, c, d)                                \
  (void)(a), (void)(b), (void)(c), (void)(d)
#endif

namespace gipc::os {

const bool has_probes = HAS_PROBES;

// The section has contents in the file, where a tracer finds the counter.
__attribute__((section(".probes"), used)) std::atomic<uint32_t> probes_switch{
    0};

void probe_start(uint64_t process, pid_t pid, const char *name) noexcept {
  STAP_PROBE3(libgipc, start, process, pid, name);
}

void probe_end(uint64_t process, pid_t pid, int code, int signal) noexcept {
  STAP_PROBE4(libgipc, end, process, pid, code, signal);
}

void probe_put(uint64_t handle, size_t size, size_t queued) noexcept {
  STAP_PROBE3(libgipc, put, handle, size, queued);
}

void probe_get(uint64_t handle, size_t size) noexcept {
  STAP_PROBE2(libgipc, get, handle, size);
}

void probe_stall(uint64_t handle, size_t size, size_t queued) noexcept {
  STAP_PROBE3(libgipc, stall, handle, size, queued);
}

void probe_bell(uint64_t handle) noexcept {
  STAP_PROBE1(libgipc, bell, handle);
}

void probe_task(uint64_t task, uint64_t worker, pid_t pid,
                const char *what) noexcept {
  STAP_PROBE4(libgipc, task, task, worker, pid, what);
}

void probe_restart(uint64_t worker, size_t service, unsigned times) noexcept {
  STAP_PROBE3(libgipc, restart, worker, service, times);
}

} // namespace gipc::os
