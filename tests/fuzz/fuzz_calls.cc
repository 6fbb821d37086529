// Any sequence of calls on live pipes and children.  Each message arrives once,
// in order and unchanged, and none of which the put was cancelled or timed out
// with nothing written; each result is one that is documented for its call;
// no descriptor, child or lock is left. (H93, H95, H96, H97)
//
// The input is a sequence of calls: a byte with the call, one with the handle,
// and those with its arguments.
#include "calls.h"

// What an input costs, compared with those of other targets.
extern "C" size_t cost_of_input() { return 50; }

namespace calls {
namespace {

void put_now(World &world, Slot &slot) {
  size_t way = world.input.below(3), before = slot.queued();
  std::vector<uint8_t> bytes = make_next(slot.out());
  int result = way == 0 ? gipc_try_put(slot.h, bytes.data(), bytes.size())
                        : gipc_put(slot.h, bytes.data(), bytes.size(), 0);
  one_of(result, {0, -EAGAIN, -ETIMEDOUT, -EINPROGRESS, -EPIPE, GIPC_ETOOBIG,
                  GIPC_ELOCKED, GIPC_ECLOSED, GIPC_EDIRECTION, -ECANCELED});
  require((result != -EAGAIN || way == 0) &&
          (result != -ETIMEDOUT || way != 0) &&
          (result != -ECANCELED || slot.may_be_cancelled) &&
          (result != GIPC_ETOOBIG || slot.limit < bytes.size()));
  slot.require_all_or_nothing(result, bytes.size(), before);
  require(way == 0 || result != 0 || slot.queued() == 0);
  slot.put(result == 0 || result == -EINPROGRESS ? 1 : 0, result);
}

void put_batch(World &world, Slot &slot) {
  size_t count = world.input.below(9), accepted = 99;
  std::vector<std::vector<uint8_t>> all;
  std::vector<gipc_message> messages;
  for (size_t i = 0; i < count; ++i) {
    all.push_back(make(slot.out(), slot.out().put + i));
    messages.push_back({all.back().data(), all.back().size()});
  }
  int result = gipc_put_many(slot.h, messages.data(), count, 0, &accepted);
  one_of(result, {0, -ETIMEDOUT, -EPIPE, GIPC_ETOOBIG, GIPC_ELOCKED,
                  GIPC_ECLOSED, GIPC_EDIRECTION, -ECANCELED});
  require(accepted <= count && (result != 0 || accepted == count));
  slot.put(accepted, result);
}

// From memory that stays the caller's.
void put_slowly(World &world, Slot &slot) {
  int result;
  if (slot.borrowed.empty()) {
    slot.borrowed = make_next(slot.out());
    result = gipc_put_start(slot.h, slot.borrowed.data(), slot.borrowed.size());
  } else if (world.input.below(2) == 0) {
    result = gipc_put_step(slot.h);
  } else {
    size_t before = slot.queued();
    result = gipc_put_cancel(slot.h);
    one_of(result, {0, 1, -EPIPE, GIPC_ECLOSED});
    // Nothing of it is left in the queue, but what was there before.
    require(result != 0 || slot.queued() + slot.borrowed.size() <= before);
    slot.put(result == 1 ? 1 : 0, result);
    slot.borrowed.clear();
    return;
  }
  one_of(result, {0, -EAGAIN, -EPIPE, GIPC_ETOOBIG, GIPC_ELOCKED, GIPC_ECLOSED,
                  GIPC_EDIRECTION});
  slot.put(result == 0 ? 1 : 0, result);
  if (result != -EAGAIN)
    slot.borrowed.clear();
}

void get(World &world, Slot &slot) {
  const void *data;
  size_t size = 0;
  bool waits = world.input.below(2) == 0;
  int result = waits ? gipc_get(slot.h, 0, &data, &size)
                     : gipc_try_get(slot.h, &data, &size);
  require(result != (waits ? -EAGAIN : -ETIMEDOUT));
  world.got(slot, result, data, size);
}

void get_into(World &world, Slot &slot) {
  size_t size = 0;
  if (slot.into.empty()) {
    slot.into.resize(world.input.below(2) == 0 ? largest : 40);
  } else if (world.input.below(4) == 0) {
    one_of(gipc_get_cancel(slot.h), {0, GIPC_ECLOSED});
    slot.into.clear();
    return;
  }
  int result = gipc_get_into(slot.h, slot.into.data(), slot.into.size(), &size);
  if (result == GIPC_ETOOBIG && slot.into.size() < largest)
    require(gipc_next_size(slot.h, &size) != 0 || size > slot.into.size());
  else
    world.got(slot, result, slot.into.data(), size);
  if (result != -EAGAIN)
    slot.into.clear();
}

void look(World &world, Slot &slot) {
  size_t bytes = 0;
  gipc_stats stats{};
  stats.size = sizeof stats;
  int result = gipc_directions(slot.h);
  require(result == GIPC_ECLOSED || (result > 0 && result <= 3));
  for (int direction : {GIPC_READ, GIPC_WRITE}) {
    one_of(gipc_pending(slot.h, direction, &bytes),
           {0, GIPC_ECLOSED, GIPC_EDIRECTION});
    int fd = gipc_fd(slot.h, direction);
    require(fd > 2 || fd == GIPC_ECLOSED || fd == GIPC_EDIRECTION);
  }
  one_of(gipc_next_size(slot.h, &bytes),
         {0, -EAGAIN, GIPC_EOF, GIPC_ETRUNCATED, GIPC_ETOOBIG, GIPC_ELOCKED,
          GIPC_ECLOSED, GIPC_EDIRECTION});
  one_of(gipc_handle_stats(slot.h, &stats), {0});
  (void)world;
}

void adjust(World &world, Slot &slot) {
  size_t value = world.input.next();
  switch (world.input.below(6)) {
  case 0:
    one_of(gipc_set_marks(slot.h, value * 16, value * 400),
           {0, -EINVAL, GIPC_ECLOSED});
    break;
  case 1:
    one_of(gipc_set_read_limit(slot.h, value * 300), {0, GIPC_ECLOSED});
    break;
  case 2:
    one_of(gipc_set_budget(slot.h, value, value * 99),
           {0, -EINVAL, GIPC_ECLOSED});
    break;
  case 3:
    if (gipc_set_limit(slot.h, value * 999) == 0)
      slot.limit = value * 999;
    break;
  case 4:
    one_of(gipc_read_ahead(slot.h),
           {0, -EAGAIN, -ENOBUFS, GIPC_EOF, GIPC_ETRUNCATED, GIPC_ETOOBIG,
            GIPC_ELOCKED, GIPC_ECLOSED, GIPC_EDIRECTION});
    break;
  default:
    one_of(
        gipc_set_transport(slot.h, static_cast<int>(value % 3)),
        {0, -EBUSY, -EAGAIN, -EPIPE, -EOPNOTSUPP, GIPC_ELOCKED, GIPC_ECLOSED});
  }
}

void flush(World &world, Slot &slot) {
  int result = world.input.below(2) == 0 ? gipc_flush_step(slot.h)
                                         : gipc_flush(slot.h, 0);
  one_of(result, {0, -EAGAIN, -ETIMEDOUT, -EPIPE, GIPC_ELOCKED, GIPC_ECLOSED,
                  GIPC_EDIRECTION, -ECANCELED});
  slot.put(0, result);
}

void interrupt(World &world, Slot &slot) {
  int on = world.input.below(3) != 0 ? 1 : 0;
  one_of(gipc_set_interruptible(slot.h, on), {0, GIPC_ELOCKED, GIPC_ECLOSED});
  if (gipc_interrupt(slot.h) == 0)
    slot.may_be_cancelled = true;
}

void close_some(World &world, Slot &slot) {
  size_t queued = slot.queued();
  int result;
  switch (world.input.below(4)) {
  case 0:
    result = gipc_shutdown(slot.h);
    one_of(result,
           {0, -EAGAIN, -EPIPE, GIPC_ELOCKED, GIPC_ECLOSED, GIPC_EDIRECTION});
    break;
  case 1:
    result = gipc_close_within(slot.h, 0);
    one_of(result,
           {0, -ETIMEDOUT, -EPIPE, GIPC_ELOCKED, GIPC_ECLOSED, -ECANCELED});
    break;
  case 2:
    result = gipc_close(slot.h);
    one_of(result, {0, -EAGAIN, -EPIPE, GIPC_ELOCKED, GIPC_ECLOSED});
    break;
  default:
    world.free(slot);
    return;
  }
  bool discarded = result == -ETIMEDOUT || result == -ECANCELED;
  if (queued > 0 && (discarded || (result == 0 && slot.started)))
    slot.out().lossy = true;
  slot.put(0, result);
  if (gipc_directions(slot.h) == GIPC_ECLOSED)
    slot.started = false;
}

void use_loop(World &world, Slot &slot) {
  int result = 0;
  switch (world.input.below(5)) {
  case 0:
  case 1:
    result = gipc_start(slot.h, world.loop, &push_events, &slot);
    one_of(result, {0, GIPC_ELOCKED, GIPC_ECLOSED});
    slot.started |= result == 0;
    break;
  case 2:
    result = gipc_stop(slot.h);
    one_of(result, {0, -EINVAL, GIPC_ECLOSED});
    slot.started &= result != 0;
    break;
  case 3:
    one_of(gipc_pause(slot.h), {0, -EINVAL, GIPC_ECLOSED});
    break;
  default:
    one_of(gipc_resume(slot.h), {0, -EINVAL, GIPC_ECLOSED});
  }
}

void use_set(World &world, Slot &slot) {
  int directions = 1 + static_cast<int>(world.input.below(3));
  switch (world.input.below(4)) {
  case 0:
  case 1:
    one_of(gipc_wait_set_add_handle(world.set, slot.h, directions),
           {0, GIPC_ELOCKED, GIPC_ECLOSED, GIPC_EDIRECTION});
    break;
  case 2:
    one_of(gipc_wait_set_remove_handle(world.set, slot.h), {0, -ENOENT});
    break;
  default:
    one_of(gipc_wait_set_wake(world.set), {0});
  }
}

void wait(World &world) {
  int ready = gipc_wait(world.set, 0);
  require(ready > 0 || ready == -ETIMEDOUT || ready == -ECANCELED);
  gipc_handle *handle;
  gipc_process *process;
  int directions, found = 0;
  while (gipc_wait_set_next(world.set, &handle, &process, &directions) == 0) {
    require(++found <= ready);
    require((handle != nullptr) != (process != nullptr));
    require(handle == nullptr || (directions > 0 && directions <= 3));
    require(handle != nullptr ? world.slot_of(handle) != nullptr
                              : world.child_of(process) != nullptr);
  }
}

using Call = void (*)(World &, Slot &);
// Twice: more often.
const Call of_handles[] = {
    put_now, put_now,    put_batch, put_slowly, get,        get,
    look,    get_into,   adjust,    flush,      close_some, use_loop,
    use_set, put_moving, put_fds,   pass,       interrupt,
};
constexpr size_t kinds = sizeof of_handles / sizeof *of_handles;

} // namespace

void World::call() {
  size_t number = input.below(kinds + 6);
  Slot &slot = slots[input.below(most_slots)];
  switch (number) {
  case kinds:
  case kinds + 1:
    if (depth < 3) {
      ++depth;
      ev_run(loop, EVRUN_NOWAIT);
      --depth;
    }
    return;
  case kinds + 2:
    wait(*this);
    return;
  case kinds + 3:
    renew(static_cast<size_t>(&slot - slots) / 2);
    return;
  case kinds + 4:
  case kinds + 5:
    use_child(*this, children[input.below(most_children)]);
    return;
  default:
    if (slot.h != nullptr)
      of_handles[number](*this, slot);
  }
}

} // namespace calls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  constexpr size_t most = 1000; // bytes, so that an input takes a moment
  size_t before = count_descriptors();
  {
    calls::World world(Input{data, size < most ? size : most});
    for (size_t pair = 0; pair < calls::most_slots / 2; ++pair)
      world.renew(pair);
    while (!world.input.at_end())
      world.call();
    world.end();
  }
  require(count_descriptors() == before);
  return 0;
}
