// What a process tells its supervisor by sd_notify(3): that it is ready, and
// that it is alive; both ends.
#pragma once

#include "gipc.h"
#include "os.h"
#include "this_process.h"

#include <memory>

namespace gipc::notify {

// To the address in NOTIFY_SOCKET.  -ENOENT: there is none.  ready() is left by
// unwinding when its thread is cancelled.
int ready();
int alive() noexcept;

// Where the notices of one process come in.
class Socket {
public:
  // Throws bad_alloc.
  static int create(std::unique_ptr<Socket> &out);
  ~Socket();
  Socket(const Socket &) = delete;
  Socket &operator=(const Socket &) = delete;

  const char *address() const noexcept { return address_.text; }
  int fd() const noexcept;
  // What the next datagram says, a mask of GIPC_NOTIFY_, or an error.
  int receive(pid_t process) noexcept;

private:
  Socket() = default;
  int usable() const noexcept {
    return owner_ == generation::current() ? 0 : GIPC_EWRONGPROC;
  }

  const uint32_t owner_ = generation::current();
  registry::Held fd_;
  os::NotifyAddress address_{};
};

} // namespace gipc::notify
