// A child: its descriptors, its end, its stop sequence.
#include "process.h"

#include "control.h"
#include "os.h"
#include "sys.h"

#include <algorithm>
#include <cstdio>
#include <sys/wait.h>

namespace gipc {

// Children that nobody has a Process of any more.  Guarded by the registry's
// lock; void in a forked child, whose children they are not.
struct Orphans {
  static Process *first;
  static uint32_t generation;

  static Process *take_all() noexcept {
    registry::Lock hold;
    if (generation != generation::current())
      first = nullptr;
    return std::exchange(first, nullptr);
  }
  static void add(Process *process) noexcept {
    registry::Lock hold;
    if (generation != generation::current())
      first = nullptr;
    generation = generation::current();
    process->next_orphan_ = first;
    first = process;
  }
};
Process *Orphans::first = nullptr;
uint32_t Orphans::generation = 0;

const ProcessWatch::Events Process::watch_events = {
    [](void *self) noexcept { static_cast<Process *>(self)->on_end(); },
    [](void *self, int wait_status) noexcept {
      auto *process = static_cast<Process *>(self);
      (void)process->report(wait_status);
      process->on_end();
    },
    [](void *self) noexcept {
      auto *process = static_cast<Process *>(self);
      if (!process->has_ended())
        (void)process->kill(SIGKILL);
    },
    [](void *self) noexcept { static_cast<Process *>(self)->drop_watch(); },
};

Process::Process(const std::string &name) : name_(name) {
  // So that naming it after its pid needs no memory later.
  name_.reserve(sizeof "gipc-2147483647");
  enter();
}

Process::~Process() { leave(); }

void Process::started(pid_t pid, Fd pidfd) noexcept {
  pid_ = pid;
  pidfd_ = std::move(pidfd);
  function_ = static_cast<bool>(control_);
  if (name_.empty()) {
    char text[sizeof "gipc-2147483647"];
    std::snprintf(text, sizeof text, "gipc-%d", static_cast<int>(pid));
    name_ = text;
  }
}

int Process::wait_until_begun() noexcept {
  for (;;) {
    control::Record record{};
    int count = control::receive(control_.get(), &record, 1);
    if (count == 1 && record.kind == control::Record::failed)
      return record.value;
    begun_ = count == 1;
    // A fork elsewhere in the program may hold the child's end of the socket
    // open, so the end of that stream is not what to wait for alone.
    if (count != -EAGAIN || has_ended())
      return 0;
    pollfd signs[2] = {{control_.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    (void)sys::poll(signs, 2, pidfd_ ? -1 : 10);
  }
}

// ---- Its end ----------------------------------------------------------------

bool Process::has_ended() noexcept { return ended_ || find_status(); }

// Asks for the status where it may be found, the surest place first.
bool Process::find_status(bool wait) noexcept {
  int status = 0;
  rusage usage{};
  int result =
      pidfd_ ? os::wait_pidfd(pidfd_.get(), wait, &status, &usage) : -ENOSYS;
  if (result < 0 && result != -ECHILD) // P_PIDFD came later than pidfds
    result = sys::waitpid(pid_, &status, WNOHANG, &usage);
  if (result > 0) {
    usage_ = usage;
    end(status, GIPC_STATUS_FROM_WAIT);
    return true;
  }
  if (result == 0)
    return false;
  // Somebody else in this program took it, or the program ignores SIGCHLD.
  if (pidfd_) {
    pollfd end_of_it{pidfd_.get(), POLLIN, 0};
    if (sys::poll(&end_of_it, 1, 0) == 0)
      return false;
    // 0: the reaping is in progress in another thread, for microseconds.
    for (int tries = 0; tries < 100; ++tries) {
      result = os::kept_status(pidfd_.get(), &status);
      if (result != 0)
        break;
      (void)sys::poll(nullptr, 0, 1);
    }
    if (result > 0) {
      end(status, GIPC_STATUS_FROM_KERNEL);
      return true;
    }
  }
  read_records();
  if (reported_)
    end(wait_status_, GIPC_STATUS_FROM_REPORTED);
  else if (recorded_code_ >= 0)
    end(recorded_code_ << 8, GIPC_STATUS_FROM_CHILD);
  else
    end(0, GIPC_STATUS_LOST);
  return true;
}

void Process::end(int wait_status, int how) noexcept {
  read_records();
  ended_ = true;
  wait_status_ = wait_status;
  how_ = how;
  control_.reset();
}

void Process::read_records() noexcept {
  // The lifeline of a program is not asked: it could tell anything.
  control::Record records[4]; // there are two at most
  int count =
      function_ && control_ ? control::receive(control_.get(), records, 4) : 0;
  for (int i = 0; i < count; ++i) {
    begun_ |= records[i].kind == control::Record::begun;
    if (records[i].kind == control::Record::ended) {
      recorded_code_ = records[i].value & 0xff;
      recorded_how_ = records[i].how;
    }
  }
}

int Process::is_alive() noexcept {
  int error = usable();
  return error != 0 ? error : has_ended() ? 0 : 1;
}

int Process::join(Deadline deadline) noexcept {
  if (int error = usable())
    return error;
  reap_orphans();
  // With all the time there is, one call waits and reaps.
  if (deadline.never() && pidfd_ && !ended_ && find_status(true))
    return 0;
  // Without a descriptor to wait on: looks again, after longer and longer.
  int interval = 1;
  while (!has_ended()) {
    int left = deadline.milliseconds();
    if (left == 0)
      return -ETIMEDOUT;
    pollfd end_of_it{pidfd_.get(), POLLIN, 0};
    if (pidfd_) {
      int result = sys::poll(&end_of_it, 1, left);
      if (result < 0 && result != -EINTR)
        return result;
    } else {
      (void)sys::poll(nullptr, 0,
                      left < 0 ? interval : std::min(left, interval));
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

int Process::stop(double grace) noexcept {
  Deadline patience, forever;
  int error = grace < 0 ? -EINVAL : Deadline::create(grace, patience);
  if (error == 0)
    error = usable();
  if (error != 0)
    return error;
  if (has_ended())
    return 0;
  error = kill(SIGTERM);
  // A stopped child acts on it only once it goes on.
  if (error == 0)
    error = kill(SIGCONT);
  if (error != 0 && error != GIPC_EDEAD)
    return error;
  if (int result = join(patience); result != -ETIMEDOUT)
    return result;
  error = kill(SIGKILL);
  return error != 0 && error != GIPC_EDEAD ? error : join(forever);
}

int Process::begin_stop(double grace) noexcept {
  if (int error = usable())
    return error;
  if (!(grace >= 0) || watch_ == nullptr)
    return -EINVAL;
  if (has_ended())
    return 0;
  int error = kill(SIGTERM);
  if (error == 0)
    error = kill(SIGCONT);
  if (error != 0 && error != GIPC_EDEAD)
    return error;
  watch_->start_grace(grace);
  return 0;
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
  if (watch_ == nullptr || usable() != 0 || !has_ended())
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
    Orphans::add(this);
}

void Process::reap_orphans() noexcept {
  for (Process *process = Orphans::take_all(); process != nullptr;) {
    Process *next = process->next_orphan_;
    if (process->has_ended())
      delete process;
    else
      Orphans::add(process);
    process = next;
  }
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
