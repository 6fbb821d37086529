// Which of the kernel's newer ways are live here; see os::features().
#pragma once

namespace gipc {

// A mask of GIPC_FEATURE_, found out once; -errno when it could not be.
int features() noexcept;

} // namespace gipc
