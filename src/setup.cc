// What a child does to itself before it begins, prepared by the parent.
#include "setup.h"

#include "gipc.h"
#include "os.h"
#include "sys.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <sys/stat.h>

namespace gipc {

SignalBlock::SignalBlock() noexcept {
  sigset_t all;
  sigfillset(&all);
  (void)sys::signal_mask(SIG_SETMASK, &all, &old_);
}

SignalBlock::~SignalBlock() {
  if (active_)
    (void)sys::signal_mask(SIG_SETMASK, &old_, nullptr);
}

// ---- In the parent ----------------------------------------------------------

int Setup::prepare(const Options &options, bool exec) {
  options_ = &options;
  options.failed = Part::none;
  exec_ = exec;
  close_others_ =
      options.files.kept.has_value() || (exec && !options.files.keep_all);
  sigemptyset(&mask_);
  for (int signal : options.blocked_signals)
    sigaddset(&mask_, signal);
  if (options.rights.user && options.rights.user->groups)
    found_groups_.resize(options.rights.user->groups->size() + 1);
  int error = reserve_numbers();
  for (int which = 0; error == 0 && which < 3; ++which)
    error = options.note(Part::stdio, prepare_stdio(which));
  for (size_t i = 0; error == 0 && i < options.files.mapped.size(); ++i) {
    Fd copy;
    error = options.note(Part::map_fd,
                         sys::duplicate(options.files.mapped[i].fd, copy));
    if (error == 0)
      sources_.push_back(
          {registry::Held(std::move(copy)), options.files.mapped[i].child_fd});
  }
  if (error != 0)
    return error;
  for (const Source &source : sources_)
    for (int fd : {source.fd.get(), source.number})
      if (fd > 2)
        kept_.push_back(fd);
  if (options.files.kept)
    for (int fd : *options.files.kept)
      if (fd > 2 && !replaces(fd))
        keep(fd, exec);
  return 0;
}

// Every source is a copy at 3 or above, so that no redirection can overwrite
// the source of the next.  The stream of a handle is not for what a child reads
// and prints, and a number that nothing is on would be that of the first file
// which the child opens.
int Setup::prepare_stdio(int which) {
  const Options::Stdio &stdio = options_->files.stdio[which];
  Fd source, parent;
  int error = 0;
  int flags = sys::descriptor_flags(which);
  // A loop may have made a file there, which is closed by the exec.
  bool is_gone = registry::holds(which) || flags == -EBADF ||
                 (exec_ && flags > 0 && (flags & FD_CLOEXEC) != 0);
  if (stdio.mode == GIPC_STDIO_NULL ||
      (stdio.mode == GIPC_STDIO_INHERIT && is_gone))
    error = sys::open_null(source);
  else if (stdio.mode == GIPC_STDIO_FD)
    error = sys::duplicate(stdio.fd, source);
  else if (stdio.mode == GIPC_STDIO_PIPE && which == 0)
    error = os::pipe_pair(source, parent);
  else if (stdio.mode == GIPC_STDIO_PIPE)
    error = os::pipe_pair(parent, source);
  parent_stdio_[which] = std::move(parent);
  if (error == 0 && source)
    sources_.push_back({registry::Held(std::move(source)), which});
  return error;
}

// Nothing that this library opens for the child may be at a number that the
// child has something else at: a copy of that is there meanwhile.
int Setup::reserve_numbers() {
  // What is to be copied must not be taken from there.
  for (const Options::Mapping &mapping : options_->files.mapped)
    if (int flags = sys::status_flags(mapping.fd); flags < 0)
      return options_->note(Part::map_fd, flags);
  for (const Options::Stdio &stdio : options_->files.stdio)
    if (stdio.mode == GIPC_STDIO_FD)
      if (int flags = sys::status_flags(stdio.fd); flags < 0)
        return options_->note(Part::stdio, flags);
  reserved_.reserve(options_->files.mapped.size());
  for (const Options::Mapping &mapping : options_->files.mapped) {
    Fd placeholder;
    if (mapping.child_fd > 2 && sys::status_flags(mapping.child_fd) < 0 &&
        sys::duplicate(mapping.fd, placeholder, mapping.child_fd) == 0 &&
        placeholder.get() == mapping.child_fd)
      reserved_.emplace_back(std::move(placeholder));
  }
  return 0;
}

bool Setup::replaces(int fd) const noexcept {
  for (const Source &source : sources_)
    if (source.number == fd)
      return true;
  return fd == 2 && options_->files.stdio[2].mode == GIPC_STDIO_STDOUT;
}

void Setup::keep(int fd, bool expose) {
  kept_.push_back(fd);
  if (expose)
    exposed_.push_back(fd);
}

void Setup::finish() { std::sort(kept_.begin(), kept_.end()); }

// ---- In the child -----------------------------------------------------------

Failure Setup::apply() noexcept {
  // Handlers go before any signal can come; an exec would reset them but leave
  // what is ignored.  Python and others ignore SIGPIPE, which programs do not
  // expect; a function child is the same program and keeps it.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number)
    if (number != SIGKILL && number != SIGSTOP && (exec_ || number != SIGPIPE))
      (void)::sigaction(number, &standard, nullptr);
  // Limits and rights last, because the rest may need what these take away, and
  // the user after the limits, which may need its privileges.
  constexpr struct {
    Part part;
    int (Setup::*take)() noexcept;
  } steps[] = {{Part::group, &Setup::set_group},
               {Part::terminal, &Setup::set_terminal},
               {Part::stdio, &Setup::redirect},
               {Part::cwd, &Setup::change_directory},
               {Part::keep_fds, &Setup::close_others},
               {Part::nice, &Setup::set_mask_and_nice},
               {Part::rlimit, &Setup::set_limits},
               {Part::user, &Setup::set_identity},
               {Part::no_new_privileges, &Setup::set_no_new_privileges}};
  for (const auto &step : steps)
    if (int error = (this->*step.take)(); error < 0)
      return {error, step.part};
  return {0, Part::none};
}

int Setup::set_group() noexcept {
  if (options_->session.group == GIPC_GROUP_NEW)
    return sys::setpgid(0, 0);
  return options_->session.group >= GIPC_GROUP_SESSION ? sys::setsid() : 0;
}

int Setup::set_terminal() noexcept {
  return options_->session.terminal < 0
             ? 0
             : os::set_terminal(options_->session.terminal);
}

int Setup::change_directory() noexcept {
  return options_->cwd.empty() ? 0 : sys::chdir(options_->cwd.c_str());
}

int Setup::redirect() noexcept {
  // A function child owns what comes to these numbers; before an exec this is
  // the parent's memory.
  if (!exec_)
    for (registry::Held &placeholder : reserved_)
      (void)placeholder.release();
  for (const Source &source : sources_) {
    int error = sys::dup2(source.fd.get(), source.number);
    if (error < 0)
      return error;
  }
  if (options_->files.stdio[2].mode == GIPC_STDIO_STDOUT) {
    int error = sys::dup2(1, 2);
    if (error < 0)
      return error;
  }
  return exec_ ? 0 : fill_stdio();
}

// An inherited loop may have had a file there, which went with it.
int Setup::fill_stdio() const noexcept {
  for (int which = 0; which < 3; ++which) {
    if (sys::descriptor_flags(which) != -EBADF)
      continue;
    Fd null;
    int error = sys::open_null(null);
    if (error == 0)
      error = sys::dup2(null.get(), which);
    if (error < 0)
      return error;
  }
  return 0;
}

int Setup::set_mask_and_nice() noexcept {
  if (options_->rights.umask)
    (void)::umask(*options_->rights.umask); // the old one
  return options_->rights.nice == 0 ? 0 : sys::nice(options_->rights.nice);
}

int Setup::set_limits() noexcept {
  for (const Options::Limit &limit : options_->rights.limits)
    if (int error = sys::setrlimit(limit.resource, &limit.value))
      return error;
  return 0;
}

int Setup::set_identity() noexcept {
  if (!options_->rights.user)
    return 0;
  const Options::User &user = *options_->rights.user;
  os::Identity wanted;
  wanted.uid = user.uid ? &*user.uid : nullptr;
  wanted.gid = user.gid ? &*user.gid : nullptr;
  if (user.groups) {
    wanted.set_groups = true;
    wanted.groups = user.groups->data();
    wanted.count = user.groups->size();
    wanted.found = found_groups_.data();
  }
  return os::set_identity(wanted);
}

// The lowest number >= from that stays open, or -1.  The options may have
// changed since prepare(): a runtime adds what it has opened after its fork.
int Setup::next_kept(int from) const noexcept {
  auto kept = std::lower_bound(kept_.begin(), kept_.end(), from);
  int next = kept != kept_.end() ? *kept : -1;
  if (!options_->files.kept)
    return next;
  const std::vector<int> &fds = *options_->files.kept;
  auto added = std::lower_bound(fds.begin(), fds.end(), from);
  if (added == fds.end())
    return next;
  return next < 0 ? *added : std::min(next, *added);
}

int Setup::set_no_new_privileges() noexcept {
  return options_->rights.no_new_privileges ? os::set_no_new_privileges() : 0;
}

int Setup::close_others() noexcept {
  for (int fd : exposed_)
    if (int error = sys::set_cloexec(fd, false))
      return error;
  if (!close_others_)
    return 0;
  unsigned next = 3; // after INT_MAX it is no descriptor any more
  while (next <= INT_MAX) {
    int kept = next_kept(static_cast<int>(next));
    if (kept < 0)
      break;
    auto number = static_cast<unsigned>(kept);
    if (number > next)
      if (int error = os::close_range(next, number - 1))
        return error;
    next = number + 1;
  }
  return os::close_range(next, ~0u);
}

void Setup::unmask() const noexcept {
  (void)sys::signal_mask(SIG_SETMASK, &mask_, nullptr);
}

void Setup::close_sources() noexcept {
  for (Source &source : sources_)
    source.fd.reset();
  for (registry::Held &placeholder : reserved_)
    placeholder.reset();
}

} // namespace gipc
