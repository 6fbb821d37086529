// A program that a child runs: what happens between its fork and its exec, all
// prepared by the parent, in memory that the child only reads.
#pragma once

#include "fd.h"
#include "options.h"
#include "setup.h"
#include "this_process.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace gipc {

class Program {
public:
  // Both must live as long.
  Program(const char *const argv[], const Options &options)
      : argv_(argv), options_(options) {}

  // In this order, under the registry's lock: prepare(), add()
  // for each descriptor that is passed, finish().  They throw bad_alloc.
  int prepare();
  // A descriptor of a handle that the program finds by this name.
  int add(const std::string &name, int fd, int direction);
  int finish();

  // Returns when the program runs.  *exit_fd as os::spawn() has it.
  int spawn(pid_t &pid, Fd &exit_fd) noexcept;
  // In a process that was forked for it: executes the program, or returns why
  // it cannot.
  Failure run() noexcept;
  // The parent's ends of the stdio pipes, and of the lifeline of a daemon.
  registry::Held &parent_stdio(int which) { return setup_.parent_stdio(which); }
  registry::Held &lifeline() noexcept { return lifeline_parent_; }
  // The descriptors that the program needs before its exec.
  const std::vector<int> &kept() const { return setup_.kept(); }

private:
  static int in_child(void *self, int *part) noexcept;
  int execute() noexcept;
  static void forked(void *self) noexcept {
    static_cast<Program *>(self)->status_writer_.reset();
  }
  void prepare_environment();
  void prepare_paths();

  const char *const *argv_;
  const Options &options_;
  Setup setup_;
  registry::Held lifeline_parent_, lifeline_child_;
  // Of handles at numbers that are redirected.
  std::vector<registry::Held> copies_;
  registry::Held status_reader_, status_writer_;
  std::string handles_; // the value of GIPC_HANDLES
  std::vector<std::string> variables_;
  std::vector<char *> environment_;
  std::vector<std::string> paths_;
};

} // namespace gipc
