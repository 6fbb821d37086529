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

// Before the header of a message with descriptors: what they are, with the
// first of these bits.  The three bits begin no other header, so that a reader
// which has only a part of it knows that the descriptors which came are those
// of a message.
constexpr uint32_t with_descriptors = 0x80000000;
constexpr uint32_t prefix_bits = 0xe0000000;
constexpr size_t prefix_size = 4;
constexpr uint32_t most_descriptors = 253;

// What the descriptors of a message are: their number in 8 bits, and from bit 8
// on, in 3 bits each, the handles, whose descriptors come first.
constexpr size_t most_handles = 7;
enum Kind : uint32_t {
  no_handle,
  reader,
  writer,
  duplex, // both directions have one descriptor
  reader_in_ring,
  duplex_in_ring,
  streams,
  streams_in_ring
};
inline uint32_t count_of(uint32_t attached) noexcept { return attached & 0xff; }
inline Kind kind_of(uint32_t attached, size_t handle) noexcept {
  return static_cast<Kind>(attached >> (8 + 3 * handle) & 7);
}
inline bool is_in_ring(Kind kind) noexcept {
  return kind == reader_in_ring || kind == duplex_in_ring ||
         kind == streams_in_ring;
}
// Of a handle: what it reads, what it writes if that is another one, and the
// memory of a ring.
inline uint32_t descriptors_of(Kind kind) noexcept {
  uint32_t directions = kind == no_handle                            ? 0
                        : kind == streams || kind == streams_in_ring ? 2
                                                                     : 1;
  return directions + (is_in_ring(kind) ? 1 : 0);
}
constexpr size_t longest_header = prefix_size + long_header;

// A control frame: -2, a type, the length of a body.
constexpr uint32_t control = 0xfffffffe;
constexpr size_t control_size = 12;
// From this control frame on the stream is in the ring that was offered.
constexpr uint32_t control_ring = 1;
// What the socket has meanwhile: bells and fillers; after the mark, the stream.
constexpr unsigned char door_bell = 0;
constexpr unsigned char door_mark = 1;

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

// The same for a message with descriptors; 0: without.
inline size_t encode(uint64_t payload, uint32_t attached,
                     unsigned char *out) noexcept {
  if (attached == 0)
    return encode(payload, out);
  store32(out, with_descriptors | attached);
  return prefix_size + encode(payload, out + prefix_size);
}

inline size_t header_size(uint64_t payload, uint32_t attached) noexcept {
  return header_size(payload) + (attached > 0 ? prefix_size : 0);
}

// Whether data is the begin of the header of a message with descriptors.
inline bool has_descriptors(const unsigned char *data) noexcept {
  return (data[0] & prefix_bits >> 24) == with_descriptors >> 24;
}

inline void encode_ring(unsigned char *out) noexcept {
  store32(out, control);
  store32(out + 4, control_ring);
  store32(out + 8, 0);
}

// Decodes a header from the available bytes: stores *payload, and returns the
// header's size.  -EAGAIN: more bytes are needed.  GIPC_EPROTOCOL: a reserved
// value.
int decode(const unsigned char *data, size_t available,
           uint64_t *payload) noexcept;
// Of a header that decode() has returned: what its descriptors are, or 0.
inline uint32_t attached(const unsigned char *data) noexcept {
  return has_descriptors(data) ? load32(data) & ~with_descriptors : 0;
}

} // namespace gipc::frame
