// Which of the kernel's newer ways are live here.
#include "live.h"

#include "os.h"
#include "this_process.h"

#include <atomic>

namespace gipc {

int features() noexcept {
  static std::atomic<int> known{-1};
  int mask = known.load(std::memory_order_relaxed);
  if (mask >= 0)
    return mask;
  // No child of ours keeps the descriptors that it tries things with.
  registry::Lock hold;
  mask = os::features(registry::note_made);
  if (mask >= 0)
    known.store(mask, std::memory_order_relaxed);
  return mask;
}

} // namespace gipc
