// extern "C": what a program has, and what it does.  Check, guard, forward.
#include "capi.h"

#include "overview.h"
#include "trace.h"

using namespace gipc;

int gipc_each_handle(int (*each)(const gipc_handle_entry *entry, void *user),
                     void *user) {
  return each == nullptr ? -EINVAL
                         : guard([&] { return overview::handles(each, user); });
}

int gipc_each_process(int (*each)(const gipc_process_entry *entry, void *user),
                      void *user) {
  return each == nullptr
             ? -EINVAL
             : guard([&] { return overview::processes(each, user); });
}

int gipc_trace(int fd) {
  return fd < -1 ? -EBADF : guard([&] { return trace::write_to(fd); });
}
