// One end of a pipe: making, closing, and passing to a child.
#include "handle.h"

#include "os.h"
#include "sys.h"

#include <algorithm>
#include <fcntl.h>

namespace gipc {

namespace {

struct Freer {
  void operator()(Handle *handle) const noexcept { handle->free(); }
};
using Owner = std::unique_ptr<Handle, Freer>;

// -EINVAL if fd is open for the other direction only.
int check_access(int fd, int other) noexcept {
  int flags = sys::status_flags(fd);
  if (flags < 0)
    return flags;
  return (flags & O_ACCMODE) == other ? -EINVAL : 0;
}

// Makes fd close-on-exec, except 0 to 2, which later children inherit as
// standard streams.
void own(int fd) noexcept {
  if (fd > 2)
    (void)sys::set_cloexec(fd, true);
}

} // namespace

// ---- Making -----------------------------------------------------------------

Handle::Handle() noexcept : Entry(registry::Kind::handle) { enter_list(); }

void Handle::enter_list() noexcept {
  enter();
  receiver_.channel().set_handle(id());
  sender_.channel().set_handle(id());
}

int Handle::pipe(bool duplex, Handle *&a, Handle *&b) {
  // Under the lock, so that a concurrently forked child finds each descriptor
  // in the registry.
  registry::Lock hold;
  Owner first(new Handle), second(new Handle);
  Fd one, other, one_copy, other_copy;
  if (int error = os::socket_pair(one, other))
    return error;
  if (!duplex) {
    // shutdown(SHUT_WR) on one end also ends reading at the other, so one call
    // makes the pair one-way.
    if (int error = sys::shutdown(one.get(), SHUT_WR))
      return error;
  } else {
    // Some event loops allow one registration per descriptor.
    int error = sys::duplicate(one.get(), one_copy);
    if (error == 0)
      error = sys::duplicate(other.get(), other_copy);
    if (error != 0)
      return error;
    first->sender_.open(std::move(one_copy));
    second->receiver_.open(std::move(other_copy));
  }
  first->receiver_.open(std::move(one));
  second->sender_.open(std::move(other));
  static uint64_t pairs; // guarded by the lock
  first->pair_ = second->pair_ = ++pairs;
  a = first.release();
  b = second.release();
  return 0;
}

int Handle::open(int read_fd, int write_fd, Handle *&out, int memory) {
  registry::Lock hold;
  Owner handle(new Handle);
  Fd copy;
  int error = 0;
  if (read_fd >= 0) {
    error = check_access(read_fd, O_WRONLY);
    error = error != 0 ? error : handle->receiver_.channel().identify(read_fd);
  }
  if (error == 0 && write_fd >= 0) {
    error = check_access(write_fd, O_RDONLY);
    error = error != 0 ? error : handle->sender_.channel().identify(write_fd);
  }
  if (error == 0 && write_fd >= 0 && write_fd == read_fd)
    error = sys::duplicate(write_fd, copy);
  if (error == 0 && memory >= 0)
    error = handle->receiver_.channel().resume_ring(memory);
  if (error != 0)
    return error;
  own(read_fd);
  own(write_fd);
  if (!copy)
    copy.reset(write_fd);
  if (memory >= 0)
    own(memory);
  handle->receiver_.open(Fd(read_fd));
  handle->sender_.open(std::move(copy));
  out = handle.release();
  return 0;
}

// ---- State ------------------------------------------------------------------

bool Handle::operation_in_progress() const noexcept {
  Receiver::State get = receiver_.state();
  Sender::State put = sender_.state();
  return get == Receiver::State::into || get == Receiver::State::waiting ||
         put == Sender::State::putting || put == Sender::State::waiting;
}

int Handle::check_open() const noexcept {
  if (!is_owned())
    return GIPC_EWRONGPROC;
  return life_ == Life::open ? 0 : GIPC_ECLOSED;
}

int Handle::fd(int direction) const noexcept {
  if (int error = check_open())
    return error;
  bool reading = direction == GIPC_READ;
  if (reading ? receiver_.state() == Receiver::State::absent
              : sender_.state() == Sender::State::absent)
    return GIPC_EDIRECTION;
  int fd = reading ? receiver_.channel().fd() : sender_.channel().fd();
  return fd >= 0 ? fd : GIPC_ECLOSED;
}

int Handle::directions() const noexcept {
  if (int error = check_open())
    return error;
  bool writes = sender_.is_open() && sender_.state() != Sender::State::shutting;
  return (receiver_.is_open() ? GIPC_READ : 0) | (writes ? GIPC_WRITE : 0);
}

int Handle::set_limit(size_t limit) noexcept {
  if (int error = check_open())
    return error;
  receiver_.set_limit(limit);
  sender_.set_limit(limit);
  return 0;
}

int Handle::set_read_limit(size_t bytes) noexcept {
  if (int error = check_open())
    return error;
  receiver_.set_ahead_limit(bytes);
  return 0;
}

int Handle::set_marks(size_t low, size_t high) noexcept {
  if (int error = check_open())
    return error;
  if (high == 0 || low >= high)
    return -EINVAL;
  sender_.set_marks(low, high);
  return 0;
}

int Handle::set_budget(size_t messages, size_t bytes) noexcept {
  if (int error = check_open())
    return error;
  if (messages == 0 || bytes == 0)
    return -EINVAL;
  budget_messages_ = messages;
  budget_bytes_ = bytes;
  return 0;
}

int Handle::set_transport(int transport) noexcept {
  if (int error = check_open())
    return error;
  if (transport < GIPC_TRANSPORT_AUTO || transport > GIPC_TRANSPORT_RING)
    return -EINVAL;
  Sender::TryLock lock(sender_);
  if (!lock || operation_in_progress())
    return GIPC_ELOCKED;
  int error = 0;
  if (receiver_.is_open())
    error = receiver_.channel().set_transport(transport);
  // A peer that this library did not make waits for it.
  if (receiver_.is_open() && transport == GIPC_TRANSPORT_RING && error == 0 &&
      pair_ == 0)
    receiver_.channel().announce_now();
  if (error == 0 && sender_.is_open())
    error = sender_.channel().set_transport(transport);
  if (driver() != nullptr)
    driver()->changed(); // bytes may be in memory that were in the socket
  return error;
}

int Handle::pending(int direction, size_t &bytes) noexcept {
  if (int error = check_open())
    return error;
  bytes = direction == GIPC_READ ? receiver_.pending() : sender_.queued();
  return 0;
}

int Handle::stats(gipc_stats &out) const noexcept {
  if (!is_owned())
    return GIPC_EWRONGPROC;
  out.messages_in = receiver_.messages();
  out.messages_out = sender_.messages();
  out.bytes_in = receiver_.channel().bytes();
  out.bytes_out = sender_.channel().bytes();
  out.reads = receiver_.channel().calls();
  out.writes = sender_.channel().calls();
  out.bells_in = receiver_.channel().bells();
  out.bells_out = sender_.channel().bells();
  out.stalls_out = sender_.channel().stalls();
  out.transport_in = static_cast<uint64_t>(receiver_.channel().transport());
  out.transport_out = static_cast<uint64_t>(sender_.channel().transport());
  return 0;
}

int Handle::set_user(void *user) noexcept {
  if (!is_owned())
    return GIPC_EWRONGPROC;
  user_ = user;
  return 0;
}

int Handle::ready_without_waiting(int directions) noexcept {
  if (check_open() != 0)
    return directions; // every call returns the error at once
  if (is_started())
    return 0; // only the loop gets and writes messages
  int ready = 0;
  if (!receiver_.is_open() || receiver_.is_ready())
    ready |= GIPC_READ;
  if (!sender_.is_open() || sender_.end() != 0 ||
      sender_.state() == Sender::State::shutting)
    ready |= GIPC_WRITE;
  return ready & directions;
}

int Handle::set_interruptible(bool on) {
  if (int error = check_open())
    return error;
  // A put or a get that is in progress in steps does not wait; only a call of
  // the blocking tier uses the waker.
  Sender::TryLock lock(sender_);
  if (!lock || receiver_.state() == Receiver::State::waiting)
    return GIPC_ELOCKED;
  if (!on) {
    waker_.reset();
  } else if (waker_ == nullptr) {
    auto waker = std::make_unique<Waker>();
    if (int error = waker->open())
      return error;
    waker_ = std::move(waker);
  }
  return 0;
}

int Handle::interrupt() noexcept {
  if (!is_owned())
    return GIPC_EWRONGPROC;
  return waker_ != nullptr ? waker_->wake() : -EINVAL;
}

// ---- Step tier --------------------------------------------------------------

int Handle::next_size(size_t &size) noexcept {
  int error = check_get();
  return error != 0 ? error : receiver_.next_size(size);
}

int Handle::get_into(void *buffer, size_t capacity, size_t &size) noexcept {
  if (!is_owned())
    return GIPC_EWRONGPROC;
  int result = receiver_.get_into(buffer, capacity, size);
  if (trace::is_on())
    note_get(result, size);
  return result;
}

int Handle::get_cancel() noexcept {
  int error = check_open();
  return error != 0 ? error : receiver_.cancel_into();
}

int Handle::read_ahead() noexcept {
  int error = check_get();
  return error != 0 ? error : receiver_.read_ahead(in_callback());
}

int Handle::put_start(const void *data, size_t size) noexcept {
  int result = is_owned() ? sender_.put_start(data, size) : GIPC_EWRONGPROC;
  if (trace::is_on())
    note_put(result, size);
  return result;
}

int Handle::put_step() noexcept {
  int result = check_open();
  if (result == 0)
    result = sender_.put_step();
  if (trace::is_on() && result == 0)
    note_put(0, sender_.put_size());
  return result;
}

int Handle::put_cancel() noexcept {
  int result = check_open();
  if (result == 0)
    result = sender_.put_cancel();
  if (trace::is_on() && result == 1)
    note_put(0, sender_.put_size());
  return result;
}

int Handle::flush_step() noexcept {
  int error = check_put();
  return error != 0 ? error : sender_.flush_step();
}

int Handle::check_put_with(const int *fds, size_t count) const noexcept {
  for (size_t i = 0; i < count; ++i)
    if (fds[i] < 0)
      return -EBADF;
  // The other end of a pipe of this library is a handle until a program gets
  // it.
  return sender_.channel().carries_descriptors(pair_ != 0) ? 0 : -EOPNOTSUPP;
}

int Handle::try_put_with(const void *data, size_t size, const int *fds,
                         size_t count) noexcept {
  if (count == 0)
    return try_put(data, size);
  int error = check_put();
  error = error != 0 ? error : check_put_with(fds, count);
  if (error != 0)
    return error;
  int result =
      sender_.try_put_with(data, size, fds, static_cast<uint32_t>(count));
  if (trace::is_on())
    note_put(result, size);
  return result;
}

int Handle::try_put_with(const void *data, size_t size,
                         const KeptDescriptors &with) noexcept {
  int room[os::most_sent];
  return with.is_owned()
             ? try_put_with(data, size, with.numbers(room), with.count())
             : GIPC_EWRONGPROC;
}

int Handle::take_descriptors(int *fds, size_t room) noexcept {
  int error = check_open();
  return error != 0 ? error : receiver_.take_descriptors(fds, room);
}

// ---- Closing ----------------------------------------------------------------

int Handle::close() noexcept {
  if (int error = check_open())
    return error;
  if (operation_in_progress())
    return GIPC_ELOCKED;
  int result =
      sender_.is_open() && sender_.end() == 0 ? sender_.flush_step() : 0;
  if (result == GIPC_ELOCKED)
    return result;
  if (result == -EAGAIN) {
    if (driver() == nullptr)
      return result;
    life_ = Life::lingering;
    receiver_.refuse();
    sender_.refuse();
    driver()->changed();
    return 0;
  }
  close_now();
  return result;
}

int Handle::close_within(Deadline deadline) {
  // The queue of a handle that is closing on its loop can be waited for, too.
  int error = is_closing() && is_owned() ? 0 : check_open();
  if (error != 0)
    return error;
  if (operation_in_progress())
    return GIPC_ELOCKED;
  Sender::TryLock lock(sender_);
  if (!lock)
    return GIPC_ELOCKED;
  if (driver() != nullptr)
    driver()->detach();
  // A destructor, so that the handle is also closed if this thread is cancelled
  // while it waits.
  struct Closing {
    ~Closing() { handle.close_now(); }
    Handle &handle;
  } at_the_end{*this};
  return sender_.is_open() && sender_.end() == 0 ? send_all(deadline) : 0;
}

void Handle::close_now() noexcept {
  life_ = Life::closed;
  if (driver() != nullptr)
    driver()->detach();
  // Under the lock, so that a concurrently forked child finds both descriptors
  // open or neither.
  registry::Lock hold;
  receiver_.close();
  sender_.close();
}

int Handle::shutdown() noexcept {
  // A direction that has failed can still be shut down.
  int error = check_put();
  if (error != 0 && error != sender_.end())
    return error;
  int result = sender_.flush_step();
  if (result == GIPC_ELOCKED)
    return result;
  if (result == -EAGAIN) {
    if (driver() == nullptr)
      return result;
    sender_.begin_shutdown();
    driver()->changed();
    return 0;
  }
  shutdown_now();
  return result;
}

void Handle::shutdown_now() noexcept {
  if (!receiver_.is_open()) {
    close_now();
    return;
  }
  sender_.channel().end_writing();
  sender_.refuse();
  if (driver() != nullptr)
    driver()->changed(); // before the number can mean another file
  registry::Lock hold;
  sender_.close();
}

bool Handle::finish_closing() noexcept {
  if (is_closing())
    close_now();
  else if (sender_.state() == Sender::State::shutting)
    shutdown_now();
  else
    return false;
  return true;
}

void Handle::free() noexcept {
  memberships_.end();
  if (!is_owned()) {
    if (waker_ != nullptr)
      waker_->forget();
    // The numbers may mean other files in this process.
    receiver_.forget();
    sender_.forget();
    if (driver() != nullptr)
      driver()->forget();
    delete this;
    return;
  }
  freed_ = true;
  if (check_open() == 0) {
    sender_.forget_put();
    receiver_.forget_into();
    int error = close();
    if (error == -EAGAIN || error == GIPC_ELOCKED)
      close_now();
  }
  delete_if_done();
}

void Handle::delete_if_done() noexcept {
  if (freed_ && !is_closing() && callbacks_ == 0)
    delete this;
}

Handle::~Handle() { leave(); }

void Handle::set_driver(Driver *driver) noexcept {
  sender_.set_driver(driver);
  receiver_.push(driver != nullptr);
}

} // namespace gipc
