// One worker of a pool: its process, and the handle to it.
#pragma once

#include "gipc.h"
#include "last_lines.h"
#include "options.h"
#include "policy.h"
#include "supervised.h"
#include "watch.h"

#include <optional>
#include <string>
#include <vector>

struct ev_loop;

namespace gipc {

class Handle;
class KeptDescriptors;
class Pool;

// What each worker of a pool runs: a function, or a program.
struct WorkerCommand {
  gipc_worker_function function = nullptr;
  void *argument = nullptr;
  std::vector<std::string> arguments; // of a program
  Options options;

  // 0, or -EINVAL: these options cannot be those of workers.
  int check() const noexcept;
  // The handle is made of the program's stdin and stdout, as a launcher needs.
  bool by_stdio() const noexcept {
    return options.files.stdio[0].mode == GIPC_STDIO_PIPE;
  }
};

class PoolWorker {
public:
  PoolWorker(Pool &pool, policy::Id worker) : pool_(pool), id_(worker) {}
  // Kills a process that runs.
  ~PoolWorker();
  PoolWorker(const PoolWorker &) = delete;
  PoolWorker &operator=(const PoolWorker &) = delete;

  // Throws bad_alloc.  After an error the worker is of no use.
  int start(WorkerCommand &command, struct ev_loop *loop);

  policy::Id id() const noexcept { return id_; }
  int pid() const noexcept { return process_.pid(); }
  bool is_alive() noexcept { return process_.is_alive(); }
  // When its stream, or its stdin, ended before its process; `forever` if it
  // did not.
  double stream_ended_at = policy::forever;

  // with may be null.
  int send(const void *data, size_t size, const KeptDescriptors *with) noexcept;
  // Whether the last task that it was sent is not written.
  bool has_unwritten() noexcept;
  // Asks it to end.
  void stop(bool has_task) noexcept;
  void signal(int number) noexcept { (void)process_.signal(number); }
  // Its process has ended: reads what is left.
  void read_rest() noexcept;
  gipc_exit_info exit_info() noexcept { return process_.exit_info(); }
  // Of its stderr; none where that is not a pipe.
  gipc_text last_lines() const noexcept { return lines_.text(); }

private:
  int start_process(WorkerCommand &command);
  int connect(struct ev_loop *loop);
  void watch_stdin(struct ev_loop *loop);
  static const HandleWatch::Events stdin_events;
  static void on_message(gipc_handle *, const void *, size_t, void *) noexcept;
  static void on_end(gipc_handle *, int why, void *) noexcept;
  static void on_exit(gipc_process *, void *) noexcept;

  Pool &pool_;
  const policy::Id id_;
  Handle *handle_ = nullptr;
  Supervised process_;
  LastLines lines_;
  std::optional<HandleWatch> stdin_;
  bool exited_ = false; // its end is reported when its callback has returned
};

} // namespace gipc
