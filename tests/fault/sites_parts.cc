// What several scenarios are made of; see sites.h.
#include "sites.h"

#include <fcntl.h>

namespace sites {

Ends::~Ends() {
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int Ends::adopt(const int (&fds)[2]) {
  int result = gipc_open(fds[0], -1, &r);
  if (result == 0)
    result = gipc_open(-1, fds[1], &w);
  if (r == nullptr)
    close(fds[0]);
  if (w == nullptr)
    close(fds[1]);
  return result;
}

FreeLow::FreeLow() {
  for (int fd = 0; fd < 2; ++fd) {
    copies[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 700);
    close(fd);
  }
}

FreeLow::~FreeLow() {
  for (int fd = 0; fd < 2; ++fd) {
    dup2(copies[fd], fd);
    close(copies[fd]);
  }
}

} // namespace sites
