// With 10,000 open handles: children and pipes must cost what they cost with
// none.
#include "bench.h"

#include "gipc.h"

#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" char **environ;

using namespace bench;

namespace {

constexpr rlim_t handles = 10'000;

bool open_handles() {
  rlimit limit;
  check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < handles + 100)
    return false;
  for (rlim_t i = 0; i < handles / 2; ++i) {
    gipc_handle *reader, *writer;
    must(gipc_pipe(&reader, &writer), "pipe");
  }
  return true;
}

double per_second(size_t count, void (*once)()) {
  double start = now();
  for (size_t i = 0; i < count; ++i)
    once();
  return static_cast<double>(count) / (now() - start);
}

void bare_fork() {
  auto pid = static_cast<pid_t>(check(fork(), "fork"));
  if (pid == 0)
    _exit(0);
  check(waitpid(pid, nullptr, 0), "waitpid");
}

void join(gipc_process *process) {
  must(gipc_process_join(process, -1), "join");
  gipc_process_free(process);
}

void start_function() {
  gipc_process *process;
  must(gipc_start_process([](struct ev_loop *, void *) { return 0; }, nullptr,
                          nullptr, &process),
       "start");
  join(process);
}

void spawn() {
  char name[] = "/bin/true", *arguments[] = {name, nullptr};
  pid_t pid;
  check(-(posix_spawn(&pid, name, nullptr, nullptr, arguments, environ) != 0),
        "posix_spawn");
  check(waitpid(pid, nullptr, 0), "waitpid");
}

void start_program() {
  const char *arguments[] = {"/bin/true", nullptr};
  gipc_process *process;
  must(gipc_exec_process(arguments, nullptr, &process), "exec");
  join(process);
}

void bare_pipe() {
  int fds[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
  check(shutdown(fds[0], SHUT_WR), "shutdown");
  close(fds[0]);
  close(fds[1]);
}

void our_pipe() {
  gipc_handle *reader, *writer;
  must(gipc_pipe(&reader, &writer), "pipe");
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

enum Job { forked, function, spawned, program, socket, handle };

std::vector<std::function<double()>> jobs() {
  size_t starts = scaled(40), pipes = scaled(8'000);
  return {[=] { return per_second(starts, bare_fork); },
          [=] { return per_second(starts, start_function); },
          [=] { return per_second(starts, spawn); },
          [=] { return per_second(starts, start_program); },
          [=] { return per_second(pipes, bare_pipe) / 1e3; },
          [=] { return per_second(pipes, our_pipe) / 1e3; }};
}

void many(Cores cores) {
  Pinned pinned(cores);
  Worker none([] { return true; }, jobs());
  Worker full(open_handles, jobs());
  std::string where = std::string(", ") + name_of(cores) + ": ";
  bool same = cores == Cores::same;
  auto in = [](const Worker &worker, Job which) {
    return [&worker, which] { return worker.run(which); };
  };
  {
    Table table("start and join, 10,000 open handles" + where + "children/s");
    size_t bare = table.add("bare fork, as many open files", in(full, forked));
    size_t gipc = table.add("gipc_start_process", in(full, function));
    size_t posix = table.add("posix_spawn /bin/true", in(full, spawned));
    size_t exec = table.add("gipc_exec_process /bin/true", in(full, program));
    size_t flat = table.add("the same with none open", in(none, program));
    table.measure();
    // Of rates, so that a target for the time is its inverse.
    table.compare(bare, gipc, same ? at_most(2) : no_target);
    table.compare(posix, exec, no_target);
    table.compare(flat, exec, no_target);
  }
  {
    Table table("pipe create and close" + where + "thousand/s");
    size_t bare =
        table.add("socketpair, shutdown, closes; none open", in(none, socket));
    size_t bare_full = table.add("the same, 10,000 open", in(full, socket));
    size_t gipc = table.add("gipc_pipe, frees; none open", in(none, handle));
    size_t gipc_full =
        table.add("gipc_pipe, frees; 10,000 open", in(full, handle));
    table.measure();
    table.compare(bare, gipc, same ? at_most(3) : no_target);
    table.compare(bare_full, gipc_full, same ? at_most(3) : no_target);
    table.compare(gipc, gipc_full, same ? at_most(1.2) : no_target);
  }
}

} // namespace

int main(int argc, char **argv) {
  begin(argc, argv);
  many(Cores::same);
  many(Cores::free);
}
