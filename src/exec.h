// A child that runs another program.
#pragma once

#include "options.h"

namespace gipc {

class Process;

// A registered descriptor that the program finds by its name in GIPC_HANDLES.
struct Extra {
  const char *name;
  int fd;
};

// Throws bad_alloc.  extra may be null.
int start_program(const char *const argv[], const Options &options,
                  Process *&out, const Extra *extra = nullptr);

// Of a start of either kind, under the registry's lock: handles whose
// descriptors the child gets as files leave their rings.
int leave_rings(const Options &options) noexcept;

} // namespace gipc
