// The boundary of the library: checks of arguments, and exceptions that end.
#pragma once

#include "gipc.h"

#include <cerrno>
#include <new>

namespace gipc {

class Handle;
class Process;
struct Options;
class Fork;

// Public names are never defined as types: a pointer is the object.
inline Handle *unwrap(gipc_handle *h) { return reinterpret_cast<Handle *>(h); }
inline const Handle *unwrap(const gipc_handle *h) {
  return reinterpret_cast<const Handle *>(h);
}
inline Process *unwrap(gipc_process *p) {
  return reinterpret_cast<Process *>(p);
}
inline const Process *unwrap(const gipc_process *p) {
  return reinterpret_cast<const Process *>(p);
}
inline Options *unwrap(gipc_options *o) {
  return reinterpret_cast<Options *>(o);
}
inline const Options *unwrap(const gipc_options *o) {
  return reinterpret_cast<const Options *>(o);
}
inline Fork *unwrap(gipc_fork *f) { return reinterpret_cast<Fork *>(f); }
inline gipc_handle *wrap(Handle *h) {
  return reinterpret_cast<gipc_handle *>(h);
}
inline gipc_process *wrap(Process *p) {
  return reinterpret_cast<gipc_process *>(p);
}

// The only exception the core lets out is bad_alloc; anything else is a bug.
// (The unwinding of a cancelled thread, which passes, is no exception.)
// errno is the caller's, whatever malloc or libev did to it.
template <typename Body> int guard(Body &&body) {
  int saved = errno;
  int result;
  try {
    result = body();
  } catch (const std::bad_alloc &) {
    result = -ENOMEM;
  }
  errno = saved;
  return result;
}

} // namespace gipc
