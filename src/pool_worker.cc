// One worker of a pool: its process, and the handle to it.
#include "pool_worker.h"

#include "exec.h"
#include "fork.h"
#include "handle.h"
#include "launch.h"
#include "pool.h"
#include "process.h"
#include "push.h"

#include <csignal>
#include <unistd.h>

namespace gipc {

int WorkerCommand::check() const noexcept {
  const Options::Stdio *stdio = options.files.stdio;
  bool in = stdio[0].mode == GIPC_STDIO_PIPE;
  bool out = stdio[1].mode == GIPC_STDIO_PIPE;
  return !options.passed.empty() || in != out || (in && function != nullptr) ||
                 stdio[2].mode == GIPC_STDIO_PIPE
             ? -EINVAL
             : 0;
}

PoolWorker::~PoolWorker() {
  signal(SIGKILL);
  if (process_ != nullptr)
    process_->free();
  if (handle_ != nullptr) {
    // Nothing is to be written to it any more.
    if (handle_->is_owned() && handle_->is_started())
      (void)Push::stop(*handle_);
    handle_->free();
  }
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

int start_function(const WorkerCommand &command, Handle *handle,
                   Process *&process) {
  Fork fork(&command.options);
  if (int error = fork.prepare())
    return error;
  int pid = fork.fork();
  if (pid == 0) {
    if (fork.child() != 0)
      _exit(127);
    Call of_child{command.function, handle, command.argument};
    child::run(call, &of_child, fork.has_loop_flags());
  }
  return fork.parent(pid, process);
}

int start_arguments(const WorkerCommand &command, Process *&process) {
  std::vector<const char *> argv;
  argv.reserve(command.arguments.size() + 1);
  for (const std::string &argument : command.arguments)
    argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  return start_program(argv.data(), command.options, process);
}

} // namespace

int PoolWorker::start(WorkerCommand &command, struct ev_loop *loop) {
  Handle *child_end = nullptr;
  if (!command.by_stdio())
    if (int error = Handle::pipe(true, handle_, child_end))
      return error;
  int error = start_process(command, child_end);
  command.options.passed.clear();
  if (child_end != nullptr)
    child_end->free();
  return error != 0 ? error : connect(loop);
}

int PoolWorker::start_process(WorkerCommand &command, Handle *child_end) {
  if (child_end != nullptr)
    if (int error = command.options.pass("worker", child_end))
      return error;
  return command.function != nullptr
             ? start_function(command, child_end, process_)
             : start_arguments(command, process_);
}

int PoolWorker::connect(struct ev_loop *loop) {
  if (handle_ == nullptr)
    if (int error = stdio_handle(*process_, handle_))
      return error;
  const gipc_events events = {sizeof events, on_message, nullptr, on_end};
  if (int error = Push::start(*handle_, loop, events, this))
    return error;
  return process_->watch(loop, on_exit, this);
}

// ---- Orders -----------------------------------------------------------------

int PoolWorker::pid() const noexcept {
  return process_ != nullptr ? process_->pid() : 0;
}

bool PoolWorker::is_alive() noexcept { return process_->is_alive() == 1; }

int PoolWorker::send(const void *data, size_t size) noexcept {
  int error = handle_->try_put(data, size);
  return error == -EAGAIN || error == -ENOMEM || error == GIPC_ETOOBIG ? error
                                                                       : 0;
}

// One that waits for a task sees the end of the stream.
void PoolWorker::stop() noexcept {
  if (!has_task && stream_ended_at == policy::forever)
    (void)handle_->shutdown();
  else
    signal(SIGTERM);
}

void PoolWorker::signal(int number) noexcept {
  if (process_ != nullptr)
    (void)process_->signal(number);
}

gipc_exit_info PoolWorker::exit_info() noexcept {
  gipc_exit_info info{};
  if (process_->info(info) != 0)
    info.code = -1;
  info.size = sizeof info;
  return info;
}

// ---- Events -----------------------------------------------------------------

void PoolWorker::on_message(gipc_handle *, const void *data, size_t size,
                            void *user) noexcept {
  auto &worker = *static_cast<PoolWorker *>(user);
  Pool::Scope scope(worker.pool_);
  worker.pool_.received(worker, data, size);
  if (worker.exited_)
    worker.pool_.ended(worker);
}

void PoolWorker::on_end(gipc_handle *, int why, void *user) noexcept {
  auto &worker = *static_cast<PoolWorker *>(user);
  Pool::Scope scope(worker.pool_);
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
  Pool::Scope scope(worker.pool_);
  worker.pool_.ended(worker);
}

// What a worker sends before its answer is short; a process that it left behind
// could send any number of messages.
void PoolWorker::read_rest() noexcept {
  if (handle_->is_started())
    (void)Push::stop(*handle_);
  View view;
  for (int most = 10000; most > 0 && handle_->try_get(view) == 0; --most)
    if (!pool_.is_before_answer(*this, view.data, view.size))
      return;
}

} // namespace gipc
