// A template, in the program that it forks children for.
#include "template.h"

#include "control.h"
#include "exec.h"
#include "fork.h"
#include "handle.h"
#include "inherit.h"
#include "os.h"
#include "process.h"
#include "sys.h"

#include <algorithm>

namespace gipc {

namespace {

// A start that is under way.
class Launch {
public:
  Launch(Request &request, const Options &options)
      : request_(request), options_(options),
        process_(new Process(options.name)) {}
  ~Launch() {
    if (process_ != nullptr)
      process_->free();
  }
  // Throws bad_alloc.
  int prepare();
  // A descriptor for the child: its index.
  int add(int fd) {
    fds_.push_back(fd);
    return static_cast<int>(fds_.size()) - 1;
  }
  // GIPC_EDEAD: the template has ended.
  int send(int socket);
  int finish(const Template::Server &server, Process *&out);

private:
  int prepare_stdio(int which);
  int prepare_files();
  int prepare_handles();
  int wait_until_born(const Template::Server &server, pid_t &pid) noexcept;
  void born(pid_t pid) noexcept;

  Request &request_;
  const Options &options_;
  Process *process_;
  registry::Held child_end_, parent_gate_, child_gate_;
  registry::Held pipes_[3];
  std::vector<int> fds_;
};

int Launch::prepare() {
  registry::Lock hold;
  options_.failed = Part::none;
  registry::Held parent_end;
  if (int error = registry::socket_pair(parent_end, child_end_))
    return error;
  process_->set_control(std::move(parent_end));
  if (int error = registry::socket_pair(parent_gate_, child_gate_))
    return error;
  add(child_end_.get()); // the first of all
  add(child_gate_.get());
  if (options_.is_tree()) {
    process_->prepare_tree();
    request_.cgroup = process_->cgroup();
  }
  if (int left = leave_rings(options_))
    return left;
  int error = 0;
  for (int which = 0; error == 0 && which < 3; ++which)
    error = options_.note(Part::stdio, prepare_stdio(which));
  if (error == 0)
    error = prepare_files();
  return error != 0 ? error : prepare_handles();
}

// As Setup::prepare_stdio(): the streams of this process, as they are now.
int Launch::prepare_stdio(int which) {
  const Options::Stdio &asked = options_.files.stdio[which];
  Options::Stdio &sent = request_.options.files.stdio[which];
  sent = asked;
  int fd = asked.mode == GIPC_STDIO_FD ? asked.fd : which;
  if (asked.mode == GIPC_STDIO_PIPE) {
    Fd reader, writer;
    if (int error = os::pipe_pair(reader, writer))
      return error;
    pipes_[which] = std::move(which == 0 ? reader : writer);
    process_->set_stdio(
        which, registry::Held(std::move(which == 0 ? writer : reader)));
    fd = pipes_[which].get();
  } else if (asked.mode == GIPC_STDIO_INHERIT) {
    for (const Options::Mapping &mapping : options_.files.mapped)
      if (mapping.child_fd == which)
        return 0;
    if (registry::holds(which) || sys::descriptor_flags(which) < 0) {
      sent.mode = GIPC_STDIO_NULL;
      return 0;
    }
  } else if (asked.mode != GIPC_STDIO_FD) {
    return 0;
  }
  if (int flags = sys::status_flags(fd); flags < 0)
    return flags;
  sent = {GIPC_STDIO_FD, add(fd)};
  return 0;
}

// The child has no descriptors but those that are sent: one to keep is sent,
// and gets its number.
int Launch::prepare_files() {
  Options::Files &sent = request_.options.files;
  for (const Options::Mapping &mapping : options_.files.mapped) {
    if (int flags = sys::status_flags(mapping.fd); flags < 0)
      return options_.note(Part::map_fd, flags);
    sent.mapped.push_back({add(mapping.fd), mapping.child_fd});
  }
  sent.kept = options_.files.kept;
  if (sent.kept)
    for (int fd : *sent.kept) {
      bool is_mapped = std::any_of(
          options_.files.mapped.begin(), options_.files.mapped.end(),
          [&](const Options::Mapping &one) { return one.child_fd == fd; });
      if (fd > 2 && !is_mapped && sys::status_flags(fd) >= 0)
        sent.mapped.push_back({add(fd), fd});
    }
  int terminal = options_.session.terminal;
  if (terminal >= 0) {
    if (int flags = sys::status_flags(terminal); flags < 0)
      return options_.note(Part::terminal, flags);
    request_.options.session.terminal = add(terminal);
  }
  return 0;
}

int Launch::prepare_handles() {
  for (const Options::Passed &passed : options_.passed) {
    if (int error =
            passed.name.empty() ? -EINVAL : passed.handle->check_pass(true))
      return options_.note(Part::pass, error);
    int memory;
    if (int error = passed.handle->prepare_exec(memory))
      return options_.note(Part::pass, error);
    if (memory >= 0)
      request_.handles.push_back({passed.name, add(memory), inherit::memory});
    for (int direction : {GIPC_READ, GIPC_WRITE})
      if (int fd = passed.handle->fd(direction); fd >= 0)
        request_.handles.push_back({passed.name, add(fd), direction});
  }
  return 0;
}

int Launch::send(int socket) {
  std::string bytes = request_.encode();
  if (bytes.size() > served::most_bytes)
    return -E2BIG;
  iovec part{bytes.data(), bytes.size()};
  int error = os::send_packet(socket, &part, 1, fds_.data(),
                              static_cast<int>(fds_.size()));
  if (error == -EPIPE || error == -ECONNRESET)
    return GIPC_EDEAD;
  if (error == -EMSGSIZE)
    return -E2BIG;
  registry::Lock hold;
  child_end_.reset();
  child_gate_.reset();
  for (registry::Held &pipe : pipes_)
    pipe.reset();
  return error;
}

// The first record is from the template, or from the child if the template was
// killed right after it had forked.
int Launch::wait_until_born(const Template::Server &server,
                            pid_t &pid) noexcept {
  control::Partial part; // none is left after the first record
  for (bool has_ended = false;;) {
    control::Record record;
    int count = control::receive(process_->control(), &record, 1, part);
    if (count > 0 && record.kind == control::Record::born && record.value > 0) {
      pid = record.value;
      return 0;
    }
    // What is not an error must not count as a start without a process.
    if (count > 0)
      return record.value < 0 ? record.value : -EPROTO;
    if (count != -EAGAIN || has_ended)
      return GIPC_EDEAD;
    // A fork elsewhere in the program may hold the child's end of the socket
    // open, so its end is not waited for alone.
    pollfd signs[2] = {{process_->control(), POLLIN, 0},
                       {server.process->fd(), POLLIN, 0}};
    (void)sys::poll(signs, 2, signs[1].fd >= 0 ? -1 : 10);
    if (signs[0].revents == 0 && server.has_ended()) {
      // A child that it has just forked is about to say so.
      constexpr int patience = 10000;
      (void)sys::poll(signs, 1, patience);
      has_ended = true;
    }
  }
}

void Launch::born(pid_t pid) noexcept {
  registry::Lock hold;
  Fd exit_fd;
  (void)os::open_exit_fd(pid, exit_fd);
  process_->started(pid, std::move(exit_fd), options_.leads_group());
}

int Launch::finish(const Template::Server &server, Process *&out) {
  pid_t pid = -1;
  if (int error = wait_until_born(server, pid))
    return error;
  born(pid);
  if (options_.session.group == GIPC_GROUP_NEW)
    (void)sys::setpgid(pid, pid); // the child does it, too; one is first
  if (options_.is_tree())
    process_->find_root();
  int error = control::open_gate(parent_gate_.get());
  if (error != 0) {
    control::close_gate(parent_gate_.get());
    (void)process_->signal(SIGKILL);
  } else
    error = options_.note(process_->wait_until_begun());
  if (error == -EPIPE)
    error = 0; // dead already, which its status tells
  if (error != 0) {
    Deadline never;
    (void)process_->signal(SIGKILL);
    (void)process_->join(never);
    return error;
  }
  for (const Options::Passed &passed : options_.passed)
    passed.handle->give_to_program();
  out = std::exchange(process_, nullptr);
  return 0;
}

int open_socket(registry::Held &parent_end, registry::Held &child_end,
                int least = 3) {
  registry::Lock hold;
  Fd parent, child, copy;
  int error = os::packet_pair(parent, child);
  if (error == 0 && least > 3)
    error = sys::duplicate(child.get(), copy, least);
  if (error != 0)
    return error;
  parent_end = std::move(parent);
  child_end = least > 3 ? std::move(copy) : std::move(child);
  return 0;
}

// What has no descriptor in it.
void copy(const Options &from, Options &to) {
  to.death_signal = from.death_signal;
  to.cwd = from.cwd;
  to.environment = from.environment;
  to.session.group = from.session.group;
  to.rights = from.rights;
  to.blocked_signals = from.blocked_signals;
}

} // namespace

bool Template::Server::has_ended() const noexcept {
  pollfd end_of_it{process->fd(), POLLIN, 0};
  return end_of_it.fd >= 0 ? sys::poll(&end_of_it, 1, 0) > 0
                           : os::has_ended(process->pid());
}

Template::Server::~Server() {
  socket.reset();
  if (process == nullptr)
    return;
  // It may have been stopped, and ends for nothing else then.
  Deadline never;
  (void)process->signal(SIGKILL);
  (void)process->join(never);
  process->free();
}

// ---- Making -----------------------------------------------------------------

namespace {

// The children of a template would be those of its guard.
int check_tree(const Options *options) {
  return options != nullptr && options->is_tree()
             ? options->note(Part::group, -EOPNOTSUPP)
             : 0;
}

} // namespace

int Template::create(const Options *options, Template *&out) {
  if (options != nullptr && !options->passed.empty())
    return options->note(Part::pass, -EINVAL);
  if (int refused = check_tree(options))
    return refused;
  struct Deleter {
    void operator()(Template *one) const { delete one; }
  };
  std::unique_ptr<Template, Deleter> self(new Template(false));
  int error = self->fork_server(options);
  // The first request shows whether children can be forked.
  if (error == 0)
    error = self->add_spare();
  if (error == 0)
    out = self.release();
  return error;
}

int Template::fork_server(const Options *options) {
  auto server = std::make_shared<Server>();
  // Not at a number that the options give to something else.
  int least = 3;
  if (options != nullptr)
    for (const Options::Mapping &one : options->files.mapped)
      least = std::max(least, one.child_fd + 1);
  registry::Held child_end;
  if (int error = open_socket(server->socket, child_end, least))
    return error;
  Fork fork(options);
  if (int error = fork.prepare(child_end.get()))
    return error;
  int pid = fork.fork();
  if (pid == 0)
    served::run_fork(fork, child_end.release(), options);
  int error = fork.parent(pid, server->process);
  if (error == 0)
    active_ = std::move(server);
  return error;
}

int Template::execute(const char *const argv[], const Options *options,
                      Template *&out) {
  if (int refused = check_tree(options))
    return refused;
  auto server = std::make_shared<Server>();
  registry::Held child_end;
  if (int error = open_socket(server->socket, child_end))
    return error;
  Options standard;
  Extra extra{served::name, child_end.get()};
  if (int error = start_program(argv, options != nullptr ? *options : standard,
                                server->process, &extra))
    return error;
  out = new Template(true);
  out->active_ = std::move(server);
  return 0;
}

void Template::free() noexcept {
  if (owner_ != generation::current()) {
    // The processes are the parent's, and the numbers may mean other files.
    for (Shared *one : {&active_, &spare_})
      if (*one != nullptr) {
        (*one)->socket.forget();
        (*one)->process->free();
        (*one)->process = nullptr;
      }
  }
  delete this;
}

// ---- Starts -----------------------------------------------------------------

int Template::start(int (*target)(struct ev_loop *, void *),
                    const void *argument, size_t size, const Options &options,
                    Process *&out) {
  CancelGuard guard; // half of a start cannot be undone by unwinding
  if (owner_ != generation::current())
    return GIPC_EWRONGPROC;
  if ((target == nullptr) != is_program_ || options.fork.function != nullptr)
    return -EINVAL;
  if (options.files.keep_all)
    return options.note(Part::keep_fds, -EOPNOTSUPP);
  Process::reap_detached();
  for (;;) {
    Shared server;
    {
      registry::Lock hold;
      server = active_;
    }
    if (server == nullptr)
      return GIPC_EDEAD;
    Request request;
    request.kind = is_program_ ? Request::bytes : Request::function;
    request.target = target;
    request.argument = const_cast<void *>(argument);
    if (size > 0)
      request.data.assign(static_cast<const char *>(argument), size);
    copy(options, request.options);
    Launch launch(request, options);
    int error = launch.prepare();
    if (error == 0)
      error = launch.send(server->socket.get());
    if (error == 0)
      error = launch.finish(*server, out);
    if (error != GIPC_EDEAD) {
      if (error == 0)
        (void)add_spare(); // or after the next start
      return error;
    }
    replace(server);
  }
}

// After a start, which must not fail for want of it.
int Template::add_spare() noexcept {
  try {
    return make_spare();
  } catch (const std::bad_alloc &) {
    return -ENOMEM;
  }
}

// The spare is a child of the template that goes on to serve.
int Template::make_spare() {
  Shared server, ended; // which outlives the lock: its end is waited for
  {
    registry::Lock hold;
    if (spare_in_making_ || (spare_ != nullptr && !spare_->has_ended()))
      return 0;
    spare_in_making_ = true;
    ended = std::move(spare_);
    server = active_;
  }
  struct Making {
    ~Making() {
      registry::Lock hold;
      in_making = false;
    }
    bool &in_making;
  } making{spare_in_making_};
  if (server == nullptr)
    return GIPC_EDEAD;
  auto spare = std::make_shared<Server>();
  registry::Held child_end;
  if (int error = open_socket(spare->socket, child_end))
    return error;
  Request request;
  Options standard;
  request.kind = Request::twin;
  request.options.death_signal = SIGKILL;
  Launch launch(request, standard);
  int error = launch.prepare();
  launch.add(child_end.get()); // the last of all
  if (error == 0)
    error = launch.send(server->socket.get());
  if (error == 0)
    error = launch.finish(*server, spare->process);
  registry::Lock hold;
  if (error == 0)
    spare_ = std::move(spare);
  return error;
}

void Template::replace(const Shared &ended) noexcept {
  Shared last; // outlives the lock: its end is waited for
  registry::Lock hold;
  if (active_ != ended)
    return; // another thread did
  last = std::move(active_);
  active_ = std::move(spare_);
}

} // namespace gipc
