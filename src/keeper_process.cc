// One process of a service, and what it reports.
#include "keeper_process.h"

#include "keeper.h"

#include <algorithm>
#include <cerrno>

namespace gipc {

const HandleWatch::Events KeeperProcess::watch_events = {
    on_readable,
    [](void *) noexcept {},
    [](void *) noexcept {},
    [](void *) noexcept {},
    [](void *) noexcept {}, // it is inactive then
};

KeeperProcess::~KeeperProcess() {
  if (keeper_.usable() == 0)
    return;
  if (watch_ != nullptr)
    watch_->forget();
  lines_.forget();
}

namespace {

constexpr const char *variables[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
                                     "WATCHDOG_PID"};

// This process's own supervisor must not hear its services; but what the
// options set is what the program wants.
void hide_supervisor(Options &options) {
  const auto &set = options.environment.variables;
  for (const char *name : variables)
    if (std::none_of(set.begin(), set.end(),
                     [&](const auto &one) { return one.name == name; }))
      (void)options.set_env(name, nullptr);
}

void set_supervisor(Options &options, const char *address, double silence) {
  for (const char *name : variables)
    (void)options.set_env(name, nullptr);
  (void)options.set_env("NOTIFY_SOCKET", address);
  // As sd_watchdog_enabled(3) reads it; more than a year is no limit.
  if (silence < 4e7) {
    auto microseconds = static_cast<unsigned long long>(silence * 1e6);
    (void)options.set_env("WATCHDOG_USEC",
                          std::to_string(microseconds).c_str());
  }
}

} // namespace

int KeeperProcess::listen(const policy::LifeRules &rules, Options &options,
                          struct ev_loop *loop) {
  if (int error = notify::Socket::create(socket_))
    return error;
  watch_ = std::make_unique<HandleWatch>(loop, socket_->fd(), -1, watch_events,
                                         this);
  watch_->want_read(true);
  set_supervisor(options, socket_->address(), rules.silence);
  return 0;
}

int KeeperProcess::start(const Service &service, Options &options,
                         struct ev_loop *loop) {
  const policy::ServiceRules &rules = service.rules;
  if (!rules.notify && rules.life.silence == policy::forever)
    hide_supervisor(options);
  else if (int error = listen(rules.life, options, loop))
    return error;
  int error = service.function != nullptr
                  ? process_.start(service.function, service.argument, options)
                  : process_.start(service.arguments, options);
  if (error != 0)
    return error;
  if (int fd = process_.take_stdio(2); fd >= 0)
    lines_.start(loop, Fd(fd));
  return process_.watch(loop, on_exit, this);
}

int KeeperProcess::receive() noexcept {
  return socket_ != nullptr ? socket_->receive(process_.pid()) : -EAGAIN;
}

gipc_text KeeperProcess::last_lines() noexcept {
  lines_.finish();
  return lines_.text();
}

void KeeperProcess::on_readable(void *user) noexcept {
  auto &process = *static_cast<KeeperProcess *>(user);
  Supervisor::Scope scope(process.keeper_.supervisor());
  process.keeper_.readable(process.id_);
}

void KeeperProcess::on_exit(gipc_process *, void *user) noexcept {
  auto &process = *static_cast<KeeperProcess *>(user);
  Supervisor::Scope scope(process.keeper_.supervisor());
  process.keeper_.ended(process.id_);
}

} // namespace gipc
