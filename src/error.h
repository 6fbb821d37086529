// The one table of library codes and their words.
#pragma once

namespace gipc {

// Static memory, never NULL.
const char *error_text(int code) noexcept;

} // namespace gipc
