// The tasks of a pool: queued, running, and finished but not yet delivered.
#pragma once

#include "policy.h"
#include "policy_queue.h"

#include <unordered_map>

namespace gipc::policy {

// What a task is carried out again for, while it has retries: a mask.
enum Retry : unsigned { retry_died = 1, retry_timed_out = 2, retry_failed = 4 };

struct TaskRules {
  int priority = 0;         // higher ones first
  double timeout = forever; // seconds of each execution
  unsigned retries = 0;
  unsigned retry_for = retry_died;
  void *user = nullptr; // returned with each action for the task
};

struct Task : Queued {
  enum class State : unsigned char { queued, running, finished };
  State state = State::queued;
  Why why = Why::none;
  bool cancelled = false; // is not carried out again
  bool ran = false;       // at its end; else it was queued
  TaskRules rules;
  unsigned attempts = 0;
  unsigned ended_workers = 0;
  size_t slot = 0;      // of its last worker
  Task *next = nullptr; // in a TaskList
};

// Tasks in the order in which they came; a task is in one list at a time.
struct TaskList {
  Task *first = nullptr, *last = nullptr;
  size_t size = 0;

  void push(Task &task) noexcept {
    task.next = nullptr;
    (last != nullptr ? last->next : first) = &task;
    last = &task;
    ++size;
  }
  // The first one is removed, or NULL.
  Task *pop() noexcept {
    return first != nullptr ? remove(first->id) : nullptr;
  }
  // It is removed, or NULL: it is not in the list.
  Task *remove(Id id) noexcept;
};

class Tasks {
public:
  Tasks(size_t limit, size_t low) noexcept : limit_(limit), low_(low) {}
  Tasks(const Tasks &) = delete;
  Tasks &operator=(const Tasks &) = delete;

  // -EAGAIN: full.  Throws bad_alloc.
  int submit(const TaskRules &rules, Id &task);
  // NULL: there is no such task, or it has finished.
  Task *find(Id id) noexcept;

  size_t queued() const noexcept { return queue_.size(); }
  size_t running() const noexcept { return running_; }
  uint64_t submitted() const noexcept { return last_; }
  bool empty() const noexcept { return tasks_.empty(); }

  // The first queued task now runs, for one more time.
  Task &run_first(size_t slot) noexcept;
  void queue_again(Task &task) noexcept;
  // It was not begun: it is queued as if it had not been sent.
  void give_back(Task &task) noexcept {
    --task.attempts;
    queue_again(task);
  }
  void finish(Task &task, Why why) noexcept;
  void finish_queued(Why why) noexcept;
  // Removes the task that finished first; false: there is none.  slot: of the
  // worker that had it, or no_slot.
  static constexpr size_t no_slot = static_cast<size_t>(-1);
  bool next_finished(Action &out, size_t &slot) noexcept;
  // True once, when there is room again after an -EAGAIN.
  bool next_drained() noexcept;

private:
  size_t not_running() const noexcept { return tasks_.size() - running_; }

  size_t limit_, low_;
  Id last_ = no_id;
  std::unordered_map<Id, Task> tasks_;
  TaskQueue queue_;
  size_t running_ = 0;
  TaskList finished_;
  bool full_ = false; // true after an -EAGAIN
};

} // namespace gipc::policy
