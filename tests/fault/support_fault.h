// Makes the Nth system call of the library, or the Nth allocation of the
// program, fail.
#pragma once

#include "support.h"

namespace fault {

// ---- System calls ----------------------------------------------------------

// The Nth call from now on (1 is the next one) of this name, or of any name
// for nullptr, fails with error; and as many as `times` in a row.
void fail_call(const char *name, int nth, int error, int times = 1);
// Every second call of these names (a list such as "recv,send") fails.
void fail_every_other(const char *names, int error);
// No call fails any more.  How many were made to fail.
int calls_failed();
int stop_calls();

// ---- Memory ----------------------------------------------------------------

constexpr int by_new = 1, by_malloc = 2, any = by_new | by_malloc;
// False where a sanitizer owns malloc, or valgrind both.
bool can_fail(int kind);
// The Nth allocation of these kinds from now on fails, and as many as `times`.
void fail_memory(int kinds, int nth, int times = 1);
// No allocation fails any more.  How many were made to fail.
int stop_memory();
// Asked before each allocation: true makes it fail.
extern bool (*memory_hook)(int kind) noexcept;
// How many are not freed.  0 where a sanitizer owns malloc.
long allocations();

} // namespace fault
