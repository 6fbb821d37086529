// One worker of a pool: its process, and the handle to it.
#include "pool_worker.h"

#include "fd.h"
#include "handle.h"
#include "launch.h"
#include "pool.h"
#include "push.h"
#include "sender.h"

#include <csignal>

namespace gipc {

int WorkerCommand::check() const noexcept {
  const Options::Stdio *stdio = options.files.stdio;
  bool in = stdio[0].mode == GIPC_STDIO_PIPE;
  bool out = stdio[1].mode == GIPC_STDIO_PIPE;
  return !options.passed.empty() || in != out || (in && function != nullptr)
             ? -EINVAL
             : 0;
}

PoolWorker::~PoolWorker() {
  if (pool_.usable() != 0) {
    lines_.forget();
    if (stdin_)
      stdin_->forget();
  }
  signal(SIGKILL); // before it sees the end of its stream
  if (handle_ == nullptr)
    return;
  stdin_.reset();
  // Nothing is to be written to it any more.
  if (handle_->is_owned() && handle_->is_started())
    (void)Push::stop(*handle_);
  handle_->free();
}

// ---- Start ------------------------------------------------------------------

namespace {

// What a function child is called with.
struct Call {
  gipc_worker_function function;
  Handle *handle;
  void *argument;
};

int call(struct ev_loop *fresh, void *argument) {
  auto *it = static_cast<Call *>(argument);
  return it->function(fresh, reinterpret_cast<gipc_handle *>(it->handle),
                      it->argument);
}

} // namespace

int PoolWorker::start(WorkerCommand &command, struct ev_loop *loop) {
  int error = start_process(command);
  return error != 0 ? error : connect(loop);
}

int PoolWorker::start_process(WorkerCommand &command) {
  // The child's end, and that it is passed, also when there is no memory.
  struct End {
    ~End() {
      options.passed.clear();
      if (handle != nullptr)
        handle->free();
    }
    Options &options;
    Handle *handle = nullptr;
  } end{command.options};
  if (!command.by_stdio()) {
    if (int error = Handle::pipe(true, handle_, end.handle))
      return error;
    if (int error = command.options.pass("worker", end.handle))
      return error;
  }
  if (command.function == nullptr)
    return process_.start(command.arguments, command.options);
  Call of_child{command.function, end.handle, command.argument};
  return process_.start(call, &of_child, command.options);
}

int PoolWorker::connect(struct ev_loop *loop) {
  bool by_stdio = handle_ == nullptr;
  if (by_stdio)
    if (int error = stdio_handle(Fd(process_.take_stdio(0)),
                                 Fd(process_.take_stdio(1)), handle_))
      return error;
  const gipc_events events = {sizeof events, on_message, nullptr, on_end};
  if (int error = Push::start(*handle_, loop, events, this))
    return error;
  if (by_stdio)
    watch_stdin(loop);
  if (int fd = process_.take_stdio(2); fd >= 0)
    lines_.start(loop, Fd(fd));
  return process_.watch(loop, on_exit, this);
}

// A worker that closes its stdin keeps its stdout, and a task in the pipe would
// never be read.  The pipe is then readable, too, to poll(2).
void PoolWorker::watch_stdin(struct ev_loop *loop) {
  stdin_.emplace(loop, handle_->sender().channel().fd(), -1, stdin_events,
                 this);
  stdin_->want_read(true);
}

const HandleWatch::Events PoolWorker::stdin_events = {
    [](void *self) noexcept {
      auto &worker = *static_cast<PoolWorker *>(self);
      Supervisor::Scope scope(worker.pool_.supervisor());
      worker.stdin_.reset();
      worker.pool_.input_ended(worker);
    },
    nullptr,
    nullptr,
    nullptr,
    [](void *self) noexcept {
      static_cast<PoolWorker *>(self)->stdin_.reset();
    },
};

// ---- Orders -----------------------------------------------------------------

int PoolWorker::send(const void *data, size_t size,
                     const KeptDescriptors *with) noexcept {
  return with != nullptr ? handle_->try_put_with(data, size, *with)
                         : handle_->try_put(data, size);
}

// A write that fails drops the queue, and the last message with it.
bool PoolWorker::has_unwritten() noexcept {
  const Sender &sender = handle_->sender();
  return !sender.is_empty() || sender.end() != 0;
}

// One that waits for a task sees the end of the stream.
void PoolWorker::stop(bool has_task) noexcept {
  if (!has_task && stream_ended_at == policy::forever) {
    stdin_.reset();
    (void)handle_->shutdown();
  } else {
    process_.terminate();
  }
}

// ---- Events -----------------------------------------------------------------

void PoolWorker::on_message(gipc_handle *, const void *data, size_t size,
                            void *user) noexcept {
  auto &worker = *static_cast<PoolWorker *>(user);
  Supervisor::Scope scope(worker.pool_.supervisor());
  worker.pool_.received(worker, data, size);
  if (worker.exited_)
    worker.pool_.ended(worker);
}

void PoolWorker::on_end(gipc_handle *, int why, void *user) noexcept {
  auto &worker = *static_cast<PoolWorker *>(user);
  Supervisor::Scope scope(worker.pool_.supervisor());
  worker.pool_.stream_ended(worker, why);
  if (worker.exited_)
    worker.pool_.ended(worker);
}

void PoolWorker::on_exit(gipc_process *, void *user) noexcept {
  auto &worker = *static_cast<PoolWorker *>(user);
  // A callback that runs the loop uses a message of this worker.
  worker.exited_ = true;
  if (worker.handle_->in_callback())
    return;
  Supervisor::Scope scope(worker.pool_.supervisor());
  worker.pool_.ended(worker);
}

// What a worker sends before its answer is short; a process that it left behind
// could send any number of messages.
void PoolWorker::read_rest() noexcept {
  lines_.finish();
  stdin_.reset();
  if (handle_->is_started())
    (void)Push::stop(*handle_);
  View view;
  for (int most = 10000; most > 0 && handle_->try_get(view) == 0; --most)
    pool_.received(*this, view.data, view.size);
}

} // namespace gipc
