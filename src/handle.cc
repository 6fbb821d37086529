// One end of a pipe: its making, its closing, its way to a child.
// Its messages are in transfer.cc, its loop in push.cc.
#include "handle.h"

#include "os.h"
#include "push.h"
#include "sys.h"

#include <fcntl.h>

namespace gipc {

namespace {

struct Freer {
  void operator()(Handle *handle) const noexcept { handle->free(); }
};
using Owner = std::unique_ptr<Handle, Freer>;

// Whether the access mode of fd has this direction.
int check_access(int fd, int other) noexcept {
  int flags = sys::status_flags(fd);
  if (flags < 0)
    return flags;
  return (flags & O_ACCMODE) == other ? -EINVAL : 0;
}

// Ours alone from now on.  0 to 2 are the stdio of later children, too.
void own(int fd) noexcept {
  if (fd > 2)
    (void)sys::set_cloexec(fd, true);
}

} // namespace

// ---- Making -----------------------------------------------------------------

Handle::Handle() noexcept : flush_at_(flush_step_size) { enter(); }

void Handle::attach(Fd read, const Stream &in, Fd write,
                    const Stream &out) noexcept {
  readable_ = static_cast<bool>(read);
  writable_ = static_cast<bool>(write);
  read_ = std::move(read);
  write_ = std::move(write);
  in_ = in;
  out_ = out;
  update_gates();
}

int Handle::pipe(bool duplex, Handle *&a, Handle *&b) {
  // No fork of ours comes between the birth of a descriptor and its entry in
  // the registry.
  registry::Lock hold;
  Owner first(new Handle), second(new Handle);
  Fd one, other, one_copy, other_copy;
  if (int error = os::socket_pair(one, other))
    return error;
  Stream local; // which is what a Stream is by default
  if (!duplex) {
    // Either end of the other direction shuts both.
    if (int error = sys::shutdown(one.get(), SHUT_WR))
      return error;
    first->attach(std::move(one), local, Fd(), local);
    second->attach(Fd(), local, std::move(other), local);
  } else {
    // Several loops allow one registration per descriptor.
    int error = sys::duplicate(one.get(), one_copy);
    if (error == 0)
      error = sys::duplicate(other.get(), other_copy);
    if (error != 0)
      return error;
    first->attach(std::move(one), local, std::move(one_copy), local);
    second->attach(std::move(other), local, std::move(other_copy), local);
  }
  static uint64_t pairs; // guarded by the lock
  first->pair_ = second->pair_ = ++pairs;
  a = first.release();
  b = second.release();
  return 0;
}

int Handle::open(int read_fd, int write_fd, Handle *&out) {
  registry::Lock hold;
  Owner handle(new Handle);
  Stream in, to;
  Fd copy;
  int error = 0;
  if (read_fd >= 0) {
    error = check_access(read_fd, O_WRONLY);
    error = error != 0 ? error : in.attach(read_fd);
  }
  if (error == 0 && write_fd >= 0) {
    error = check_access(write_fd, O_RDONLY);
    error = error != 0 ? error : to.attach(write_fd);
  }
  if (error == 0 && write_fd >= 0 && write_fd == read_fd)
    error = sys::duplicate(write_fd, copy);
  if (error != 0)
    return error;
  own(read_fd);
  own(write_fd);
  if (!copy)
    copy.reset(write_fd);
  handle->attach(Fd(read_fd), in, std::move(copy), to);
  out = handle.release();
  return 0;
}

// ---- State ------------------------------------------------------------------

bool Handle::operation_in_progress() const noexcept {
  return waiting_.load(std::memory_order_relaxed) || put_borrowed_ ||
         inbox_.borrowed() != nullptr;
}

// What each direction answers before anything else; 0 lets a call go on.
void Handle::update_gates() noexcept {
  easy_tail_ = 0;
  bool waiting = waiting_.load(std::memory_order_relaxed);
  bool closed = closing_ || (!read_ && !write_);
  int get = 0, put = 0;
  if (closed || (readable_ && !read_))
    get = GIPC_ECLOSED;
  else if (!readable_)
    get = GIPC_EDIRECTION;
  else if (waiting || push_ != nullptr || inbox_.borrowed() != nullptr)
    get = GIPC_ELOCKED;
  if (closed || shutting_ || (writable_ && !write_))
    put = GIPC_ECLOSED;
  else if (!writable_)
    put = GIPC_EDIRECTION;
  else if (waiting || put_borrowed_ ||
           ending_.load(std::memory_order_relaxed) == owner_)
    put = GIPC_ELOCKED;
  else
    put = write_end_;
  get_gate_.store(get, std::memory_order_relaxed);
  put_gate_.store(put, std::memory_order_relaxed);
}

int Handle::open_somewhere() const noexcept {
  if (owner_ != generation::current())
    return GIPC_EWRONGPROC;
  return closing_ || (!read_ && !write_) ? GIPC_ECLOSED : 0;
}

int Handle::fd(int direction) const noexcept {
  if (int error = open_somewhere())
    return error;
  bool reading = direction == GIPC_READ;
  if (!(reading ? readable_ : writable_))
    return GIPC_EDIRECTION;
  int fd = reading ? read_.get() : write_.get();
  return fd >= 0 ? fd : GIPC_ECLOSED;
}

int Handle::directions() const noexcept {
  if (int error = open_somewhere())
    return error;
  return (read_ ? GIPC_READ : 0) | (write_ && !shutting_ ? GIPC_WRITE : 0);
}

int Handle::set_limit(size_t limit) noexcept {
  if (int error = open_somewhere())
    return error;
  limit_ = limit;
  easy_tail_ = 0;
  return 0;
}

int Handle::set_read_limit(size_t bytes) noexcept {
  if (int error = open_somewhere())
    return error;
  read_limit_ = bytes;
  return 0;
}

int Handle::set_marks(size_t low, size_t high) noexcept {
  if (int error = open_somewhere())
    return error;
  if (high == 0 || low >= high)
    return -EINVAL;
  low_ = low;
  high_ = high;
  easy_tail_ = 0;
  return 0;
}

int Handle::set_budget(size_t messages, size_t bytes) noexcept {
  if (int error = open_somewhere())
    return error;
  if (messages == 0 || bytes == 0)
    return -EINVAL;
  budget_messages_ = messages;
  budget_bytes_ = bytes;
  return 0;
}

int Handle::pending(int direction, size_t &bytes) const noexcept {
  if (int error = open_somewhere())
    return error;
  bytes = direction == GIPC_READ ? inbox_.bytes() : outbox_.bytes();
  return 0;
}

int Handle::stats(gipc_stats &out) const noexcept {
  if (owner_ != generation::current())
    return GIPC_EWRONGPROC;
  out.messages_in = inbox_.messages();
  out.messages_out = outbox_.messages();
  out.bytes_in = bytes_in_;
  out.bytes_out = bytes_out_;
  out.reads = reads_;
  out.writes = writes_;
  return 0;
}

int Handle::set_user(void *user) noexcept {
  if (!is_ours())
    return GIPC_EWRONGPROC;
  user_ = user;
  return 0;
}

int Handle::ready_without_waiting(int directions) noexcept {
  if (open_somewhere() != 0)
    return directions; // every call says so
  if (push_ != nullptr)
    return 0; // it is the loop's
  int ready = 0;
  if (!read_ || read_end_ != 0 || inbox_.ready(limit_))
    ready |= GIPC_READ;
  if (!write_ || shutting_ || write_end_ != 0)
    ready |= GIPC_WRITE;
  return ready & directions;
}

int Handle::set_interruptible(bool on) {
  if (int error = open_somewhere())
    return error;
  if (waiting_.load(std::memory_order_relaxed))
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
  if (!is_ours())
    return GIPC_EWRONGPROC;
  return waker_ != nullptr ? waker_->wake() : -EINVAL;
}

// ---- Closing ----------------------------------------------------------------

int Handle::close() noexcept {
  if (int error = open_somewhere())
    return error;
  if (operation_in_progress())
    return GIPC_ELOCKED;
  int result = write_ && write_end_ == 0 ? send_step() : 0;
  if (result == GIPC_ELOCKED)
    return result;
  if (result == -EAGAIN) {
    if (push_ == nullptr)
      return result;
    closing_ = true;
    push_->linger();
    update_gates();
    return 0;
  }
  close_now();
  return result;
}

int Handle::close_within(Deadline deadline) {
  // The queue of a handle that is closing on its loop can be waited for, too.
  int error = closing_ && is_ours() ? 0 : open_somewhere();
  if (error != 0)
    return error;
  if (operation_in_progress())
    return GIPC_ELOCKED;
  Sending mine(*this);
  if (!mine)
    return GIPC_ELOCKED;
  if (push_ != nullptr)
    push_->detach();
  // Also when this thread is cancelled while it waits.
  struct Closing {
    ~Closing() { handle.close_now(); }
    Handle &handle;
  } at_the_end{*this};
  return write_ && write_end_ == 0 ? send_all(deadline) : 0;
}

void Handle::close_now() noexcept {
  closing_ = shutting_ = false;
  if (push_ != nullptr)
    push_->detach();
  {
    // A child that is forked meanwhile sees either both or neither.
    registry::Lock hold;
    read_.reset();
    write_.reset();
  }
  outbox_.clear();
  put_borrowed_ = refused_ = false;
  update_gates();
}

int Handle::shutdown() noexcept {
  // A direction that has failed can still be ended.
  int error = usable(put_gate_);
  if (error != 0 && error != write_end_)
    return error;
  int result = send_step();
  if (result == GIPC_ELOCKED)
    return result;
  if (result == -EAGAIN) {
    if (push_ == nullptr)
      return result;
    shutting_ = true;
    push_->linger();
    update_gates();
    return 0;
  }
  shutdown_now();
  return result;
}

void Handle::shutdown_now() noexcept {
  if (!read_) {
    close_now();
    return;
  }
  shutting_ = false;
  // A duplex socket has one more descriptor, so that closing this one ends
  // nothing; other files do not know shutdown, and need none.
  (void)sys::shutdown(write_.get(), SHUT_WR);
  if (push_ != nullptr)
    push_->stop_writing();
  {
    registry::Lock hold; // the end of this process may look at it
    write_.reset();
  }
  outbox_.clear();
  refused_ = false;
  update_gates();
}

void Handle::free() noexcept {
  memberships_.end();
  if (owner_ != generation::current()) {
    if (waker_ != nullptr)
      waker_->forget();
    // The numbers may mean other files in this process.
    read_.forget();
    write_.forget();
    if (push_ != nullptr)
      push_->forget();
    delete this;
    return;
  }
  freed_ = true;
  if (open_somewhere() == 0) {
    put_borrowed_ = false;
    outbox_.forget_borrowed();
    inbox_.forget_borrowed();
    int error = close();
    if (error == -EAGAIN || error == GIPC_ELOCKED)
      close_now();
  }
  delete_if_done();
}

void Handle::delete_if_done() noexcept {
  if (freed_ && !closing_ && callbacks_ == 0)
    delete this;
}

Handle::~Handle() { leave(); }

// ---- The way to a child -----------------------------------------------------

int Handle::check_pass(bool exec) const noexcept {
  if (int error = open_somewhere())
    return error;
  // What the end of this process sends must not leave from a child, too.
  if (operation_in_progress() ||
      ending_.load(std::memory_order_relaxed) == owner_)
    return GIPC_ELOCKED;
  if (shutting_)
    return GIPC_ECLOSED;
  return exec && (inbox_.bytes() > 0 || !outbox_.empty()) ? -EBUSY : 0;
}

int Handle::begin_pass() noexcept {
  pthread_t none{};
  return sender_.compare_exchange_strong(none, pthread_self()) ? 0
                                                               : GIPC_ELOCKED;
}

void Handle::end_pass() noexcept {
  sender_.store(pthread_t{}, std::memory_order_release);
}

void Handle::give_away() noexcept { close_now(); }

void Handle::arrive_in_child(registry::Held &read,
                             registry::Held &write) noexcept {
  owner_ = generation::current();
  if (push_ != nullptr)
    push_->forget();
  push_ = nullptr;
  for (auto [mine, moved] : {std::pair(&read_, &read), {&write_, &write}})
    if (*moved) {
      mine->forget(); // stdio has that number now
      *mine = std::move(*moved);
    }
  read_.keep_in_child();
  write_.keep_in_child();
  if (waker_ != nullptr)
    waker_->forget(); // it was closed with the others
  waker_.reset();
  callbacks_ = 0;
  exiting_ = false;
  sender_.store(pthread_t{}, std::memory_order_relaxed);
  update_gates();
  enter();
}

void Handle::close_in_child() noexcept {
  for (registry::Held *fd : {&read_, &write_})
    if (fd->get() > 2)
      fd->reset();
    else
      fd->forget();
}

} // namespace gipc
