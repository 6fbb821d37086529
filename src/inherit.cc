// The handles of a program at its start: GIPC_HANDLES, and stdin and stdout.
#include "inherit.h"

#include "handle.h"
#include "os.h"
#include "sys.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

namespace gipc::inherit {

namespace {

using Fds = int[3]; // to read, to write, of a ring's memory

struct Entry {
  std::string name;
  std::string text; // as in the variable
  int fd;
  int direction;
  unsigned long long device, inode;
};

// Parses one entry.  False: it is malformed.
bool parse_entry(const std::string &text, Entry &out) {
  size_t equals = text.find('=');
  if (equals == std::string::npos)
    return false;
  out.name = text.substr(0, equals);
  out.text = text;
  char direction = 0;
  int end = 0;
  if (!valid_name(out.name.c_str()) ||
      std::sscanf(text.c_str() + equals + 1, "%d/%c@%llx:%llu%n", &out.fd,
                  &direction, &out.device, &out.inode, &end) != 4 ||
      text[equals + 1 + static_cast<size_t>(end)] != '\0' || out.fd < 0)
    return false;
  out.direction = direction == 'r'   ? GIPC_READ
                  : direction == 'w' ? GIPC_WRITE
                                     : memory;
  return direction == 'r' || direction == 'w' || direction == 'm';
}

bool parse(const std::string &all, std::vector<Entry> &out) {
  for (size_t at = 0; at <= all.size();) {
    size_t comma = all.find(',', at);
    if (comma == std::string::npos)
      comma = all.size();
    Entry entry;
    if (!parse_entry(all.substr(at, comma - at), entry))
      return false;
    out.push_back(std::move(entry));
    at = comma + 1;
  }
  return true;
}

bool is_same_file(const Entry &entry) noexcept {
  struct stat info;
  return sys::fstat(entry.fd, &info) == 0 &&
         info.st_dev == static_cast<dev_t>(entry.device) &&
         info.st_ino == entry.inode;
}

int open_handle(const Fds &fds, Handle *&out) noexcept {
  try {
    int error = Handle::open(fds[0], fds[1], out, fds[2]);
    // The parent does not know whether a handle reads what it puts.
    if (error == 0 && fds[0] >= 0)
      out->receiver().channel().announce_now();
    return error;
  } catch (const std::bad_alloc &) { // as guard() of capi.h does
    return -ENOMEM;
  }
}

// The variable is changed first, because that can be undone, while opening the
// handle cannot.
int adopt_one(const Fds &fds, const std::string &value,
              const std::string &remaining, Handle *&out) {
  sys::ErrnoGuard guard;
  // putenv(3) needs no memory to replace an entry, but nobody frees what it is
  // given: only for a process that has none.
  char *before = ::strdup((std::string(variable) + "=" + value).c_str());
  if (before == nullptr)
    return -ENOMEM;
  int error = sys::set_variable(variable, remaining.c_str());
  if (error == 0) {
    error = open_handle(fds, out);
    if (error != 0 && sys::set_variable(variable, value.c_str()) != 0 &&
        ::putenv(before) == 0)
      before = nullptr; // it is part of the environment
  }
  std::free(before);
  return error;
}

// The removal cannot be undone without memory, but needs none itself, so it
// comes last.
int adopt_last(const Fds &fds, Handle *&out) noexcept {
  sys::ErrnoGuard guard;
  Handle *handle;
  if (int error = open_handle(fds, handle))
    return error;
  if (::unsetenv(variable) != 0) {
    int error = -errno;
    handle->free();
    return error;
  }
  out = handle;
  return 0;
}

} // namespace

bool valid_name(const char *name) noexcept {
  constexpr const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789_-.";
  return *name != '\0' && name[std::strspn(name, allowed)] == '\0';
}

int append(std::string &value, const std::string &name, int fd, int direction) {
  struct stat info;
  if (int error = sys::fstat(fd, &info))
    return error;
  char entry[96];
  std::snprintf(entry, sizeof entry, "=%d/%c@%llx:%llu", fd,
                direction == GIPC_READ    ? 'r'
                : direction == GIPC_WRITE ? 'w'
                                          : 'm',
                static_cast<unsigned long long>(info.st_dev),
                static_cast<unsigned long long>(info.st_ino));
  value += (value.empty() ? "" : ",") + name + entry;
  return 0;
}

int adopt(const char *name, Handle *&out) {
  const char *found = os::secure_getenv(variable);
  if (found == nullptr)
    return -ENOENT;
  std::string value(found);
  std::vector<Entry> entries;
  if (!parse(value, entries))
    return GIPC_EBADHANDLES;
  Fds fds = {-1, -1, -1};
  std::string remaining;
  for (const Entry &entry : entries) {
    if (entry.name != name) {
      remaining += (remaining.empty() ? "" : ",") + entry.text;
      // Children of this program must not inherit the descriptor before the
      // program inherits the handle.
      if (is_same_file(entry))
        (void)sys::set_cloexec(entry.fd, true);
      continue;
    }
    int &fd = fds[entry.direction == GIPC_READ    ? 0
                  : entry.direction == GIPC_WRITE ? 1
                                                  : 2];
    if (fd >= 0 || !is_same_file(entry))
      return GIPC_EBADHANDLES;
    fd = entry.fd;
  }
  if (fds[0] < 0 && fds[2] >= 0)
    return GIPC_EBADHANDLES;
  if (fds[0] < 0 && fds[1] < 0)
    return -ENOENT;
  return remaining.empty() ? adopt_last(fds, out)
                           : adopt_one(fds, value, remaining, out);
}

int take(const char *name, int &fd) {
  const char *found = os::secure_getenv(variable);
  std::vector<Entry> entries;
  if (found == nullptr)
    return -ENOENT;
  if (!parse(found, entries))
    return GIPC_EBADHANDLES;
  std::string remaining;
  const Entry *wanted = nullptr;
  for (const Entry &entry : entries)
    if (entry.name == name)
      wanted = &entry;
    else
      remaining += (remaining.empty() ? "" : ",") + entry.text;
  if (wanted == nullptr)
    return -ENOENT;
  if (!is_same_file(*wanted))
    return GIPC_EBADHANDLES;
  int error = sys::set_cloexec(wanted->fd, true);
  if (error == 0)
    error = set(remaining);
  if (error == 0)
    fd = wanted->fd;
  return error;
}

int set(const std::string &value) noexcept {
  if (!value.empty())
    return sys::set_variable(variable, value.c_str());
  sys::ErrnoGuard guard;
  return ::unsetenv(variable) != 0 ? -errno : 0;
}

// ---- Stdin and stdout -------------------------------------------------------

namespace {

bool is_same_device(const struct stat &a, const struct stat &b) noexcept {
  return S_ISCHR(a.st_mode) && S_ISCHR(b.st_mode) && a.st_rdev == b.st_rdev;
}

// Checks descriptors 0 to 2.  Returns the descriptor that printed text goes to
// from now on: 2, or null if 2 is closed.
int check_stdio(int null) noexcept {
  struct stat in, out, err, nothing;
  int error = sys::fstat(0, &in);
  error = error != 0 ? error : sys::fstat(1, &out);
  error = error != 0 ? error : sys::fstat(null, &nothing);
  if (error != 0)
    return error;
  // /dev/null means that the launcher forwards no stdin or stdout, or that
  // adopt_stdio() was called before.
  if (is_same_device(in, nothing) || is_same_device(out, nothing))
    return GIPC_ECLOSED;
  error = sys::fstat(2, &err);
  if (error != 0)
    return error == -EBADF ? null : error;
  // stderr must not be the same file as stdout: text printed to stderr would
  // corrupt the stream.
  return out.st_dev == err.st_dev && out.st_ino == err.st_ino ? -EINVAL : 2;
}

// Replaces descriptor 0 by null and 1 by target.  On failure neither changes.
int replace_stdio(int null, int target, int old_stdin) noexcept {
  int result = sys::dup2(null, 0);
  if (result < 0)
    return result;
  result = sys::dup2(target, 1);
  if (result < 0)
    (void)sys::dup2(old_stdin, 0);
  return result < 0 ? result : 0;
}

} // namespace

int adopt_stdio(Handle *&out) {
  // Under the lock, so that a concurrently forked child does not see a part of
  // the changes.
  registry::Lock hold;
  Fd in, to, null;
  if (int error = sys::open_null(null))
    return error;
  int target = check_stdio(null.get());
  if (target < 0)
    return target;
  int error = sys::duplicate(0, in);
  error = error != 0 ? error : sys::duplicate(1, to);
  if (error != 0)
    return error;
  Handle *handle;
  error = Handle::open(in.get(), to.get(), handle);
  if (error != 0)
    return error;
  // Other programs may have the same stdin and stdout.
  (void)handle->set_transport(GIPC_TRANSPORT_PLAIN);
  int old_stdin = in.release();
  (void)to.release();
  error = replace_stdio(null.get(), target, old_stdin);
  if (error != 0) {
    handle->free();
    return error;
  }
  out = handle;
  return 0;
}

} // namespace gipc::inherit
