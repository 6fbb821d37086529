// The queued tasks of a pool: higher priority first, then in the order of their
// submission, which a task that is queued again keeps.  A binary heap, from
// which a cancelled task is removed at once.
#pragma once

#include "policy.h"

#include <algorithm>
#include <vector>

namespace gipc::policy {

struct Queued {
  Id id = no_id;
  int priority = 0;
  size_t place = 0; // in the heap
};

class TaskQueue {
public:
  // Makes room for so many tasks, so that push() needs no memory.  Throws
  // bad_alloc.
  void reserve(size_t count) {
    if (count > heap_.capacity())
      heap_.reserve(std::max(count, 2 * heap_.capacity()));
  }
  bool empty() const noexcept { return heap_.empty(); }
  size_t size() const noexcept { return heap_.size(); }
  Queued *first() const noexcept { return heap_.front(); }

  void push(Queued &task) noexcept {
    heap_.push_back(&task);
    rise(heap_.size() - 1);
  }
  void remove(Queued &task) noexcept {
    size_t place = task.place;
    put(place, heap_.back());
    heap_.pop_back();
    if (place < heap_.size()) {
      sink(place);
      rise(place);
    }
  }

private:
  static bool before(const Queued *a, const Queued *b) noexcept {
    return a->priority != b->priority ? a->priority > b->priority
                                      : a->id < b->id;
  }
  void put(size_t place, Queued *task) noexcept {
    heap_[place] = task;
    task->place = place;
  }
  void rise(size_t place) noexcept {
    Queued *task = heap_[place];
    for (; place > 0 && before(task, heap_[(place - 1) / 2]);
         place = (place - 1) / 2)
      put(place, heap_[(place - 1) / 2]);
    put(place, task);
  }
  void sink(size_t place) noexcept {
    Queued *task = heap_[place];
    for (size_t next; (next = 2 * place + 1) < heap_.size(); place = next) {
      if (next + 1 < heap_.size() && before(heap_[next + 1], heap_[next]))
        ++next;
      if (!before(heap_[next], task))
        break;
      put(place, heap_[next]);
    }
    put(place, task);
  }

  std::vector<Queued *> heap_;
};

} // namespace gipc::policy
