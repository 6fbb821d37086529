// A program that a child runs: what happens between its fork and its exec.
#include "program.h"

#include "inherit.h"
#include "os.h"
#include "sys.h"

#include <algorithm>
#include <cstring>

extern "C" char **environ;

namespace gipc {

// ---- In the parent ----------------------------------------------------------

int Program::prepare() { return setup_.prepare(options_, true); }

int Program::add(const std::string &name, int fd, int direction) {
  if (fd < 3 || setup_.replaces(fd)) {
    Fd copy;
    if (int error = sys::duplicate(fd, copy))
      return error;
    fd = copy.get();
    copies_.emplace_back(std::move(copy));
  }
  setup_.keep(fd, true);
  return inherit::append(handles_, name, fd, direction);
}

int Program::finish() {
  if (options_.has_lifeline()) {
    if (int error = registry::socket_pair(lifeline_parent_, lifeline_child_))
      return error;
    setup_.keep(lifeline_child_.get(), true);
  }
  if (os::spawn_forks() && !options_.is_tree()) {
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

void Program::prepare_environment() {
  auto replaced = [&](const char *entry) {
    const char *equals = std::strchr(entry, '=');
    std::string name(entry, equals != nullptr
                                ? static_cast<size_t>(equals - entry)
                                : std::strlen(entry));
    // What this process was passed is not for its children.
    if (name == inherit::variable)
      return true;
    for (const Options::Variable &variable : options_.environment.variables)
      if (variable.name == name)
        return true;
    return false;
  };
  if (!options_.environment.clear && environ != nullptr)
    for (char **entry = environ; *entry != nullptr; ++entry)
      if (!replaced(*entry))
        variables_.push_back(*entry);
  for (const Options::Variable &variable : options_.environment.variables)
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

int Program::spawn(pid_t &pid, Fd &exit_fd) noexcept {
  SignalBlock signals;
  // With other rights a child in the parent's memory would be open to attack
  // through it.
  bool shared = !options_.rights.user;
  os::Spawn child{
      in_child, this, shared, status_reader_.get(), status_writer_.get(),
      forked};
  int part = 0;
  int error = os::spawn(child, &pid, &exit_fd, &part);
  return options_.note(static_cast<Part>(part), error);
}

// ---- In the child -----------------------------------------------------------

namespace {

// What says that the program cannot be reached in one folder, not that it
// cannot be executed.
bool is_of_the_folder(int error) noexcept {
  for (int one : {ENOENT, ENOTDIR, EACCES, ENAMETOOLONG, ELOOP, ESTALE, ENODEV,
                  ETIMEDOUT})
    if (error == -one)
      return true;
  return false;
}

} // namespace

int Program::in_child(void *self, int *part) noexcept {
  Failure failure = static_cast<Program *>(self)->run();
  *part = static_cast<int>(failure.part);
  return failure.error;
}

Failure Program::run() noexcept {
  Failure failure = setup_.apply();
  if (failure.error == 0 && lifeline_child_)
    failure = {
        os::signal_on_hangup(lifeline_child_.get(), options_.death_signal),
        Part::death_signal};
  if (failure.error == 0)
    failure = {execute(), Part::program};
  return failure;
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

} // namespace gipc
