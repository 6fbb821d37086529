// Which worker does which task, when a worker is started, stopped and killed,
// and what becomes of a task whose worker ended: what all files of this room
// share.  It does no I/O, starts no process, reads no clock and knows no loop,
// so tests run it with times and ends of their own, and always in the same way.
//
// A driver, one for each kind of loop, does what this room decides:
//
//   1. It reports what happened, with the time: submit(), started(), ready(),
//      answered(), ended() and so on.
//   2. It calls next(now, action) until that returns false, and carries out
//      each action: starts a worker, sends it a task, stops it, kills it,
//      delivers the end of a task.
//   3. It waits for the next event, but no longer than until next_time(), and
//      continues with 1 or 2.
//
// Decisions are made in next(), from the state at that time, so no action waits
// in a queue while an event makes it wrong.  Only a submit needs memory: the
// end of a worker, a timeout and a stop cannot fail.
//
// The driver owes two things.  Each `start` is followed by one started() or
// start_failed() for the same worker.  Each worker that was started is followed
// by one ended(), when its exit status is known and its messages have been
// read.  A pool or keeper is used by one thread at a time.
//
// Files of this room:
//   policy_life      the state machine of one kept process
//   policy_restarts  delays before restarts, and the limit of restarts
//   policy_queue     queued tasks in their order
//   policy_tasks     the tasks of a pool: queued, running, finished
//   policy_workers   the workers of a pool: idle, busy, retiring
//   policy_pool      the policy of a pool: tasks, and workers that carry them
//   out policy_keeper    the policy of a keeper: services that are kept running
//
// Where the ideas are from.  Engines without I/O: nghttp2, and the "sans I/O"
// libraries of Python (h11, h2); one next_time() instead of a timer per
// deadline: quiche.  Limit of restarts in a window, strategies one-for-one,
// rest-for-one, all-for-one, children permanent, transient or temporary: the
// supervisor of Erlang/OTP.  Readiness, watchdog that sends a signal for a dump
// before it stops, TERM, grace period, KILL, restart "always" and "on-failure":
// systemd.  A delay that grows, with jitter: Marc Brooker, "Exponential Backoff
// And Jitter".  One attempt at a time after a failure: the half-open state of a
// circuit breaker (Nygard, "Release It!").  Poison tasks: the delivery limit of
// message queues.  Retirement after a number of tasks: Apache's
// MaxConnectionsPerChild and multiprocessing's maxtasksperchild.  New process
// ready before the old one stops: nginx, HAProxy, gunicorn.
//
// gipc.h has it as gipc_policy: each function there is a check and a call.
#pragma once

#include "gipc.h"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace gipc::policy {

// A time that does not come, and an unlimited duration.
constexpr double forever = std::numeric_limits<double>::infinity();

// Of a task or a worker; never used twice in one pool or keeper.
using Id = uint64_t;
constexpr Id no_id = 0;

// Why a process was stopped, or how a task ended.
enum class Why : unsigned char {
  none, // the process ended by itself
  // Tasks
  done,      // answered
  failed,    // answered with a failure
  died,      // its worker ended by itself
  poison,    // so many workers ended with it that it is given up
  timed_out, // took longer than its timeout
  cancelled,
  // Processes, and the tasks that they had
  silent,    // no heartbeat
  not_ready, // not ready in time
  protocol,  // sent what it must not send
  retired,   // has done enough tasks, or uses too much memory
  idle,      // had nothing to do
  reload,    // another one is ready in its place
  group,     // stopped with a service that is to be restarted
  stopped,   // the pool or keeper stops
  gave_up,   // the pool or keeper gave up
};
constexpr size_t whys = static_cast<size_t>(Why::gave_up) + 1;

struct Action {
  enum class Kind : unsigned char {
    none,
    start,         // start `worker`
    send,          // send `task` to `worker`
    dump,          // send `worker` the signal for a dump of its stacks
    stop,          // ask `worker` to end, for `why`; idle ones by their handle,
                   // busy ones by SIGTERM
    kill,          // SIGKILL to `worker`
    finish,        // deliver the end of `task`, for `why`
    drained,       // tasks can be submitted again, after an -EAGAIN
    gave_up,       // the pool, or the service, restarts no more
    finished,      // the service has ended, and its policy is no restart
    reloaded,      // the new process of the service has replaced the old one
    reload_failed, // it has not, and the service goes on by its policy
    stopped,       // no process is left, and no task; the last action
  };
  Kind kind = Kind::none;
  Why why = Why::none;
  Id worker = no_id;
  Id task = no_id;
  void *user = nullptr;  // of the task
  unsigned attempt = 0;  // of the task, or start of the worker in its place:
                         // 1 for the first
  size_t service = 0;    // of a keeper
  int pid = 0;           // of the worker
  int error = 0;         // why the worker could not be started, or 0
  gipc_exit_info exit{}; // how the worker ended; its size is 0 if none ended
};

// The words of the scenario files and of the bindings.
const char *name(Why why) noexcept;
const char *name(Action::Kind kind) noexcept;

} // namespace gipc::policy
