// One end of a pipe: passing it to a child.
#include "handle.h"

namespace gipc {

int Handle::check_pass(bool exec) const noexcept {
  if (int error = check_open())
    return error;
  // While this process ends it writes the queue, which a child must not write,
  // too.
  if (operation_in_progress() || Sender::process_ends())
    return GIPC_ELOCKED;
  if (sender_.state() == Sender::State::shutting)
    return GIPC_ECLOSED;
  if (receiver_.has_descriptors() || sender_.has_descriptors())
    return -EBUSY;
  return exec && (receiver_.held() > 0 || !sender_.is_empty()) ? -EBUSY : 0;
}

int Handle::begin_pass() noexcept {
  if (!sender_.channel().begin_use())
    return GIPC_ELOCKED;
  if (!receiver_.channel().begin_use()) {
    sender_.channel().end_use();
    return GIPC_ELOCKED;
  }
  int error = receiver_.channel().keep_at_fork(true);
  if (error == 0)
    error = sender_.channel().keep_at_fork(true);
  if (error != 0)
    end_pass();
  return error;
}

void Handle::end_pass() noexcept {
  // If this fails, later children have the memory and do not use it.
  (void)receiver_.channel().keep_at_fork(false);
  (void)sender_.channel().keep_at_fork(false);
  receiver_.channel().end_use();
  sender_.channel().end_use();
}

// The other end, if it is a handle of this process.  Under the lock.
Handle *Handle::other_end() const noexcept {
  for (auto *entry = registry::first_entry(registry::Kind::handle);
       entry != nullptr && pair_ != 0; entry = registry::next_entry(entry)) {
    auto *other = static_cast<Handle *>(entry);
    if (other != this && other->pair_ == pair_)
      return other;
  }
  return nullptr;
}

// This end may be read by another program from now on, which says itself what
// it knows.
void Handle::end_pair() noexcept {
  registry::Lock hold;
  if (Handle *other = other_end())
    other->pair_ = 0;
}

int Handle::make_plain(int fd) noexcept {
  for (auto *entry = registry::first_entry(registry::Kind::handle);
       entry != nullptr; entry = registry::next_entry(entry)) {
    auto *handle = static_cast<Handle *>(entry);
    const Channel &in = handle->receiver_.channel();
    const Channel &out = handle->sender_.channel();
    if (!handle->is_owned() || (in.fd() != fd && out.fd() != fd))
      continue;
    handle->end_pair();
    int error = handle->set_transport(GIPC_TRANSPORT_PLAIN);
    // One that another thread uses, and that is in no ring, does not matter.
    bool plain = !in.in_ring() && !out.in_ring();
    return error == GIPC_ELOCKED && plain ? 0 : error;
  }
  return 0;
}

int Handle::prepare_exec(int &memory) noexcept {
  int none;
  Sender::TryLock lock(sender_);
  if (!lock)
    return GIPC_ELOCKED;
  int error = sender_.channel().prepare_exec(none);
  if (error != 0)
    return error;
  {
    // The program does not know who reads what it puts.
    registry::Lock hold;
    Handle *other = sender_.is_open() ? other_end() : nullptr;
    if (other != nullptr && other->receiver_.is_open())
      other->receiver_.channel().announce_now();
  }
  error = receiver_.channel().prepare_exec(memory);
  // The control frame is on its way, maybe behind messages.
  if (error == -EBUSY && receiver_.channel().awaits_control()) {
    (void)receiver_.receive();
    error = receiver_.held() > 0 ? -EBUSY
                                 : receiver_.channel().prepare_exec(memory);
  }
  return error;
}

void Handle::give_to_program() noexcept {
  end_pair();
  give_away();
}

void Handle::give_away() noexcept {
  // Closing the ring would end it for the child, too.
  receiver_.channel().hand_over_ring();
  sender_.channel().hand_over_ring();
  close_now();
}

void Handle::arrive_in_child(registry::Held &read, registry::Held &write,
                             bool kept_memory) noexcept {
  owner_ = generation::current();
  if (driver() != nullptr)
    driver()->forget();
  set_driver(nullptr);
  receiver_.arrive_in_child(read, kept_memory);
  sender_.arrive_in_child(write);
  if (waker_ != nullptr)
    waker_->forget(); // its descriptors were closed in the child
  waker_.reset();
  callbacks_ = 0;
  registry::Lock hold;
  enter_list();
}

void Handle::close_in_child() noexcept {
  receiver_.channel().close_in_child();
  sender_.channel().close_in_child();
}

} // namespace gipc
