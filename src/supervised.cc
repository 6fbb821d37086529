// One process of a pool or a keeper.
#include "supervised.h"

#include "exec.h"
#include "fork.h"
#include "process.h"

#include <csignal>
#include <unistd.h>

namespace gipc {

Supervised::~Supervised() {
  if (process_ == nullptr)
    return;
  (void)signal(SIGKILL);
  process_->free();
}

int Supervised::start(Target target, void *argument, const Options &options) {
  Fork fork(&options);
  if (int error = fork.prepare())
    return error;
  int pid = fork.fork();
  if (pid == 0) {
    if (fork.child() != 0)
      _exit(127);
    child::run(target, argument, fork.has_loop_flags());
  }
  return fork.parent(pid, process_);
}

int Supervised::start(const std::vector<std::string> &arguments,
                      const Options &options) {
  std::vector<const char *> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string &argument : arguments)
    argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  return start_program(argv.data(), options, process_);
}

int Supervised::watch(struct ev_loop *loop, gipc_exit_callback callback,
                      void *user) {
  return process_->watch(loop, callback, user);
}

int Supervised::pid() const noexcept {
  return process_ != nullptr ? process_->pid() : 0;
}

bool Supervised::is_alive() noexcept { return process_->is_alive() == 1; }

int Supervised::take_stdio(int which) noexcept {
  return process_->take_stdio(which);
}

int Supervised::signal(int number) noexcept {
  return process_ != nullptr ? process_->signal(number) : GIPC_EDEAD;
}

void Supervised::terminate() noexcept {
  (void)signal(SIGTERM);
  (void)signal(SIGCONT);
}

gipc_exit_info Supervised::exit_info() noexcept {
  gipc_exit_info info{};
  if (process_->info(info) != 0)
    info.code = -1;
  info.size = sizeof info;
  return info;
}

} // namespace gipc
