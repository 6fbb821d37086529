// A child: its descriptors, its end, its stop sequence.
#include "process.h"

#include "control.h"
#include "os.h"
#include "sys.h"

#include <algorithm>
#include <cstdio>
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

Process::Process(const std::string &name) : name_(name) {
  // So that naming it after its pid needs no memory later.
  name_.reserve(sizeof "gipc-2147483647");
}

void Process::started(pid_t pid, Fd pidfd, bool leads) noexcept {
  pid_ = pid;
  leads_group_ = leads;
  pidfd_ = std::move(pidfd);
  function_ = static_cast<bool>(control_);
  if (name_.empty()) {
    char text[sizeof "gipc-2147483647"];
    std::snprintf(text, sizeof text, "gipc-%d", static_cast<int>(pid));
    name_ = text;
  }
}

Failure Process::wait_until_begun() noexcept {
  // A fork elsewhere in the program may hold the child's end of the socket
  // open, so the end of that stream is not what to wait for alone.  A child
  // that has ended may have told why only after it was asked: its end reads
  // what it told once more.
  for (;;) {
    int more = read_records();
    if (begun_ || failure_.error != 0 || more != -EAGAIN || has_ended())
      return failure_;
    pollfd signs[2] = {{control_.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    (void)sys::poll(signs, 2, pidfd_ ? -1 : 10);
  }
}

// ---- Its end ----------------------------------------------------------------

bool Process::has_ended() noexcept { return ended_ || find_status(); }

// Asks for the status where it may be found, the surest place first.
bool Process::find_status() noexcept {
  int status = 0;
  rusage usage{};
  int result = pidfd_ ? os::wait_pidfd(pidfd_.get(), &status, &usage) : -ENOSYS;
  if (result < 0 && result != -ECHILD) // P_PIDFD came later than pidfds
    result = sys::waitpid(pid_, &status, WNOHANG, &usage);
  if (result > 0) {
    usage_ = usage;
    end(status, GIPC_STATUS_FROM_WAIT);
    return true;
  }
  if (result == 0)
    return false;
  // Another reaper in this program took it, or the program ignores SIGCHLD.
  if (reported_) {
    end(wait_status_, GIPC_STATUS_FROM_REPORTED);
    return true;
  }
  if (pidfd_) {
    pollfd end_of_it{pidfd_.get(), POLLIN, 0};
    if (sys::poll(&end_of_it, 1, 0) == 0 || find_kept_status())
      return ended_;
  }
  (void)read_records();
  if (recorded_code_ >= 0)
    end(recorded_code_ << 8, GIPC_STATUS_FROM_CHILD);
  else
    end(0, GIPC_STATUS_LOST);
  return true;
}

// Whether the kernel keeps the status, or will: another thread, which may have
// been kept from running for any time, is between the end of the child and the
// end of its reaping.  Then the child counts as running.
bool Process::find_kept_status() noexcept {
  int status = 0;
  for (int tries = 0; tries < 2; ++tries) {
    int result = os::kept_status(pidfd_.get(), &status);
    if (result > 0)
      end(status, GIPC_STATUS_FROM_KERNEL);
    if (result != 0)
      return result > 0;
    // So that a loop, for which the descriptor is readable all the time, leaves
    // the processor to that thread.
    if (tries == 0) {
      pollfd reaped{pidfd_.get(), 0, 0};
      (void)sys::poll(&reaped, 1, 1);
    }
  }
  return true;
}

void Process::end(int wait_status, int how) noexcept {
  (void)read_records();
  ended_ = true;
  wait_status_ = wait_status;
  how_ = how;
  control_.reset();
}

// -EAGAIN: there may be more; else there will be none.
int Process::read_records() noexcept {
  // The lifeline of a program is not asked: it could tell anything.
  if (!function_ || !control_)
    return -EPIPE;
  control::Record records[4]; // there are two at most
  int count = control::receive(control_.get(), records, 4);
  for (int i = 0; i < count; ++i) {
    begun_ |= records[i].kind == control::Record::begun;
    if (records[i].kind == control::Record::failed)
      failure_ = {records[i].value, static_cast<Part>(records[i].how)};
    if (records[i].kind == control::Record::ended) {
      recorded_code_ = records[i].value & 0xff;
      recorded_how_ = records[i].how;
    }
  }
  return count > 0 ? -EAGAIN : count;
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
    pollfd end_of_it{pidfd_.get(), POLLIN, 0};
    if (pidfd_) {
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
  if (!has_ended())
    return -EAGAIN;
  if (how_ == GIPC_STATUS_LOST)
    return GIPC_ESTATUSLOST;
  code = WIFSIGNALED(wait_status_) ? -WTERMSIG(wait_status_)
                                   : WEXITSTATUS(wait_status_);
  return 0;
}

int Process::info(gipc_exit_info &out) noexcept {
  if (int error = usable())
    return error;
  if (!has_ended())
    return -EAGAIN;
  bool lost = how_ == GIPC_STATUS_LOST;
  bool killed = !lost && WIFSIGNALED(wait_status_);
  out.code = lost || killed ? -1 : WEXITSTATUS(wait_status_);
  out.signal = killed ? WTERMSIG(wait_status_) : 0;
  out.core = killed && WCOREDUMP(wait_status_) ? 1 : 0;
  out.how = how_;
  out.ended = function_ && !begun_ ? GIPC_ENDED_BEFORE_START : recorded_how_;
  bool measured = how_ == GIPC_STATUS_FROM_WAIT;
  auto seconds = [&](const timeval &time) {
    return measured ? static_cast<double>(time.tv_sec) +
                          static_cast<double>(time.tv_usec) / 1e6
                    : -1;
  };
  out.user = seconds(usage_.ru_utime);
  out.system = seconds(usage_.ru_stime);
  out.max_rss = measured ? usage_.ru_maxrss : -1;
  return 0;
}

int Process::report(int wait_status) noexcept {
  if (int error = usable())
    return error;
  if (!WIFEXITED(wait_status) && !WIFSIGNALED(wait_status))
    return -EINVAL;
  if (!ended_) {
    reported_ = true;
    wait_status_ = wait_status;
    (void)find_status(); // which uses it, unless the child still runs
  } else if (how_ == GIPC_STATUS_LOST || how_ == GIPC_STATUS_FROM_CHILD) {
    end(wait_status, GIPC_STATUS_FROM_REPORTED);
  }
  return 0;
}

// ---- Signals ----------------------------------------------------------------

int Process::kill(int number) noexcept {
  // Without a descriptor: the pid cannot have been given to a stranger before
  // this process, or a thief in it, has reaped the child.
  int result = pidfd_ ? os::signal_pidfd(pidfd_.get(), number) : -ENOSYS;
  if (result < 0 && result != -ESRCH)
    result = sys::kill(pid_, number);
  return result == -ESRCH ? GIPC_EDEAD : result;
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
  if (ended_)
    return GIPC_EDEAD;
  int result = sys::kill(-pid_, number);
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
  int alive = pidfd_ ? os::signal_pidfd(pidfd_.get(), 0) : -ENOSYS;
  return ended_ || alive == -ESRCH || (alive < 0 && os::was_reaped(pid_));
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
  while (!os::has_ended(pid_)) {
    int left = deadline.milliseconds();
    if (left == 0)
      return false;
    pollfd end_of_it{pidfd_.get(), POLLIN, 0};
    constexpr int interval = 5;
    (void)sys::poll_cancellable(&end_of_it, pidfd_ ? 1 : 0,
                                pidfd_ ? left : std::min(left, interval));
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
  watch_ = std::make_unique<ProcessWatch>(loop, pid_, pidfd_.get(),
                                          watch_events, this);
  loop_ = loop;
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
  if (stopping_group_ && os::has_ended(pid_))
    (void)kill_group(SIGKILL);
  if (!has_ended())
    return;
  // The descriptor stays readable for ever.
  drop_watch();
  in_callback_ = true;
  callback_(reinterpret_cast<gipc_process *>(this), user_);
  in_callback_ = false;
  if (freed_)
    delete this;
}

void Process::drop_watch() noexcept {
  watch_.reset();
  registry::leave_loop(loop_);
}

// ---- Letting go -------------------------------------------------------------

void Process::free() noexcept {
  memberships_.end();
  if (usable() != 0) {
    // The numbers may mean other files in this process.
    pidfd_.forget();
    control_.forget();
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
  if (pid_ < 0 || has_ended())
    delete this;
  else
    detach();
}

// ---- The rest ---------------------------------------------------------------

int Process::pid() const noexcept {
  int error = usable();
  return error != 0 ? error : pid_;
}

int Process::fd() const noexcept {
  int error = usable();
  return error != 0 ? error : pidfd_ ? pidfd_.get() : -EOPNOTSUPP;
}

int Process::take_stdio(int which) noexcept {
  if (int error = usable())
    return error;
  if (which < 0 || which > 2)
    return -EINVAL;
  return stdio_[which] ? stdio_[which].release() : GIPC_ECLOSED;
}

} // namespace gipc
