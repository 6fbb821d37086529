// The socket between a parent and its function child.
#include "control.h"

#include "os.h"
#include "sys.h"

#include <algorithm>
#include <cstring>

namespace gipc::control {

namespace {

constexpr int per_batch = 16; // few, so that it needs no page of stack more

constexpr int most_tries = 100;

// Whether a transfer without memory is to be repeated: what is not told here
// cannot be told later.
bool may_repeat(ssize_t result, int &tries) noexcept {
  return (result == -ENOMEM || result == -ENOBUFS) && tries-- > 0;
}

int send_all(int fd, const void *data, size_t size, int flags) noexcept {
  auto *at = static_cast<const char *>(data);
  int tries = most_tries;
  if (fd < 0)
    return -EPIPE; // it was closed when the end of the child was seen
  while (size > 0) {
    ssize_t sent = sys::send(fd, at, size, flags);
    if (may_repeat(sent, tries))
      continue;
    if (sent < 0)
      return sent == -ECONNRESET ? -EPIPE : static_cast<int>(sent);
    at += sent;
    size -= static_cast<size_t>(sent);
  }
  return 0;
}

// A child that ended before it passed the gate resets the connection.
bool is_end(ssize_t result) noexcept {
  return result == 0 || result == -ECONNRESET;
}

// -EPIPE at the end of the stream.
int receive_all(int fd, void *data, size_t size, int flags) noexcept {
  auto *at = static_cast<char *>(data);
  int tries = most_tries;
  while (size > 0) {
    ssize_t got = sys::recv(fd, at, size, flags);
    if (may_repeat(got, tries))
      continue;
    if (got <= 0)
      return is_end(got) ? -EPIPE : static_cast<int>(got);
    at += got;
    size -= static_cast<size_t>(got);
  }
  return 0;
}

// Closes the descriptor of this change if it is that file.
void close_changed(const registry::Change &change,
                   const std::vector<int> &keep) noexcept {
  struct stat info;
  if (change.fd < 3 ||
      std::binary_search(keep.begin(), keep.end(), change.fd) ||
      sys::fstat(change.fd, &info) != 0 || change.known == 0 ||
      static_cast<uint64_t>(info.st_dev) != change.device ||
      static_cast<uint64_t>(info.st_ino) != change.inode)
    return;
  // Other files may be the program's own, opened once more or of one kind with
  // it: nameless files of the kernel look the same, and so do, before
  // Linux 6.9, descriptors of processes.
  if (S_ISSOCK(info.st_mode) || S_ISFIFO(info.st_mode) ||
      os::is_exit_fd(change.fd))
    Fd(change.fd).reset();
}

} // namespace

int open_gate(int parent_end, const registry::ForkWindow &window) noexcept {
  int count = window.wait_until_settled();
  if (count < 0)
    return count;
  auto number = static_cast<int32_t>(count);
  int error = send_all(parent_end, &number, sizeof number, 0);
  for (int sent = 0; error == 0 && sent < count;) {
    registry::Change batch[per_batch];
    int size = std::min(count - sent, per_batch);
    window.copy(sent, batch, size);
    error = send_all(parent_end, batch,
                     sizeof *batch * static_cast<size_t>(size), 0);
    sent += size;
  }
  return error;
}

int open_gate(int parent_end) noexcept {
  int32_t none = 0;
  return send_all(parent_end, &none, sizeof none, 0);
}

void close_gate(int parent_end) noexcept {
  if (parent_end >= 0)
    (void)sys::shutdown(parent_end, SHUT_WR); // it may be closed already
}

bool pass_gate(int child_end, const std::vector<int> &keep) noexcept {
  int32_t left;
  if (receive_all(child_end, &left, sizeof left, 0) != 0)
    return false;
  while (left > 0) {
    registry::Change batch[per_batch];
    int size = std::min(left, per_batch);
    if (receive_all(child_end, batch, sizeof *batch * static_cast<size_t>(size),
                    0) != 0)
      return false;
    for (int i = 0; i < size; ++i)
      close_changed(batch[i], keep);
    left -= size;
  }
  return true;
}

int send(int child_end, const Record &record) noexcept {
  return send_all(child_end, &record, sizeof record, MSG_DONTWAIT);
}

void send_begun(int child_end) noexcept {
  if (send(child_end, {Record::begun, 0, 0}) != 0)
    (void)sys::shutdown(child_end, SHUT_RDWR); // it may be closed already
}

int receive(int parent_end, Record *out, int count, Partial &part) noexcept {
  constexpr size_t one = sizeof *out;
  size_t got = part.size, room = one * static_cast<size_t>(count);
  auto *at = reinterpret_cast<unsigned char *>(out);
  std::memcpy(at, part.bytes, got);
  int tries = most_tries;
  ssize_t size;
  // After a part of one there may be more; else that would be a call for
  // nothing.
  do {
    size = sys::recv(parent_end, at + got, room - got, MSG_DONTWAIT);
    got += size > 0 ? static_cast<size_t>(size) : 0;
  } while (may_repeat(size, tries) || (size > 0 && got % one != 0));
  part.size = got % one;
  got -= part.size;
  std::memcpy(part.bytes, at + got, part.size);
  return got > 0        ? static_cast<int>(got / one)
         : is_end(size) ? -EPIPE
                        : -EAGAIN;
}

} // namespace gipc::control
