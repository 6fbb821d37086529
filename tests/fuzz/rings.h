// What the parts of fuzz_ring share: a stream of bytes, and buffers in parts.
#pragma once

#include "ring.h"
#include "support.h"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>
#include <vector>

namespace rings {

// A writer and a reader, of whose bytes and flags a model is kept.
void check_bytes(Input input);
// The two ends with their socket, each of which also acts inside the system
// calls of the other.
void check_ends(Input input);
// A peer that stores anything, between calls, inside them, and at every moment.
void attack_reader(Input input);
void attack_writer(Input input);
void race_reader(Input input);

// The memory of an offered ring, which comes with the first bytes of a stream.
gipc::Fd receive_offer(int socket);

// The byte of a stream at this place: no part of it looks like another.
inline unsigned char byte_at(uint64_t place) {
  return static_cast<unsigned char>(place * 0x9e3779b97f4a7c15u >> 56);
}

// Bytes in parts of any size, each of which ends where its memory does.
struct Parts {
  static constexpr int most = 3;

  Parts(size_t size, Input &input) {
    count = 1 + static_cast<int>(input.below(most));
    for (int i = 0; i < count; ++i) {
      size_t part = i + 1 == count ? size : size * input.next() / 256;
      memory[i].resize(part);
      list[i] = {memory[i].data(), part};
      size -= part;
    }
  }
  // As the bytes of a stream from this place on.
  void fill(uint64_t place) {
    for (int i = 0; i < count; ++i)
      for (unsigned char &byte : memory[i])
        byte = byte_at(place++);
  }
  // Calls check(byte) for the first ones.
  template <typename Check> void each(size_t size, Check &&check) const {
    for (int i = 0; i < count && size > 0; ++i)
      for (size_t k = 0; k < memory[i].size() && size > 0; ++k, --size)
        check(memory[i][k]);
    require(size == 0);
  }
  // Whether the first ones are those of a stream from this place on.
  void require_stream(size_t size, uint64_t place) const {
    each(size, [&](unsigned char byte) { require(byte == byte_at(place++)); });
  }

  int count;
  iovec list[most];
  std::vector<unsigned char> memory[most];
};

} // namespace rings
