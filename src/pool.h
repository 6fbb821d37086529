// A pool of workers on a loop: carries out what its policy decides, and reports
// to it what happens.
#pragma once

#include "descriptors.h"
#include "gipc.h"
#include "policy_pool.h"
#include "pool_worker.h"
#include "supervisor.h"

#include <list>
#include <memory>
#include <unordered_map>

namespace gipc {

class Pool {
public:
  // These two throw bad_alloc.
  Pool(const policy::PoolRules &rules, WorkerCommand &&command);
  int start(struct ev_loop *loop, const gipc_pool_events &events, void *user);
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  int usable() const noexcept { return supervisor_.usable(); }
  // fds are duplicated.  Throws bad_alloc.
  int try_put(const void *data, size_t size, const int *fds, size_t count,
              policy::TaskRules rules, policy::Id &task);
  int cancel(policy::Id task) noexcept;
  int stop(double grace) noexcept;
  int set_dump_signal(int signal) noexcept {
    return supervisor_.set_dump_signal(signal);
  }
  // Kills the workers, and deletes the pool: now, or when the last callback has
  // returned.
  void free() noexcept;

  const policy::Pool &policy() const noexcept { return policy_; }

  // ---- For its workers
  Supervisor &supervisor() noexcept { return supervisor_; }
  void received(PoolWorker &worker, const void *data, size_t size) noexcept;
  void stream_ended(PoolWorker &worker, int why) noexcept;
  // It has closed its stdin.
  void input_ended(PoolWorker &worker) noexcept;
  // Deletes the worker.
  void ended(PoolWorker &worker) noexcept;

private:
  struct Task {
    std::list<Task>::iterator place;
    void *user;
    size_t size;
    std::unique_ptr<unsigned char[]> message;
    std::unique_ptr<KeptDescriptors> descriptors; // null: it has none
    int error; // why the descriptors could not be sent, or 0
  };
  // An answer that was received, while its data is valid.
  struct Answer {
    Answer *outer;
    gipc_worker_message message;
  };
  class AnswerScope;

  ~Pool() = default;
  bool receive(PoolWorker &worker, const void *data, size_t size,
               gipc_worker_message &message) noexcept;
  void close_input(PoolWorker &worker) noexcept;
  double expect_end(PoolWorker &worker) noexcept;
  bool next() noexcept;
  void time_came() noexcept;
  void carry_out(const policy::Action &action) noexcept;
  void start_worker(policy::Id id) noexcept;
  void send(const policy::Action &action) noexcept;
  void fail(const policy::Action &action, int error) noexcept;
  void finish(const policy::Action &action) noexcept;
  void report(policy::Id worker, int state, int pid, int error) noexcept;
  void end(int why) noexcept;
  PoolWorker *find(policy::Id id) noexcept;
  static const Supervisor::Events supervisor_events;

  Supervisor supervisor_{supervisor_events, this};
  policy::Pool policy_;
  const bool reports_memory_; // to the policy
  WorkerCommand command_;
  std::list<Task> tasks_;
  std::unordered_map<policy::Id, PoolWorker> workers_;
  gipc_pool_events events_{};
  void *user_ = nullptr;
  Answer *answer_ = nullptr;
  double linger_at_ = policy::forever; // a worker's stream ended, and it runs
  int why_ = GIPC_WHY_STOPPED;         // of the end
};

} // namespace gipc
