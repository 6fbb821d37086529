// What a worker of a pool does: says that it is ready, and answers tasks.
#pragma once

#include "gipc.h"

namespace gipc {

class Handle;

namespace worker {

gipc_text text_of(const char *text) noexcept;
// Left by unwinding when its thread is cancelled.
int serve(Handle &handle, gipc_work work, void *user);
int alive(Handle &handle);

} // namespace worker
} // namespace gipc
