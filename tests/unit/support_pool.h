// The model of the random walk of a pool: a driver that has no processes, and
// checks all that it is asked to do.
#pragma once

#include "support_walk.h"

#include "policy_pool.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>

namespace {

using namespace gipc::policy;

struct ModelTask {
  TaskRules rules;
  unsigned executions = 0, ended_workers = 0;
  Id worker = no_id;       // that has it
  Why expects = Why::none; // a `finish` for this is due
  bool cancelled = false;
};

struct ModelWorker {
  bool exists = false, ready = false, silent = false;
  bool stopped = false, killed = false;
  double closed_at = 0;
  bool closed = false, full = false, retires = false, unclear = false;
  Why why = Why::none; // of the stop
  Id task = no_id;
  Id dropped = no_id;   // answered after the stop for it
  std::deque<Id> ahead; // sent after `task`
  uint64_t sent = 0;
  double ready_at = 0, alive_at = 0, sent_at = 0, dumped_at = 0, stopped_at = 0;
  uint64_t answers = 0;

  void close(double now) {
    if (!closed)
      closed_at = now;
    closed = true;
  }
};

class Model {
public:
  Model(const PoolRules &rules, uint64_t seed)
      : rules_(rules), pool_(std::make_unique<Pool>(rules)), random_(seed) {
    carry_out();
  }

  void step();
  bool stopped() const { return stopped_; }
  void finish_all();

private:
  size_t pick(size_t count) { return random_.pick(count); }
  bool chance(size_t one_in) { return random_.chance(one_in); }
  template <typename Map> auto any_of(Map &map) {
    auto it = map.lower_bound(1 + pick(map.rbegin()->first));
    return it == map.end() ? map.begin() : it;
  }
  bool closing() const { return pool_->state() >= Pool::State::stopping; }

  void submit();
  void cancel();
  void worker_event();
  void begin(Id id, ModelWorker &worker);
  void answer(Id id, ModelWorker &worker);
  bool answer_late(ModelWorker &worker, int result);
  void remember(Id id, ModelWorker &worker);
  void end(Id id, ModelWorker &worker);
  void event_of_nobody();
  void let_time_pass();

  void next_task(ModelWorker &worker);
  void end_one(Id id, Why why, bool closed);
  void give_back(Id id, bool closed);
  void task_ended(Id id, ModelTask &task, Why why);
  void expect(Id id, ModelTask &task, Why why);

  void carry_out();
  void carry_out(const Action &action);
  void start(const Action &action);
  void send(const Action &action);
  void send_ahead(ModelWorker &worker);
  void refuse(const Action &action);
  bool may_have_more(const ModelWorker &worker) const;
  void order(const Action &action);
  void check_stop(const Action &action, const ModelWorker &worker);
  void finish(const Action &action);
  void check_nothing_is_forgotten();
  double latest_wake(const ModelWorker &worker) const;

  PoolRules rules_;
  std::unique_ptr<Pool> pool_;
  Random random_;
  double now_ = 0, stop_at_ = forever;
  bool full_ = false, stopped_ = false, gave_up_ = false;
  std::map<Id, ModelTask> tasks_;       // not finished
  std::map<Id, ModelWorker> workers_;   // not ended
  std::set<std::pair<long, Id>> queue_; // minus the priority, and the task
  std::set<Id> started_;                // ids of the round
  size_t expected_ = 0;                 // finishes that are due
  Id last_task_ = no_id;
};

} // namespace
