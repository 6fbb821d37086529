// A child that runs another program.
#include "exec.h"

#include "control.h"
#include "guard.h"
#include "handle.h"
#include "inherit.h"
#include "os.h"
#include "process.h"
#include "program.h"
#include "sys.h"
#include "this_process.h"

#include <memory>
#include <vector>

namespace gipc {

namespace {

struct Freer {
  void operator()(Process *process) const { process->free(); }
};

int add_handles(Program &program, const Options &options) {
  for (const Options::Passed &passed : options.passed) {
    if (int error =
            passed.name.empty() ? -EINVAL : passed.handle->check_pass(true))
      return options.note(Part::pass, error);
    int memory;
    if (int error = passed.handle->prepare_exec(memory))
      return options.note(Part::pass, error);
    if (memory >= 0)
      if (int error = program.add(passed.name, memory, inherit::memory))
        return error;
    for (int direction : {GIPC_READ, GIPC_WRITE}) {
      int fd = passed.handle->fd(direction);
      if (fd < 0)
        continue;
      if (int error = program.add(passed.name, fd, direction))
        return error;
    }
  }
  return 0;
}

int prepare(Program &program, const Options &options, const Extra *extra) {
  // A child that another thread forks meanwhile closes all of it.
  registry::Lock hold;
  int error = program.prepare();
  if (error == 0)
    error = leave_rings(options);
  if (error == 0)
    error = add_handles(program, options);
  if (error == 0 && extra != nullptr)
    error = program.add(extra->name, extra->fd, GIPC_READ);
  return error != 0 ? error : program.finish();
}

int start(Program &program, const Options &options, Process &process) noexcept {
  pid_t pid = -1;
  Fd exit_fd;
  registry::Making exit_fd_in_making;
  int error = program.spawn(pid, exit_fd);
  if (error != 0) {
    // So that the child of another thread closes its copy.
    registry::Held known(std::move(exit_fd));
    return error;
  }
  if (!exit_fd)
    (void)os::open_exit_fd(pid, exit_fd);
  registry::Lock hold;
  process.started(pid, std::move(exit_fd), options.leads_group());
  return 0;
}

// The start of a tree: this process forks its guard, and that the program.
class TreeStart {
public:
  TreeStart(Program &program, const Options &options, Process &process)
      : program_(program), options_(options), process_(process) {}
  int prepare();
  int start() noexcept;

private:
  int fork() noexcept;
  [[noreturn]] void run_child() noexcept;

  Program &program_;
  const Options &options_;
  Process &process_;
  registry::Held child_end_;
  std::vector<int> kept_; // of the child
};

int TreeStart::prepare() {
  registry::Lock hold;
  registry::Held parent_end;
  if (int error = registry::socket_pair(parent_end, child_end_))
    return error;
  process_.set_control(std::move(parent_end));
  kept_ = program_.kept();
  kept_.push_back(child_end_.get());
  process_.prepare_tree();
  return 0;
}

void TreeStart::run_child() noexcept {
  int control = child_end_.get(), report_fd = -1;
  // A copy of the parent's end would keep the gate from ending with the parent,
  // and copies of the ends of others their lifelines.
  (void)registry::forget_in_child(kept_);
  int error = guard::become_for_program(
      {control, process_.cgroup(), options_.death_signal}, report_fd);
  if (!control::pass_gate(control, {}))
    _exit(127);
  if (error != 0) {
    control::send(control, {control::Record::failed, error,
                            static_cast<int32_t>(Part::group)});
    _exit(127);
  }
  Failure failure = program_.run();
  guard::report(report_fd, failure.error, static_cast<int>(failure.part));
}

int TreeStart::fork() noexcept {
  SignalBlock signals;
  int pid = sys::fork_process();
  if (pid == 0)
    run_child();
  return pid;
}

int TreeStart::start() noexcept {
  int pid = fork();
  if (pid < 0)
    return pid;
  {
    registry::Lock hold;
    child_end_.reset();
    Fd exit_fd;
    (void)os::open_exit_fd(pid, exit_fd);
    process_.started(pid, std::move(exit_fd), true);
  }
  process_.find_root();
  int error = control::open_gate(process_.control());
  if (error != 0) {
    control::close_gate(process_.control());
    (void)process_.signal(SIGKILL);
  }
  if (error == 0 || error == -EPIPE) // ended already, as its status says
    error = options_.note(process_.wait_until_begun());
  if (error != 0) {
    Deadline never;
    (void)process_.signal(SIGKILL);
    (void)process_.join(never);
  }
  return error;
}

int start_tree(Program &program, const Options &options, Process &process) {
  TreeStart tree(program, options, process);
  int error = tree.prepare();
  return error != 0 ? error : tree.start();
}

} // namespace

int leave_rings(const Options &options) noexcept {
  for (const Options::Stdio &stdio : options.files.stdio)
    if (stdio.mode == GIPC_STDIO_FD)
      if (int error = Handle::make_plain(stdio.fd))
        return options.note(Part::stdio, error);
  for (const Options::Mapping &mapping : options.files.mapped)
    if (int error = Handle::make_plain(mapping.fd))
      return options.note(Part::map_fd, error);
  return 0;
}

int start_program(const char *const argv[], const Options &options,
                  Process *&out, const Extra *extra) {
  CancelGuard guard; // half of a start cannot be undone by unwinding
  Process::reap_detached();
  Program program(argv, options);
  if (int error = prepare(program, options, extra))
    return error;
  std::unique_ptr<Process, Freer> process(new Process(options.name));
  if (int error = options.is_tree() ? start_tree(program, options, *process)
                                    : start(program, options, *process))
    return error;
  if (!options.is_tree())
    process->set_control(std::move(program.lifeline()));
  for (int which = 0; which < 3; ++which)
    process->set_stdio(which, std::move(program.parent_stdio(which)));
  for (const Options::Passed &passed : options.passed)
    passed.handle->give_to_program();
  out = process.release();
  return 0;
}

} // namespace gipc
