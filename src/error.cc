// The one table of library codes and their words.
#include "error.h"

#include "gipc.h"
#include "os.h"

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
    {GIPC_ETOOBIG, "message too big: raise the limit with gipc_set_limit()"},
    {GIPC_ECLOSED, "the handle is closed"},
    {GIPC_ELOCKED, "another operation on the handle is in progress"},
    {GIPC_EWRONGPROC, "the object belongs to another process: pass handles "
                      "with gipc_options_pass()"},
    {GIPC_EDIRECTION, "the handle is not open in this direction"},
    {GIPC_EDEAD, "the process has ended already"},
    {GIPC_ESTATUSLOST, "the process ended, but another part of the program "
                       "took its exit status"},
    {GIPC_EBADHANDLES, "GIPC_HANDLES is malformed, or names descriptors that "
                       "are not the parent's any more"},
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
