// How a child is to be started: the values, checked and copied.
#include "options.h"

#include "gipc.h"
#include "inherit.h"
#include "os.h"
#include "sys.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace gipc {

namespace {

bool is_signal(int signal) noexcept { return signal > 0 && signal < NSIG; }

// To the system calls -1 means no change.
template <typename Id> bool is_no_id(Id id) noexcept {
  return id == static_cast<Id>(-1);
}

// False for what the system would take for another limit.
bool to_limit(uint64_t value, rlim_t &limit) noexcept {
  // The infinity of this system's <sys/resource.h>, whichever its size; in a
  // 32-bit program without large files it is the biggest long.
  if (value == ~uint64_t{0} || value == static_cast<uint64_t>(RLIM_INFINITY) ||
      (sizeof(long) < sizeof value && value == ULONG_MAX)) {
    limit = RLIM_INFINITY;
    return true;
  }
  limit = static_cast<rlim_t>(value);
  return value <= static_cast<uint64_t>(std::numeric_limits<rlim_t>::max());
}

} // namespace

int Options::set_daemon(int on) noexcept {
  chose_daemon = true;
  if (on == 0)
    death_signal = 0;
  else if (death_signal == 0)
    death_signal = SIGKILL;
  return 0;
}

int Options::set_death_signal(int signal) noexcept {
  if (!is_signal(signal))
    return -EINVAL;
  death_signal = signal;
  chose_daemon = true;
  return 0;
}

int Options::pass(const char *handle_name, Handle *handle) {
  if (handle_name != nullptr && !inherit::valid_name(handle_name))
    return -EINVAL;
  for (const Passed &other : passed)
    if (other.handle == handle ||
        (handle_name != nullptr && other.name == handle_name))
      return -EINVAL;
  passed.push_back({handle_name != nullptr ? handle_name : "", handle});
  return 0;
}

int Options::set_env(const char *variable, const char *value) {
  if (*variable == '\0' || std::strchr(variable, '=') != nullptr)
    return -EINVAL;
  Variable entry{variable, std::nullopt};
  if (value != nullptr)
    entry.value = value;
  for (Variable &other : environment.variables)
    if (other.name == entry.name) {
      other = std::move(entry);
      return 0;
    }
  environment.variables.push_back(std::move(entry));
  return 0;
}

int Options::set_cwd(const char *path) {
  if (*path == '\0')
    return -EINVAL;
  cwd = path;
  return 0;
}

int Options::set_stdio(int which, int mode, int fd) noexcept {
  if (which < 0 || which > 2 || mode < GIPC_STDIO_INHERIT ||
      mode > GIPC_STDIO_STDOUT || (mode == GIPC_STDIO_STDOUT && which != 2) ||
      (mode == GIPC_STDIO_FD && fd < 0))
    return -EINVAL;
  if (mode != GIPC_STDIO_INHERIT)
    for (const Mapping &mapping : files.mapped)
      if (mapping.child_fd == which)
        return -EINVAL;
  files.stdio[which] = {mode, fd};
  return 0;
}

int Options::map_fd(int fd, int child_fd) {
  if (fd < 0 || child_fd < 0 ||
      (child_fd < 3 && files.stdio[child_fd].mode != GIPC_STDIO_INHERIT))
    return -EINVAL;
  for (Mapping &mapping : files.mapped)
    if (mapping.child_fd == child_fd) {
      mapping.fd = fd;
      return 0;
    }
  files.mapped.push_back({fd, child_fd});
  return 0;
}

int Options::set_program(const char *path) {
  if (*path == '\0')
    return -EINVAL;
  program = path;
  return 0;
}

int Options::set_terminal(int fd) noexcept {
  if (fd < 0)
    return -EINVAL;
  session.terminal = fd;
  if (!is_tree())
    session.group = GIPC_GROUP_SESSION; // no other process may get a terminal
  return 0;
}

int Options::set_umask(mode_t mode) noexcept {
  if ((mode & ~mode_t{0777}) != 0)
    return -EINVAL;
  rights.umask = mode;
  return 0;
}

int Options::set_nice(int increment) noexcept {
  constexpr int most = 40; // from the lowest nice value to the highest
  if (increment < -most || increment > most)
    return -EINVAL;
  rights.nice = increment;
  return 0;
}

int Options::set_group(int value) noexcept {
  if (value < GIPC_GROUP_INHERIT || value > GIPC_GROUP_TREE ||
      (session.terminal >= 0 && value < GIPC_GROUP_SESSION))
    return -EINVAL;
  session.group = value;
  return 0;
}

int Options::set_user(uid_t uid, gid_t gid, const gid_t *groups, size_t count) {
  if (is_no_id(uid) || is_no_id(gid))
    return -EINVAL;
  std::vector<gid_t> sorted;
  if (count > 0)
    sorted.assign(groups, groups + count);
  std::sort(sorted.begin(), sorted.end());
  rights.user = {uid, gid, std::move(sorted)};
  return 0;
}

int Options::set_uid(uid_t uid) {
  if (is_no_id(uid))
    return -EINVAL;
  if (!rights.user)
    rights.user.emplace();
  rights.user->uid = uid;
  return 0;
}

int Options::set_gid(gid_t gid) {
  if (is_no_id(gid))
    return -EINVAL;
  if (!rights.user)
    rights.user.emplace();
  rights.user->gid = gid;
  return 0;
}

int Options::set_rlimit(int resource, uint64_t soft, uint64_t hard) {
  rlimit value;
  if (resource < 0 || soft > hard || !to_limit(soft, value.rlim_cur) ||
      !to_limit(hard, value.rlim_max))
    return -EINVAL;
  rlimit now;
  if (getrlimit(static_cast<decltype(RLIMIT_CORE)>(resource), &now) != 0)
    return -EINVAL;
  rights.limits.push_back({resource, value});
  return 0;
}

int Options::keep(const int *fds, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (fds[i] < 0)
      return -EINVAL;
  std::vector<int> sorted(fds, fds + count);
  std::sort(sorted.begin(), sorted.end());
  files.kept = std::move(sorted);
  files.keep_all = false;
  return 0;
}

int Options::block_signal(int signal) {
  if (!is_signal(signal))
    return -EINVAL;
  blocked_signals.push_back(signal);
  return 0;
}

const char *Options::failed_part() const noexcept {
  switch (failed.load()) {
  case Part::program:
    return "program";
  case Part::cwd:
    return "cwd";
  case Part::env:
    return "env";
  case Part::pass:
    return "pass";
  case Part::stdio:
    return "stdio";
  case Part::map_fd:
    return "map_fd";
  case Part::keep_fds:
    return "keep_fds";
  case Part::group:
    return "group";
  case Part::terminal:
    return "terminal";
  case Part::nice:
    return "nice";
  case Part::rlimit:
    return "rlimit";
  case Part::user:
    return "user";
  case Part::no_new_privileges:
    return "no_new_privileges";
  case Part::death_signal:
    return "death_signal";
  case Part::none:
    break;
  }
  return nullptr;
}

int Options::change_environment() const noexcept {
  if (environment.clear)
    if (int error = os::clear_environment())
      return error;
  for (const Variable &variable : environment.variables) {
    const char *key = variable.name.c_str();
    int error = 0;
    if (variable.value)
      error = sys::set_variable(key, variable.value->c_str());
    else if (::unsetenv(key) != 0)
      error = -errno;
    if (error != 0)
      return error;
  }
  return 0;
}

bool Options::is_tree() const noexcept {
  return session.group == GIPC_GROUP_TREE;
}

bool Options::has_lifeline() const noexcept {
  return death_signal != 0 && !is_tree();
}

bool Options::can_fail_in_child() const noexcept {
  bool redirected = false;
  for (const Stdio &one : files.stdio)
    redirected |= one.mode != GIPC_STDIO_INHERIT;
  return redirected || death_signal != 0 || !cwd.empty() ||
         session.group != 0 || rights.user || !files.mapped.empty() ||
         rights.nice != 0 || rights.no_new_privileges ||
         !rights.limits.empty() || files.kept || environment.clear ||
         !environment.variables.empty();
}

} // namespace gipc
