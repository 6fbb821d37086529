// A child that runs another program.
#include "exec.h"

#include "fork.h"
#include "handle.h"
#include "inherit.h"
#include "os.h"
#include "process.h"
#include "registry.h"
#include "setup.h"
#include "sys.h"

#include <cstring>
#include <memory>

extern "C" char **environ;

namespace gipc {

namespace {

struct Freer {
  void operator()(Process *process) const { process->free(); }
};

// What says that the program cannot be reached in one folder, not that it
// cannot be executed.
bool is_of_the_folder(int error) noexcept {
  for (int one : {ENOENT, ENOTDIR, EACCES, ENAMETOOLONG, ELOOP, ESTALE, ENODEV,
                  ETIMEDOUT})
    if (error == -one)
      return true;
  return false;
}

// Everything the child needs, in memory that it only reads.
class Program {
public:
  Program(const char *const argv[], const Options &options)
      : argv_(argv), options_(options) {}
  int prepare();
  int start(Process *&out);

private:
  static int in_child(void *self, int *part) noexcept;
  int execute() noexcept;
  static void forked(void *self) noexcept {
    static_cast<Program *>(self)->status_writer_.reset();
  }
  int prepare_handles();
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

int Program::prepare() {
  // A child that another thread forks meanwhile closes all of it.
  registry::Lock hold;
  if (int error = setup_.prepare(options_, true))
    return error;
  if (int error = prepare_handles())
    return error;
  if (options_.death_signal != 0) {
    Fd parent, child;
    if (int error = os::socket_pair(parent, child))
      return error;
    lifeline_parent_ = std::move(parent);
    lifeline_child_ = std::move(child);
    setup_.keep(lifeline_child_.get(), true);
  }
  if (os::spawn_forks()) {
    Fd reader, writer;
    if (int error = os::pipe_pair(reader, writer))
      return error;
    status_reader_ = std::move(reader);
    status_writer_ = std::move(writer);
  }
  setup_.finish();
  prepare_environment();
  prepare_paths();
  return 0;
}

int Program::prepare_handles() {
  for (const Options::Passed &passed : options_.passed) {
    if (int error =
            passed.name.empty() ? -EINVAL : passed.handle->check_pass(true))
      return options_.note(Part::pass, error);
    for (int direction : {GIPC_READ, GIPC_WRITE}) {
      int fd = passed.handle->fd(direction);
      if (fd < 0)
        continue;
      if (fd < 3 || setup_.replaces(fd)) {
        Fd copy;
        if (int error = sys::duplicate(fd, copy))
          return error;
        fd = copy.get();
        copies_.emplace_back(std::move(copy));
      }
      setup_.keep(fd, true);
      if (int error = inherit::append(handles_, passed.name, fd, direction))
        return error;
    }
  }
  return 0;
}

void Program::prepare_environment() {
  auto replaced = [&](const char *entry) {
    const char *equals = std::strchr(entry, '=');
    std::string name(entry, equals != nullptr
                                ? static_cast<size_t>(equals - entry)
                                : std::strlen(entry));
    // What this process was passed is not for its children.
    if (name == inherit::variable)
      return true;
    for (const Options::Variable &variable : options_.env)
      if (variable.name == name)
        return true;
    return false;
  };
  if (!options_.clear_env && environ != nullptr)
    for (char **entry = environ; *entry != nullptr; ++entry)
      if (!replaced(*entry))
        variables_.push_back(*entry);
  for (const Options::Variable &variable : options_.env)
    if (variable.value)
      variables_.push_back(variable.name + "=" + *variable.value);
  if (!handles_.empty())
    variables_.push_back(std::string(inherit::variable) + "=" + handles_);
  for (std::string &variable : variables_)
    environment_.push_back(variable.data());
  environment_.push_back(nullptr);
}

// Where the program may be: the search of execvp(3), done beforehand because
// only execve(2) is safe in the child.
void Program::prepare_paths() {
  std::string program(options_.program.empty() ? argv_[0] : options_.program);
  // The empty name is no program, in no folder: execve(2) says so.
  if (program.empty() || program.find('/') != std::string::npos) {
    paths_.push_back(program);
    return;
  }
  std::string search = "/bin:/usr/bin";
  for (const std::string &variable : variables_)
    if (variable.compare(0, 5, "PATH=") == 0) {
      search = variable.substr(5);
      break; // what getenv(3) finds in the child
    }
  for (size_t at = 0; at <= search.size();) {
    size_t colon = std::min(search.find(':', at), search.size());
    std::string folder = search.substr(at, colon - at);
    paths_.push_back((folder.empty() ? "." : folder) + "/" + program);
    at = colon + 1;
  }
}

int Program::in_child(void *pointer, int *part) noexcept {
  auto *self = static_cast<Program *>(pointer);
  Failure failure = self->setup_.apply();
  if (failure.error == 0 && self->lifeline_child_)
    failure = {os::signal_on_hangup(self->lifeline_child_.get(),
                                    self->options_.death_signal),
               Part::death_signal};
  if (failure.error == 0)
    failure = {self->execute(), Part::program};
  *part = static_cast<int>(failure.part);
  return failure.error;
}

// Returns if it fails.
int Program::execute() noexcept {
  setup_.unmask();
  bool forbidden = false;
  int error = 0;
  for (const std::string &path : paths_) {
    os::at_exec();
    error = sys::execve(path.c_str(), const_cast<char *const *>(argv_),
                        environment_.data());
    forbidden |= error == -EACCES;
    if (!is_of_the_folder(error))
      return error;
  }
  // One that was found but may not be run says more than the last place
  // without one.
  return forbidden ? -EACCES : error;
}

int Program::start(Process *&out) {
  std::unique_ptr<Process, Freer> process(new Process(options_.name));
  // With other rights a child in the parent's memory would be open to attack
  // through it.
  bool shared = !options_.user;
  pid_t pid = -1;
  Fd pidfd;
  {
    registry::Making pidfd_in_making;
    int error, part = 0;
    {
      SignalBlock signals;
      os::Spawn child{
          in_child, this, shared, status_reader_.get(), status_writer_.get(),
          forked};
      error = os::spawn(child, &pid, &pidfd, &part);
    }
    if (error != 0) {
      registry::Held known(std::move(pidfd)); // to the child of another thread
      return options_.note(static_cast<Part>(part), error);
    }
    if (!pidfd)
      (void)os::open_pidfd(pid, pidfd);
    process->started(pid, std::move(pidfd), options_.leads_group());
  }
  process->set_control(std::move(lifeline_parent_));
  for (int which = 0; which < 3; ++which)
    process->set_stdio(which, std::move(setup_.parent_stdio(which)));
  for (const Options::Passed &passed : options_.passed)
    passed.handle->give_away();
  out = process.release();
  return 0;
}

} // namespace

int start_program(const char *const argv[], const Options &options,
                  Process *&out) {
  CancelGuard guard; // half of a start cannot be undone by unwinding
  Process::reap_detached();
  Program program(argv, options);
  int error = program.prepare();
  return error != 0 ? error : program.start(out);
}

} // namespace gipc
