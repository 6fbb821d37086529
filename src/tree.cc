// A tree as its parent knows it; see tree.h.
#include "tree.h"

#include "gipc.h"
#include "os.h"
#include "sys.h"

#include <csignal>

namespace gipc {

Tree::~Tree() {
  // No process was ever in it; or the guard has removed it, but for a failure.
  if (!cgroup_.empty())
    (void)os::remove_cgroup(cgroup_.c_str());
}

void Tree::prepare() {
  char path[4096];
  Fd lock;
  if (os::make_cgroup(path, sizeof path, lock) != 0)
    return; // the guard does without
  lock_ = std::move(lock);
  cgroup_ = path;
}

void Tree::begin(pid_t guard, pid_t root) noexcept {
  registry::Lock hold;
  Fd exit_fd;
  // The guard, which has not ended, has not reaped it.
  if (os::open_exit_fd(root, exit_fd) == 0 && os::has_ended(guard))
    exit_fd.reset();
  exit_fd_ = std::move(exit_fd);
  lock_.reset();
  guard_ = guard;
  root_ = root;
}

int Tree::signal_root(int number) noexcept {
  if (root_ < 0)
    return GIPC_EDEAD;
  int result =
      exit_fd_ ? os::signal_by_exit_fd(exit_fd_.get(), number) : -ENOSYS;
  // Without a descriptor: the guard reaps it when it has ended, and then its
  // number may mean another process.
  if (result < 0 && result != -ESRCH)
    result = os::has_ended(guard_) || !os::is_child_of(root_, guard_)
                 ? -ESRCH
                 : sys::kill(root_, number);
  return result == -ESRCH ? GIPC_EDEAD : result;
}

int Tree::signal_all(int number, bool is_session) noexcept {
  if (number == 0)
    return signal_root(number);
  if (is_session) {
    int result = signal_root(0);
    return result == 0 ? sys::kill(-root_, number) : result;
  }
  registry::Lock hold; // descriptors are made
  int result = os::signal_descendants(guard_, number);
  return result == 0 ? GIPC_EDEAD : result < 0 ? result : 0;
}

void Tree::end_without_guard() noexcept {
  // The root dies with the guard, but for one that has changed its rights.
  if (exit_fd_)
    (void)os::signal_by_exit_fd(exit_fd_.get(), SIGKILL);
  exit_fd_.reset();
  if (cgroup_.empty())
    return;
  (void)os::kill_cgroup(cgroup_.c_str());
  constexpr int tries = 100; // what cannot be removed, a later start removes
  for (int i = 0; i < tries && os::remove_cgroup(cgroup_.c_str()) == -EBUSY;
       ++i)
    (void)sys::poll(nullptr, 0, 1);
  cgroup_.clear();
}

void Tree::forget() noexcept {
  lock_.forget();
  exit_fd_.forget();
  cgroup_.clear();
}

} // namespace gipc
