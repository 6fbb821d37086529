// Linux: which of the newer ways are live, found out by using each.
#include "os_common.h"

#include "gipc.h"
#include "sys.h"

#include <cerrno>
#include <csignal>
#include <new>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace gipc::os {

namespace {

constexpr size_t stack_size = 64 * 1024;

using Made = void(int fd) noexcept;

struct Probe {
  int ran; // set by the child
};

// Not the kernel's fault: it may do it another time.
bool is_shortage(int error) noexcept {
  return error == -EAGAIN || error == -ENOMEM || error == -EMFILE ||
         error == -ENFILE;
}

// A child that shares our memory, runs before clone(2) returns here, and ends.
// Its end raises no signal and is invisible to a plain wait(2), so that nobody
// else in the program hears of it.
int start_probe(void *stack, Probe *probe, Fd &exit_fd) noexcept {
  auto body = [](void *pointer) -> int {
    static_cast<Probe *>(pointer)->ran = 1;
    _exit(0);
  };
  int fd = -1;
  auto clone_child = [&](int extra) {
    return sys::retry_int("clone", [&] {
      return ::clone(body, static_cast<char *>(stack) + stack_size,
                     CLONE_VM | CLONE_VFORK | extra, probe, &fd);
    });
  };
  int child = clone_child(CLONE_PIDFD);
  if (child < 0 && !is_shortage(child))
    child = clone_child(0);
  exit_fd.reset(child >= 0 ? fd : -1);
  return child;
}

bool wait_for_end(int exit_fd, int *status) noexcept {
  pollfd end_of_it{exit_fd, POLLIN, 0};
  while (sys::poll(&end_of_it, 1, -1) == -EINTR) {
  }
  rusage usage;
  return reap(exit_fd, status, &usage) == 1;
}

// How children are started here, and what is known of their ends.
int process_features(Made *made) noexcept {
  void *stack;
  if (int error =
          sys::map_memory(stack_size, MAP_PRIVATE | MAP_NORESERVE, stack))
    return error;
  // A handler of ours must not run in the child, in our memory.
  sigset_t all, before;
  sigfillset(&all);
  (void)sys::signal_mask(SIG_SETMASK, &all, &before);
  auto *probe = new (stack) Probe{0};
  Fd exit_fd;
  int child = start_probe(stack, probe, exit_fd);
  (void)sys::signal_mask(SIG_SETMASK, &before, nullptr);
  // Emulators take such a clone for a fork, of which nothing shows here.
  int found = child > 0 && probe->ran != 0 ? GIPC_FEATURE_SHARED_START : 0;
  ::munmap(stack, stack_size);
  if (child <= 0)
    return is_shortage(child) ? child : 0;
  if (!exit_fd)
    (void)open_exit_fd(child, exit_fd);
  if (exit_fd)
    made(exit_fd.get());
  int status = 0;
  if (exit_fd && wait_for_end(exit_fd.get(), &status)) {
    found |= GIPC_FEATURE_PIDFD;
    if (kept_status(exit_fd.get(), &status) == 1)
      found |= GIPC_FEATURE_KEPT_STATUS;
  } else {
    (void)sys::waitpid(child, &status, __WALL, nullptr);
  }
  return found;
}

// Transfers on a pipe that do not wait.
int transfer_features(Made *made) noexcept {
  Fd reader, writer;
  if (int error = pipe_pair(reader, writer))
    return error;
  made(reader.get());
  made(writer.get());
  char byte = 0;
  iovec part{&byte, 1};
  int found = 0;
  if (read_now(reader.get(), &part, 1) == -EAGAIN)
    found |= GIPC_FEATURE_PIPE_READ;
  if (write_now(writer.get(), &part, 1) == 1)
    found |= GIPC_FEATURE_PIPE_WRITE;
  return found;
}

int memory_features(Made *) noexcept {
  auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  void *page;
  if (int error = sys::map_memory(size, MAP_PRIVATE, page))
    return error;
  int found = wipe_on_fork(page, size) ? GIPC_FEATURE_WIPE_ON_FORK : 0;
  ::munmap(page, size);
  return found;
}

} // namespace

int features(void (*made)(int) noexcept) noexcept {
  int found = 0;
  // Beyond every descriptor that there can be: nothing is closed.
  if (close_at_once(~0u, ~0u) == 0)
    found |= GIPC_FEATURE_CLOSE_RANGE;
  for (int (*probe)(Made *) noexcept :
       {process_features, transfer_features, memory_features}) {
    int result = probe(made);
    if (result < 0)
      return result;
    found |= result;
  }
  return found;
}

} // namespace gipc::os
