// The policy of a pool of workers.  policy.h describes how a driver uses it.
//
// - A worker that ends fails only the task that it had.  The task is carried
//   out again only if its submitter asked for retries, at most 1 + retries
//   times, and is given up when it has ended `poison` workers.
// - A task that times out, or is cancelled while it runs, stops its worker.  It
//   finishes when that worker has ended, so it is certain that it runs no
//   longer.  An answer that comes meanwhile is dropped.
// - With `ahead`, a worker is sent tasks before it has answered the one that it
//   carries out.  It writes each answer before it reads the next task, so the
//   first task without an answer is the only one that it may have begun, and
//   timeout, silence and cancel of the others start at the answer before. Those
//   not begun when it ends go back to the queue, as if they had not been sent.
// - Workers are started on demand, from `least` to `most`.  One that had a
// task,
//   or has done one, is replaced at once.  One that ends before is replaced
//   after a delay, and then one at a time.  The pool gives up when
//   `prepare_failures` starts in a row have failed and no worker is ready, or
//   at the limit of restarts.
#pragma once

#include "policy.h"
#include "policy_restarts.h"
#include "policy_tasks.h"
#include "policy_workers.h"

namespace gipc::policy {

// The name of a wrong member, or NULL.
const char *wrong(const PoolRules &rules) noexcept;

struct PoolStats {
  size_t queued = 0, running = 0;               // tasks
  size_t workers = 0, active = 0, starting = 0; // active: not asked to end
  uint64_t submitted = 0, retries = 0;          // tasks
  uint64_t starts = 0, failures = 0; // workers; failures: not asked to end
  uint64_t finished[whys] = {};      // tasks, by why
};

class Pool {
public:
  enum class State : unsigned char { open, draining, stopping, stopped };

  // The rules are not wrong().  Throws bad_alloc.
  explicit Pool(const PoolRules &rules);
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  // -EAGAIN: full, `drained` follows.  GIPC_ECLOSED: it was stopped, or gave
  // up.  -EINVAL: the timeout is not above 0.  Throws bad_alloc.
  int submit(const TaskRules &rules, Id &task);
  // 0: `finish` follows.  -ENOENT: the task has finished.
  int cancel(Id task, double now) noexcept;

  // Events of a worker.  -ENOENT: it has ended.
  int started(Id worker, int pid, double now) noexcept;
  int start_failed(Id worker, int error, double now) noexcept;
  int ready(Id worker, double now) noexcept;
  int alive(Id worker, double now) noexcept;
  // ok: the task is done; else it failed.  GIPC_EPROTOCOL: the worker had no
  // task, and is stopped.
  int answered(Id worker, bool ok, double now) noexcept;
  // What a gipc_worker_message of a worker means.  GIPC_EPROTOCOL: not its
  // turn, and it is stopped.  -ENOENT: it has ended, or was stopped, and its
  // answer is to be dropped.  *user is set for an answer that counts.
  int received(Id worker, int kind, Id task, double now,
               void **user = nullptr) noexcept;
  // The worker sent something that is not valid: it is stopped.
  int misbehaved(Id worker, double now) noexcept;
  int memory(Id worker, uint64_t bytes, double now) noexcept;
  // The put of a task failed with this error, so it was not begun, and goes
  // back to the queue.  -EAGAIN: the worker is sent no task until its next
  // answer; if it has none to answer, it did not read the last one, and is
  // stopped. Any other: its stream has ended, and it is sent no task any more.
  // The task may be no_id.
  int refused(Id worker, Id task, int error, double now) noexcept;
  int ended(Id worker, const gipc_exit_info &exit, double now) noexcept;

  // Accepts no task any more, carries out those that it has within `grace`
  // seconds, then stops the workers.  0: stops them at once; negative: there is
  // no limit.  A later call can only shorten the time.
  void stop(double grace, double now) noexcept;

  // False: there is nothing to do until the next event or next_time().
  bool next(double now, Action &out) noexcept;
  double next_time() const noexcept {
    return state_ == State::stopped ? forever : workers_.lives().next_time();
  }

  State state() const noexcept { return state_; }
  PoolStats stats() const noexcept;
  size_t slots() const noexcept { return rules_.most; }
  // Of a worker, also after its end.
  size_t slot_of(Id worker) const noexcept {
    return workers_.lives().slot_of(worker);
  }
  // By slot, below most; a worker that has ended is off.
  const Life &life(size_t slot) const noexcept {
    return workers_.lives()[slot];
  }
  const Worker &worker(size_t slot) const noexcept { return workers_[slot]; }

private:
  bool find(Id worker, double now, size_t &slot) noexcept;
  void set_now(double now) noexcept;
  void worker_ended(size_t slot, const gipc_exit_info &exit,
                    int error) noexcept;
  void count_failure(size_t slot) noexcept;
  void start_later(size_t slot) noexcept;
  bool may_start() const noexcept;
  void end_task(Task &task, Why why) noexcept;
  void give_back(Task &task) noexcept;
  void end_tasks(Workers::Left left, Why why) noexcept;
  int answered(size_t slot, bool ok) noexcept;
  int broke_protocol(size_t slot) noexcept;
  void stop_now(Why why) noexcept;
  void expire() noexcept;

  bool next_gave_up(Action &out) noexcept;
  bool next_finished(Action &out) noexcept;
  bool next_order(Action &out) noexcept;
  bool next_send(Action &out) noexcept;
  bool next_ahead(Action &out) noexcept;
  bool next_start(Action &out) noexcept;
  bool next_notice(Action &out) noexcept;
  void describe(size_t slot, Action &out) const noexcept;
  void describe_send(size_t slot, const Task &task, Action &out) const noexcept;

  const PoolRules rules_;
  State state_ = State::open;
  double now_ = -forever;
  Why stop_why_ = Why::none;   // of stop_now()
  double stop_at_ = forever;   // the end of draining
  double start_at_ = -forever; // no start before
  Tasks tasks_;
  Workers workers_;
  Restarts restarts_;
  uint64_t round_ = 0;
  unsigned prepare_failures_ = 0; // in a row
  size_t failed_slot_ = 0;
  bool gave_up_ = false; // `gave_up` is to be returned
  PoolStats counts_;
};

} // namespace gipc::policy
