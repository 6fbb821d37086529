// fuzz_ring: one end of a ring whose peer stores any index, flag and byte, and
// sends and receives anything: between calls, inside the system calls of the
// victim, and in another thread at every moment.  A call moves bytes of the
// ring, at the place where this end is, or is an error; and it returns.
#include "rings.h"

#include "gipc.h"
#include "incoming.h"
#include "outgoing.h"
#include "sys.h"

#include <atomic>
#include <cerrno>
#include <memory>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

namespace rings {
namespace {

using namespace gipc;

constexpr size_t capacity = RingMemory::least;
constexpr size_t largest = 3 * capacity; // of a read or write

// No access beside the memory, where nothing else is there.
void guard(RingPage *page) {
  char *begin = reinterpret_cast<char *>(page);
  for (char *at :
       {begin - RingMemory::header, begin + RingMemory::header + capacity})
    (void)mmap(at, RingMemory::header, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

uint32_t index_from(Input &input) {
  uint32_t value = input.next();
  // Near, and anywhere.
  return value < 128 ? value * 67
                     : value << 24 | static_cast<uint32_t>(input.next() << 12) |
                           input.next();
}

// The peer's end of the socket, and its mapping.
struct Peer {
  explicit Peer(const Input &bytes) : input(bytes) {
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    victim.reset(ends[0]);
    fd.reset(ends[1]);
    current = this;
  }
  ~Peer() { sys::fault = nullptr; }
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;

  RingPage &page() { return memory.page(); }
  void act();
  // Before a call of the victim, which then makes a bounded number of calls.
  void begin_call() {
    if (input.next() % 2 != 0)
      act();
    calls = 0;
    sys::fault = act_inside;
  }
  void end_call() { sys::fault = nullptr; }
  size_t size() { return 1 + input.next() * largest / 256; }

  static int act_inside(const char *) noexcept {
    require(++current->calls < 1000);
    if (current->input.below(3) == 0)
      current->act();
    return 0;
  }
  static Peer *current;

  Input input;
  Fd victim, fd;
  RingMemory memory;
  int calls = 0;
};

Peer *Peer::current;

void Peer::act() {
  unsigned char bytes[1200] = {};
  switch (input.below(12)) {
  case 0:
    page().head = index_from(input);
    break;
  case 1:
    page().tail = index_from(input);
    break;
  case 2:
    page().head += input.next() * 33u;
    break;
  case 3:
    page().reader = input.next() % 5;
    break;
  case 4:
    page().writer_waits = input.next() % 3;
    break;
  case 5:
    page().offer = input.next() % 6;
    break;
  case 6:
    page().closed = input.next() % 32 == 0 ? 1 : 0;
    break;
  case 7:
    for (size_t i = 0; i < 8; ++i)
      bytes[input.next() % sizeof bytes] = input.next() % 3;
    (void)send(fd.get(), bytes, 1 + input.next() * 4u,
               MSG_DONTWAIT | MSG_NOSIGNAL);
    break;
  case 8:
    (void)recv(fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    break;
  // As a good peer, without which no index passes the end of the memory.
  case 9:
    page().tail = page().head.load();
    break;
  case 10:
    page().head = page().tail + capacity + input.next() % 3 - 1;
    break;
  default:
    page().head = page().tail + input.next() * 17u;
  }
}

// A reader that has accepted a ring, in whose memory each byte is known.
struct Reader {
  explicit Reader(Peer &peer_of_it) : peer(peer_of_it) {
    Fd memory;
    require(peer.memory.create(capacity, memory) == 0);
    require(incoming->accept(registry::Held(std::move(memory))));
    guard(&peer.page());
    for (size_t i = 0; i < capacity; ++i)
      peer.memory.bytes()[i] = byte_at(i);
  }
  // False: its stream has ended.
  bool read(size_t size) {
    Parts parts(size, peer.input);
    peer.begin_call();
    ssize_t got = incoming->read(peer.victim.get(), parts.list, parts.count);
    peer.end_call();
    require(got <= static_cast<ssize_t>(size));
    if (got > 0 && incoming->in_ring()) {
      require(got <= static_cast<ssize_t>(capacity));
      parts.each(static_cast<size_t>(got), [&](unsigned char byte) {
        require(byte == byte_at(tail++ % capacity));
      });
    }
    return !incoming->is_done() && (got >= 0 || got == -EAGAIN);
  }

  Peer &peer;
  std::unique_ptr<Incoming> incoming = std::make_unique<Incoming>();
  uint32_t tail = 0;
};

} // namespace

void attack_reader(Input input) {
  Peer peer(input);
  Reader reader(peer);
  unsigned char rest[16];
  for (unsigned char &byte : rest)
    byte = peer.input.next() % 3 == 0 ? peer.input.next() % 3 : 0;
  if (reader.incoming->enter(rest, sizeof rest) != 0)
    return;
  while (!peer.input.at_end() && reader.read(peer.size())) {
    peer.begin_call();
    (void)reader.incoming->is_ready(peer.victim.get());
    (void)reader.incoming->held();
    (void)reader.incoming->unread();
    size_t what = peer.input.below(32);
    if (what == 0)
      (void)reader.incoming->leave(peer.victim.get());
    else if (what == 1)
      (void)reader.incoming->leave_idle();
    peer.end_call();
  }
}

void attack_writer(Input input) {
  Peer peer(input);
  auto writer = std::make_unique<Outgoing>();
  Parts first(10, peer.input);
  first.fill(0);
  require(writer->offer(peer.victim.get(), first.list, first.count, capacity) ==
          10);
  require(peer.memory.open(receive_offer(peer.fd.get()).get()) == 0);
  guard(&peer.page());
  peer.page().offer = RingPage::accepted;
  uint32_t head = 0;
  std::vector<unsigned char> memory(capacity);
  while (!peer.input.at_end()) {
    size_t size = peer.size();
    Parts parts(size, peer.input);
    parts.fill(head);
    bool at_message = peer.input.next() % 2 == 0;
    peer.begin_call();
    ssize_t put =
        writer->write(peer.victim.get(), parts.list, parts.count, at_message);
    peer.end_call();
    require(put <= static_cast<ssize_t>(size));
    if (put > 0 && writer->in_ring()) {
      require(put <= static_cast<ssize_t>(capacity));
      for (ssize_t i = 0; i < put; ++i, ++head)
        memory[head % capacity] = byte_at(head);
      require(std::memcmp(memory.data(), peer.memory.bytes(), capacity) == 0);
    }
    if (put < 0 && put != -EAGAIN)
      break;
    size_t what = peer.input.below(64);
    peer.begin_call();
    if (what == 0)
      (void)writer->leave(peer.victim.get());
    else if (what == 1)
      (void)writer->leave_idle(peer.victim.get());
    peer.end_call();
  }
}

// ---- At every moment --------------------------------------------------------

namespace {

struct Storm {
  RingPage &page;
  uint32_t unread[8]; // of which the last cannot be
  std::atomic<bool> begun{false}, ended{false};
};

void *store_always(void *argument) {
  auto &storm = *static_cast<Storm *>(argument);
  for (size_t i = 0; !storm.ended; ++i) {
    storm.page.head = storm.page.tail + storm.unread[i % 8];
    storm.page.writer_waits = i % 2;
    storm.begun = true;
  }
  return nullptr;
}

} // namespace

// An index that is loaded twice has two values.
void race_reader(Input input) {
  Peer peer(input);
  Reader reader(peer);
  require(reader.incoming->enter(nullptr, 0) == 0);
  Storm storm{peer.page(), {}};
  for (uint32_t &unread : storm.unread)
    unread = 1 + peer.input.next() * 16;
  storm.unread[7] = index_from(peer.input) | (capacity + 1);
  pthread_t thread;
  require(pthread_create(&thread, nullptr, store_always, &storm) == 0);
  while (!storm.begun)
    sched_yield();
  int reads = 0;
  while (++reads < 200 && reader.read(peer.size()))
    ;
  storm.ended = true;
  require(pthread_join(thread, nullptr) == 0);
}

} // namespace rings
