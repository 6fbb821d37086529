// A child: its descriptors, its end, its stop sequence.
#include "process.h"

#include "os.h"
#include "sys.h"
#include "trace.h"

#include <algorithm>
#include <charconv>
#include <sys/wait.h>

namespace gipc {

const ProcessWatch::Events Process::watch_events = {
    [](void *self) noexcept { static_cast<Process *>(self)->on_end(); },
    [](void *self, int wait_status) noexcept {
      auto *process = static_cast<Process *>(self);
      // The loop has just reaped it; what is left of its group keeps the
      // number.
      if (process->stopping_group_)
        (void)process->kill_group(SIGKILL);
      (void)process->report(wait_status);
      process->on_end();
    },
    [](void *self) noexcept {
      auto *process = static_cast<Process *>(self);
      if (!process->has_ended())
        (void)(process->stopping_group_ ? process->kill_group(SIGKILL)
                                        : process->kill(SIGKILL));
    },
    [](void *self) noexcept { static_cast<Process *>(self)->drop_watch(); },
};

Process::Process(const std::string &name)
    : Entry(registry::Kind::process), name_(name) {
  // So that naming it after its pid needs no memory later.
  name_.reserve(sizeof "gipc-2147483647" - 1);
}

void Process::prepare_tree() {
  tree_ = std::make_unique<Tree>();
  tree_->prepare();
}

void Process::started(pid_t pid, Fd exit_fd, bool leads) noexcept {
  status_.set_started(pid, std::move(exit_fd));
  leads_group_ = leads;
  if (tree_ == nullptr)
    announce(pid);
}

void Process::find_root() noexcept {
  pid_t root = status_.wait_for_root();
  if (root > 0)
    tree_->begin(status_.pid(), root);
  registry::Lock hold;
  announce(pid());
}

Failure Process::wait_until_begun() noexcept {
  constexpr int patience = 100; // ms
  // The program of a tree may stop the guard before that tells of its begin.
  while (!status_.begins_within(tree_ != nullptr ? patience : -1))
    (void)send(SIGCONT);
  return status_.failure();
}

void Process::set_name(pid_t number) noexcept {
  if (name_.empty()) {
    // Not by printf(3), which needs pages of stack.
    char digits[sizeof "2147483647"];
    name_.assign("gipc-").append(
        digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  }
}

void Process::announce(pid_t pid) noexcept {
  set_name(pid);
  enter();
  status_.set_shown(id(), pid);
  if (trace::is_on())
    trace::started(id(), pid, name());
}

// ---- Its end ----------------------------------------------------------------

bool Process::has_ended() noexcept {
  if (!status_.reap_or_sleep())
    return false;
  if (tree_ != nullptr && status_.has_lost_guard())
    tree_->end_without_guard();
  return true;
}

int Process::is_alive() noexcept {
  int error = usable();
  return error != 0 ? error : has_ended() ? 0 : 1;
}

int Process::join(Deadline deadline) {
  if (int error = usable())
    return error;
  reap_detached();
  // Without a descriptor to wait on: looks again, after longer and longer.
  int interval = 1;
  while (!has_ended()) {
    int left = deadline.milliseconds();
    if (left == 0)
      return -ETIMEDOUT;
    pollfd end_of_it{status_.exit_fd(), POLLIN, 0};
    if (status_.exit_fd() >= 0) {
      int result = sys::poll_cancellable(&end_of_it, 1, left);
      if (result < 0 && result != -EINTR)
        return result;
    } else {
      (void)sys::poll_cancellable(
          nullptr, 0, left < 0 ? interval : std::min(left, interval));
      interval = std::min(2 * interval, 20);
    }
  }
  return 0;
}

int Process::exitcode(int &code) noexcept {
  if (int error = usable())
    return error;
  return has_ended() ? status_.exitcode(code) : -EAGAIN;
}

int Process::info(gipc_exit_info &out) noexcept {
  if (int error = usable())
    return error;
  if (!has_ended())
    return -EAGAIN;
  status_.describe(out);
  return 0;
}

int Process::report(int wait_status) noexcept {
  if (int error = usable())
    return error;
  if (!WIFEXITED(wait_status) && !WIFSIGNALED(wait_status))
    return -EINVAL;
  status_.report(wait_status);
  return 0;
}

// ---- Signals ----------------------------------------------------------------

// To the child, or to the guard of a tree.
int Process::send(int number) noexcept {
  // Without a descriptor: the pid cannot belong to another process before this
  // process, or another reaper in it, has reaped the child.
  int result = status_.exit_fd() >= 0
                   ? os::signal_by_exit_fd(status_.exit_fd(), number)
                   : -ENOSYS;
  if (result < 0 && result != -ESRCH)
    result = sys::kill(status_.pid(), number);
  return result == -ESRCH ? GIPC_EDEAD : result;
}

int Process::kill(int number) noexcept {
  if (tree_ == nullptr)
    return send(number);
  int result = tree_->signal_root(number);
  // A guard that was stopped ends nothing.  Not before: the root could stop it
  // once more.
  if (number == SIGKILL)
    (void)send(SIGCONT);
  return result;
}

int Process::signal(int number) noexcept {
  if (int error = usable())
    return error;
  if (number < 0 || number >= NSIG)
    return -EINVAL;
  return has_ended() ? GIPC_EDEAD : kill(number);
}

// A group keeps its number while its leader has not been reaped, also when it
// has ended.
int Process::kill_group(int number) noexcept {
  if (status_.is_known())
    return GIPC_EDEAD;
  if (tree_ != nullptr && number == SIGKILL)
    return kill(number); // the guard kills the others when the root has ended
  if (tree_ != nullptr)
    return tree_->signal_all(number, status_.tree() == GIPC_TREE_SESSION);
  int result = sys::kill(-status_.pid(), number);
  // Its leader may have moved itself to another group, and its end is waited
  // for.
  if ((result == -ESRCH || number == SIGKILL) &&
      !os::was_reaped(status_.pid())) {
    int sent = send(number);
    result = result == -ESRCH ? sent : result;
  }
  return result == -ESRCH ? GIPC_EDEAD : result;
}

int Process::signal_group(int number) noexcept {
  if (int error = usable())
    return error;
  if (number < 0 || number >= NSIG || !leads_group_)
    return -EINVAL;
  // Asked for here, its end would be reaped, and the rest of the group lost.
  return was_reaped() ? GIPC_EDEAD : kill_group(number);
}

// Any time ago, by any reaper in this program.
bool Process::was_reaped() noexcept {
  int alive = status_.exit_fd() >= 0
                  ? os::signal_by_exit_fd(status_.exit_fd(), 0)
                  : -ENOSYS;
  return status_.is_known() || alive == -ESRCH ||
         (alive < 0 && os::was_reaped(status_.pid()));
}

int Process::ask_to_end(bool group) noexcept {
  // A stopped process acts on it only once it goes on.
  for (int number : {SIGTERM, SIGCONT})
    if (int error = group ? kill_group(number) : kill(number))
      return error == GIPC_EDEAD ? 0 : error;
  return 0;
}

int Process::stop(double grace) {
  Deadline patience, forever;
  int error = grace < 0 ? -EINVAL : Deadline::create(grace, patience);
  if (error == 0)
    error = usable();
  if (error != 0)
    return error;
  if (has_ended())
    return 0;
  error = ask_to_end(false);
  if (error != 0)
    return error;
  if (int result = join(patience); result != -ETIMEDOUT)
    return result;
  error = kill(SIGKILL);
  return error != 0 && error != GIPC_EDEAD ? error : join(forever);
}

// Until it has ended, but not been reaped; false at the deadline.
bool Process::wait_unreaped(Deadline &deadline) {
  while (!os::has_ended(status_.pid())) {
    int left = deadline.milliseconds();
    if (left == 0)
      return false;
    pollfd end_of_it{status_.exit_fd(), POLLIN, 0};
    constexpr int interval = 5;
    (void)sys::poll_cancellable(
        &end_of_it, status_.exit_fd() >= 0 ? 1 : 0,
        status_.exit_fd() >= 0 ? left : std::min(left, interval));
  }
  return true;
}

int Process::stop_group(double grace) {
  Deadline patience, forever;
  int error = grace < 0 ? -EINVAL : Deadline::create(grace, patience);
  if (error == 0)
    error = usable();
  if (error == 0 && !leads_group_)
    error = -EINVAL;
  if (error != 0)
    return error;
  // Asked for here, its end would be reaped, and the rest of the group lost.
  if (was_reaped())
    return join(forever);
  error = ask_to_end(true);
  if (error != 0)
    return error;
  (void)wait_unreaped(patience);
  error = kill_group(SIGKILL);
  return error != 0 && error != GIPC_EDEAD ? error : join(forever);
}

int Process::begin_stop(double grace, bool group) noexcept {
  if (int error = usable())
    return error;
  if (!(grace >= 0) || watch_ == nullptr || (group && !leads_group_))
    return -EINVAL;
  if (group ? was_reaped() : has_ended())
    return 0;
  if (int error = ask_to_end(group))
    return error;
  stopping_group_ = group;
  watch_->start_grace(grace);
  return 0;
}

int Process::begin_stop(double grace) noexcept {
  return begin_stop(grace, false);
}

int Process::begin_stop_group(double grace) noexcept {
  return begin_stop(grace, true);
}

// ---- On a loop --------------------------------------------------------------

int Process::watch(struct ev_loop *loop, gipc_exit_callback callback,
                   void *user) {
  if (int error = usable())
    return error;
  if (watch_ != nullptr)
    return GIPC_ELOCKED;
  watch_ = std::make_unique<ProcessWatch>(
      loop, status_.pid(), status_.exit_fd(), watch_events, this);
  loop_ = loop;
  is_watched_ = true;
  registry::enter_loop(loop);
  callback_ = callback;
  user_ = user;
  return 0;
}

int Process::unwatch() noexcept {
  if (int error = usable())
    return error;
  if (watch_ == nullptr)
    return -EINVAL;
  drop_watch();
  return 0;
}

void Process::on_end() noexcept {
  // In a child that the application forked, and that runs the same loop, it is
  // not for us to say.
  if (watch_ == nullptr || usable() != 0)
    return;
  // The rest of its group, before its number may mean another one.
  if (stopping_group_ && os::has_ended(status_.pid()))
    (void)kill_group(SIGKILL);
  if (!has_ended())
    return;
  // The descriptor stays readable from then on.
  drop_watch();
  in_callback_ = true;
  callback_(reinterpret_cast<gipc_process *>(this), user_);
  in_callback_ = false;
  if (freed_)
    delete this;
}

void Process::drop_watch() noexcept {
  watch_.reset();
  is_watched_ = false;
  registry::leave_loop(loop_);
}

// ---- Letting go -------------------------------------------------------------

void Process::free() noexcept {
  memberships_.end();
  if (usable() != 0) {
    // The numbers may mean other files in this process.
    status_.forget();
    if (tree_ != nullptr)
      tree_->forget();
    for (registry::Held &fd : stdio_)
      fd.forget();
    if (watch_ != nullptr)
      watch_->forget();
    delete this;
    return;
  }
  freed_ = true;
  if (in_callback_)
    return;
  for (registry::Held &fd : stdio_)
    fd.reset();
  // Its loop is this thread's, the thread that reaps it may be any.
  if (watch_ != nullptr)
    drop_watch();
  if (status_.pid() < 0 || has_ended())
    delete this;
  else
    detach();
}

// ---- The rest ---------------------------------------------------------------

void Process::describe(gipc_process_entry &out) const noexcept {
  out.process = reinterpret_cast<const gipc_process *>(this);
  out.id = id();
  out.name = name();
  out.pid = pid();
  // Where numbers have more digits in registers, now may seem to be earlier.
  out.age = std::max(0.0, os::coarse_now() - since());
  out.on_loop = is_watched_;
  out.code = -1;
  if (status_.is_known()) {
    out.state = GIPC_PROCESS_REAPED;
    gipc_exit_info info{};
    status_.describe_status(info);
    out.code = info.code;
    out.signal = info.signal;
    return;
  }
  pollfd end_of_it{status_.exit_fd(), POLLIN, 0};
  bool ended = status_.exit_fd() >= 0 ? sys::poll(&end_of_it, 1, 0) > 0
                                      : os::has_ended(status_.pid());
  out.state = ended ? GIPC_PROCESS_ENDED : GIPC_PROCESS_RUNNING;
}

int Process::pid() const noexcept {
  int error = usable();
  if (error == 0 && tree_ != nullptr && tree_->root() > 0)
    return tree_->root();
  return error != 0 ? error : status_.pid();
}

int Process::fd() const noexcept {
  int error = usable();
  if (error == 0 && status_.exit_fd() < 0)
    error = -EOPNOTSUPP;
  return error != 0 ? error : status_.exit_fd();
}

int Process::take_stdio(int which) noexcept {
  if (int error = usable())
    return error;
  if (which < 0 || which > 2)
    return -EINVAL;
  return stdio_[which] ? stdio_[which].release() : GIPC_ECLOSED;
}

} // namespace gipc
