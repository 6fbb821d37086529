// What the two directions of a handle have in common.
#pragma once

#include <cerrno>
#include <cstddef>
#include <sys/types.h>

namespace gipc {

// What one call of the step tier moves at most, so that a fast peer cannot keep
// it busy; the descriptor stays ready, and the caller comes again.
constexpr size_t per_call = 1024 * 1024;

// Whether a transfer that failed so may succeed later.
inline bool is_temporary(ssize_t result) noexcept {
  return result == -EAGAIN || result == -ENOBUFS || result == -ENOMEM;
}

} // namespace gipc
