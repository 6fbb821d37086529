// Any text in GIPC_HANDLES: a clear result, and no descriptor is touched. (H94)
#include "gipc.h"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string value(reinterpret_cast<const char *>(data), size);
  setenv("GIPC_HANDLES", value.c_str(), 1);
  gipc_handle *handle = nullptr;
  int result = gipc_inherit("in", &handle);
  if (result != -ENOENT && result != GIPC_EBADHANDLES)
    std::abort(); // device and inode cannot be guessed
  for (int fd = 0; fd < 3; ++fd)
    if (fcntl(fd, F_GETFD) < 0)
      std::abort();
  return 0;
}
