// The part of os.h that knows memory alone.
#pragma once

#include <cstddef>

namespace gipc::os {

// Of private memory that will be written soon: where the system can, it makes
// few page faults.
void prefer_large_pages(void *memory, size_t size) noexcept;

} // namespace gipc::os
