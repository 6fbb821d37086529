// What the two directions of a handle have in common.
#pragma once

#include <cerrno>
#include <cstddef>
#include <sys/types.h>

namespace gipc {

// The most bytes that one call of the step tier moves, so that a fast peer
// cannot keep the call busy.  The descriptor stays ready, so the caller calls
// again.
constexpr size_t per_call = 1024 * 1024;

// Whether a transfer that failed with this error may succeed later.
inline bool is_temporary(ssize_t result) noexcept {
  return result == -EAGAIN || result == -ENOBUFS || result == -ENOMEM;
}

} // namespace gipc
