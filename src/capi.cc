// extern "C": handles, and what belongs to no object.  Check, guard, forward.
#include "capi.h"

#include "error.h"
#include "handle.h"
#include "inherit.h"
#include "live.h"
#include "push.h"

using namespace gipc;

int gipc_version(void) { return GIPC_VERSION; }

int gipc_features(void) {
  return guard([] { return features(); });
}

const char *gipc_strerror(int code) { return error_text(code); }

// ---- Handles ----------------------------------------------------------------

static int make_pipe(bool duplex, gipc_handle **a, gipc_handle **b) {
  if (a == nullptr || b == nullptr || a == b)
    return -EINVAL;
  return guard([&] {
    Handle *first, *second;
    int error = Handle::pipe(duplex, first, second);
    if (error == 0) {
      *a = wrap(first);
      *b = wrap(second);
    }
    return error;
  });
}

int gipc_pipe(gipc_handle **reader, gipc_handle **writer) {
  return make_pipe(false, reader, writer);
}

int gipc_pipe_duplex(gipc_handle **a, gipc_handle **b) {
  return make_pipe(true, a, b);
}

int gipc_open(int read_fd, int write_fd, gipc_handle **handle) {
  if (handle == nullptr || read_fd < -1 || write_fd < -1 ||
      (read_fd == -1 && write_fd == -1))
    return -EINVAL;
  return guard([&] {
    Handle *opened;
    int error = Handle::open(read_fd, write_fd, opened);
    if (error == 0)
      *handle = wrap(opened);
    return error;
  });
}

int gipc_inherit(const char *name, gipc_handle **handle) {
  if (name == nullptr || handle == nullptr || !inherit::valid_name(name))
    return -EINVAL;
  return guard([&] {
    Handle *adopted;
    int error = inherit::adopt(name, adopted);
    if (error == 0)
      *handle = wrap(adopted);
    return error;
  });
}

int gipc_stdio(gipc_handle **handle) {
  if (handle == nullptr)
    return -EINVAL;
  return guard([&] {
    Handle *adopted;
    int error = inherit::adopt_stdio(adopted);
    if (error == 0)
      *handle = wrap(adopted);
    return error;
  });
}

int gipc_close(gipc_handle *h) {
  return h == nullptr ? -EINVAL : guard([&] { return unwrap(h)->close(); });
}

int gipc_close_within(gipc_handle *h, double timeout) {
  Deadline deadline;
  if (h == nullptr || Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] { return unwrap(h)->close_within(deadline); });
}

int gipc_shutdown(gipc_handle *h) {
  return h == nullptr ? -EINVAL : guard([&] { return unwrap(h)->shutdown(); });
}

void gipc_handle_free(gipc_handle *h) {
  if (h != nullptr)
    (void)guard([&] {
      unwrap(h)->free();
      return 0;
    });
}

static bool is_direction(int direction) {
  return direction == GIPC_READ || direction == GIPC_WRITE;
}

int gipc_fd(const gipc_handle *h, int direction) {
  return h == nullptr || !is_direction(direction) ? -EINVAL
                                                  : unwrap(h)->fd(direction);
}

int gipc_directions(const gipc_handle *h) {
  return h == nullptr ? -EINVAL : unwrap(h)->directions();
}

int gipc_set_limit(gipc_handle *h, size_t limit) {
  return h == nullptr ? -EINVAL : unwrap(h)->set_limit(limit);
}

int gipc_set_transport(gipc_handle *h, int transport) {
  return h == nullptr ? -EINVAL : unwrap(h)->set_transport(transport);
}

int gipc_set_read_limit(gipc_handle *h, size_t bytes) {
  return h == nullptr ? -EINVAL : unwrap(h)->set_read_limit(bytes);
}

int gipc_set_marks(gipc_handle *h, size_t low, size_t high) {
  return h == nullptr ? -EINVAL : unwrap(h)->set_marks(low, high);
}

int gipc_set_budget(gipc_handle *h, size_t messages, size_t bytes) {
  return h == nullptr ? -EINVAL : unwrap(h)->set_budget(messages, bytes);
}

int gipc_pending(const gipc_handle *h, int direction, size_t *bytes) {
  if (h == nullptr || bytes == nullptr || !is_direction(direction))
    return -EINVAL;
  // What can be observed of h does not change, though its reader may begin to
  // wait for the peer's signal.
  return unwrap(const_cast<gipc_handle *>(h))->pending(direction, *bytes);
}

int gipc_handle_set_user(gipc_handle *h, void *user) {
  return h == nullptr ? -EINVAL : unwrap(h)->set_user(user);
}

void *gipc_handle_user(const gipc_handle *h) {
  return h == nullptr ? nullptr : unwrap(h)->user();
}

int gipc_handle_stats(const gipc_handle *h, gipc_stats *stats) {
  constexpr size_t least =
      offsetof(gipc_stats, messages_in) + sizeof stats->messages_in;
  if (h == nullptr || stats == nullptr)
    return -EINVAL;
  gipc_stats filled{};
  int error = check_size(stats->size, least);
  if (error == 0)
    error = unwrap(h)->stats(filled);
  if (error == 0)
    copy_out(filled, stats);
  return error;
}

// ---- Step tier: no guard where nothing can throw; errno is kept in sys.h ----

int gipc_try_get(gipc_handle *h, const void **data, size_t *size) {
  if (__builtin_expect(h == nullptr || data == nullptr || size == nullptr, 0))
    return -EINVAL;
  View view;
  int result = unwrap(h)->try_get(view);
  if (result == 0) {
    *data = view.data;
    *size = view.size;
  }
  return result;
}

int gipc_next_size(gipc_handle *h, size_t *size) {
  return h == nullptr || size == nullptr
             ? -EINVAL
             : guard([&] { return unwrap(h)->next_size(*size); });
}

int gipc_get_into(gipc_handle *h, void *buffer, size_t capacity, size_t *size) {
  if (h == nullptr || size == nullptr || (buffer == nullptr && capacity > 0))
    return -EINVAL;
  return guard([&] { return unwrap(h)->get_into(buffer, capacity, *size); });
}

int gipc_get_cancel(gipc_handle *h) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return unwrap(h)->get_cancel(); });
}

int gipc_try_put(gipc_handle *h, const void *data, size_t size) {
  if (__builtin_expect(h == nullptr, 0))
    return -EINVAL;
  return unwrap(h)->try_put(data, size);
}

int gipc_put_start(gipc_handle *h, const void *data, size_t size) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return unwrap(h)->put_start(data, size); });
}

int gipc_read_ahead(gipc_handle *h) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return unwrap(h)->read_ahead(); });
}

int gipc_put_step(gipc_handle *h) {
  return h == nullptr ? -EINVAL : guard([&] { return unwrap(h)->put_step(); });
}

int gipc_put_cancel(gipc_handle *h) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return unwrap(h)->put_cancel(); });
}

int gipc_flush_step(gipc_handle *h) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return unwrap(h)->flush_step(); });
}

int gipc_try_put_with(gipc_handle *h, const void *data, size_t size,
                      const int *fds, size_t count) {
  return h == nullptr || !is_fd_list(fds, count) ? -EINVAL : guard([&] {
    return unwrap(h)->try_put_with(data, size, fds, count);
  });
}

static bool are_handles(gipc_handle *const *handles, size_t count) {
  return count <= GIPC_MOST_HANDLES && (handles != nullptr || count == 0) &&
         std::find(handles, handles + count, nullptr) == handles + count;
}

int gipc_try_put_handles(gipc_handle *h, const void *data, size_t size,
                         gipc_handle *const *handles, size_t handle_count,
                         const int *fds, size_t fd_count) {
  if (h == nullptr || !is_fd_list(fds, fd_count) ||
      !are_handles(handles, handle_count))
    return -EINVAL;
  return guard([&] {
    Handle::Moved moved = {reinterpret_cast<Handle *const *>(handles),
                           handle_count};
    return unwrap(h)->try_put_moving(data, size, moved, fds, fd_count);
  });
}

int gipc_take_handle(gipc_handle *h, gipc_handle **handle) {
  return h == nullptr || handle == nullptr ? -EINVAL : guard([&] {
    Handle *taken;
    int result = unwrap(h)->take_handle(taken);
    if (result == 0)
      *handle = wrap(taken);
    return result;
  });
}

int gipc_fds_new(const int *fds, size_t count, gipc_fds **kept) {
  if (!is_fd_list(fds, count) || kept == nullptr)
    return -EINVAL;
  return guard([&] {
    std::unique_ptr<KeptDescriptors> made;
    int error = KeptDescriptors::make(fds, count, made);
    if (error == 0)
      *kept = reinterpret_cast<gipc_fds *>(made.release());
    return error;
  });
}

int gipc_try_put_fds(gipc_handle *h, const void *data, size_t size,
                     const gipc_fds *kept) {
  auto *with = reinterpret_cast<const KeptDescriptors *>(kept);
  if (h == nullptr || with == nullptr)
    return -EINVAL;
  return guard([&] { return unwrap(h)->try_put_with(data, size, *with); });
}

void gipc_fds_free(gipc_fds *kept) {
  (void)guard([&] {
    delete reinterpret_cast<KeptDescriptors *>(kept);
    return 0;
  });
}

int gipc_take_fds(gipc_handle *h, int *fds, size_t room) {
  return h == nullptr || (fds == nullptr && room > 0)
             ? -EINVAL
             : guard([&] { return unwrap(h)->take_descriptors(fds, room); });
}

// ---- Blocking tier ----------------------------------------------------------

int gipc_get(gipc_handle *h, double timeout, const void **data, size_t *size) {
  Deadline deadline;
  if (h == nullptr || data == nullptr || size == nullptr ||
      Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] {
    View view;
    int result = unwrap(h)->get(deadline, view);
    if (result == 0) {
      if (trace::is_on())
        unwrap(h)->note_get(0, view.size);
      *data = view.data;
      *size = view.size;
    }
    return result;
  });
}

// -EINPROGRESS: the remaining bytes are queued.
static int note_put(gipc_handle *h, size_t size, int result) {
  if (trace::is_on() && (result == 0 || result == -EINPROGRESS))
    unwrap(h)->note_put(0, size);
  return result;
}

int gipc_put(gipc_handle *h, const void *data, size_t size, double timeout) {
  Deadline deadline;
  if (h == nullptr || Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard(
      [&] { return note_put(h, size, unwrap(h)->put(data, size, deadline)); });
}

int gipc_put_with(gipc_handle *h, const void *data, size_t size, const int *fds,
                  size_t count, double timeout) {
  Deadline deadline;
  if (h == nullptr || !is_fd_list(fds, count) ||
      Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] {
    return note_put(h, size,
                    unwrap(h)->put_with(data, size, fds, count, deadline));
  });
}

int gipc_put_handles(gipc_handle *h, const void *data, size_t size,
                     gipc_handle *const *handles, size_t handle_count,
                     const int *fds, size_t fd_count, double timeout) {
  Deadline deadline;
  if (h == nullptr || !is_fd_list(fds, fd_count) ||
      !are_handles(handles, handle_count) ||
      Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] {
    Handle::Moved moved = {reinterpret_cast<Handle *const *>(handles),
                           handle_count};
    return unwrap(h)->put_moving(data, size, moved, fds, fd_count, deadline);
  });
}

int gipc_put_many(gipc_handle *h, const gipc_message *messages, size_t count,
                  double timeout, size_t *accepted) {
  Deadline deadline;
  if (h == nullptr || accepted == nullptr ||
      (messages == nullptr && count > 0) ||
      Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] {
    return unwrap(h)->put_many(messages, count, deadline, *accepted);
  });
}

int gipc_flush(gipc_handle *h, double timeout) {
  Deadline deadline;
  if (h == nullptr || Deadline::create(timeout, deadline) != 0)
    return -EINVAL;
  return guard([&] { return unwrap(h)->flush(deadline); });
}

// ---- Push tier --------------------------------------------------------------

int gipc_start(gipc_handle *h, struct ev_loop *loop, const gipc_events *events,
               void *user) {
  constexpr size_t least =
      offsetof(gipc_events, on_message) + sizeof events->on_message;
  if (h == nullptr || loop == nullptr || events == nullptr)
    return -EINVAL;
  gipc_events known;
  if (int error = copy_in(events, least, known))
    return error;
  return guard([&] { return Push::start(*unwrap(h), loop, known, user); });
}

int gipc_stop(gipc_handle *h) {
  return h == nullptr ? -EINVAL : guard([&] { return Push::stop(*unwrap(h)); });
}

int gipc_pause(gipc_handle *h) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return Push::pause(*unwrap(h)); });
}

int gipc_resume(gipc_handle *h) {
  return h == nullptr ? -EINVAL
                      : guard([&] { return Push::resume(*unwrap(h)); });
}

// ---- Names of 0.1 -----------------------------------------------------------

int gipc_get_start(gipc_handle *h, size_t *size) {
  return gipc_next_size(h, size);
}

int gipc_get_ahead(gipc_handle *h) { return gipc_read_ahead(h); }
