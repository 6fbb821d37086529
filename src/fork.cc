// A function child: what happens before, in and after the fork.
#include "fork.h"

#include "control.h"
#include "handle.h"
#include "os.h"
#include "process.h"
#include "registry.h"
#include "sys.h"
#include "watch.h"

#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <new>

namespace gipc {

// ---- Before -----------------------------------------------------------------

Fork::~Fork() {
  if (process_ != nullptr)
    process_->free();
  if (locked_)
    registry::unlock();
}

int Fork::prepare(const Options *options, Fork *&out) {
  Process::reap_orphans();
  struct Deleter {
    void operator()(Fork *fork) const { delete fork; }
  };
  std::unique_ptr<Fork, Deleter> self(new Fork);
  self->options_ = options != nullptr ? options : &self->standard_;
  // From here on no other thread makes or closes a handle.
  registry::lock();
  self->locked_ = true;
  self->process_ = new Process(self->options_->name);
  Fd parent_end;
  int error = self->setup_.prepare(*self->options_, false);
  if (error == 0)
    error = os::socket_pair(parent_end, self->child_end_);
  if (error == 0)
    error = self->prepare_handles();
  if (error != 0)
    return error;
  for (int which = 0; which < 3; ++which)
    self->process_->set_stdio(which,
                              std::move(self->setup_.parent_stdio(which)));
  self->process_->set_control(std::move(parent_end));
  self->setup_.keep(self->child_end_.get(), false);
  self->setup_.finish();
  self->signals_ = std::make_unique<SignalBlock>();
  out = self.release();
  return 0;
}

int Fork::prepare_handles() {
  for (const Options::Passed &passed : options_->passed) {
    if (int error = passed.handle->check_pass(false))
      return error;
    for (int direction : {GIPC_READ, GIPC_WRITE}) {
      int fd = passed.handle->fd(direction);
      if (fd >= 0)
        setup_.keep(fd, false);
    }
    handles_.push_back(passed.handle);
  }
  return 0;
}

int Fork::fork() noexcept {
  if (options_->fork_function == nullptr)
    return sys::fork_process();
  int pid = options_->fork_function(options_->fork_user);
  return pid >= 0 ? pid : errno != 0 ? -errno : -EAGAIN;
}

// ---- In the parent ----------------------------------------------------------

int Fork::parent(Fork *self, int pid, Process *&out) noexcept {
  if (pid < 0) {
    delete self;
    return pid;
  }
  self->child_end_.reset();
  self->setup_.close_sources();
  Fd pidfd;
  // Where there is none, the pid has to do.
  (void)os::open_pidfd(pid, pidfd);
  Process *process = std::exchange(self->process_, nullptr);
  process->started(pid, std::move(pidfd));
  // Whatever is open now is in the registry, for the next child to close.
  registry::unlock();
  self->locked_ = false;
  self->signals_.reset();
  if (self->options_->group == GIPC_GROUP_NEW)
    (void)sys::setpgid(pid, pid); // the child does it, too; one is first
  int error = control::open_gate(process->control());
  if (error == -EPIPE)
    error = 0; // dead already, which its status tells
  if (error != 0)
    (void)process->signal(SIGKILL); // it waits at the gate
  else if (self->options_->can_fail_in_child())
    error = process->wait_until_begun();
  if (error != 0) {
    Deadline never;
    (void)process->join(never);
    process->free();
  } else {
    for (Handle *handle : self->handles_)
      handle->give_away();
    out = process;
  }
  delete self;
  return error;
}

// ---- In the child -----------------------------------------------------------

// Not freed: that would copy pages of memory which the child may never need,
// and its start is mostly the copying of pages.
static Fork *of_this_child;

int Fork::child(Fork *self) noexcept {
  int error = self->become_child();
  // The parent's signal mask is not the child's: setup_.unmask() set it.
  self->signals_->dismiss();
  if (error != 0)
    delete self;
  else
    of_this_child = self;
  return error;
}

int Fork::become_child() noexcept {
  registry::forget_in_child(watch::abandon_signals, setup_.kept());
  locked_ = false;
  for (struct ev_loop *loop : options_->left_loops)
    watch::abandon_signals(loop);
  watch::abandon_default_loop();
  // After the loops, which still link to the watchers of a started one.
  for (Handle *handle : handles_)
    handle->arrive_in_child();
  os::discard_stdio();
  int error = setup_.apply();
  setup_.close_sources();
  change_environment();
  if (!control::pass_gate(child_end_.get()))
    _exit(127);
  if (error == 0 && options_->death_signal != 0)
    error = os::signal_on_hangup(child_end_.get(), options_->death_signal);
  if (error < 0) {
    control::send(child_end_.get(), {control::Record::failed, error, 0});
    return error;
  }
  registry::set_child_control(child_end_.get());
  control::send(child_end_.release(), {control::Record::begun, 0, 0});
  os::on_exit([](int status, void *) {
    // Not in a child that the application forked from this one.
    if (registry::child_control() >= 0)
      child::finish(status & 0xff, GIPC_ENDED_EXIT);
  });
  setup_.unmask();
  return 0;
}

void Fork::change_environment() noexcept {
  if (options_->clear_env)
    (void)::clearenv();
  for (const Options::Variable &variable : options_->env) {
    if (variable.value)
      (void)::setenv(variable.name.c_str(), variable.value->c_str(), 1);
    else
      (void)::unsetenv(variable.name.c_str());
  }
}

namespace child {

// The attribute: what pthread_exit(3) throws has no object to refer to.
__attribute__((no_sanitize("null"))) void
run(int (*target)(struct ev_loop *, void *), void *argument) {
  // Its callers may be C, or may not expect an exception: nothing escapes.
  try {
    static struct ev_loop *fresh; // which nobody frees
    fresh = watch::fresh_loop();
    if (fresh == nullptr)
      finish(127, GIPC_ENDED_BEFORE_START);
    int code = target(fresh, argument);
    finish(code < 0 || code > 255 ? 255 : code, GIPC_ENDED_RETURN);
  } catch (const abi::__forced_unwind &) {
    finish(GIPC_EXIT_ESCAPED, GIPC_ENDED_UNWOUND);
  } catch (...) {
    finish(GIPC_EXIT_ESCAPED, GIPC_ENDED_EXCEPTION);
  }
}

void finish(int code, int ended) noexcept {
  registry::flush_all();
  (void)std::fflush(stdout);
  (void)std::fflush(stderr);
  int control = registry::child_control();
  if (control >= 0) {
    // The parent, which reads the record, must not wake the lifeline.
    os::stop_signal_on_hangup(control);
    control::send(control, {control::Record::ended, code, ended});
  }
  _exit(code);
}

} // namespace child

} // namespace gipc
