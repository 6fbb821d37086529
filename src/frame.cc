// The wire format of gipc_frame(5): one header and its payload.
#include "frame.h"

#include "gipc.h"

namespace gipc::frame {

namespace {

// The handles come without a gap, and there are descriptors for them.
bool is_valid(uint32_t attached) noexcept {
  uint32_t needed = 0;
  for (size_t i = 0; i < most_handles; ++i) {
    Kind kind = kind_of(attached, i);
    if (kind != no_handle && i > 0 && kind_of(attached, i - 1) == no_handle)
      return false;
    needed += descriptors_of(kind);
  }
  uint32_t count = count_of(attached);
  return count > 0 && count <= most_descriptors && needed <= count;
}

int decode_descriptors(const unsigned char *data, size_t available,
                       uint64_t *payload) noexcept {
  if (!is_valid(attached(data)))
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
