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
    {GIPC_EPROTOCOL, "the peer does not speak the gipc wire format"},
    {GIPC_ETOOBIG, "the message is larger than the limit of the handle, or "
                   "than the buffer"},
    {GIPC_ECLOSED, "the handle is closed"},
    {GIPC_ELOCKED, "an operation is in progress: the handle is started on a "
                   "loop, borrows memory, or is in use by another thread"},
    {GIPC_EWRONGPROC, "the object belongs to another process"},
    {GIPC_EDIRECTION, "the handle is not open in this direction"},
    {GIPC_EDEAD, "the process has ended already"},
    {GIPC_ESTATUSLOST, "the process ended, but another part of the program "
                       "took its exit status"},
    {GIPC_EBADHANDLES, "GIPC_HANDLES is malformed, or names descriptors that "
                       "are not the parent's any more"},
    // Codes of the system with a meaning of their own here.  Other calls that
    // this library makes may fail with them too, so each text fits both.
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
