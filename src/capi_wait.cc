// extern "C": waiting for several at once, and ending a wait.  Check, guard,
// forward.
#include "capi.h"

#include "handle.h"
#include "process.h"
#include "wait_set.h"

using namespace gipc;

// ---- Ending a wait ----------------------------------------------------------

int gipc_set_interruptible(gipc_handle *h, int on) {
  return h == nullptr
             ? -EINVAL
             : guard([&] { return unwrap(h)->set_interruptible(on != 0); });
}

// These two may be called in signal handlers: no guard, no lock, no memory.

int gipc_interrupt(gipc_handle *h) {
  return h == nullptr ? -EINVAL : unwrap(h)->interrupt();
}

int gipc_wait_set_wake(gipc_wait_set *set) {
  return set == nullptr ? -EINVAL : unwrap(set)->wake();
}

// ---- Wait sets --------------------------------------------------------------

int gipc_wait_set_new(gipc_wait_set **set) {
  if (set == nullptr)
    return -EINVAL;
  return guard([&] {
    WaitSet *made;
    int error = WaitSet::create(made);
    if (error == 0)
      *set = reinterpret_cast<gipc_wait_set *>(made);
    return error;
  });
}

void gipc_wait_set_free(gipc_wait_set *set) {
  if (set != nullptr)
    (void)guard([&] {
      unwrap(set)->free();
      return 0;
    });
}

int gipc_wait_set_add_handle(gipc_wait_set *set, gipc_handle *h,
                             int directions) {
  constexpr int both = GIPC_READ | GIPC_WRITE;
  if (set == nullptr || h == nullptr || directions == 0 ||
      (directions & ~both) != 0)
    return -EINVAL;
  return guard([&] { return unwrap(set)->add(unwrap(h), directions); });
}

int gipc_wait_set_add_process(gipc_wait_set *set, gipc_process *p) {
  return set == nullptr || p == nullptr
             ? -EINVAL
             : guard([&] { return unwrap(set)->add(unwrap(p)); });
}

int gipc_wait_set_remove_handle(gipc_wait_set *set, gipc_handle *h) {
  return set == nullptr || h == nullptr ? -EINVAL
                                        : unwrap(set)->remove(unwrap(h));
}

int gipc_wait_set_remove_process(gipc_wait_set *set, gipc_process *p) {
  return set == nullptr || p == nullptr ? -EINVAL
                                        : unwrap(set)->remove(unwrap(p));
}

int gipc_wait(gipc_wait_set *set, double timeout) {
  Deadline deadline;
  if (set == nullptr || Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] { return unwrap(set)->wait(deadline); });
}

int gipc_wait_set_next(gipc_wait_set *set, gipc_handle **handle,
                       gipc_process **process, int *directions) {
  if (set == nullptr || handle == nullptr || process == nullptr ||
      directions == nullptr)
    return -EINVAL;
  Handle *h;
  Process *p;
  int error = unwrap(set)->next(h, p, *directions);
  if (error == 0) {
    *handle = wrap(h);
    *process = wrap(p);
  }
  return error;
}
