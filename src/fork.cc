// A function child: what happens before, in and after the fork.
#include "fork.h"

#include "control.h"
#include "exec.h"
#include "guard.h"
#include "handle.h"
#include "orphaned_loops.h"
#include "os.h"
#include "process.h"
#include "sys.h"
#include "this_process.h"

#include <cstdlib>
#include <new>

namespace gipc {

// ---- Before -----------------------------------------------------------------

Fork::~Fork() {
  window_.reset(); // no child is to be told of the following
  if (process_ != nullptr)
    process_->free();
  for (Passed &passed : handles_)
    passed.handle->end_pass();
}

int Fork::prepare(int kept) {
  CancelGuard guard;
  Process::reap_detached();
  process_ = new Process(options_->name);
  // A child that another thread forks meanwhile closes all of it.
  registry::Lock hold;
  if (int error = prepare_all(kept))
    return error;
  signals_.emplace();
  may_fail_ = options_->can_fail_in_child() || !options_->left_loops.empty() ||
              InheritedLoops(signals_->outside()).may_fail();
  has_loop_flags_ = options_->environment.changes() ||
                    options_->fork.function != nullptr ||
                    std::getenv("LIBEV_FLAGS") != nullptr;
  window_.emplace();
  return 0;
}

int Fork::prepare_all(int kept) {
  registry::Held parent_end;
  if (int error = setup_.prepare(*options_, false))
    return error;
  if (int error = leave_rings(*options_))
    return error;
  if (int error = registry::socket_pair(parent_end, child_end_))
    return error;
  process_->set_control(std::move(parent_end));
  if (int error = registry::socket_pair(parent_gate_, child_gate_))
    return error;
  if (options_->is_tree())
    process_->prepare_tree();
  if (int error = prepare_handles())
    return error;
  for (int which = 0; which < 3; ++which)
    process_->set_stdio(which, std::move(setup_.parent_stdio(which)));
  setup_.keep(child_end_.get(), false);
  setup_.keep(child_gate_.get(), false);
  if (kept >= 0)
    setup_.keep(kept, false);
  setup_.finish();
  return 0;
}

int Fork::prepare_handles() {
  for (const Options::Passed &passed : options_->passed) {
    if (int error = passed.handle->check_pass(false))
      return options_->note(Part::pass, error);
    handles_.reserve(options_->passed.size());
    if (int error = passed.handle->begin_pass())
      return options_->note(Part::pass, error);
    handles_.push_back({passed.handle, {}, {}, false});
    int memory = passed.handle->descriptor_of_memory();
    if (memory >= 0 && !setup_.replaces(memory)) {
      setup_.keep(memory, false);
      handles_.back().kept_memory = true;
    }
    for (int direction : {GIPC_READ, GIPC_WRITE}) {
      int fd = passed.handle->fd(direction);
      if (fd < 0)
        continue;
      registry::Held &moved =
          direction == GIPC_READ ? handles_.back().read : handles_.back().write;
      if (fd < 3 || setup_.replaces(fd)) {
        // In the child this number is stdio, or what it is to be.
        Fd copy;
        if (int error = sys::duplicate(fd, copy))
          return error;
        fd = copy.get();
        moved = std::move(copy);
      }
      setup_.keep(fd, false);
    }
  }
  return 0;
}

int Fork::fork() noexcept {
  CancelGuard guard; // what the runtime's function calls may let it act
  if (options_->fork.function == nullptr)
    return sys::fork_process();
  int pid = options_->fork.function(options_->fork.user);
  return pid >= 0 ? pid : errno != 0 ? -errno : -EAGAIN;
}

// ---- In the parent ----------------------------------------------------------

int Fork::parent(int pid, Process *&out) noexcept {
  CancelGuard guard;
  if (pid < 0)
    return pid;
  Process *process = std::exchange(process_, nullptr);
  {
    registry::Lock hold;
    window_->close_if_settled();
    child_end_.reset();
    child_gate_.reset();
    setup_.close_sources();
    Fd exit_fd;
    // Where there is none, the pid has to do.
    (void)os::open_exit_fd(pid, exit_fd);
    process->started(pid, std::move(exit_fd), options_->leads_group());
  }
  signals_.reset();
  if (options_->session.group == GIPC_GROUP_NEW)
    (void)sys::setpgid(pid, pid); // the child does it, too; one is first
  if (options_->is_tree())
    process->find_root();
  int error = control::open_gate(parent_gate_.get(), *window_);
  window_.reset();
  if (error != 0) {
    control::close_gate(parent_gate_.get());
    (void)process->signal(SIGKILL);
  }
  if (error == -EPIPE)
    error = 0; // dead already, which its status tells
  else if (error == 0 && may_fail_)
    error = options_->note(process->wait_until_begun());
  if (error != 0) {
    Deadline never;
    (void)process->join(never);
    process->free();
  } else {
    for (Passed &passed : handles_)
      passed.handle->give_away();
    out = process;
  }
  return error;
}

// ---- In the child -----------------------------------------------------------

int Fork::child() noexcept {
  CancelGuard guard;
  int error = become_child();
  // The parent's signal mask is not the child's: setup_.unmask() set it.
  signals_->dismiss();
  return error;
}

int Fork::abandon_loops(int known) noexcept {
  InheritedLoops inherited(signals_->outside());
  int error = 0;
  for (int i = 0; error == 0 && i < known; ++i)
    error = inherited.abandon_signals(registry::inherited_loop(i));
  for (struct ev_loop *loop : options_->left_loops)
    if (error == 0)
      error = inherited.abandon_signals(loop);
  return error == 0 ? inherited.abandon_default_loop() : error;
}

// Makes this process the guard of a tree, and returns in its root.
Failure Fork::become_root() noexcept {
  if (!options_->is_tree())
    return {0, Part::none};
  return {guard::become(
              {child_end_.get(), process_->cgroup(), options_->death_signal}),
          Part::group};
}

int Fork::become_child() noexcept {
  Failure failure = become_root();
  int known = registry::forget_in_child(setup_.kept());
  window_.reset();
  if (failure.error == 0)
    failure = {abandon_loops(known), Part::none};
  os::discard_stdio();
  if (failure.error == 0)
    failure = setup_.apply();
  setup_.close_sources();
  if (failure.error == 0 && options_->environment.changes())
    failure = {options_->change_environment(), Part::env};
  Fd gate(child_gate_.release());
  if (!control::pass_gate(gate.get(), setup_.kept()))
    _exit(127);
  gate.reset();
  if (failure.error == 0 && options_->has_lifeline())
    failure = {os::signal_on_hangup(child_end_.get(), options_->death_signal),
               Part::death_signal};
  if (failure.error < 0) {
    // The parent still owns the handles, with what is queued in them.
    close_passed();
    (void)control::send(child_end_.get(),
                        {control::Record::failed, failure.error,
                         static_cast<int32_t>(failure.part)});
    return failure.error;
  }
  // Nothing can fail any more.
  for (Passed &passed : handles_)
    passed.handle->arrive_in_child(passed.read, passed.write,
                                   passed.kept_memory);
  int control = child_end_.release();
  registry::set_child_control(registry::hold(Fd(control)),
                              options_->has_lifeline());
  control::send_begun(control);
  child::report_exit();
  setup_.unmask();
  return 0;
}

void Fork::close_passed() noexcept {
  for (Passed &passed : handles_)
    passed.handle->close_in_child();
}

namespace child {

double exit_timeout = 60;

void report_exit() noexcept {
  os::on_exit([](int status, void *) {
    // Not in a child that the application forked from this one.
    if (registry::child_control() >= 0)
      finish(status & 0xff, GIPC_ENDED_EXIT);
  });
}

void run(int (*target)(struct ev_loop *, void *), void *argument,
         bool has_loop_flags) {
  // Its callers may be C, or may not expect an exception: nothing escapes.
  try {
    static struct ev_loop *fresh; // which nobody frees
    fresh = fresh_loop(has_loop_flags);
    if (fresh == nullptr)
      finish(127, GIPC_ENDED_BEFORE_START);
    auto body = [&] { return target(fresh, argument); };
    int code = os::call(
        [](void *user) { return (*static_cast<decltype(body) *>(user))(); },
        &body, [](void *) { finish(GIPC_EXIT_ESCAPED, GIPC_ENDED_UNWOUND); });
    finish(code < 0 || code > 255 ? 255 : code, GIPC_ENDED_RETURN);
  } catch (...) {
    finish(GIPC_EXIT_ESCAPED, GIPC_ENDED_EXCEPTION);
  }
}

void finish(int code, int ended) noexcept {
  CancelGuard guard; // fflush(3) writes
  bool sent = Handle::flush_all(exit_timeout);
  if (!sent && (ended == GIPC_ENDED_RETURN || ended == GIPC_ENDED_EXIT))
    ended = GIPC_ENDED_UNSENT;
  os::flush_stdio();
  int control = registry::child_control();
  if (control >= 0) {
    // The parent, which reads the record, must not wake the lifeline.
    if (registry::child_has_lifeline())
      os::stop_signal_on_hangup(control);
    control::send(control, {control::Record::ended, code, ended});
  }
  _exit(code);
}

} // namespace child

} // namespace gipc
