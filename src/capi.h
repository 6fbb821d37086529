// The boundary of the library: checks arguments, and turns exceptions into
// error codes.
#pragma once

#include "gipc.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>

namespace gipc {

class Handle;
class Process;
struct Options;
class Fork;
class WaitSet;
class Template;

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
inline Fork *unwrap(gipc_fork_context *f) {
  return reinterpret_cast<Fork *>(f);
}
inline WaitSet *unwrap(gipc_wait_set *set) {
  return reinterpret_cast<WaitSet *>(set);
}
inline Template *unwrap(gipc_template *t) {
  return reinterpret_cast<Template *>(t);
}
inline gipc_handle *wrap(Handle *h) {
  return reinterpret_cast<gipc_handle *>(h);
}
inline gipc_process *wrap(Process *p) {
  return reinterpret_cast<gipc_process *>(p);
}

inline bool is_fd_list(const int *fds, size_t count) {
  return count <= GIPC_MOST_FDS && (fds != nullptr || count == 0);
}

// ---- Structs that grow ------------------------------------------------------
// The first member is the size that the caller was compiled with, the second
// has been there in every version: `least` is the size up to its end.

// No struct will be that long.  The bound limits the damage of a size that was
// never set.
constexpr size_t most_of_struct = 4096;

inline int check_size(size_t size, size_t least) noexcept {
  return size < least ? -EINVAL : size > most_of_struct ? -E2BIG : 0;
}

// Fills the caller's struct up to its size, and zeroes members of a newer
// program that this library does not know.  The size member is not changed.
template <typename T> void copy_out(const T &filled, T *out) noexcept {
  size_t size = out->size;
  size_t known = std::min(size, sizeof(T));
  auto *bytes = reinterpret_cast<unsigned char *>(out);
  std::memcpy(bytes + sizeof size,
              reinterpret_cast<const unsigned char *>(&filled) + sizeof size,
              known - sizeof size);
  std::memset(bytes + known, 0, size - known);
}

// Reads the caller's struct.  Members that an older program does not have, or
// has only in part, are 0.  -E2BIG: a newer program has set a member that is
// not known here.
template <typename T> int copy_in(const T *in, size_t least, T &out) noexcept {
  size_t size = in->size;
  if (int error = check_size(size, least))
    return error;
  auto *bytes = reinterpret_cast<const unsigned char *>(in);
  for (size_t at = sizeof(T); at < size; ++at)
    if (bytes[at] != 0)
      return -E2BIG;
  out = T{};
  std::memcpy(&out, in, std::min(size / alignof(T) * alignof(T), sizeof(T)));
  return 0;
}

// The only exception that leaves the core is bad_alloc; any other one is a bug.
// (The unwinding of a cancelled thread is not an exception, and passes.)
// errno is restored, because malloc and libev may change it.
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
