// The one table of result codes and their texts.
#include "error.h"

#include "gipc.h"
#include "os.h"

#include <cerrno>

namespace gipc {

namespace {

struct Entry {
  int code;
  const char *text;
};

constexpr Entry table[] = {
    {GIPC_EOF, "end of the stream"},
    {GIPC_ETRUNCATED, "the stream ended inside a message"},
    {GIPC_EPROTOCOL, "the peer sent bytes that are not a valid message"},
    {GIPC_ETOOBIG, "the message exceeds the limit of the handle, or the size "
                   "of the buffer"},
    {GIPC_ECLOSED, "the handle is closed, or the pool takes no tasks any more"},
    {GIPC_ELOCKED, "an operation is in progress: the handle is started on a "
                   "loop, borrows memory, or is in use by another thread; or "
                   "the pool or keeper was started, or reloads the service"},
    {GIPC_EWRONGPROC, "the object belongs to another process"},
    {GIPC_EDIRECTION, "the handle is not open in this direction"},
    {GIPC_EDEAD, "the process has ended already"},
    {GIPC_ESTATUSLOST, "the process has ended, and its exit status is lost: "
                       "another part of the program collected it"},
    {GIPC_EBADHANDLES, "GIPC_HANDLES is malformed, or names a descriptor that "
                       "is not the one that the parent passed"},
    // System codes that have a meaning of their own in this library.  Its
    // system calls may fail with them too, so each text fits both cases.
    {-EAGAIN, "not possible now: wait until ready, or retry later"},
    {-EBUSY, "busy: the handle holds unread or queued bytes"},
    {-ECANCELED, "interrupted by another thread or a signal handler"},
    {-EINPROGRESS, "timed out or interrupted within a message; the remaining "
                   "bytes are queued, do not put it again"},
    {-ENOBUFS, "the read limit of the handle, or a buffer of the system, is "
               "full"},
    {-ETIMEDOUT, "timed out"},
};

} // namespace

const char *error_text(int code) noexcept {
  if (code >= 0)
    return "success";
  for (const Entry &entry : table)
    if (entry.code == code)
      return entry.text;
  if (code < -4095)
    return "unknown gipc error";
  return os::error_text(-code);
}

} // namespace gipc
