// Any text in GIPC_HANDLES: a clear result.  Without a description of a file
// that is open, no descriptor is touched; with one, a handle is made of it, or
// everything stays as it was. (H94)
#include "gipc.h"
#include "inherit.h"
#include "support.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr int kinds = 10;
constexpr uint8_t first_file = 0x80; // of the bytes that stand for a file

// Open files, and their descriptions, which an input cannot guess.
struct Files {
  Files() {
    require(pipe2(fds, O_CLOEXEC) == 0 &&
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds + 2) == 0);
    fds[4] = memfd_create("ring", MFD_CLOEXEC);
    fds[5] = open("/dev/null", O_RDWR | O_CLOEXEC);
    require(fds[4] >= 0 && fds[5] >= 0);
  }
  ~Files() {
    for (int fd : fds)
      (void)close(fd);
  }
  bool all_open() const {
    for (int fd : fds)
      if (fcntl(fd, F_GETFD) < 0)
        return false;
    return true;
  }
  // After the name and "=".
  std::string describe(int kind) const {
    static const struct {
      int file, direction;
    } all[kinds] = {{0, GIPC_READ},
                    {1, GIPC_WRITE},
                    {2, GIPC_READ},
                    {2, GIPC_WRITE},
                    {4, gipc::inherit::memory},
                    {5, GIPC_READ},
                    {3, GIPC_READ},
                    {3, GIPC_WRITE},
                    {0, GIPC_WRITE},
                    {4, GIPC_READ}};
    std::string text;
    require(gipc::inherit::append(text, "", fds[all[kind].file],
                                  all[kind].direction) == 0);
    return text.substr(1);
  }
  int fds[6];
};

void inherit(const char *name, const Files &files, bool may_succeed) {
  const char *found = getenv("GIPC_HANDLES");
  std::string before = found != nullptr ? found : "";
  gipc_handle *handle = nullptr;
  int result = gipc_inherit(name, &handle);
  if (result == 0) {
    require(may_succeed && handle != nullptr);
    require(gipc_directions(handle) > 0);
    gipc_handle_free(handle);
    require(!files.all_open());
    found = getenv("GIPC_HANDLES");
    require(found == nullptr || before != found);
    return;
  }
  require(result == -ENOENT || result == GIPC_EBADHANDLES ||
          (may_succeed && (result == -EINVAL || result == -EOPNOTSUPP)));
  require(handle == nullptr);
  found = getenv("GIPC_HANDLES");
  require(before == (found != nullptr ? found : ""));
}

} // namespace

extern "C" size_t cost_of_input() { return 5; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t before = count_descriptors();
  {
    Files files;
    std::string value;
    bool has_files = false;
    for (size_t i = 0; i < size; ++i)
      if (data[i] >= first_file && data[i] < first_file + kinds) {
        value += files.describe(data[i] - first_file);
        has_files = true;
      } else {
        value += static_cast<char>(data[i]);
      }
    setenv("GIPC_HANDLES", value.c_str(), 1);
    inherit("in", files, has_files);
    if (files.all_open())
      inherit("out", files, has_files);
    if (files.all_open()) {
      int fd = -1;
      int result = gipc::inherit::take("in", fd);
      require(result == 0 ? has_files && fd >= 0
                          : result == -ENOENT || result == GIPC_EBADHANDLES);
    }
    unsetenv("GIPC_HANDLES");
  }
  for (int fd = 0; fd < 3; ++fd)
    require(fcntl(fd, F_GETFD) >= 0);
  require(count_descriptors() == before);
  return 0;
}
