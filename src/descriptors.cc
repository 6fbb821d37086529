// Descriptors that belong to messages.
#include "descriptors.h"

#include "sys.h"

#include <cerrno>
#include <new>

namespace gipc {

// ---- Of one message ---------------------------------------------------------

std::unique_ptr<Descriptors>
Descriptors::own(const os::Received &came) noexcept {
  auto count = static_cast<size_t>(came.count);
  std::unique_ptr<Descriptors> made(new (std::nothrow) Descriptors);
  std::unique_ptr<registry::Held[]> own(new (std::nothrow)
                                            registry::Held[count]);
  for (size_t i = 0; i < count; ++i) {
    Fd fd(came.fds[i]);
    if (own != nullptr)
      own[i] = std::move(fd);
  }
  if (made == nullptr || own == nullptr)
    return nullptr;
  made->own_ = std::move(own);
  made->count_ = count;
  made->lost_ = came.lost;
  return made;
}

std::unique_ptr<Descriptors> Descriptors::borrow(const int *fds,
                                                 size_t count) noexcept {
  std::unique_ptr<Descriptors> made(new (std::nothrow) Descriptors);
  if (made != nullptr) {
    made->borrowed_ = fds;
    made->count_ = count;
  }
  return made;
}

int Descriptors::keep() noexcept {
  registry::Lock hold;
  std::unique_ptr<registry::Held[]> own(new (std::nothrow)
                                            registry::Held[count_]);
  if (own == nullptr)
    return -ENOMEM;
  for (size_t i = 0; i < count_; ++i) {
    Fd copy;
    if (int error = sys::duplicate(borrowed_[i], copy))
      return error;
    own[i] = std::move(copy);
  }
  own_ = std::move(own);
  borrowed_ = nullptr;
  return 0;
}

const int *Descriptors::numbers(int (&room)[os::most_sent]) const noexcept {
  if (is_borrowed())
    return borrowed_;
  for (size_t i = 0; i < count_; ++i)
    room[i] = own_[i].get();
  return room;
}

size_t Descriptors::handles_end() const noexcept {
  size_t end = next_;
  for (uint32_t left = handles_; left != 0; left >>= 3)
    end += frame::descriptors_of(static_cast<frame::Kind>(left & 7));
  return end;
}

void Descriptors::release_loose(int *out) noexcept {
  size_t end = handles_end();
  for (size_t i = end; i < count_; ++i)
    out[i - end] = own_[i].release();
  count_ = end;
}

void Descriptors::release_handle(int *out) noexcept {
  uint32_t number = frame::descriptors_of(next_handle());
  for (uint32_t i = 0; i < number; ++i)
    out[i] = own_[next_++].release();
  handles_ >>= 3;
}

registry::Held Descriptors::release_one() noexcept {
  return count_ == 1 ? std::move(own_[0]) : registry::Held();
}

void Descriptors::forget() noexcept {
  for (size_t i = 0; own_ != nullptr && i < count_; ++i)
    own_[i].forget();
}

int KeptDescriptors::make(const int *fds, size_t count,
                          std::unique_ptr<KeptDescriptors> &out) noexcept {
  std::unique_ptr<Descriptors> all = Descriptors::borrow(fds, count);
  if (all == nullptr)
    return -ENOMEM;
  if (int error = all->keep())
    return error;
  out.reset(new (std::nothrow) KeptDescriptors(std::move(all)));
  return out != nullptr ? 0 : -ENOMEM;
}

KeptDescriptors::~KeptDescriptors() {
  if (all_ != nullptr && !is_owned())
    all_->forget();
}

// ---- Of several -------------------------------------------------------------

void DescriptorQueue::push(std::unique_ptr<Descriptors> last,
                           size_t distance) noexcept {
  Descriptors *pushed = last.get();
  pushed->distance_ = distance - distance_;
  distance_ = distance;
  if (first_ == nullptr)
    first_ = std::move(last);
  else
    last_->behind_ = std::move(last);
  last_ = pushed;
  ++size_;
  count_ += pushed->count();
}

std::unique_ptr<Descriptors> DescriptorQueue::pop() noexcept {
  std::unique_ptr<Descriptors> first = std::move(first_);
  first_ = std::move(first->behind_);
  distance_ -= first->distance_;
  --size_;
  count_ -= first->count();
  return first;
}

void DescriptorQueue::drop_last() noexcept {
  std::unique_ptr<Descriptors> *link = &first_;
  Descriptors *before = nullptr;
  while ((*link)->behind_ != nullptr) {
    before = link->get();
    link = &before->behind_;
  }
  distance_ -= (*link)->distance_;
  count_ -= (*link)->count();
  link->reset();
  last_ = before;
  --size_;
}

void DescriptorQueue::forget() noexcept {
  for (Descriptors *one = first_.get(); one != nullptr;
       one = one->behind_.get())
    one->forget();
  clear();
}

void DescriptorQueue::written(size_t bytes) noexcept {
  if (first_->distance_ == 0 && bytes > 0)
    (void)pop();
  if (first_ == nullptr)
    return;
  first_->distance_ -= bytes;
  distance_ -= bytes;
}

} // namespace gipc
