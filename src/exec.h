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

} // namespace gipc
