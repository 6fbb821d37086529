// The guard of a tree; see guard.h.  Its memory is a copy of a process that may
// have had other threads: it asks the system, and allocates nothing.
#include "guard.h"

#include "control.h"
#include "fd.h"
#include "gipc.h"
#include "os.h"
#include "sys.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iterator>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

namespace gipc::guard {

namespace {

using control::Record;

constexpr int most_reaped = 256; // at a time
constexpr int interval = 20;     // ms, where no signal says when to look

struct Report {
  int32_t error, part;
};

// A child that has ended, without reaping it; 0: none has.
int ended_child() noexcept {
  siginfo_t info{};
  int error = sys::retry_int("waitid", [&] {
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
  });
  return error != 0 ? error : info.si_pid;
}

// Ends as a process with this status did, but without a core.
[[noreturn]] void end_as(int wait_status) noexcept {
  if (WIFEXITED(wait_status))
    _exit(WEXITSTATUS(wait_status));
  int signal = WTERMSIG(wait_status);
  // To Linux, 1 means none for what a core is piped to, too.
  for (rlim_t least : {1, 0}) {
    const rlimit no_core{least, least};
    if (sys::setrlimit(RLIMIT_CORE, &no_core) == 0)
      break;
  }
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  (void)::sigaction(signal, &standard, nullptr); // not for SIGKILL
  sigset_t none;
  sigemptyset(&none);
  (void)sys::signal_mask(SIG_SETMASK, &none, nullptr);
  (void)sys::kill(::getpid(), signal);
  _exit(127);
}

// The parent waits for the first two: without them the start would not end.
bool tell(int control, const Record &record) noexcept {
  return control::send(control, record) == 0 ||
         control::send(control, record) == 0;
}

class Guard {
public:
  explicit Guard(const Plan &plan) noexcept : plan_(plan) {}
  // In the root: 0, or an error.
  int split(bool is_program, int &report_fd) noexcept;

private:
  void prepare() noexcept;
  int fork() noexcept;
  void begin_root() noexcept;
  [[noreturn]] void run() noexcept;
  void close_others() noexcept;
  void tell_of_exec() noexcept;
  enum class Look { none_ended, more_ended, root_ended, unknown };
  Look look() noexcept;
  [[noreturn]] void end_tree() noexcept;
  int reap() noexcept;
  int kill_children(pid_t *children, size_t room) noexcept;
  void sweep() noexcept;
  void remove_cgroup() noexcept;

  Plan plan_;
  Fd folder_; // of the cgroup
  Fd report_reader_, report_writer_;
  pid_t own_ = ::getpid();
  pid_t root_ = -1;
  bool is_reaper_ = false;
  bool in_cgroup_ = false; // in the root: whether it was made there
  int status_ = 0;         // of the root
  int killed_ = 0, spared_ = 0;
  bool are_known_ = true; // how many were left
};

// ---- The fork ---------------------------------------------------------------

void Guard::prepare() noexcept {
  // What waits for a child needs a handler, and no zombie may go by itself.
  struct sigaction action {};
  action.sa_handler = [](int) {};
  (void)::sigaction(SIGCHLD, &action, nullptr);
  // What kills the group of the parent is not to kill the guard with it.
  (void)sys::setsid();
  is_reaper_ = os::become_subreaper() == 0;
  // One that was stopped would keep the tree.
  os::continue_without_parent();
  if (*plan_.cgroup != '\0')
    (void)os::lock_cgroup(plan_.cgroup, folder_);
}

int Guard::fork() noexcept {
  int pid = folder_ ? os::fork_into_cgroup(folder_.get()) : -EOPNOTSUPP;
  in_cgroup_ = pid >= 0;
  return pid >= 0 ? pid : sys::fork_process();
}

void Guard::begin_root() noexcept {
  if (!in_cgroup_ && folder_)
    in_cgroup_ = os::enter_cgroup(plan_.cgroup) == 0;
  os::die_with_parent(own_);
  folder_.reset();
  report_reader_.reset();
  int way = in_cgroup_   ? GIPC_TREE_CGROUP
            : is_reaper_ ? GIPC_TREE_SUBREAPER
                         : GIPC_TREE_SESSION;
  if (!tell(plan_.control, {Record::root, ::getpid(), way}))
    _exit(127);
}

int Guard::split(bool is_program, int &report_fd) noexcept {
  // Other threads would be lost; a program needs none.
  int error = is_program ? os::pipe_pair(report_reader_, report_writer_)
              : os::has_one_thread() ? 0
                                     : -EBUSY;
  prepare();
  root_ = error != 0 ? error : fork();
  if (root_ > 0)
    run();
  if (root_ < 0) {
    tell(plan_.control, {Record::root, own_, GIPC_TREE_NONE});
    return root_;
  }
  begin_root();
  if (is_program)
    report_fd = report_writer_.release();
  return 0;
}

// ---- In the guard -----------------------------------------------------------

// An end of a stream comes when the program closes it.
void Guard::close_others() noexcept {
  int kept[] = {plan_.control, folder_.get(), report_reader_.get()};
  std::sort(std::begin(kept), std::end(kept));
  unsigned next = 0;
  for (int fd : kept) {
    if (fd < 0)
      continue;
    auto number = static_cast<unsigned>(fd);
    if (number > next)
      (void)os::close_range(next, number - 1);
    next = number + 1;
  }
  (void)os::close_range(next, ~0u);
}

// The writing end is closed by the exec.  The pipe was made here, so that no
// other process holds it open.
void Guard::tell_of_exec() noexcept {
  Report failure{};
  ssize_t size = sys::retry("read", [&] {
    return ::read(report_reader_.get(), &failure, sizeof failure);
  });
  report_reader_.reset();
  if (size == sizeof failure)
    tell(plan_.control, {Record::failed, failure.error, failure.part});
  else
    tell(plan_.control, {Record::begun, 0, 0});
}

// Reaps others on the way, which come after the root; a few at a time, because
// they may be made faster than one process can reap them.
Guard::Look Guard::look() noexcept {
  for (int i = 0; i < most_reaped; ++i) {
    int ended = ended_child();
    if (ended == root_ || ended == -ECHILD)
      return Look::root_ended;
    if (ended <= 0)
      return ended == 0 ? Look::none_ended : Look::unknown;
    int status;
    (void)sys::waitpid(ended, &status, WNOHANG, nullptr);
  }
  return Look::more_ended;
}

// -ECHILD: there is no child.  1: more may have ended.
int Guard::reap() noexcept {
  for (int i = 0; i < most_reaped; ++i) {
    int status, ended = sys::waitpid(-1, &status, WNOHANG, nullptr);
    if (ended <= 0)
      return ended;
    if (ended == root_)
      status_ = status;
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
      ++killed_;
  }
  return 1;
}

// 0; 1: what is left has other rights; or an error.  The newest first: those
// that fork all the time are among them, the others have ended long ago.
int Guard::kill_children(pid_t *children, size_t room) noexcept {
  int count = os::list_children(children, room), killed = 0;
  spared_ = 0;
  for (int i = count - 1; i >= 0; --i)
    ++(sys::kill(children[i], SIGKILL) == 0 ? killed : spared_);
  return count < 0 ? count : killed == 0 && spared_ > 0 ? 1 : 0;
}

// Kills and reaps until there is no child, which only a subreaper can be sure
// of: what a killed process leaves is its child next.
void Guard::sweep() noexcept {
  constexpr size_t most = 1 << 18, size = most * sizeof(pid_t);
  // Without memory, a few at a time.
  pid_t few[256], *children = few;
  size_t room = std::size(few);
  void *memory;
  if (sys::map_memory(size, MAP_PRIVATE | os::map_sparse, memory) == 0) {
    children = static_cast<pid_t *>(memory);
    room = most;
  }
  // Against processes that fork all the time, where that is allowed.
  (void)sys::nice(-20);
  // A look or a signal that fails once is no reason to leave the others.
  int more, failed = 0;
  while ((more = reap()) != -ECHILD && failed < 2) {
    int error = kill_children(children, room);
    are_known_ = error >= 0 || in_cgroup_;
    failed = error == 0 ? 0 : failed + 1;
    (void)os::wait_for_child(-1, more > 0 || failed > 0 ? 0 : interval);
  }
}

void Guard::remove_cgroup() noexcept {
  while (os::remove_cgroup(plan_.cgroup) == -EBUSY) {
    (void)os::kill_cgroup(plan_.cgroup);
    (void)sys::poll(nullptr, 0, 1);
  }
}

void Guard::end_tree() noexcept {
  rusage usage{};
  // The root has not been reaped, so that no other group has its number.
  (void)sys::kill(-root_, SIGKILL);
  int listed = folder_ ? os::kill_cgroup(plan_.cgroup) : 0;
  (void)sys::waitpid(root_, &status_, 0, &usage);
  sweep();
  killed_ = std::max(killed_, listed);
  if (folder_)
    remove_cgroup();
  tell(plan_.control,
       {Record::tree, status_, are_known_ ? killed_ + spared_ : -1});
  tell(plan_.control,
       {Record::swept, killed_, static_cast<int32_t>(usage.ru_maxrss)});
  end_as(status_);
}

void Guard::run() noexcept {
  report_writer_.reset();
  close_others();
  (void)sys::chdir("/");
  if (report_reader_)
    tell_of_exec();
  int socket = plan_.control;
  for (Look seen; (seen = look()) != Look::root_ended;) {
    int patience = seen == Look::more_ended ? 0
                   : seen == Look::unknown  ? interval
                                            : -1;
    if (os::wait_for_child(socket, patience) == 1) {
      // The parent has died, or freed what it knew of the tree.
      socket = -1;
      if (plan_.death_signal != 0)
        (void)sys::kill(root_, plan_.death_signal);
    }
  }
  end_tree();
}

} // namespace

int become(const Plan &plan) noexcept {
  Guard guard(plan);
  int none;
  return guard.split(false, none);
}

int become_for_program(const Plan &plan, int &report_fd) noexcept {
  Guard guard(plan);
  int error = guard.split(true, report_fd);
  if (error == 0)
    os::keep_open(report_fd);
  return error;
}

void report(int report_fd, int error, int part) noexcept {
  Report failure{error, part};
  iovec one{&failure, sizeof failure};
  (void)os::write_quietly(report_fd, &one, 1);
  _exit(127);
}

} // namespace gipc::guard
