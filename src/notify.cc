// What a process tells its supervisor by sd_notify(3).
#include "notify.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <unistd.h>

namespace gipc::notify {

namespace {

int send(std::string_view text, bool waits) {
  const char *address = os::secure_getenv("NOTIFY_SOCKET");
  if (address == nullptr || *address == '\0')
    return -ENOENT;
  registry::Held fd;
  {
    registry::Lock hold;
    Fd made;
    if (int error = os::datagram_socket(made))
      return error;
    fd = std::move(made);
  }
  return os::send_datagram(fd.get(), address, text.data(), text.size(), waits);
}

// A notice is lines of the form NAME=VALUE.
int mask_of(std::string_view text) noexcept {
  int mask = 0;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line == "READY=1")
      mask |= GIPC_NOTIFY_READY;
    else if (line == "WATCHDOG=1")
      mask |= GIPC_NOTIFY_ALIVE;
    else if (line == "STOPPING=1")
      mask |= GIPC_NOTIFY_STOPPING;
  }
  return mask;
}

} // namespace

// A supervisor that is stopped, or blocked, must not block what it supervises;
// but a process that is never ready is of no use.
int ready() { return send("READY=1", true); }

int alive() noexcept { return send("WATCHDOG=1", false); }

int Socket::create(std::unique_ptr<Socket> &out) {
  std::unique_ptr<Socket> made(new Socket);
  registry::Lock hold;
  Fd fd;
  int error = os::datagram_socket(fd);
  if (error == 0)
    error = os::bind_notify(fd.get(), made->address_);
  if (error == 0) {
    made->fd_ = std::move(fd);
    out = std::move(made);
  }
  return error;
}

Socket::~Socket() {
  if (usable() != 0)
    fd_.forget();
  else if (fd_)
    os::unbind_notify(address_);
}

int Socket::fd() const noexcept {
  int error = usable();
  return error != 0 ? error : fd_.get();
}

int Socket::receive(pid_t process) noexcept {
  if (int error = usable())
    return error;
  char text[4096]; // as much as systemd accepts
  os::Datagram from;
  ssize_t size;
  {
    // With sd_notify_barrier(3) the sender waits until no copy is left of a
    // descriptor that came with the datagram: no fork may make one.
    registry::Lock hold;
    size = os::receive_datagram(fd_.get(), text, sizeof text, from);
    for (int i = 0; i < from.fd_count; ++i) {
      registry::note_made(from.fds[i]);
      Fd closes(from.fds[i]);
    }
  }
  if (size < 0)
    return static_cast<int>(size);
  bool from_us = !from.has_sender || from.uid == ::geteuid() ||
                 (process > 0 && from.pid == process);
  return from_us && !from.is_cut ? mask_of({text, static_cast<size_t>(size)})
                                 : 0;
}

} // namespace gipc::notify
