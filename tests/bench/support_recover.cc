// A killed worker, and another one in its place; see bench.h.
#include "bench.h"

#include "gipc.h"

#include <csignal>
#include <ev.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

// ---- A pool -----------------------------------------------------------------

struct {
  struct ev_loop *loop;
  gipc_pool *pool;
  pid_t pid; // of the worker that is ready
  bool answered;
} pool;

int work(const gipc_worker_message *, gipc_worker_message *, void *) {
  return 0;
}

int serve(struct ev_loop *, gipc_handle *handle, void *) {
  return gipc_worker_serve(handle, work, nullptr);
}

void on_result(gipc_pool *, const gipc_result *result, void *) {
  pool.answered = result->why == GIPC_WHY_DONE;
}

void on_worker(gipc_pool *, const gipc_worker_change *change, void *) {
  if (change->state == GIPC_WORKER_READY)
    pool.pid = change->pid;
}

void start_pool() {
  gipc_rules rules{};
  rules.size = sizeof rules;
  rules.least = rules.most = 1;
  gipc_pool_events events = {sizeof events, on_result, nullptr, on_worker,
                             nullptr};
  pool.loop = ev_loop_new(0);
  must(gipc_pool_new(serve, nullptr, &rules, nullptr, &pool.pool), "pool");
  must(gipc_pool_start(pool.pool, pool.loop, &events, nullptr), "pool start");
}

// ---- A bare fork ------------------------------------------------------------

struct {
  pid_t pid = 0;
  int fd = -1;
} bare;

void start_bare() {
  int fds[2];
  char byte = 0;
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
  bare.pid = static_cast<pid_t>(check(fork(), "fork"));
  if (bare.pid == 0) {
    close(fds[0]);
    while (write(fds[1], &byte, 1) == 1 && read(fds[1], &byte, 1) == 1)
      continue;
    _exit(0);
  }
  close(fds[1]);
  bare.fd = fds[0];
  check(read(bare.fd, &byte, 1), "read"); // it is ready
}

} // namespace

// Both have the worker do a task first, and the pool replaces such a one at
// once.
void kill_pool_worker() {
  uint64_t task;
  if (pool.pool == nullptr)
    start_pool();
  pool.answered = false;
  must(gipc_pool_try_put(pool.pool, "", 0, nullptr, &task), "put");
  while (!pool.answered)
    ev_run(pool.loop, EVRUN_ONCE);
  pid_t killed = pool.pid;
  check(kill(killed, SIGKILL), "kill");
  while (pool.pid == killed)
    ev_run(pool.loop, EVRUN_ONCE);
}

void kill_bare_worker() {
  char byte = 0;
  if (bare.pid == 0)
    start_bare();
  check(write(bare.fd, &byte, 1), "write");
  check(read(bare.fd, &byte, 1), "read");
  check(kill(bare.pid, SIGKILL), "kill");
  check(waitpid(bare.pid, nullptr, 0), "waitpid");
  close(bare.fd);
  start_bare();
}

} // namespace bench
