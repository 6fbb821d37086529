// How a child ended: where that is known from, and what is known of it.
#include "status.h"

#include "os.h"
#include "sys.h"
#include "trace.h"

#include <sys/wait.h>

namespace gipc {

void Status::set_started(pid_t pid, Fd exit_fd) noexcept {
  pid_ = pid;
  exit_fd_ = std::move(exit_fd);
  // The lifeline of a program comes later.
  function_ = static_cast<bool>(control_);
}

bool Status::begins_within(int milliseconds) noexcept {
  // A fork elsewhere in the program may hold the child's end of the socket
  // open, so the end of that stream is not what to wait for alone.  A child
  // that has ended may have told why only after it was asked: its end reads
  // what it told once more.
  while (!records_.begun && records_.failure.error == 0) {
    bool may_have_ended;
    bool came = wait_for_sign(milliseconds, may_have_ended);
    int more = read_records();
    if (!records_.begun && records_.failure.error == 0 &&
        (more != -EAGAIN || (may_have_ended && reap_or_sleep())))
      break;
    if (!came && milliseconds >= 0)
      return false;
  }
  return true;
}

pid_t Status::wait_for_root() noexcept {
  while (records_.root <= 0) {
    bool may_have_ended;
    (void)wait_for_sign(-1, may_have_ended);
    int more = read_records();
    if (records_.root <= 0 && (records_.failure.error != 0 || more != -EAGAIN ||
                               (may_have_ended && reap_or_sleep())))
      return -1;
  }
  return records_.root;
}

// A child that was just started has sent nothing yet: it is waited for first.
// False: nothing came within this time.
bool Status::wait_for_sign(int milliseconds, bool &may_have_ended) noexcept {
  pollfd signs[2] = {{control_.get(), POLLIN, 0}, {exit_fd_.get(), POLLIN, 0}};
  int ready = control_ ? sys::poll(signs, 2, exit_fd_ ? milliseconds : 10) : 1;
  may_have_ended = !exit_fd_ || signs[1].revents != 0;
  return ready != 0;
}

// ---- The sources ------------------------------------------------------------

bool Status::reap_or_sleep() noexcept {
  if (known_)
    return true;
  int wait_status = 0;
  rusage usage{};
  int result = reap(wait_status, usage);
  if (result == 0)
    return false;
  if (result < 0)
    return find_without_reaping();
  usage_ = usage;
  return end(wait_status, GIPC_STATUS_FROM_WAIT);
}

// 1, 0 while the child runs, or an error, when there is nothing to reap.
int Status::reap(int &wait_status, rusage &usage) noexcept {
  int result =
      exit_fd_ ? os::reap(exit_fd_.get(), &wait_status, &usage) : -ENOSYS;
  if (result < 0 && result != -ECHILD) // P_PIDFD came later than pidfds
    result = sys::waitpid(pid_, &wait_status, WNOHANG, &usage);
  return result > 0 ? 1 : result;
}

// Another reaper in this program took it, or the program ignores SIGCHLD.
bool Status::find_without_reaping() noexcept {
  if (reported_)
    return end(*reported_, GIPC_STATUS_FROM_REPORTED);
  if (exit_fd_) {
    pollfd end_of_it{exit_fd_.get(), POLLIN, 0};
    if (sys::poll(&end_of_it, 1, 0) == 0 || find_kept_or_sleep())
      return known_;
  }
  (void)read_records();
  return records_.code >= 0 ? end(records_.code << 8, GIPC_STATUS_FROM_CHILD)
                            : end(0, GIPC_STATUS_LOST);
}

// Whether the kernel keeps the status, or will: another thread, which may have
// been kept from running for any time, is between the end of the child and the
// end of its reaping.  Then the child counts as running.
bool Status::find_kept_or_sleep() noexcept {
  int wait_status = 0;
  for (int tries = 0; tries < 2; ++tries) {
    int result = os::kept_status(exit_fd_.get(), &wait_status);
    if (result > 0)
      return end(wait_status, GIPC_STATUS_FROM_KERNEL);
    if (result < 0)
      return false;
    // So that a loop, for which the descriptor is readable all the time, leaves
    // the processor to that thread.
    if (tries == 0) {
      pollfd reaped{exit_fd_.get(), 0, 0};
      (void)sys::poll(&reaped, 1, 1);
    }
  }
  return true;
}

bool Status::end(int wait_status, int from) noexcept {
  (void)read_records();
  bool is_first = !is_known(); // a report may say more later
  wait_status_ = wait_status;
  from_ = from;
  // A guard ends as the root of its tree did, but for a core.
  if (records_.tree_status) {
    wait_status_ = *records_.tree_status;
    if (from == GIPC_STATUS_LOST)
      from_ = GIPC_STATUS_FROM_CHILD;
  }
  known_.store(true, std::memory_order_release);
  control_.reset();
  if (trace::is_on() && is_first && shown_id_ != 0) {
    gipc_exit_info info{};
    describe(info);
    trace::ended(shown_id_, shown_pid_, info);
  }
  return true;
}

namespace {

// The memory of a child may be damaged: what it tells is a value of its
// enumeration, or 0, and an error is one.
int one_up_to(int last, int32_t value) noexcept {
  return value >= 0 && value <= last ? value : 0;
}

} // namespace

// -EAGAIN: there may be more; else there will be none.
int Status::read_records() noexcept {
  // The lifeline of a program is not asked: it could tell anything.
  if (!function_ || !control_)
    return -EPIPE;
  constexpr int most = 8; // more than a child and its guard send
  control::Record records[most];
  int count = control::receive(control_.get(), records, most, part_);
  for (int i = 0; i < count; ++i) {
    const control::Record &record = records[i];
    records_.begun |= record.kind == control::Record::begun;
    if (record.kind == control::Record::failed)
      records_.failure = {record.value < 0 ? record.value : -EPROTO,
                          static_cast<Part>(record.how)};
    if (record.kind == control::Record::ended) {
      records_.code = record.value & 0xff;
      records_.ended = one_up_to(GIPC_ENDED_UNSENT, record.how);
    }
    note_tree(record);
  }
  return count > 0 ? -EAGAIN : count;
}

void Status::note_tree(const control::Record &record) noexcept {
  if (record.kind == control::Record::root) {
    records_.root = record.value;
    records_.tree = one_up_to(GIPC_TREE_SESSION, record.how);
  } else if (record.kind == control::Record::tree) {
    records_.tree_status = record.value;
    records_.left = record.how;
  } else if (record.kind == control::Record::swept) {
    records_.killed = record.value;
    records_.max_rss = record.how;
  }
}

void Status::report(int wait_status) noexcept {
  if (!known_) {
    reported_ = wait_status;
    (void)reap_or_sleep(); // it does not sleep with what was reported
  } else if (from_ == GIPC_STATUS_LOST || from_ == GIPC_STATUS_FROM_CHILD) {
    (void)end(wait_status, GIPC_STATUS_FROM_REPORTED);
  }
}

// ---- What is known ----------------------------------------------------------

int Status::exitcode(int &code) const noexcept {
  if (from_ == GIPC_STATUS_LOST)
    return GIPC_ESTATUSLOST;
  code = WIFSIGNALED(wait_status_) ? -WTERMSIG(wait_status_)
                                   : WEXITSTATUS(wait_status_);
  return 0;
}

void Status::describe_status(gipc_exit_info &out) const noexcept {
  bool lost = from_ == GIPC_STATUS_LOST;
  bool killed = !lost && WIFSIGNALED(wait_status_);
  out.code = lost || killed ? -1 : WEXITSTATUS(wait_status_);
  out.signal = killed ? WTERMSIG(wait_status_) : 0;
  out.core = killed && WCOREDUMP(wait_status_) ? 1 : 0;
  out.how = from_;
}

void Status::describe(gipc_exit_info &out) const noexcept {
  describe_status(out);
  out.ended =
      function_ && !records_.begun ? GIPC_ENDED_BEFORE_START : records_.ended;
  bool measured = from_ == GIPC_STATUS_FROM_WAIT;
  auto seconds = [&](const timeval &time) {
    return measured ? static_cast<double>(time.tv_sec) +
                          static_cast<double>(time.tv_usec) / 1e6
                    : -1;
  };
  out.user = seconds(usage_.ru_utime);
  out.system = seconds(usage_.ru_stime);
  out.max_rss = !measured              ? -1
                : records_.tree_status ? records_.max_rss
                                       : usage_.ru_maxrss;
  out.tree = records_.tree;
  out.left = has_lost_guard() ? -1 : records_.left;
  out.killed = has_lost_guard() ? -1 : records_.killed;
}

void Status::forget() noexcept {
  exit_fd_.forget();
  control_.forget();
}

} // namespace gipc
