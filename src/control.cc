// The socket between a parent and its function child.
#include "control.h"

#include "os.h"
#include "sys.h"

#include <algorithm>

namespace gipc::control {

namespace {

constexpr int per_batch = 16; // few, so that it needs no page of stack more

int send_all(int fd, const void *data, size_t size) noexcept {
  auto *at = static_cast<const char *>(data);
  while (size > 0) {
    ssize_t sent = sys::send(fd, at, size, 0);
    if (sent < 0)
      return sent == -ECONNRESET ? -EPIPE : static_cast<int>(sent);
    at += sent;
    size -= static_cast<size_t>(sent);
  }
  return 0;
}

bool receive_all(int fd, void *data, size_t size) noexcept {
  auto *at = static_cast<char *>(data);
  while (size > 0) {
    ssize_t got = sys::recv(fd, at, size, 0);
    if (got <= 0)
      return false;
    at += got;
    size -= static_cast<size_t>(got);
  }
  return true;
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
  int error = send_all(parent_end, &number, sizeof number);
  for (int sent = 0; error == 0 && sent < count;) {
    registry::Change batch[per_batch];
    int size = std::min(count - sent, per_batch);
    window.copy(sent, batch, size);
    error =
        send_all(parent_end, batch, sizeof *batch * static_cast<size_t>(size));
    sent += size;
  }
  return error;
}

int open_gate(int parent_end) noexcept {
  int32_t none = 0;
  return send_all(parent_end, &none, sizeof none);
}

bool pass_gate(int child_end, const std::vector<int> &keep) noexcept {
  int32_t left;
  if (!receive_all(child_end, &left, sizeof left))
    return false;
  while (left > 0) {
    registry::Change batch[per_batch];
    int size = std::min(left, per_batch);
    if (!receive_all(child_end, batch,
                     sizeof *batch * static_cast<size_t>(size)))
      return false;
    for (int i = 0; i < size; ++i)
      close_changed(batch[i], keep);
    left -= size;
  }
  return true;
}

bool send(int child_end, const Record &record) noexcept {
  return sys::send(child_end, &record, sizeof record, MSG_DONTWAIT) ==
         sizeof record;
}

int receive(int parent_end, Record *out, int count) noexcept {
  // A record is written at once and far smaller than a socket's buffer, so it
  // is there whole or not at all.
  ssize_t size = sys::recv(
      parent_end, out, sizeof *out * static_cast<size_t>(count), MSG_DONTWAIT);
  if (size > 0)
    return static_cast<int>(size / static_cast<ssize_t>(sizeof *out));
  // A child that ended before it passed the gate resets the connection.
  return size == 0 || size == -ECONNRESET ? -EPIPE : -EAGAIN;
}

} // namespace gipc::control
