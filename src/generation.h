// Which process this is, as a number that a fork changes.
//
// Every object remembers the generation that owns it, so that its use in a
// process that inherited it by a fork, of whatever kind, is an error and never
// disturbs the owner's stream.  The number lives in a page that the kernel
// wipes in each forked child, so asking costs one load, and no at-fork handler
// has to be registered (those would forbid dlclose).
#pragma once

#include <atomic>
#include <cstdint>

namespace gipc::generation {

struct alignas(4096) Page {
  std::atomic<uint32_t> value;
};
extern Page page;

uint32_t renew() noexcept;

inline uint32_t current() noexcept {
  uint32_t value = page.value.load(std::memory_order_relaxed);
  return __builtin_expect(value != 0, 1) ? value : renew();
}

} // namespace gipc::generation
