// The tasks of a pool: queued, running, and finished but not yet delivered.
#include "policy_tasks.h"

#include <cassert>
#include <cerrno>

namespace gipc::policy {

Task *TaskList::remove(Id id) noexcept {
  Task *before = nullptr, *task = first;
  while (task != nullptr && task->id != id) {
    before = task;
    task = task->next;
  }
  if (task == nullptr)
    return nullptr;
  (before != nullptr ? before->next : first) = task->next;
  if (last == task)
    last = before;
  --size;
  return task;
}

int Tasks::submit(const TaskRules &rules, Id &task) {
  // Finished ones count, so that memory is bounded even if a driver submits
  // without calling next().
  if (not_running() >= limit_) {
    full_ = true;
    return -EAGAIN;
  }
  queue_.reserve(tasks_.size() + 1);
  Task &added = tasks_[last_ + 1]; // throws before anything has changed
  added.id = ++last_;
  added.priority = rules.priority;
  added.rules = rules;
  queue_.push(added);
  task = added.id;
  return 0;
}

Task *Tasks::find(Id id) noexcept {
  auto found = tasks_.find(id);
  return found == tasks_.end() || found->second.state == Task::State::finished
             ? nullptr
             : &found->second;
}

Task &Tasks::run_first(size_t slot) noexcept {
  auto &task = static_cast<Task &>(*queue_.first());
  queue_.remove(task);
  task.state = Task::State::running;
  task.slot = slot;
  ++task.attempts;
  ++running_;
  return task;
}

void Tasks::queue_again(Task &task) noexcept {
  assert(task.state == Task::State::running);
  --running_;
  task.state = Task::State::queued;
  queue_.push(task);
}

void Tasks::finish(Task &task, Why why) noexcept {
  assert(task.state != Task::State::finished);
  task.ran = task.state == Task::State::running;
  if (task.ran)
    --running_;
  else
    queue_.remove(task);
  task.state = Task::State::finished;
  task.why = why;
  finished_.push(task);
}

void Tasks::finish_queued(Why why) noexcept {
  while (!queue_.empty())
    finish(static_cast<Task &>(*queue_.first()), why);
}

bool Tasks::next_finished(Action &out, size_t &slot) noexcept {
  Task *task = finished_.pop();
  if (task == nullptr)
    return false;
  out = Action();
  out.kind = Action::Kind::finish;
  out.why = task->why;
  out.task = task->id;
  out.user = task->rules.user;
  out.attempt = task->attempts;
  slot = task->ran ? task->slot : no_slot;
  tasks_.erase(task->id);
  return true;
}

bool Tasks::next_drained() noexcept {
  if (!full_ || not_running() > low_)
    return false;
  full_ = false;
  return true;
}

} // namespace gipc::policy
