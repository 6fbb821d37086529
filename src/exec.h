// A child that runs another program.
#pragma once

#include "options.h"

namespace gipc {

class Process;

// Throws bad_alloc.
int start_program(const char *const argv[], const Options &options,
                  Process *&out);

// Of a start of either kind, under the registry's lock: handles whose
// descriptors the child gets as files leave their rings.
int leave_rings(const Options &options) noexcept;

} // namespace gipc
