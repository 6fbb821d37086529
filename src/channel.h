// One direction of a handle: owns a descriptor, and reads or writes it.
//
// O_NONBLOCK belongs to the open file description, which other processes may
// share, so it is never set.  Sockets support MSG_DONTWAIT per call; for pipes
// and files RWF_NOWAIT does the same; where the kernel or a tty supports
// neither, a call moves no more bytes than poll(2) guarantees.
//
// Between two handles on one machine the bytes may go through a ring in shared
// memory; the socket says then when to read or write (outgoing.h, incoming.h).
#pragma once

#include "descriptors.h"
#include "fd.h"
#include "incoming.h"
#include "outgoing.h"
#include "relaxed.h"
#include "this_process.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <poll.h>
#include <pthread.h>
#include <sys/types.h>
#include <sys/uio.h>

namespace gipc {

// Until identify() is called, a channel is treated as a local socket.
class Channel final : private RingUser {
public:
  Channel() noexcept;

  // A lock that is not waited for: the thread that uses the channel.  A writer
  // has it for each call; a reader for what it does in a ring, because another
  // thread may leave an idle one.
  bool begin_use() noexcept {
    return __builtin_expect(try_use(), 1) || begin_use_after_leaving();
  }
  void end_use() noexcept {
    user_.store(pthread_t{}, std::memory_order_release);
  }
  bool is_used_by_this_thread() const noexcept {
    return pthread_equal(user_.load(std::memory_order_relaxed),
                         pthread_self()) != 0;
  }

  // Finds out how to read or write fd.  -EBADF, or -EINVAL for a socket that
  // keeps message boundaries.
  int identify(int fd) noexcept;
  // Takes ownership of fd.
  void open(Fd fd) noexcept { fd_ = std::move(fd); }
  bool is_open() const noexcept { return static_cast<bool>(fd_); }
  int fd() const noexcept { return fd_.get(); }

  // Returns the number of bytes moved, -EAGAIN or another error.  0 from read()
  // is the end of the stream.
  ssize_t read(const iovec *parts, int count) noexcept;
  ssize_t write(const iovec *parts, int count) noexcept;
  // The same for at most 64 KiB while writes_ring() is true.
  ssize_t write_small(const iovec *parts, int count) noexcept {
    return send(parts, count);
  }
  // The same for bytes that begin a message with these descriptors, which goes
  // through the socket.
  ssize_t write_with(const iovec *parts, int count, const int *fds,
                     size_t fd_count) noexcept;
  // The same, but waits in the kernel, where the thread may be cancelled.
  // -EAGAIN: this descriptor or system does not support that.  *moved as in
  // os.h.
  int write_waiting(const iovec *parts, int count, volatile ssize_t *moved);
  int read_waiting(const iovec *parts, int count, volatile ssize_t *moved);
  // Whether read_waiting() is supported.
  bool read_waits() const noexcept;
  // What to poll for when read() or write() returned -EAGAIN, and only then: a
  // ring that is not empty does not make the socket readable.
  pollfd to_read() const noexcept { return {fd(), POLLIN, 0}; }
  pollfd to_write() const noexcept { return {fd(), POLLOUT, 0}; }
  // An AF_UNIX socket, pipe or file.  A reset by a closing AF_UNIX peer is
  // reported after all that the peer sent.
  bool is_local() const noexcept { return local_; }

  // For any thread, under the registry's lock: GIPC_TRANSPORT_RING, _SOCKET,
  // _NETWORK or _PIPE, or 0; and the bytes that a read would return, as far as
  // that can be asked.
  int medium() const noexcept;
  size_t unread() const noexcept;
  void set_handle(uint64_t id) noexcept { handle_id = id; }

  // ---- Descriptors
  // Whether the peer takes descriptors.  is_ours: it is a handle of this
  // library.
  bool carries_descriptors(bool is_ours) const noexcept;
  // Of the reader: says so to the peer now, and not after some reads.
  void announce_now() noexcept;
  // Of the reader, after each read: descriptors came with bytes since.  They
  // are those of a message, or an offer.
  bool has_descriptors() const noexcept {
    return came_ != nullptr || starved_ ||
           (in_ != nullptr && in_->has_descriptors());
  }
  // nullptr: there was no memory for them.
  std::unique_ptr<Descriptors> take_descriptors() noexcept;

  // ---- The ring
  // gipc_set_transport(): -EOPNOTSUPP; -EBUSY: bytes are still in the ring.
  int set_transport(int transport) noexcept;
  // GIPC_TRANSPORT_RING while the bytes go through a ring.
  int transport() const noexcept;
  bool in_ring() const noexcept {
    return (in_ != nullptr && in_->in_ring()) ||
           (out_ != nullptr && out_->in_ring());
  }
  bool writes_ring() const noexcept {
    return out_ != nullptr && out_->in_ring();
  }
  // Of the reader.  Without them a read would drain the socket, which a wait in
  // the kernel does as well.
  bool has_bytes_in_ring() noexcept {
    if (in_ == nullptr)
      return false;
    Use use(*this);
    return in_->has_bytes_in_ring();
  }
  // Of the writer: all messages are written, so the next byte begins one.
  void end_message() noexcept { at_message_ = true; }
  // Of the reader, after each read: an offer that came with the bytes is
  // accepted.  All bytes read before have been looked at for a control frame.
  void look_at_offer() noexcept;
  // Whether a control frame is due, behind which at most so many bytes may be
  // read; and what it does, with the bytes that were read behind it.
  bool awaits_control() const noexcept {
    return in_ != nullptr && in_->state() == Incoming::State::accepted;
  }
  static constexpr size_t most_behind = Incoming::most_behind;
  int enter_ring(const unsigned char *behind, size_t size) noexcept;
  // Whether read() would return something although the descriptor may not be
  // readable.  If not, it is as if read() had returned -EAGAIN.
  bool is_ready() noexcept {
    if (__builtin_expect(in_ == nullptr, 1))
      return false;
    Use use(*this);
    return in_->is_ready(fd());
  }
  // The number of received bytes that are not in the socket.
  size_t held() const noexcept { return in_ != nullptr ? in_->held() : 0; }
  // Whether the next bytes may be in memory, which does not make the descriptor
  // readable: in a ring, or received behind its mark.
  bool reads_memory() const noexcept { return in_ring() || held() > 0; }
  // Bells rung by a writer, or times that a reader waited for one; and times
  // that a writer found the ring full.
  uint64_t bells() const noexcept;
  uint64_t stalls() const noexcept;

  // Goes back to the socket, so that any process can use it.  0 or -EBUSY.
  int leave_ring() noexcept;
  // Before a program child gets the descriptor by a name: the writer goes back
  // to the socket; memory is the descriptor that it needs to read on, or -1.
  int prepare_exec(int &memory) noexcept;
  // In that program.  Takes ownership of memory if it returns 0.  Throws
  // bad_alloc.
  int resume_ring(int memory);
  // The descriptor that a function child may keep for this, or -1.
  int descriptor_of_memory() const noexcept {
    return in_ != nullptr ? in_->descriptor_of_memory() : -1;
  }
  // Before and after a fork that passes the channel.
  int keep_at_fork(bool on) noexcept;
  // The ring belongs to another process now.
  void hand_over_ring() noexcept;

  // Makes the peer read the end of the stream, even if other processes have
  // copies of the descriptor.
  void end_writing() noexcept;
  void close() noexcept;
  // Does not close the number, which may mean another file in this process.
  void forget() noexcept;
  // In a child that the channel was passed to.  moved is the descriptor to use
  // instead, if it is open.
  void arrive_in_child(registry::Held &moved, bool kept_memory) noexcept;
  // In a child whose setup failed.
  void close_in_child() noexcept;

  // Counters of this direction.  bytes() may be called in any thread.
  // Of the ring no call is a system call, except those that it counts.
  uint64_t calls() const noexcept { return calls_ + bells() + stalls(); }
  uint64_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed);
  }
  void count(ssize_t moved) noexcept {
    calls_ += in_ring() ? 0 : 1;
    if (moved > 0)
      bytes_.store(bytes() + static_cast<uint64_t>(moved),
                   std::memory_order_relaxed);
  }

private:
  enum class Way { socket, flags, now, polled };
  // Of a reader.  What two threads do at once with one handle, or a signal
  // handler inside a call, is the program's error as it is without a ring.
  class Use {
  public:
    explicit Use(Channel &channel) noexcept
        : channel_(channel), held_(channel.begin_use()) {}
    ~Use() {
      if (held_)
        channel_.end_use();
    }
    Use(const Use &) = delete;
    Use &operator=(const Use &) = delete;

  private:
    Channel &channel_;
    bool held_;
  };

  bool try_use() noexcept {
    pthread_t none{};
    return user_.compare_exchange_strong(none, pthread_self(),
                                         std::memory_order_acquire);
  }
  bool begin_use_after_leaving() noexcept;
  bool leave_idle() noexcept override;
  int read_ring_waiting(const iovec *parts, int count, volatile ssize_t *moved,
                        bool &done);
  ssize_t receive(const iovec *parts, int count) noexcept;
  ssize_t receive_plain(const iovec *parts, int count) noexcept;
  ssize_t send(const iovec *parts, int count) noexcept;
  int receive_waiting(const iovec *parts, int count, volatile ssize_t *moved);
  void keep(const os::Received &came) noexcept;
  int leave_for_descriptors() noexcept;
  void want(int transport) noexcept;
  void announce() noexcept;
  bool offers(const iovec *parts, int count, size_t &capacity) noexcept;
  void end_in() noexcept;
  void end_out() noexcept;
  void end_offer() noexcept;

  std::atomic<pthread_t> user_{};
  registry::Held fd_;
  Relaxed<Way> way_ = Way::socket;
  bool local_ = true;
  // The error that read() returns when no more bytes are there.
  int early_error_ = 0;
  uint64_t calls_ = 0;
  std::atomic<uint64_t> bytes_{0};

  // Either is null until there is an offer.
  std::unique_ptr<Incoming> in_;
  std::unique_ptr<Outgoing> out_;
  std::unique_ptr<Descriptors> came_; // with the last bytes
  bool starved_ = false;              // true if there was no memory for them
  int wanted_;
  bool announced_ = false; // true after the reader has tried
  bool at_message_ = true;
  uint64_t next_look_; // number of calls after which the writer may offer
  uint64_t bells_ = 0, stalls_ = 0; // of rings before
};

} // namespace gipc
