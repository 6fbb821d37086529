// The sending direction of a handle: messages with descriptors.
//
// The kernel delivers descriptors with the first byte of the send that they
// were given to, so the first byte of such a message begins a send of its own.
#include "sender.h"

#include "transfer.h"

#include <algorithm>
#include <new>

namespace gipc {

namespace {

// Limits the areas to their first bytes; returns the number of areas.
int limit_areas(const iovec *areas, int count, size_t bytes,
                iovec (&out)[Outbox::max_areas]) noexcept {
  int used = 0;
  for (; used < count && bytes > 0; ++used) {
    size_t part = std::min(areas[used].iov_len, bytes);
    out[used] = {areas[used].iov_base, part};
    bytes -= part;
  }
  return used;
}

// What the kernel answers because of the descriptors, and not of the stream.
bool is_about_descriptors(ssize_t result) noexcept {
  return result == -EBADF || result == -ETOOMANYREFS || result == -EINVAL ||
         result == -EPERM || result == -EACCES || result == -EOPNOTSUPP;
}

} // namespace

ssize_t Sender::write_with(const iovec *areas, int count) noexcept {
  iovec parts[Outbox::max_areas];
  size_t before = descriptors_->before();
  size_t bytes = before > 0 ? before : descriptors_->after();
  count = limit_areas(areas, count, bytes, parts);
  if (before > 0)
    return channel_.write(parts, count);
  Descriptors &first = descriptors_->first();
  int room[os::most_sent];
  ssize_t size =
      channel_.write_with(parts, count, first.numbers(room), first.count());
  // There may be fewer in flight later.
  return size == -ETOOMANYREFS && !first.is_borrowed() ? -ENOBUFS : size;
}

// The put in progress fails with this error, and the stream goes on.
bool Sender::is_refusal(ssize_t size) noexcept {
  return is_about_descriptors(size) && descriptors_->before() == 0 &&
         descriptors_->first().is_borrowed();
}

void Sender::written(size_t size) noexcept {
  descriptors_->written(size);
  if (descriptors_->empty())
    descriptors_.reset();
}

void Sender::drop_last() noexcept {
  descriptors_->drop_last();
  if (descriptors_->empty())
    descriptors_.reset();
}

// After a step of a put: if the descriptors were refused, it is cancelled.
int Sender::end_refused(int result) noexcept {
  if (result < 0 && result != -EAGAIN && end_ == 0)
    (void)cancel_put();
  return result;
}

int Sender::borrow_with(const void *data, size_t size, const int *fds,
                        uint32_t attached) noexcept {
  std::unique_ptr<Descriptors> one =
      Descriptors::borrow(fds, frame::count_of(attached));
  if (one != nullptr && descriptors_ == nullptr)
    descriptors_.reset(new (std::nothrow) DescriptorQueue);
  if (one == nullptr || descriptors_ == nullptr)
    return -ENOMEM;
  descriptors_->push(std::move(one), outbox_.queued());
  outbox_.borrow(data, size, attached);
  put_size_ = size;
  put_with_ = attached;
  return 0;
}

int Sender::begin_put_with(const void *data, size_t size, const int *fds,
                           uint32_t attached) noexcept {
  if (int error = borrow_with(data, size, fds, attached))
    return error;
  int result = send_some();
  if (result != -EAGAIN)
    return end_refused(result);
  set(State::putting);
  if (driver_ != nullptr)
    driver_->send_later();
  return -EAGAIN;
}

int Sender::try_put_with(const void *data, size_t size, const int *fds,
                         uint32_t attached) noexcept {
  if (int error = check_put(data, size))
    return error;
  TryLock lock(*this);
  if (!lock)
    return GIPC_ELOCKED;
  if (outbox_.queued() >= high_) {
    refused_ = true;
    return -EAGAIN;
  }
  if (int error = borrow_with(data, size, fds, attached))
    return error;
  bool waits = driver_ != nullptr && driver_->waits_to_write();
  int result = waits ? -EAGAIN : send_some();
  return result == -EAGAIN ? queue_with(data) : end_refused(result);
}

// Queues what is left of the borrowed message.
int Sender::queue_with(const void *data) noexcept {
  int left = outbox_.withdraw();
  if (left < 0)
    return fail_with(left);
  if (left == 0) {
    int error = descriptors_->last().keep();
    if (error == 0)
      error = outbox_.put_with(data, put_size_, put_with_);
    if (error != 0) {
      drop_last();
      return error;
    }
  }
  if (driver_ != nullptr)
    driver_->send_later();
  return 0;
}

} // namespace gipc
