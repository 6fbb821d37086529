// A hostile peer: any bytes, in any pieces, into an inbox.  What comes out must
// be what a parser that sees all bytes at once finds in them. (H58, H63, H64)
#include "frame.h"
#include "gipc.h"
#include "inbox.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

using gipc::Inbox;
using gipc::View;

namespace {

constexpr size_t limit = 1 << 20;

void require(bool condition) {
  if (!condition)
    std::abort();
}

uint64_t load(const uint8_t *data, size_t size) {
  uint64_t value = 0;
  for (; size > 0; --size)
    value = value << 8 | *data++;
  return value;
}

// As gipc_frame(5) has it, and not by the library's own parser: the size of a
// header and of its payload, -EAGAIN, or GIPC_EPROTOCOL.
int decode(const uint8_t *data, size_t size, uint64_t *payload) {
  if (size < 4)
    return -EAGAIN;
  uint64_t first = load(data, 4);
  *payload = first;
  if (first < 0x80000000)
    return 4;
  if (first == 0xffffffff) {
    if (size < 12)
      return -EAGAIN;
    *payload = load(data + 4, 8);
    return 12;
  }
  if (first >> 29 != 4) // no prefix of descriptors
    return GIPC_EPROTOCOL;
  // Number of descriptors that the handles before the first gap need.
  constexpr int needed_by[] = {0, 1, 1, 1, 2, 2, 2, 3};
  int needed = 0, count = first & 0xff;
  bool gap = false;
  for (uint64_t kinds = first >> 8 & 0x1fffff; kinds != 0; kinds >>= 3) {
    gap |= (kinds & 7) == 0;
    needed += needed_by[kinds & 7];
  }
  if (gap || count == 0 || count > 253 || needed > count ||
      (size > 4 && data[4] >> 5 == 4))
    return GIPC_EPROTOCOL;
  int header = decode(data + 4, size - 4, payload);
  return header > 0 ? 4 + header : header;
}

// Puts the next piece of the stream where the inbox wants it.
size_t feed(Inbox &inbox, const uint8_t *data, size_t size) {
  iovec areas[2];
  int count = inbox.prepare(areas);
  require(count > 0);
  size_t fed = 0;
  for (int i = 0; i < count && fed < size; ++i) {
    size_t part = std::min(areas[i].iov_len, size - fed);
    std::memcpy(areas[i].iov_base, data + fed, part);
    fed += part;
  }
  inbox.commit(fed);
  return fed;
}

// Number of headers with descriptors that begin in these bytes.
size_t count_with_descriptors(const uint8_t *data, size_t size) {
  size_t count = 0;
  while (size > 0) {
    uint64_t payload = 0;
    int header = decode(data, size, &payload);
    count += (data[0] & 0xe0) == 0x80 ? 1 : 0;
    if (header < 0 || payload > size - static_cast<size_t>(header))
      break;
    data += static_cast<size_t>(header) + payload;
    size -= static_cast<size_t>(header) + payload;
  }
  return count;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  size_t piece = 1 + data[0];
  bool into_callers_memory = (data[1] & 1) != 0;
  ++data, ++data, size -= 2;
  Inbox inbox;
  std::vector<unsigned char> memory(limit);
  size_t received = 0, parsed = 0;
  for (;;) {
    View view{};
    int result;
    if (into_callers_memory) {
      if (inbox.descriptors() != 0)
        inbox.end_descriptors();
      result = inbox.next_into(limit, memory.data(), limit, view.size);
      view.data = memory.data();
    } else {
      result = inbox.next(limit, view);
    }
    uint64_t expected = 0;
    int header = decode(data + parsed, received - parsed, &expected);
    if (header > 0 && expected > limit)
      header = GIPC_ETOOBIG;
    if (result == Inbox::after_descriptors) {
      require(inbox.descriptors() != 0);
      inbox.end_descriptors();
      continue;
    }
    uint32_t descriptors =
        header > 0 ? gipc::frame::attached(data + parsed) : 0;
    if (result == Inbox::with_descriptors) {
      require(descriptors != 0 && inbox.descriptors() == descriptors);
      result = 0;
    } else {
      require(result != 0 || descriptors == 0);
    }
    if (result == 0) {
      require(header > 0 && view.size == expected);
      parsed += static_cast<size_t>(header);
      require(view.size <= received - parsed);
      require(view.size == 0 ||
              std::memcmp(view.data, data + parsed, view.size) == 0);
      parsed += view.size;
      require(inbox.count_with_descriptors() ==
              count_with_descriptors(data + parsed, received - parsed));
      continue;
    }
    if (result != -EAGAIN) {
      require(result == header);
      require(inbox.next(limit, view) == result);
      return 0;
    }
    require(header == -EAGAIN ||
            (header > 0 &&
             expected > received - parsed - static_cast<size_t>(header)));
    if (received == size)
      break;
    received += feed(inbox, data + received, std::min(piece, size - received));
  }
  require(inbox.at_boundary() == (parsed == size));
  require(inbox.end_borrow() == 0);
  return 0;
}
