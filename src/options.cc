// How a child is to be started: the values, checked and copied.
#include "options.h"

#include "gipc.h"
#include "inherit.h"

#include <cerrno>
#include <cstring>

namespace gipc {

namespace {

bool is_signal(int signal) noexcept { return signal > 0 && signal < NSIG; }

} // namespace

int Options::set_daemon(int on) noexcept {
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
  for (Variable &other : env)
    if (other.name == entry.name) {
      other = std::move(entry);
      return 0;
    }
  env.push_back(std::move(entry));
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
  stdio[which] = {mode, fd};
  return 0;
}

int Options::set_group(int value) noexcept {
  if (value < GIPC_GROUP_INHERIT || value > GIPC_GROUP_SESSION)
    return -EINVAL;
  group = value;
  return 0;
}

int Options::set_user(uid_t uid, gid_t gid, const gid_t *groups, size_t count) {
  User value{uid, gid, {}};
  if (count > 0)
    value.groups.assign(groups, groups + count);
  user = std::move(value);
  return 0;
}

int Options::set_rlimit(int resource, uint64_t soft, uint64_t hard) {
  rlimit value;
  if (resource < 0 || soft > hard ||
      getrlimit(static_cast<decltype(RLIMIT_CORE)>(resource), &value) != 0)
    return -EINVAL;
  value.rlim_cur = static_cast<rlim_t>(soft);
  value.rlim_max = static_cast<rlim_t>(hard);
  limits.push_back({resource, value});
  return 0;
}

int Options::keep(const int *fds, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (fds[i] < 0)
      return -EINVAL;
  keep_fds = std::vector<int>(fds, fds + count);
  keep_all_fds = false;
  return 0;
}

int Options::block_signal(int signal) {
  if (!is_signal(signal))
    return -EINVAL;
  blocked_signals.push_back(signal);
  return 0;
}

bool Options::can_fail_in_child() const noexcept {
  bool redirected = false;
  for (const Stdio &one : stdio)
    redirected |= one.mode != GIPC_STDIO_INHERIT;
  return redirected || death_signal != 0 || !cwd.empty() || group != 0 ||
         user || no_new_privileges || !limits.empty() || keep_fds;
}

} // namespace gipc
