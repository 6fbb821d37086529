// A ring of bytes in memory that two processes share.
#include "ring.h"

#include "deadline.h"
#include "gipc.h"
#include "os.h"
#include "this_process.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace gipc {

namespace {

// glibc copies more than some KiB with `rep movsb`, which some processors (AMD)
// do at a tenth of the rate if the target lies a few bytes above the source
// within a page: 2 to 8 GB/s instead of 45.  A ring and a message often do.
void copy(unsigned char *to, const unsigned char *from, size_t size) noexcept {
  constexpr size_t page = 4096, few = 64, piece = 2048;
  size_t above =
      (reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from)) %
      page;
  if (__builtin_expect(above != 0 && above < few, 0))
    for (; size > piece; size -= piece, to += piece, from += piece)
      std::memcpy(to, from, piece);
  std::memcpy(to, from, size);
}

void fence() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }

} // namespace

// ---- Places -----------------------------------------------------------------

// Guarded by the registry's lock.
struct RingPlaces {
  void enter(RingMemory &memory) noexcept;
  void leave(RingMemory &memory) noexcept;
  bool have_room() noexcept;
  bool leave_idlest() noexcept;

  int taken = 0;
  RingMemory *first = nullptr;
};

namespace {

PerProcess<RingPlaces> places;

} // namespace

void RingPlaces::enter(RingMemory &memory) noexcept {
  ++taken;
  memory.seen_ = 0;
  memory.idle_since_ = monotonic_now();
  memory.previous_ = nullptr;
  memory.next_ = first;
  if (first != nullptr)
    first->previous_ = &memory;
  first = &memory;
}

void RingPlaces::leave(RingMemory &memory) noexcept {
  --taken;
  if (memory.next_ != nullptr)
    memory.next_->previous_ = memory.previous_;
  (memory.previous_ != nullptr ? memory.previous_->next_ : first) =
      memory.next_;
}

bool RingPlaces::have_room() noexcept {
  return taken < RingMemory::most_rings || leave_idlest();
}

// The ring that is idle for the longest time is left, if it can be.
bool RingPlaces::leave_idlest() noexcept {
  double now = monotonic_now();
  for (RingMemory *memory = first; memory != nullptr; memory = memory->next_) {
    uint32_t head = memory->page().head.load(std::memory_order_relaxed);
    if (head == memory->seen_)
      continue;
    memory->seen_ = head;
    memory->idle_since_ = now;
  }
  for (;;) {
    RingMemory *idlest = nullptr;
    for (RingMemory *memory = first; memory != nullptr; memory = memory->next_)
      if (memory->user_ != nullptr &&
          now - memory->idle_since_ > RingMemory::least_idle &&
          (idlest == nullptr || memory->idle_since_ < idlest->idle_since_))
        idlest = memory;
    if (idlest == nullptr)
      return false;
    idlest->idle_since_ = now; // it is in use, unless it is left
    if (idlest->user_->leave_idle())
      return true;
  }
}

// To a ring and back takes less than a millisecond, a thousandth of this.
double RingMemory::least_idle = 1;

// ---- Memory -----------------------------------------------------------------

int RingMemory::create(size_t capacity, Fd &fd) noexcept {
  // Under the lock, so that a concurrently forked child closes its copy, and no
  // other thread looks at the page before it is one.
  registry::Lock hold;
  places.renew();
  if (!places->have_room())
    return -EMFILE; // before there is memory for it
  Fd made;
  if (int error = os::make_shared_memory(header + capacity, made))
    return error;
  registry::note_made(made.get());
  if (int error = map(made.get()))
    return error;
  new (memory_) RingPage{};
  fd = std::move(made);
  return 0;
}

int RingMemory::open(int fd) noexcept { return map(fd); }

int RingMemory::map(int fd) noexcept {
  registry::Lock hold;
  places.renew();
  if (!places->have_room())
    return -EMFILE;
  void *memory;
  size_t size = 0;
  if (int error = os::map_shared_memory(fd, header + most, memory, size))
    return error;
  size_t capacity = size > header ? size - header : 0;
  if (capacity < least || (capacity & (capacity - 1)) != 0) {
    ::munmap(memory, size);
    return -EINVAL;
  }
  memory_ = memory;
  size_ = size;
  capacity_ = static_cast<uint32_t>(capacity);
  places->enter(*this);
  return 0;
}

void RingMemory::unmap() noexcept {
  registry::Lock hold; // another thread may be leaving the ring
  if (!is_mapped())
    return;
  places.renew();
  places->leave(*this);
  ::munmap(memory_, size_);
  memory_ = nullptr;
}

int RingMemory::keep_at_fork(bool on) noexcept {
  return is_mapped() ? os::keep_at_fork(memory_, size_, on) : 0;
}

// One more than there are places may come along, which is harmless.
void RingMemory::arrive_in_child() noexcept {
  if (!is_mapped())
    return;
  // If this fails, later children have the mapping and do not use it.
  (void)keep_at_fork(false);
  registry::Lock hold;
  places.renew();
  places->enter(*this);
}

// ---- Writer -----------------------------------------------------------------

uint32_t RingWriter::needed(size_t size) const noexcept {
  // More than half would not be there when the reader wakes the writer.
  return static_cast<uint32_t>(std::min<size_t>(size, memory_.capacity() / 2));
}

int RingWriter::look() noexcept {
  // Acquire: the bytes up to there were copied out.
  uint32_t tail = memory_.page().tail.load(std::memory_order_acquire);
  if (head_ - tail > memory_.capacity())
    return GIPC_EPROTOCOL;
  tail_ = tail;
  return 0;
}

int RingWriter::check_room(uint32_t needed) noexcept {
  if (room() >= needed)
    return 0;
  if (int error = look())
    return error;
  return room() >= needed ? 0 : -EAGAIN;
}

RingWriter::Due RingWriter::write(const iovec *parts, int count,
                                  size_t &size) noexcept {
  size_t left = std::min<size_t>(room(), step);
  uint32_t mask = memory_.capacity() - 1;
  unsigned char *ring = memory_.bytes();
  uint32_t head = head_;
  for (int i = 0; i < count && left > 0; ++i) {
    auto *data = static_cast<const unsigned char *>(parts[i].iov_base);
    size_t part = std::min(parts[i].iov_len, left);
    if (part == 0) // of an empty message, whose memory may be a null pointer
      continue;
    size_t at = head & mask;
    size_t first = std::min<size_t>(part, memory_.capacity() - at);
    copy(ring + at, data, first);
    if (first < part)
      copy(ring, data + first, part - first);
    head += static_cast<uint32_t>(part);
    left -= part;
  }
  size = head - head_;
  head_ = head;
  RingPage &page = memory_.page();
  // After the bytes: FAULT_RELAXED_HEAD, FAULT_PUBLISH_EARLY.
  page.head.store(head, std::memory_order_release);
  fence(); // FAULT_NO_FENCE_PUT
  if (__builtin_expect(
          page.reader.load(std::memory_order_relaxed) == RingPage::awake, 1))
    return Due::nothing;
  switch (page.reader.exchange(RingPage::awake)) {
  case RingPage::asleep:
    return Due::bell;
  case RingPage::left:
    return Due::left;
  case RingPage::left_idle:
    return Due::left_idle;
  default:
    return Due::nothing;
  }
}

bool RingWriter::is_read_up_to(size_t last) const noexcept {
  return memory_.page().tail.load(std::memory_order_acquire) ==
         head_ - static_cast<uint32_t>(last);
}

void RingWriter::raise() noexcept {
  memory_.page().writer_waits.store(1, std::memory_order_relaxed);
}

int RingWriter::look_again(uint32_t needed) noexcept {
  RingPage &page = memory_.page();
  fence(); // FAULT_NO_FENCE_STALL
  if (int error = look())
    return error;
  if (room() >= needed) {
    page.writer_waits.store(0, std::memory_order_relaxed);
    return 0;
  }
  // A reader that has lowered the flag has drained the socket, maybe before the
  // bytes were sent: FAULT_NO_SECOND_LOOK.
  return page.writer_waits.load(std::memory_order_relaxed) != 0 ? -EAGAIN
                                                                : -EINTR;
}

bool RingWriter::leave() noexcept {
  return memory_.page().reader.exchange(RingPage::awake) != RingPage::left;
}

// ---- Reader -----------------------------------------------------------------

// A writer that changes the index harms only the stream that it writes.
void RingReader::resume() noexcept {
  tail_ = head_ = memory_.page().tail.load(std::memory_order_relaxed);
}

ssize_t RingReader::available() noexcept {
  if (head_ != tail_)
    return static_cast<ssize_t>(head_ - tail_);
  // Acquire: the bytes up to there are written.
  uint32_t head = memory_.page().head.load(std::memory_order_acquire);
  if (head - tail_ > memory_.capacity())
    return GIPC_EPROTOCOL;
  head_ = head;
  return static_cast<ssize_t>(head - tail_);
}

size_t RingReader::read(const iovec *parts, int count, bool &frees) noexcept {
  size_t left = std::min<size_t>(head_ - tail_, RingWriter::step);
  uint32_t mask = memory_.capacity() - 1;
  const unsigned char *ring = memory_.bytes();
  uint32_t tail = tail_;
  for (int i = 0; i < count && left > 0; ++i) {
    auto *data = static_cast<unsigned char *>(parts[i].iov_base);
    size_t part = std::min(parts[i].iov_len, left);
    if (part == 0)
      continue;
    size_t at = tail & mask;
    size_t first = std::min<size_t>(part, memory_.capacity() - at);
    copy(data, ring + at, first);
    if (first < part)
      copy(data + first, ring, part - first);
    tail += static_cast<uint32_t>(part);
    left -= part;
  }
  size_t size = tail - tail_;
  tail_ = tail;
  RingPage &page = memory_.page();
  // Release: the bytes are copied out before they are overwritten.
  page.tail.store(tail, std::memory_order_release);
  fence(); // FAULT_NO_FENCE_TAKE
  frees = page.writer_waits.load(std::memory_order_relaxed) != 0 &&
          head_ - tail_ <= memory_.capacity() / 2;
  // Before the drain, so that a writer which sends after it finds the flag
  // lowered: FAULT_DRAIN_BEFORE_FLAG, FAULT_NO_FENCE_LOWER.
  if (frees) {
    page.writer_waits.store(0, std::memory_order_relaxed);
    fence();
  }
  return size;
}

ssize_t RingReader::sleep() noexcept {
  // Each time, whatever was raised before: a drain may have read the byte that
  // came for it (FAULT_TAKES_BELL, FAULT_NO_FLAG).
  memory_.page().reader.store(RingPage::asleep, std::memory_order_relaxed);
  fence();            // FAULT_NO_FENCE_RAISE
  return available(); // FAULT_LOOK_BEFORE
}

bool RingReader::wake() noexcept {
  return memory_.page().reader.exchange(RingPage::awake) != RingPage::asleep;
}

bool RingReader::leave() noexcept {
  uint32_t was = RingPage::asleep;
  // Not a store: FAULT_LEAVES_BY_STORE.
  return memory_.page().reader.compare_exchange_strong(was, RingPage::left);
}

bool RingReader::leave_idle() noexcept {
  RingPage &page = memory_.page();
  page.reader.store(RingPage::asleep, std::memory_order_relaxed);
  fence(); // FAULT_IDLE_NO_FENCE
  // Then the flag stays raised, because the user may be waiting for the bell:
  // FAULT_IDLE_LOWERS.
  if (page.head.load(std::memory_order_acquire) != tail_)
    return false;
  uint32_t was = RingPage::asleep;
  // Not a store: FAULT_IDLE_BY_STORE.
  return page.reader.compare_exchange_strong(was, RingPage::left_idle);
}

void RingReader::close() noexcept {
  memory_.page().closed.store(1, std::memory_order_relaxed);
}

} // namespace gipc
