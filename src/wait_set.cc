// Several handles and processes that one thread waits for without a loop.
#include "wait_set.h"

#include "handle.h"
#include "process.h"
#include "sys.h"

#include <algorithm>
#include <cstddef>

namespace gipc {

namespace {

constexpr int ended = 1; // Member::ready of a process

// Milliseconds between two checks of a process without a pidfd.
constexpr int longest_interval = 20;

} // namespace

// ---- Members ----------------------------------------------------------------

int WaitSet::create(WaitSet *&out) {
  std::unique_ptr<WaitSet, void (*)(WaitSet *)> set(
      new WaitSet, [](WaitSet *failed) { delete failed; });
  if (int error = set->waker_.open())
    return error;
  out = set.release();
  return 0;
}

void WaitSet::free() noexcept {
  if (check_owner() != 0)
    waker_.forget();
  delete this;
}

int WaitSet::check_owner() const noexcept {
  return owner_ == generation::current() ? 0 : GIPC_EWRONGPROC;
}

WaitSet::Member *WaitSet::find(const Memberships &object) const noexcept {
  static_assert(offsetof(Member, membership) == 0, "one is the other");
  return reinterpret_cast<Member *>(object.in(this));
}

void WaitSet::admit(Memberships &object, Handle *handle, Process *process,
                    int wanted) {
  if (members_.size() == members_.capacity())
    remove_gone();
  auto member = std::make_unique<Member>();
  member->handle = handle;
  member->process = process;
  member->wanted = wanted;
  member->ready = 0;
  members_.push_back(std::move(member));
  members_.back()->membership.join(object, this);
}

int WaitSet::add(Handle *handle, int directions) {
  if (int error = check_owner())
    return error;
  for (int direction : {GIPC_READ, GIPC_WRITE})
    if ((directions & direction) != 0)
      if (int fd = handle->fd(direction); fd < 0)
        return fd;
  if (handle->is_started())
    return GIPC_ELOCKED;
  Member *known = find(handle->memberships());
  if (known == nullptr) {
    admit(handle->memberships(), handle, nullptr, directions);
  } else {
    known->wanted = directions;
    known->ready &= directions;
  }
  return 0;
}

int WaitSet::add(Process *process) {
  int error = check_owner();
  if (error == 0 && process->pid() < 0)
    error = process->pid();
  if (error == 0 && find(process->memberships()) == nullptr)
    admit(process->memberships(), nullptr, process, ended);
  return error;
}

int WaitSet::remove(Handle *handle) noexcept {
  if (int error = check_owner())
    return error;
  Member *known = find(handle->memberships());
  if (known == nullptr)
    return -ENOENT;
  known->membership.leave();
  return 0;
}

int WaitSet::remove(Process *process) noexcept {
  if (int error = check_owner())
    return error;
  Member *known = find(process->memberships());
  if (known == nullptr)
    return -ENOENT;
  known->membership.leave();
  return 0;
}

// Frees the members that were removed, and keeps the position of next().
void WaitSet::remove_gone() noexcept {
  size_t kept = 0, next = 0;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (i < next_ && !members_[i]->membership.has_ended())
      ++next;
    if (!members_[i]->membership.has_ended())
      members_[kept++] = std::move(members_[i]);
  }
  members_.resize(kept);
  next_ = next;
}

// ---- Waiting ----------------------------------------------------------------

// Fills fds_.  True if there is a process without a pidfd, which must be
// checked periodically.
bool WaitSet::list_descriptors() {
  bool again = false;
  fds_.assign(1, {waker_.fd(), POLLIN, 0});
  sources_.clear();
  auto poll_for = [&](Member *member, int direction, int fd, short events) {
    fds_.push_back({fd, events, 0});
    sources_.push_back({member, direction});
  };
  for (const auto &owned : members_) {
    Member *member = owned.get();
    if (Process *process = member->process) {
      if (process->fd() >= 0)
        poll_for(member, ended, process->fd(), POLLIN);
      else
        again = true;
      continue;
    }
    // A handle that was started after it was added belongs to its loop.
    if (member->handle->is_started())
      continue;
    if ((member->wanted & GIPC_READ) != 0)
      poll_for(member, GIPC_READ, member->handle->fd(GIPC_READ), POLLIN);
    if ((member->wanted & GIPC_WRITE) != 0)
      poll_for(member, GIPC_WRITE, member->handle->fd(GIPC_WRITE), POLLOUT);
  }
  return again;
}

// Marks the members that are ready although no descriptor is.  Returns their
// number.
int WaitSet::look() noexcept {
  int count = 0;
  for (const auto &member : members_) {
    if (member->process == nullptr)
      member->ready = member->handle->ready_without_waiting(member->wanted);
    else if (member->process->fd() < 0 && member->process->is_alive() != 1)
      member->ready = ended;
    count += member->ready != 0 ? 1 : 0;
  }
  return count;
}

// Marks the members whose descriptors are ready.  Returns the number of members
// that were not ready before.
int WaitSet::note_ready() noexcept {
  int count = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (fds_[i + 1].revents == 0)
      continue;
    Member *member = sources_[i].member;
    count += member->ready == 0 ? 1 : 0;
    member->ready |= sources_[i].direction;
  }
  return count;
}

void WaitSet::clear_ready() noexcept {
  for (const auto &member : members_)
    member->ready = 0;
  next_ = 0;
}

int WaitSet::wait(Deadline deadline) {
  if (int error = check_owner())
    return error;
  remove_gone();
  clear_ready();
  if (waker_.due() && waker_.consume())
    return -ECANCELED;
  bool again = list_descriptors();
  for (int interval = 1;; interval = std::min(2 * interval, longest_interval)) {
    int ready = look();
    int left = ready > 0 ? 0 : deadline.milliseconds();
    bool in_steps = again && (left < 0 || left > interval);
    int result =
        sys::poll_cancellable(fds_.data(), static_cast<nfds_t>(fds_.size()),
                              in_steps ? interval : left);
    if (result == -EINTR)
      continue;
    if (result >= 0)
      ready += note_ready();
    if (result > 0 && fds_[0].revents != 0 && waker_.consume())
      result = -ECANCELED;
    if (result < 0) {
      clear_ready();
      return result;
    }
    if (ready > 0)
      return ready;
    if (left == 0)
      return -ETIMEDOUT;
  }
}

int WaitSet::next(Handle *&handle, Process *&process,
                  int &directions) noexcept {
  if (int error = check_owner())
    return error;
  for (; next_ < members_.size(); ++next_) {
    const Member &member = *members_[next_];
    if (member.membership.has_ended() || member.ready == 0)
      continue;
    ++next_;
    handle = member.handle;
    process = member.process;
    directions = member.handle != nullptr ? member.ready : 0;
    return 0;
  }
  return -EAGAIN;
}

int WaitSet::wake() noexcept {
  int error = check_owner();
  return error != 0 ? error : waker_.wake();
}

} // namespace gipc
