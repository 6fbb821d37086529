// fuzz_calls: the messages of a stream, each of which can be told from all
// others, and what one end of a pipe has put.
#include "calls.h"

#include <cstring>

namespace calls {

// ---- Messages ---------------------------------------------------------------

namespace {

constexpr size_t header = 2 * sizeof(uint64_t);

size_t size_of(uint64_t id, uint64_t number) {
  uint64_t mixed = (id * 31 + number) * 0x9e3779b97f4a7c15u >> 40;
  uint64_t more = mixed / 16;
  switch (mixed % 16) {
  case 0:
  case 1: // more than many a pipe holds
    return header + more * 37 % (largest - header);
  case 2:
  case 3: // around the size from which a message is not copied
    return header + 3500 + more % 1000;
  default:
    return header + more % 200;
  }
}

} // namespace

std::vector<uint8_t> make(const Stream &stream, uint64_t number) {
  std::vector<uint8_t> bytes(size_of(stream.id, number),
                             static_cast<uint8_t>(stream.id + number));
  std::memcpy(bytes.data(), &stream.id, sizeof stream.id);
  std::memcpy(bytes.data() + sizeof stream.id, &number, sizeof number);
  return bytes;
}

void check_next(Stream &stream, const void *data, size_t size) {
  std::vector<uint8_t> expected = make(stream, stream.got);
  require(size == expected.size() &&
          std::memcmp(data, expected.data(), size) == 0);
  ++stream.got;
}

// ---- Ends of pipes ----------------------------------------------------------

size_t Slot::queued() const {
  size_t bytes = 0;
  return gipc_pending(h, GIPC_WRITE, &bytes) == 0 ? bytes : 0;
}

void Slot::put(size_t count, int result) {
  out().put += count;
  out().lossy |= result == -EPIPE;
  if (result == -ECANCELED || result == -EINPROGRESS)
    may_be_cancelled = false;
}

void Slot::require_all_or_nothing(int result, size_t size,
                                  size_t before) const {
  constexpr size_t longest_header = 16;
  size_t after = queued();
  if (result == -EINPROGRESS)
    require(after > 0 && after < size + longest_header);
  else if (result != 0 && is_open(GIPC_WRITE))
    require(after <= before);
}

void Slot::begin(gipc_handle *handle) {
  h = handle;
  started = may_be_cancelled = ended = false;
  limit = GIPC_DEFAULT_LIMIT;
}

} // namespace calls
