// Children and pipes that are made and ended, and what a parent of them holds
// meanwhile; see bench.h.
#include "bench.h"

#include "gipc.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" char **environ;

namespace bench {

namespace {

constexpr const char *program = "/bin/true";

void reap(pid_t pid) { check(waitpid(pid, nullptr, 0), "waitpid"); }

} // namespace

void fork_and_wait() {
  auto pid = static_cast<pid_t>(check(fork(), "fork"));
  if (pid == 0)
    _exit(0);
  reap(pid);
}

void spawn_and_wait() {
  char *arguments[] = {const_cast<char *>(program), nullptr};
  pid_t pid;
  check(
      -(posix_spawn(&pid, program, nullptr, nullptr, arguments, environ) != 0),
      "posix_spawn");
  reap(pid);
}

void vfork_and_wait() {
  char *arguments[] = {const_cast<char *>(program), nullptr};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  pid_t pid = vfork();
#pragma GCC diagnostic pop
  if (pid == 0) {
    execv(program, arguments);
    _exit(127);
  }
  check(pid, "vfork");
  reap(pid);
}

void join_and_free(gipc_process *process) {
  must(gipc_process_join(process, -1), "join");
  gipc_process_free(process);
}

void start_function() {
  gipc_process *process;
  must(gipc_start_process([](struct ev_loop *, void *) { return 0; }, nullptr,
                          nullptr, &process),
       "start");
  join_and_free(process);
}

namespace {

gipc_template *early_template;

} // namespace

bool make_template() {
  int result = gipc_template_new(nullptr, &early_template);
  if (result == -EOPNOTSUPP)
    return false;
  must(result, "template");
  return true;
}

void start_from_template() {
  gipc_process *process;
  must(gipc_template_start(
           early_template, [](struct ev_loop *, void *) { return 0; }, nullptr,
           0, nullptr, &process),
       "start from a template");
  join_and_free(process);
}

void start_program() {
  const char *arguments[] = {program, nullptr};
  gipc_process *process;
  must(gipc_exec_process(arguments, nullptr, &process), "exec");
  join_and_free(process);
}

double per_second(size_t count, void (*once)()) {
  double start = now();
  for (size_t i = 0; i < count; ++i)
    once();
  return static_cast<double>(count) / (now() - start);
}

void socketpair_and_close() {
  int fds[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
  check(shutdown(fds[0], SHUT_WR), "shutdown");
  close(fds[0]);
  close(fds[1]);
}

void pipe_and_free() {
  gipc_handle *reader, *writer;
  must(gipc_pipe(&reader, &writer), "pipe");
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

bool open_handles(size_t handles) {
  rlimit limit;
  check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < handles + 100)
    return false;
  for (size_t i = 0; i < handles / 2; ++i) {
    gipc_handle *reader, *writer;
    must(gipc_pipe(&reader, &writer), "pipe");
  }
  return true;
}

namespace {

size_t available() {
  std::unique_ptr<FILE, int (*)(FILE *)> file(fopen("/proc/meminfo", "r"),
                                              fclose);
  char line[256];
  size_t kib = 0;
  while (file && fgets(line, sizeof line, file.get()) != nullptr)
    if (std::sscanf(line, "MemAvailable: %zu kB", &kib) == 1)
      return kib * 1024;
  return 0;
}

} // namespace

// In pages of 4 KiB, as a heap that grew.
bool touch_memory(size_t touched) {
  if (touched == 0)
    return true;
  if (available() < touched + (size_t{512} << 20))
    return false;
  void *memory = mmap(nullptr, touched, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return false;
  (void)madvise(memory, touched, MADV_NOHUGEPAGE);
  std::memset(memory, 1, touched);
  return true;
}

} // namespace bench
