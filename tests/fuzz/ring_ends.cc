// fuzz_ring: the two ends of a socket that changes to a ring and back.  Each
// byte arrives once and in order, and no end waits for the other in vain: what
// the kernel says of the socket is checked after each call.  One end also acts
// inside the system calls of the other.
#include "rings.h"

#include "frame.h"
#include "gipc.h"
#include "incoming.h"
#include "outgoing.h"
#include "sys.h"

#include <cerrno>
#include <memory>
#include <poll.h>
#include <sys/socket.h>

namespace rings {

using namespace gipc;

Fd receive_offer(int socket) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  unsigned char bytes[64];
  iovec into{bytes, sizeof bytes};
  msghdr header{};
  header.msg_iov = &into;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size = recvmsg(socket, &header, 0);
  require(size > 0 && CMSG_FIRSTHDR(&header) != nullptr);
  for (ssize_t i = 0; i < size; ++i)
    require(bytes[i] == byte_at(static_cast<uint64_t>(i)));
  int memory;
  std::memcpy(&memory, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof memory);
  return Fd(memory);
}

namespace {

class Ends {
public:
  explicit Ends(const Input &bytes) : input_(bytes) {
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    writes_.reset(ends[0]);
    reads_.reset(ends[1]);
    enter();
  }

  void run() {
    current = this;
    sys::fault = act_inside;
    do {
      require_progress();
      act(input_.below(2) == 0);
    } while (!input_.at_end() && !closed_);
    sys::fault = nullptr;
    if (!closed_)
      drain();
  }

private:
  static Ends *current;

  bool is_ready(const Fd &fd, short events) const {
    pollfd what{fd.get(), events, 0};
    return ::poll(&what, 1, 0) > 0;
  }

  // The offer, its acceptance, the control frame.
  void enter() {
    size_t capacity = RingMemory::least << input_.below(4);
    size_t size = 1 + input_.below(40);
    Parts first(size, input_);
    first.fill(0);
    require(writer_->offer(writes_.get(), first.list, first.count, capacity) ==
            static_cast<ssize_t>(size));
    require(reader_->accept(registry::Held(receive_offer(reads_.get()))));
    written_ = read_ = size;
    capacity_ = capacity;
    write(1 + input_.next());
    require(writer_->in_ring());
    unsigned char control[frame::control_size], expected[frame::control_size];
    frame::encode_ring(expected);
    require(recv(reads_.get(), control, sizeof control, 0) == sizeof control);
    require(std::memcmp(control, expected, sizeof control) == 0);
    require(reader_->enter(nullptr, 0) == 0);
  }

  // One of the ends, at most once inside a call of the other.
  static int act_inside(const char *) noexcept {
    if (!current->inside_ && current->input_.below(4) == 0) {
      current->inside_ = current->has_acted_inside_ = true;
      current->act(!current->writer_acts_);
      current->inside_ = false;
    }
    return 0;
  }

  void act(bool writer) {
    bool outer = !inside_;
    if (outer) {
      writer_acts_ = writer;
      has_acted_inside_ = false;
    }
    size_t what = input_.below(24);
    if (what < 18 || (what > 21 && !outer))
      writer ? write(size()) : read(size());
    else if (what < 22)
      writer ? leave_writer(what) : leave_reader(what);
    else if (what == 22)
      writer ? end_writer() : look();
    else if (input_.below(8) == 0)
      close_reader();
  }

  size_t size() {
    switch (input_.below(4)) {
    case 0:
      return 1 + input_.below(20);
    case 1:
      return 1 + input_.next() * capacity_ / 200;
    case 2:
      return std::max<size_t>(capacity_ + input_.below(3), 2) - 1;
    default:
      return 2 * capacity_ + input_.next();
    }
  }

  void write(size_t size) {
    if (ended_)
      return;
    Parts parts(size, input_);
    parts.fill(written_);
    writing_ = size;
    ssize_t moved =
        writer_->write(writes_.get(), parts.list, parts.count, true);
    writing_ = 0;
    writer_waits_ = moved == -EAGAIN;
    require(moved == -EAGAIN ||
            (moved > 0 && moved <= static_cast<ssize_t>(size)));
    written_ += moved > 0 ? static_cast<size_t>(moved) : 0;
    require(read_ <= written_);
  }

  void read(size_t size) {
    Parts parts(size, input_);
    ssize_t moved = -EAGAIN;
    if (!reader_->is_done()) {
      moved = reader_->read(reads_.get(), parts.list, parts.count);
      require(moved <= static_cast<ssize_t>(size));
    }
    if (moved == -EAGAIN && reader_->is_done())
      moved = receive(parts);
    reader_waits_ = moved == -EAGAIN;
    if (moved > 0) {
      auto got = static_cast<size_t>(moved);
      parts.require_stream(got, read_);
      read_ += got;
      require(read_ <= written_ + writing_);
    } else if (moved == 0) {
      require(ended_ && read_ == written_);
    } else {
      require(moved == -EAGAIN);
      if (writer_->in_ring() && !has_acted_inside_ && !inside_)
        require(read_ == written_);
    }
  }

  ssize_t receive(const Parts &parts) const {
    msghdr header{};
    header.msg_iov = const_cast<iovec *>(parts.list);
    header.msg_iovlen = static_cast<size_t>(parts.count);
    ssize_t size = recvmsg(reads_.get(), &header, MSG_DONTWAIT);
    return size >= 0 ? size : -errno;
  }

  void look() {
    bool ready = reader_->is_ready(reads_.get());
    if (reader_->in_ring() && writer_->in_ring() && !has_acted_inside_)
      require(ready || read_ == written_); // an end is seen by poll(2)
    reader_waits_ = !ready && reader_->in_ring();
  }

  void leave_writer(size_t what) {
    if (ended_)
      return;
    if (what == 20 && writer_->leave_idle(writes_.get()))
      require(!writer_->in_ring());
    if (what == 21)
      require(writer_->leave(writes_.get()) == 0 ||
              writer_->state() == Outgoing::State::leaving);
  }

  void leave_reader(size_t what) {
    if (what == 20 && reader_->leave_idle())
      require(!reader_->in_ring());
    if (what == 21 && !reader_->is_done()) {
      int result = reader_->leave(reads_.get());
      require(result == 0 || result == -EBUSY);
      require(result != 0 || reader_->is_done());
    }
    reader_waits_ = false; // it looks again before it waits
  }

  void end_writer() {
    if (ended_ || input_.below(8) != 0)
      return;
    require(shutdown(writes_.get(), SHUT_WR) == 0);
    ended_ = true;
    writer_waits_ = false;
  }

  void close_reader() {
    sys::fault = nullptr;
    bool in_ring = writer_->in_ring();
    reader_->close();
    reads_.reset();
    closed_ = true;
    if (ended_ || !in_ring)
      return;
    Parts parts(1, input_);
    require(writer_->write(writes_.get(), parts.list, parts.count, true) ==
            -EPIPE);
  }

  // An end that has found nothing to do is woken as soon as there is.
  void require_progress() const {
    if (reader_waits_ && (read_ < written_ || ended_))
      require(is_ready(reads_, POLLIN));
    if (writer_waits_ && writer_->in_ring() &&
        written_ - read_ <= capacity_ / 2)
      require(is_ready(writes_, POLLOUT));
  }

  void drain() {
    has_acted_inside_ = false;
    require_progress();
    for (int tries = 0; read_ < written_; ++tries) {
      require(tries < 10000);
      read(capacity_);
      require_progress();
    }
  }

  Input input_;
  Fd writes_, reads_;
  std::unique_ptr<Outgoing> writer_ = std::make_unique<Outgoing>();
  std::unique_ptr<Incoming> reader_ = std::make_unique<Incoming>();
  size_t capacity_ = 0;
  uint64_t written_ = 0, read_ = 0; // bytes of the stream
  size_t writing_ = 0;              // of the write that has not returned
  bool writer_waits_ = false, reader_waits_ = false; // found nothing to do
  bool ended_ = false;                               // the writer's end
  bool closed_ = false;                              // the reader was closed
  bool writer_acts_ = false, inside_ = false, has_acted_inside_ = false;
};

Ends *Ends::current;

} // namespace

void check_ends(Input input) { Ends(input).run(); }

} // namespace rings
