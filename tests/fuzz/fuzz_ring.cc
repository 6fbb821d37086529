// A hostile peer of a ring: any index, flag and byte on the socket, at any
// moment.  A call returns, with bytes or an error, and touches nothing beside
// its memory, which lies between inaccessible pages. (H58)
#include "frame.h"
#include "gipc.h"
#include "incoming.h"
#include "os.h"
#include "outgoing.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <sys/mman.h>
#include <sys/socket.h>

using namespace gipc;

namespace {

constexpr size_t capacity = RingMemory::least;

void require(bool condition) {
  if (!condition)
    std::abort();
}

void guard(RingPage *page) {
  char *begin = reinterpret_cast<char *>(page);
  for (char *at :
       {begin - RingMemory::header, begin + RingMemory::header + capacity})
    // It may be in use by something else already.
    (void)mmap(at, RingMemory::header, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

struct Bytes {
  const uint8_t *data;
  size_t size;
  uint8_t next() {
    if (size == 0)
      return 0;
    --size;
    return *data++;
  }
  uint32_t index() {
    uint32_t value = next();
    // Near, and anywhere.
    return value < 128 ? value * 67 : value << 24 | next() << 12 | next();
  }
};

// The peer's end of the socket, and its mapping.
struct Peer {
  void act(Bytes &input) {
    unsigned char bytes[1200] = {};
    switch (input.next() % 11) {
    case 0:
      page().head.store(input.index());
      break;
    case 1:
      page().tail.store(input.index());
      break;
    case 2:
      page().head.fetch_add(input.next() * 33);
      break;
    case 3:
      page().reader.store(input.next() % 5);
      break;
    case 4:
      page().writer_waits.store(input.next() % 3);
      break;
    case 5:
      page().offer.store(input.next() % 6);
      break;
    case 6:
      page().closed.store(input.next() % 32 == 0 ? 1 : 0);
      break;
    case 7:
      for (size_t i = 0; i < 8; ++i)
        bytes[input.next() % sizeof bytes] = input.next() % 3;
      (void)send(fd.get(), bytes, 1 + input.next() * 4,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
      break;
    case 8:
      (void)recv(fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
      break;
    // As a good peer, without which no index passes the end of the memory.
    case 9:
      page().tail.store(page().head.load());
      break;
    default:
      page().head.store(page().tail.load() + input.next() * 17);
    }
  }
  RingPage &page() { return memory.page(); }
  Fd fd;
  RingMemory memory;
};

struct Pair {
  Pair() {
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    victim.reset(ends[0]);
    peer.fd.reset(ends[1]);
  }
  Fd victim;
  Peer peer;
};

void attack_reader(Bytes input) {
  Pair pair;
  auto reader = std::make_unique<Incoming>();
  Fd memory;
  require(pair.peer.memory.create(capacity, memory) == 0);
  require(reader->accept(registry::Held(std::move(memory))));
  guard(&pair.peer.page());
  unsigned char rest[16];
  for (size_t i = 0; i < sizeof rest; ++i)
    rest[i] = input.next() % 3 == 0 ? input.next() % 3 : 0;
  if (reader->enter(rest, sizeof rest) != 0)
    return;
  static unsigned char buffer[9000];
  while (input.size > 0) {
    if (input.next() % 2 != 0)
      pair.peer.act(input);
    size_t size = 1 + input.next() * 35;
    iovec parts[2] = {{buffer, size / 2}, {buffer + size / 2, size - size / 2}};
    ssize_t got = reader->read(pair.victim.get(), parts, 2);
    require(got <= static_cast<ssize_t>(size));
    (void)reader->is_ready(pair.victim.get());
    (void)reader->held();
    if (reader->is_done() || (got < 0 && got != -EAGAIN))
      break;
    if (input.next() == 77)
      (void)reader->leave(pair.victim.get());
  }
}

void attack_writer(Bytes input) {
  Pair pair;
  auto writer = std::make_unique<Outgoing>();
  writer->insist();
  static unsigned char buffer[9000];
  iovec one{buffer, 10};
  require(writer->offer(pair.victim.get(), &one, 1, capacity) == 10);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  char bytes[64];
  iovec into{bytes, sizeof bytes};
  msghdr header{};
  header.msg_iov = &into;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  require(recvmsg(pair.peer.fd.get(), &header, 0) == 10);
  int memory;
  std::memcpy(&memory, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof memory);
  require(pair.peer.memory.open(memory) == 0);
  close(memory);
  guard(&pair.peer.page());
  pair.peer.page().offer.store(RingPage::accepted);
  while (input.size > 0) {
    if (input.next() % 2 != 0)
      pair.peer.act(input);
    size_t size = 1 + input.next() * 35;
    iovec parts[2] = {{buffer, size / 2}, {buffer + size / 2, size - size / 2}};
    ssize_t put =
        writer->write(pair.victim.get(), parts, 2, input.next() % 2 == 0);
    require(put <= static_cast<ssize_t>(size));
    if (put < 0 && put != -EAGAIN)
      break;
    if (input.next() == 77)
      (void)writer->leave(pair.victim.get());
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0 || !os::has_shared_memory)
    return 0;
  (data[0] % 2 == 0 ? attack_reader : attack_writer)({data + 1, size - 1});
  return 0;
}
