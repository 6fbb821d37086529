// A child that runs another program.
#pragma once

#include "options.h"

namespace gipc {

class Process;

// Throws bad_alloc.
int start_program(const char *const argv[], const Options &options,
                  Process *&out);

} // namespace gipc
