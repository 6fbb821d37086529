// Lines of JSON on a descriptor of the program's choice, and static probes.
#include "trace.h"

#include "deadline.h"
#include "json_line.h"
#include "os.h"
#include "sys.h"
#include "this_process.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gipc::trace {

namespace {

constexpr uint32_t lines_bit = os::probes_bit(0), uses_bit = os::probes_bit(1);

enum class Way : unsigned char { socket, pipe, polled, file };

// Under the registry's lock.
struct Output {
  bool is_open; // fd is a descriptor
  int fd;
  Way way;
  uint64_t dropped; // lines, since the last that was written
  // The end of a line of which a socket took the beginning.
  char left[JsonLine::most];
  size_t left_size;
};

PerProcess<Output> output;

void close_output() noexcept {
  os::probes_switch.fetch_and(~lines_bit);
  if (output->is_open)
    registry::drop(output->fd);
  output->is_open = false;
}

int find_way(int fd, Way &way) noexcept {
  int type = sys::socket_type(fd);
  if (type >= 0) {
    way = Way::socket;
    return type == SOCK_STREAM ? 0 : -EINVAL;
  }
  int flags = sys::status_flags(fd);
  if (flags < 0)
    return flags;
  struct stat info;
  bool is_file = sys::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  way = is_file ? Way::file : Way::pipe;
  return (flags & O_ACCMODE) == O_RDONLY ? -EINVAL : 0;
}

// Never waits: -EAGAIN.
ssize_t write_now(const char *data, size_t size) noexcept {
  iovec part{const_cast<char *>(data), size};
  if (output->way == Way::socket)
    return os::send_now(output->fd, &part, 1);
  if (output->way == Way::pipe) {
    ssize_t written = os::write_now(output->fd, &part, 1);
    if (written != -EOPNOTSUPP && written != -EINVAL && written != -ENOSYS)
      return written;
    output->way = Way::polled;
  }
  // A pipe that is writable has room for PIPE_BUF bytes (POSIX).
  pollfd ready{output->fd, POLLOUT, 0};
  if (output->way == Way::polled && sys::poll(&ready, 1, 0) != 1)
    return -EAGAIN;
  return os::write_quietly(output->fd, &part, 1);
}

// Whether all of it was written, or its end is kept for the next time.
bool write_line(const char *data, size_t size) noexcept {
  ssize_t written = write_now(data, size);
  if (written < 0) {
    if (written != -EAGAIN && written != -EINTR && written != -ENOBUFS &&
        written != -ENOMEM && written != -ENOSPC)
      close_output(); // the reader is gone
    return false;
  }
  output->left_size = size - static_cast<size_t>(written);
  std::memmove(output->left, data + written, output->left_size);
  return true;
}

// A child may send any number.
template <size_t count>
const char *name_of(const char *const (&names)[count], int number) noexcept {
  return names[number > 0 && number < static_cast<int>(count) ? number : 0];
}

JsonLine begin(const char *event) noexcept {
  JsonLine line;
  line.seconds("time", monotonic_now()).number("pid", ::getpid());
  line.word("event", event);
  return line;
}

// What is due before the next line.
bool write_due() noexcept {
  if (output->left_size > 0)
    (void)write_line(output->left, output->left_size);
  if (!output->is_open || output->left_size > 0)
    return false;
  if (output->dropped == 0)
    return true;
  JsonLine line = begin("dropped");
  const char *text = line.number("count", output->dropped).end();
  if (!write_line(text, line.size()))
    return false;
  output->dropped = 0;
  return output->left_size == 0;
}

// A forked child inherits the bit, and not the output.
bool has_lines() noexcept {
  uint32_t on = os::probes_switch.load(std::memory_order_relaxed);
  if ((on & lines_bit) == 0)
    return false;
  if (!output.is_own()) {
    os::probes_switch.fetch_and(~lines_bit);
    return false;
  }
  return true;
}

void write(JsonLine &line) noexcept {
  CancelGuard guard;
  int saved = errno;
  registry::Lock hold;
  if (output.is_own() && output->is_open) {
    const char *text = line.end();
    if (!write_due() || !write_line(text, line.size()))
      ++output->dropped;
  }
  errno = saved;
}

} // namespace

int write_to(int fd) noexcept {
  Way way{};
  if (fd >= 0)
    if (int error = find_way(fd, way))
      return error;
  registry::Lock hold;
  output.renew();
  Fd copy;
  if (fd >= 0)
    if (int error = sys::duplicate(fd, copy))
      return error;
  close_output();
  if (fd < 0)
    return 0;
  output->fd = registry::hold(std::move(copy));
  output->is_open = true;
  output->way = way;
  output->dropped = output->left_size = 0;
  os::probes_switch.fetch_or(lines_bit);
  return 0;
}

void note_uses() noexcept {
  if ((os::probes_switch.load(std::memory_order_relaxed) & uses_bit) == 0)
    os::probes_switch.fetch_or(uses_bit);
}

// ---- Events -----------------------------------------------------------------

void started(uint64_t process, pid_t pid, const char *name) noexcept {
  os::probe_start(process, pid, name);
  if (!has_lines())
    return;
  JsonLine line = begin("start");
  line.number("process", process).number("child", pid).text("name", name);
  write(line);
}

void ended(uint64_t process, pid_t pid, const gipc_exit_info &info) noexcept {
  static const char *const sources[] = {"unknown",  "wait",  "kernel",
                                        "reported", "child", "lost"};
  static const char *const ends[] = {"unknown",   "return",  "exit",
                                     "exception", "unwound", "before_start",
                                     "unsent"};
  os::probe_end(process, pid, info.code, info.signal);
  if (!has_lines())
    return;
  JsonLine line = begin("end");
  line.number("process", process).number("child", pid);
  line.number("code", info.code).number("signal", info.signal);
  line.number("core", info.core).word("how", name_of(sources, info.how));
  line.word("ended", name_of(ends, info.ended));
  if (info.user >= 0)
    line.seconds("user", info.user)
        .seconds("system", info.system)
        .number("max_rss", int64_t{info.max_rss});
  write(line);
}

void put(uint64_t handle, size_t size, size_t queued) noexcept {
  os::probe_put(handle, size, queued);
  if (!has_lines())
    return;
  JsonLine line = begin("put");
  line.number("handle", handle).number("size", uint64_t{size});
  line.number("queued", uint64_t{queued});
  write(line);
}

void got(uint64_t handle, size_t size) noexcept {
  os::probe_get(handle, size);
  if (!has_lines())
    return;
  JsonLine line = begin("get");
  line.number("handle", handle).number("size", uint64_t{size});
  write(line);
}

void stalled(uint64_t handle, size_t size, size_t queued) noexcept {
  os::probe_stall(handle, size, queued);
  if (!has_lines())
    return;
  JsonLine line = begin("stall");
  line.number("handle", handle).number("size", uint64_t{size});
  line.number("queued", uint64_t{queued});
  write(line);
}

void rang(uint64_t handle) noexcept {
  os::probe_bell(handle);
  if (!has_lines())
    return;
  JsonLine line = begin("bell");
  line.number("handle", handle);
  write(line);
}

void task(uint64_t id, uint64_t worker, pid_t pid, unsigned attempt,
          const char *what, const char *why) noexcept {
  os::probe_task(id, worker, pid, what);
  if (!has_lines())
    return;
  JsonLine line = begin("task");
  line.number("task", id).number("worker", worker).number("child", pid);
  line.number("attempt", uint64_t{attempt}).word("what", what);
  if (why != nullptr)
    line.word("why", why);
  write(line);
}

void restarted(uint64_t worker, size_t service, unsigned times) noexcept {
  os::probe_restart(worker, service, times);
  if (!has_lines())
    return;
  JsonLine line = begin("restart");
  line.number("worker", worker).number("service", uint64_t{service});
  line.number("times", uint64_t{times});
  write(line);
}

} // namespace gipc::trace
