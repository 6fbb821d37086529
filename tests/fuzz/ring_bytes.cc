// fuzz_ring: a writer and a reader, each with a mapping of its own, and a model
// of all that is in the memory: every byte, both indices, the flags.
#include "rings.h"

#include "gipc.h"
#include "os.h"

#include <cerrno>
#include <optional>

namespace rings {
namespace {

using gipc::Fd;
using gipc::RingMemory;
using gipc::RingPage;
using gipc::RingReader;
using gipc::RingWriter;
using Due = RingWriter::Due;

class Ring {
public:
  explicit Ring(const Input &bytes) : input_(bytes) {
    capacity_ = RingMemory::least << input_.below(6);
    first_ = first_index();
    Fd fd;
    require(write_memory_.create(capacity_, fd) == 0);
    require(read_memory_.open(fd.get()) == 0);
    page().head = page().tail = first_;
    writer_.emplace(write_memory_, first_);
    resume();
    memory_.resize(capacity_);
  }

  void run() {
    while (!input_.at_end() && !ended_) {
      act();
      check();
    }
    if (flag_ == RingPage::left || flag_ == RingPage::left_idle)
      return;
    while (read_ < written_)
      read(capacity_);
    check();
  }

private:
  void resume() {
    reader_.emplace(read_memory_);
    reader_->resume();
    known_head_ = read_;
  }
  RingPage &page() { return write_memory_.page(); }
  size_t unread() const { return written_ - read_; }
  size_t room() const { return capacity_ - unread(); }

  // Also where the indices are about to wrap around.
  uint32_t first_index() {
    switch (input_.below(4)) {
    case 0:
      return 0;
    case 1:
      return 0u - static_cast<uint32_t>(input_.next() * capacity_ / 64);
    case 2:
      return 0x80000000u - input_.next();
    default:
      return static_cast<uint32_t>(input_.next() << 24 | input_.next() << 4);
    }
  }

  // Often as many as there are, or as there are to the end of the memory, or
  // one more or less.
  size_t size_of(uint64_t place, size_t there) {
    size_t to_end = capacity_ - (first_ + place) % capacity_;
    switch (input_.below(5)) {
    case 0:
      return 1 + input_.below(20);
    case 1:
      return 1 + input_.next() * capacity_ / 200;
    case 2:
      return std::max<size_t>(there + input_.below(3), 2) - 1;
    case 3:
      return std::max<size_t>(to_end + input_.below(3), 2) - 1;
    default:
      return capacity_ + 1 + input_.next();
    }
  }

  void act() {
    switch (input_.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      write(size_of(written_, room()));
      break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
      read(size_of(read_, unread()));
      break;
    case 11:
      sleep();
      break;
    case 12:
    case 13:
      wait_for_room();
      break;
    default:
      leave();
    }
  }

  void write(size_t size) {
    auto needed = writer_->needed(size);
    require(needed == std::min(size, capacity_ / 2));
    require(writer_->check_room(needed) == (needed <= room() ? 0 : -EAGAIN));
    if (needed > room()) {
      known_tail_ = read_;
      return;
    }
    // It has looked, unless it knew of that much room.
    size_t known = needed <= known_room() ? known_room() : room();
    known_tail_ = written_ + known - capacity_;
    Parts parts(size, input_);
    parts.fill(written_);
    size_t expected = std::min({size, known, RingWriter::step}), moved = 0;
    Due due = writer_->write(parts.list, parts.count, moved);
    require(moved == expected);
    for (size_t i = 0; i < moved; ++i)
      memory_[(first_ + written_ + i) % capacity_] = byte_at(written_ + i);
    require(due == (flag_ == RingPage::asleep      ? Due::bell
                    : flag_ == RingPage::left      ? Due::left
                    : flag_ == RingPage::left_idle ? Due::left_idle
                                                   : Due::nothing));
    if (due == Due::left || due == Due::left_idle) {
      require(writer_->is_read_up_to(moved) == (read_ == written_));
      ended_ = true;
    }
    written_ += moved;
    flag_ = RingPage::awake;
  }
  size_t known_room() const { return capacity_ - (written_ - known_tail_); }

  size_t available() {
    if (known_head_ == read_)
      known_head_ = written_;
    return known_head_ - read_;
  }

  void read(size_t size) {
    if (flag_ == RingPage::left || flag_ == RingPage::left_idle)
      return; // it has left
    size_t there = available();
    require(reader_->available() == static_cast<ssize_t>(there));
    Parts parts(size, input_);
    bool frees = false;
    size_t moved = reader_->read(parts.list, parts.count, frees);
    require(moved == std::min({size, there, RingWriter::step}));
    parts.require_stream(moved, read_);
    read_ += moved;
    require(reader_->seen() == known_head_ - read_);
    require(frees == (waits_ && known_head_ - read_ <= capacity_ / 2));
    waits_ = waits_ && !frees;
  }

  void sleep() {
    if (flag_ == RingPage::left || flag_ == RingPage::left_idle)
      return;
    size_t there = available();
    require(reader_->sleep() == static_cast<ssize_t>(there));
    require(reader_->is_asleep());
    flag_ = RingPage::asleep;
    if (there > 0 && input_.below(2) == 0) {
      require(!reader_->wake());
      flag_ = RingPage::awake;
    }
  }

  void wait_for_room() {
    auto needed = writer_->needed(size_of(written_, room()));
    writer_->raise();
    waits_ = true;
    if (input_.below(2) == 0)
      read(size_of(read_, unread()));
    int expected = needed <= room() ? 0 : waits_ ? -EAGAIN : -EINTR;
    require(writer_->look_again(needed) == expected);
    known_tail_ = read_;
    waits_ = waits_ && expected != 0;
    require(writer_->waits() == waits_);
  }

  void leave() {
    bool gone = flag_ == RingPage::left || flag_ == RingPage::left_idle;
    switch (input_.below(8)) {
    case 0:
    case 1:
      if (gone || unread() > 0)
        break;
      require(reader_->leave() == (flag_ == RingPage::asleep));
      flag_ = flag_ == RingPage::asleep ? RingPage::left : flag_;
      break;
    case 2:
    case 3:
      if (gone)
        break;
      require(reader_->leave_idle() == (unread() == 0));
      flag_ = unread() == 0 ? RingPage::left_idle : RingPage::asleep;
      break;
    case 4:
      require(writer_->leave() == (flag_ != RingPage::left));
      flag_ = RingPage::awake;
      ended_ = true;
      break;
    case 5:
      reader_->close();
      closed_ = true;
      break;
    default:
      if (gone)
        break;
      // Another process reads on.
      require(read_memory_.page().tail ==
              first_ + static_cast<uint32_t>(read_));
      resume();
    }
  }

  void check() {
    require(page().head == first_ + static_cast<uint32_t>(written_));
    require(page().tail == first_ + static_cast<uint32_t>(read_));
    require(ended_ || page().reader == flag_);
    require((page().writer_waits != 0) == waits_);
    require(writer_->is_closed() == closed_);
    require(write_memory_.unread() == unread());
    require(std::memcmp(write_memory_.bytes(), memory_.data(), capacity_) == 0);
  }

  Input input_;
  size_t capacity_;
  uint32_t first_; // index of the first byte
  RingMemory write_memory_, read_memory_;
  std::optional<RingWriter> writer_;
  std::optional<RingReader> reader_;
  // What it must be like.
  std::vector<unsigned char> memory_;
  uint64_t written_ = 0, read_ = 0;          // bytes
  uint64_t known_head_ = 0, known_tail_ = 0; // as the other side has seen them
  uint32_t flag_ = RingPage::awake;
  bool waits_ = false, closed_ = false, ended_ = false;
};

} // namespace

void check_bytes(Input input) { Ring(input).run(); }

} // namespace rings
