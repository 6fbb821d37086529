// A program behind a launcher; its messages are its stdin and stdout.
#pragma once

#include "fd.h"
#include "options.h"

namespace gipc {

class Handle;
class Process;

// A handle of the pipes that a start has made of 0 and 1.
int stdio_handle(Fd to, Fd from, Handle *&out) noexcept;

// Throws bad_alloc.
int launch(const char *const argv[], const Options &options, Process *&process,
           Handle *&handle);

} // namespace gipc
