// A template and its children: what they do themselves.
#include "template.h"

#include "control.h"
#include "fork.h"
#include "guard.h"
#include "inherit.h"
#include "os.h"
#include "setup.h"
#include "sys.h"

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

namespace gipc::served {

namespace {

// What a template has received.
struct Packet {
  void *data;
  ssize_t size;
  int fds[os::most_sent]; // the first is the control end of the child, the
                          // second its gate
  int count;
};

// ---- In the child -----------------------------------------------------------

// What goes on in the child, and is never freed.
class Child {
public:
  explicit Child(Packet &packet) : packet_(packet) {}
  // Ends the process if it fails.
  void begin() noexcept;
  bool is_twin() const { return request.kind == Request::twin; }
  int socket() const { return packet_.fds[packet_.count - 1]; }

  Request request;

private:
  Failure become_root() noexcept;
  Failure set_up();
  Failure try_set_up() noexcept;
  int place_descriptors();
  int keep(int &fd);
  void close_others() noexcept;
  void close_terminal() noexcept;

  Packet &packet_;
  Setup setup_;
  std::vector<Fd> copies_;
  std::vector<int> kept_;
  std::string handles_; // the value of GIPC_HANDLES
};

// Keeps fd, or a copy if the options put something else at its number.
int Child::keep(int &fd) {
  if (fd < 3 || setup_.replaces(fd)) {
    Fd copy;
    if (int error = sys::duplicate(fd, copy))
      return error;
    fd = copy.get();
    copies_.push_back(std::move(copy));
  }
  kept_.push_back(fd);
  setup_.keep(fd, false);
  return 0;
}

// The options name their descriptors by what was received.
int Child::place_descriptors() {
  request.place(packet_.fds);
  if (int error = setup_.prepare(request.options, false))
    return error;
  int error = keep(packet_.fds[0]);
  if (error == 0)
    error = keep(packet_.fds[1]);
  if (error == 0 && is_twin())
    error = keep(packet_.fds[packet_.count - 1]);
  for (Request::Sent &handle : request.handles) {
    if (error == 0)
      error = keep(handle.fd);
    if (error == 0)
      error =
          inherit::append(handles_, handle.name, handle.fd, handle.direction);
  }
  setup_.finish();
  return error;
}

// What was received for the options, which setup_ has copies of, but of the
// terminal.
void Child::close_others() noexcept {
  for (int i = 1; i < packet_.count; ++i)
    if (std::find(kept_.begin(), kept_.end(), packet_.fds[i]) == kept_.end() &&
        packet_.fds[i] != request.options.session.terminal)
      Fd(packet_.fds[i]).reset();
}

// After setup_ has made it the one of the session, and has perhaps put
// something else at its number.
void Child::close_terminal() noexcept {
  int terminal = request.options.session.terminal;
  if (terminal >= 0 && !setup_.replaces(terminal))
    Fd(terminal).reset();
}

// Makes this process the guard of a tree, and goes on in its root.
Failure Child::become_root() noexcept {
  if (!request.options.is_tree())
    return {0, Part::none};
  int error = guard::become(
      {packet_.fds[0], request.cgroup.c_str(), request.options.death_signal});
  if (error == 0)
    (void)registry::forget_in_child({});
  return {error, Part::group};
}

Failure Child::set_up() {
  if (!request.decode(packet_.data, static_cast<size_t>(packet_.size),
                      packet_.count))
    return {-EPROTO, Part::none};
  if (Failure failure = become_root(); failure.error != 0)
    return failure;
  registry::Lock hold;
  if (!request.data.empty()) {
    request.argument = ::operator new(request.data.size());
    request.data.copy(static_cast<char *>(request.argument),
                      request.data.size());
  }
  if (int error = place_descriptors())
    return {error, request.options.failed};
  close_others();
  os::discard_stdio();
  Failure failure = setup_.apply();
  close_terminal();
  setup_.close_sources();
  if (failure.error == 0)
    failure = {request.options.change_environment(), Part::env};
  if (failure.error == 0)
    failure = {inherit::set(handles_), Part::env};
  return failure;
}

// Also without memory.
Failure Child::try_set_up() noexcept {
  try {
    return set_up();
  } catch (const std::bad_alloc &) {
    return {-ENOMEM, Part::none};
  }
}

// If it is a failure.
void fail(int control, const Failure &failure) noexcept {
  if (failure.error < 0)
    (void)control::send(control, {control::Record::failed, failure.error,
                                  static_cast<int32_t>(failure.part)});
}

void Child::begin() noexcept {
  (void)registry::forget_in_child({}); // a template has no loop
  control::send(packet_.fds[0], {control::Record::born, ::getpid(), 0});
  Failure failure = try_set_up();
  int control = packet_.fds[0];
  Fd gate(packet_.fds[1]);
  // Before the gate: the parent of a tree opens it when it knows the root, or
  // that there will be none.
  fail(control, failure);
  if (!control::pass_gate(gate.get(), {}) || failure.error < 0)
    _exit(127);
  gate.reset();
  bool has_lifeline = request.options.has_lifeline();
  if (has_lifeline)
    failure = {os::signal_on_hangup(control, request.options.death_signal),
               Part::death_signal};
  fail(control, failure);
  if (failure.error < 0)
    _exit(127);
  for (Fd &copy : copies_)
    (void)copy.release();
  registry::set_child_control(registry::hold(Fd(control)), has_lifeline);
  control::send_begun(control);
  child::report_exit();
  if (!is_twin())
    setup_.unmask();
}

// ---- In the template --------------------------------------------------------

void receive(int socket, Packet &packet) noexcept {
  packet.size = os::receive_packet(socket, packet.data, most_bytes, packet.fds,
                                   packet.count);
  if (packet.size == 0)
    _exit(0); // the program has ended, or needs it no more
  if (packet.count < 2)
    _exit(127); // nobody to answer: the spare goes on
}

void answer(Packet &packet, int result) noexcept {
  if (result > 0)
    control::send(packet.fds[0], {control::Record::born, result, 0});
  else
    control::send(packet.fds[0], {control::Record::failed, result, 0});
  for (int i = 0; i < packet.count; ++i)
    Fd(packet.fds[i]).reset();
}

// A template has the descriptors that it was given, not those that the program
// had open by chance: an end of a stream comes when the program closes it.
void close_inherited(int socket, const Options *options) noexcept {
  if (options != nullptr && (options->files.kept || options->files.keep_all))
    return;
  int own[2] = {socket, registry::child_control()};
  auto is_kept = [&](int fd) {
    bool is_mapped =
        options != nullptr &&
        std::any_of(
            options->files.mapped.begin(), options->files.mapped.end(),
            [&](const Options::Mapping &one) { return one.child_fd == fd; });
    return fd == own[0] || fd == own[1] || is_mapped;
  };
  int last = std::max(own[0], own[1]);
  if (options != nullptr)
    for (const Options::Mapping &one : options->files.mapped)
      last = std::max(last, one.child_fd);
  for (int fd = 3, from = 3; fd <= last; ++fd)
    if (is_kept(fd)) {
      if (fd > from)
        (void)os::close_range(static_cast<unsigned>(from),
                              static_cast<unsigned>(fd - 1));
      from = fd + 1;
    }
  (void)os::close_range(static_cast<unsigned>(last) + 1, ~0u);
}

} // namespace

int serve(int socket, Request *&out) noexcept {
  sigset_t all;
  sigfillset(&all);
  (void)sys::signal_mask(SIG_SETMASK, &all, nullptr);
  Packet packet;
  if (int error = sys::map_memory(most_bytes, MAP_PRIVATE, packet.data))
    return error;
  for (;;) {
    receive(socket, packet);
    int result =
        packet.size < 0 ? static_cast<int>(packet.size) : os::fork_sibling();
    if (result != 0) {
      answer(packet, result);
      continue;
    }
    auto *child = new (std::nothrow) Child(packet);
    if (child == nullptr)
      _exit(127);
    child->begin();
    if (!child->is_twin()) {
      out = &child->request;
      return 0;
    }
    socket = registry::hold(Fd(child->socket()));
  }
}

void run_fork(Fork &fork, int socket, const Options *options) {
  if (fork.child() != 0)
    _exit(127);
  socket = registry::hold(Fd(socket));
  close_inherited(socket, options);
  if (options == nullptr || options->death_signal == 0)
    (void)os::signal_on_hangup(registry::child_control(), SIGKILL);
  Request *request;
  if (serve(socket, request) != 0)
    _exit(127);
  child::run(request->target, request->argument, true);
}

int serve_program(Request *&out) {
  int socket;
  if (int error = inherit::take(name, socket))
    return error;
  socket = registry::hold(Fd(socket));
  // Libraries end their threads before a fork(2), and start them again when
  // they need them: handlers of pthread_atfork(3), which are not called later.
  int pid = sys::fork_process();
  if (pid == 0)
    _exit(0);
  int status;
  if (pid > 0)
    (void)sys::waitpid(pid, &status, 0, nullptr);
  return pid < 0 ? pid : serve(socket, out);
}

} // namespace gipc::served
