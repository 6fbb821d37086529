// A program behind a launcher; its messages are its stdin and stdout.
#include "launch.h"

#include "exec.h"
#include "handle.h"
#include "process.h"

#include <csignal>
#include <new>

namespace gipc {

// The callers have a process to end when it fails.
int stdio_handle(Fd to, Fd from, Handle *&out) noexcept {
  try {
    if (int error = Handle::open(from.get(), to.get(), out))
      return error;
  } catch (const std::bad_alloc &) {
    return -ENOMEM;
  }
  (void)to.release();
  (void)from.release();
  return 0;
}

int launch(const char *const argv[], const Options &options, Process *&process,
           Handle *&handle) {
  Options with_pipes = options;
  for (int which : {0, 1}) {
    int mode = options.files.stdio[which].mode;
    if (mode != GIPC_STDIO_INHERIT && mode != GIPC_STDIO_PIPE)
      return options.note(Part::stdio, -EINVAL);
    if (int error = with_pipes.set_stdio(which, GIPC_STDIO_PIPE, -1))
      return options.note(Part::stdio, error);
  }
  int error = start_program(argv, with_pipes, process);
  if (error != 0)
    return options.note(with_pipes.failed.load(), error);
  error = stdio_handle(Fd(process->take_stdio(0)), Fd(process->take_stdio(1)),
                       handle);
  if (error != 0) {
    (void)process->signal(SIGKILL);
    process->free();
  }
  return error;
}

} // namespace gipc
