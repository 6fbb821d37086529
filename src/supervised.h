// One process of a pool or a keeper: how it is started, signalled, and ends.
#pragma once

#include "gipc.h"
#include "options.h"

#include <string>
#include <vector>

struct ev_loop;

namespace gipc {

class Process;

class Supervised {
public:
  using Target = int (*)(struct ev_loop *fresh, void *argument);

  Supervised() = default;
  // Kills a process that runs.
  ~Supervised();
  Supervised(const Supervised &) = delete;
  Supervised &operator=(const Supervised &) = delete;

  // These throw bad_alloc.
  int start(Target target, void *argument, const Options &options);
  int start(const std::vector<std::string> &arguments, const Options &options);
  int watch(struct ev_loop *loop, gipc_exit_callback callback, void *user);

  int pid() const noexcept; // 0: it was not started
  bool is_alive() noexcept;
  int take_stdio(int which) noexcept;
  int signal(int number) noexcept;
  // Asks it to end, also if it is stopped.
  void terminate() noexcept;
  gipc_exit_info exit_info() noexcept;

private:
  Process *process_ = nullptr;
};

} // namespace gipc
