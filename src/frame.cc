// The wire format of gipc_frame(5): one header and its payload.
#include "frame.h"

#include "gipc.h"

namespace gipc::frame {

namespace {

int decode_descriptors(const unsigned char *data, size_t available,
                       uint64_t *payload) noexcept {
  uint32_t count = load32(data) & ~with_descriptors;
  if (count == 0 || count > most_descriptors)
    return GIPC_EPROTOCOL;
  data += prefix_size;
  available -= prefix_size;
  // One prefix only.
  if (available > 0 && has_descriptors(data))
    return GIPC_EPROTOCOL;
  int header = decode(data, available, payload);
  return header > 0 ? header + static_cast<int>(prefix_size) : header;
}

} // namespace

int decode(const unsigned char *data, size_t available,
           uint64_t *payload) noexcept {
  if (available < short_header)
    return -EAGAIN;
  uint32_t first = load32(data);
  if (first <= short_limit) {
    *payload = first;
    return short_header;
  }
  if (has_descriptors(data))
    return decode_descriptors(data, available, payload);
  // -1 announces the long form; -2, control frames, has no types yet in this
  // version, and the other negative values are reserved.
  if (first != 0xffffffff)
    return GIPC_EPROTOCOL;
  if (available < long_header)
    return -EAGAIN;
  *payload = static_cast<uint64_t>(load32(data + 4)) << 32 | load32(data + 8);
  return long_header;
}

} // namespace gipc::frame
