// The one table of result codes and their texts.
#pragma once

namespace gipc {

// Static memory, never NULL.
const char *error_text(int code) noexcept;

} // namespace gipc
