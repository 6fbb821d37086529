// The wire format of gipc_frame(5): one header and its payload.  No I/O.
//
// The format is that of Python's multiprocessing.connection.Connection.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gipc::frame {

constexpr size_t short_header = 4;
constexpr size_t long_header = 12;
constexpr uint64_t short_limit = 0x7fffffff;

inline uint32_t load32(const unsigned char *data) noexcept {
  uint32_t value;
  std::memcpy(&value, data, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  return value;
}

inline void store32(unsigned char *data, uint32_t value) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  std::memcpy(data, &value, sizeof value);
}

inline size_t header_size(uint64_t payload) noexcept {
  return payload <= short_limit ? short_header : long_header;
}

// Stores the header of a payload of this size, and returns the header's size.
inline size_t encode(uint64_t payload, unsigned char *out) noexcept {
  if (payload <= short_limit) {
    store32(out, static_cast<uint32_t>(payload));
    return short_header;
  }
  store32(out, 0xffffffff);
  store32(out + 4, static_cast<uint32_t>(payload >> 32));
  store32(out + 8, static_cast<uint32_t>(payload));
  return long_header;
}

// Decodes a header from the available bytes: stores *payload, and returns the
// header's size.  -EAGAIN: more bytes are needed.  GIPC_EPROTOCOL: a reserved
// value.
int decode(const unsigned char *data, size_t available,
           uint64_t *payload) noexcept;

} // namespace gipc::frame
