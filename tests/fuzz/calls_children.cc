// fuzz_calls: messages with descriptors and handles, and children.
#include "calls.h"

#include <sys/wait.h>
#include <unistd.h>

namespace calls {

// ---- Descriptors and handles in messages ------------------------------------

void put_fds(World &world, Slot &slot) {
  size_t count = world.input.below(5), way = world.input.below(3);
  if (count == 4)
    count = GIPC_MOST_FDS + world.input.below(2);
  std::vector<int> fds(count, STDERR_FILENO);
  bool wrong = world.input.below(16) == 15 && count > 0;
  if (wrong)
    fds.back() = -1;
  std::vector<uint8_t> bytes = make_next(slot.out());
  size_t before = slot.queued();
  int result = way == 0 ? gipc_try_put_with(slot.h, bytes.data(), bytes.size(),
                                            fds.data(), count)
                        : gipc_put_with(slot.h, bytes.data(), bytes.size(),
                                        fds.data(), count, 0);
  one_of(result, {0, -EAGAIN, -ETIMEDOUT, -EINPROGRESS, -EPIPE, -EBADF, -EINVAL,
                  -EOPNOTSUPP, -ETOOMANYREFS, GIPC_ETOOBIG, GIPC_ELOCKED,
                  GIPC_ECLOSED, GIPC_EDIRECTION, -ECANCELED});
  bool was_put = result == 0 || result == -EINPROGRESS;
  slot.require_all_or_nothing(result, bytes.size(), before);
  require(!was_put || (!wrong && count <= GIPC_MOST_FDS));
  if (was_put && count > 0)
    slot.out().attached[slot.out().put] = {count, {}};
  slot.put(was_put ? 1 : 0, result);
}

namespace {

// Chosen by the input, also those that cannot be moved.
struct Chosen {
  explicit Chosen(World &world) : count(1 + world.input.below(2)) {
    for (size_t i = 0; i < count; ++i) {
      slots[i] = &world.slots[world.input.below(most_slots)];
      handles[i] = slots[i]->h;
      directions[i] = handles[i] != nullptr ? gipc_directions(handles[i]) : 0;
    }
  }
  // A put that failed has not moved them.
  void require_unmoved() const {
    for (size_t i = 0; i < count; ++i)
      require(handles[i] == nullptr ||
              gipc_directions(handles[i]) == directions[i]);
  }
  size_t count;
  Slot *slots[2];
  gipc_handle *handles[2];
  int directions[2];
};

} // namespace

void put_moving(World &world, Slot &slot) {
  Chosen chosen(world);
  bool tries = world.input.below(2) == 0;
  std::vector<uint8_t> bytes = make_next(slot.out());
  size_t before = slot.queued();
  int result =
      tries ? gipc_try_put_handles(slot.h, bytes.data(), bytes.size(),
                                   chosen.handles, chosen.count, nullptr, 0)
            : gipc_put_handles(slot.h, bytes.data(), bytes.size(),
                               chosen.handles, chosen.count, nullptr, 0, 0);
  one_of(result, {0, -EAGAIN, -ETIMEDOUT, -EINPROGRESS, -EPIPE, -EBUSY, -EINVAL,
                  -EOPNOTSUPP, -ETOOMANYREFS, GIPC_ETOOBIG, GIPC_ELOCKED,
                  GIPC_ECLOSED, GIPC_EDIRECTION, -ECANCELED});
  bool was_put = result == 0 || result == -EINPROGRESS;
  if (result != -EINPROGRESS) // then all of it may be queued
    slot.require_all_or_nothing(result, bytes.size(), before);
  if (!was_put)
    chosen.require_unmoved();
  Stream::Attached attached{};
  for (size_t i = 0; i < chosen.count && was_put; ++i) {
    require(gipc_directions(chosen.handles[i]) == GIPC_ECLOSED);
    gipc_handle_free(chosen.handles[i]);
    chosen.slots[i]->begin(nullptr);
    attached.handles.push_back(chosen.slots[i]);
  }
  if (was_put)
    slot.out().attached[slot.out().put] = attached;
  slot.put(was_put ? 1 : 0, result);
}

// ---- Children ---------------------------------------------------------------

namespace {

enum Behaviour { exchanges, returns, stays, is_killed, exits, behaviours };

void use_other_handles(Child &child, const gipc_handle *own) {
  const void *data;
  size_t size;
  for (Slot &slot : child.world->slots)
    if (slot.h != nullptr && slot.h != own)
      one_of(gipc_try_get(slot.h, &data, &size),
             {GIPC_EWRONGPROC, GIPC_ECLOSED});
}

// Puts messages, and gets all that come.
void exchange(Child &child, Slot &slot) {
  for (uint64_t i = 0; i < child.to_put; ++i) {
    std::vector<uint8_t> bytes = make_next(slot.out());
    int result = gipc_put(slot.h, bytes.data(), bytes.size(), -1);
    one_of(result, {0, -EPIPE, GIPC_ETOOBIG});
    slot.put(result == GIPC_ETOOBIG ? 0 : 1, result);
  }
  one_of(gipc_flush(slot.h, -1), {0, -EPIPE, GIPC_EDIRECTION, GIPC_ECLOSED});
  one_of(gipc_shutdown(slot.h), {0, -EPIPE, GIPC_EDIRECTION, GIPC_ECLOSED});
  const void *data;
  size_t size;
  int result;
  while ((result = gipc_get(slot.h, -1, &data, &size)) == 0)
    check_next(slot.in(), data, size);
  one_of(result, {GIPC_EOF, GIPC_ETRUNCATED, GIPC_ETOOBIG, GIPC_EDIRECTION,
                  GIPC_ECLOSED});
}

int run_child(struct ev_loop *, void *argument) {
  auto &child = *static_cast<Child *>(argument);
  use_other_handles(child, child.passed != nullptr ? child.passed->h : nullptr);
  if (child.behaviour == exchanges && child.passed != nullptr)
    exchange(child, *child.passed);
  while (child.behaviour == stays)
    pause();
  if (child.behaviour == is_killed)
    (void)raise(SIGKILL);
  if (child.behaviour == exits)
    gipc_exit(child.code);
  return child.code;
}

void check_code(const Child &child, int code) {
  bool own =
      child.behaviour == is_killed ? code == -SIGKILL : code == child.code;
  require(own || (child.killed && (code == -SIGKILL || code == -SIGTERM)));
}

} // namespace

void pass(World &world, Slot &slot) {
  Child &child = world.children[world.child_count % most_children];
  if (world.child_count >= most_children)
    return;
  child.world = &world;
  child.behaviour = static_cast<int>(world.input.below(behaviours));
  child.code = world.input.next();
  bool passes = world.input.below(4) != 0;
  child.passed = passes ? &slot : nullptr;
  bool writes = slot.is_open(GIPC_WRITE);
  child.to_put = passes && writes ? world.input.below(4) : 0;
  gipc_options *options;
  require(gipc_options_new(&options) == 0);
  require(gipc_options_set_daemon(options, world.input.below(2) != 0) == 0);
  int result = passes ? gipc_options_pass(options, nullptr, slot.h) : 0;
  one_of(result, {0, GIPC_ECLOSED});
  if (result == 0)
    result = gipc_start_process(run_child, &child, options, &child.process);
  one_of(result, {0, -EBUSY, GIPC_ELOCKED, GIPC_ECLOSED});
  gipc_options_free(options);
  if (result != 0) {
    require(gipc_directions(slot.h) != 0);
    child.passed = nullptr;
    return;
  }
  ++world.child_count;
  child.pid = gipc_process_pid(child.process);
  if (!passes)
    return;
  require(gipc_directions(slot.h) == GIPC_ECLOSED);
  gipc_handle_free(slot.h);
  size_t limit = slot.limit;
  slot.begin(nullptr);
  if (child.behaviour == exchanges && limit >= largest)
    slot.out().put += child.to_put;
  else
    slot.out().lossy = true;
  if (child.behaviour == exchanges)
    slot.out().maybe_put += child.to_put; // if none is too large
}

namespace {

void free_child(Child &child) {
  kill_child(child);
  gipc_process_free(child.process);
  child.process = nullptr;
  child.watched = false;
}

void on_exit(gipc_process *p, void *user) {
  auto &child = *static_cast<Child *>(user);
  require(child.process == p && child.watched);
  child.watched = false;
  int code;
  require(gipc_process_exitcode(p, &code) == 0);
  check_code(child, code);
  if (child.world->input.below(3) == 0)
    free_child(child);
}

void note_killed(Child &child, int result) {
  one_of(result, {0, GIPC_EDEAD, -EINVAL});
  child.killed |= result == 0;
  if (result == 0 && child.passed != nullptr)
    child.passed->out().lossy = true;
}

void ask(Child &child) {
  gipc_exit_info info{};
  info.size = sizeof info;
  int code;
  int alive = gipc_process_is_alive(child.process);
  int result = gipc_process_exitcode(child.process, &code);
  one_of(alive, {0, 1});
  one_of(result, {0, -EAGAIN});
  require(alive == 1 || result == 0);
  if (result == 0)
    check_code(child, code);
  one_of(gipc_process_info(child.process, &info), {0, -EAGAIN});
  one_of(gipc_process_signal(child.process, 0), {0, GIPC_EDEAD});
}

} // namespace

void use_child(World &world, Child &child) {
  if (child.process == nullptr)
    return;
  int result;
  switch (world.input.below(9)) {
  case 0:
    one_of(gipc_process_join(child.process, 0), {0, -ETIMEDOUT});
    break;
  case 1:
    note_killed(child, gipc_process_kill(child.process));
    break;
  case 2:
    note_killed(child, gipc_process_terminate(child.process));
    break;
  case 3:
    result = gipc_process_watch(child.process, world.loop, on_exit, &child);
    one_of(result, {0, GIPC_ELOCKED});
    child.watched |= result == 0;
    break;
  case 4:
    result = gipc_process_unwatch(child.process);
    one_of(result, {0, -EINVAL});
    child.watched &= result != 0;
    break;
  case 5:
    note_killed(child, gipc_process_begin_stop(child.process, 0));
    break;
  case 6:
    one_of(gipc_wait_set_add_process(world.set, child.process), {0});
    break;
  case 7:
    ask(child);
    break;
  default:
    free_child(child);
  }
}

void kill_child(Child &child) {
  if (child.process != nullptr && child.behaviour == stays &&
      gipc_process_kill(child.process) == 0)
    child.killed = true;
}

void end_child(Child &child) {
  constexpr double patience = 100; // seconds: a child that hangs is a fault
  siginfo_t info;
  if (child.process != nullptr) {
    require(gipc_process_join(child.process, patience) == 0);
    int code;
    require(gipc_process_exitcode(child.process, &code) == 0);
    check_code(child, code);
    gipc_process_free(child.process);
  } else if (child.pid > 0) {
    // One that was freed is reaped by a later call.
    while (waitid(P_PID, static_cast<id_t>(child.pid), &info,
                  WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) // the clock of the fuzzer
      ;
    gipc_process_free(nullptr);
  }
  if (child.pid > 0)
    require(waitid(P_PID, static_cast<id_t>(child.pid), &info,
                   WEXITED | WNOHANG | WNOWAIT) == -1 &&
            errno == ECHILD);
}

} // namespace calls
