// The wire format of gipc_frame(5): encoding, decoding, reserved lengths.
#include "support.h"

#include "frame.h"

#include <initializer_list>

using namespace gipc;

namespace {

int decode(const unsigned char *bytes, size_t size, uint64_t *payload) {
  return frame::decode(bytes, size, payload);
}

void a_short_header_is_the_length_most_significant_byte_first(void **) {
  unsigned char out[frame::long_header];
  assert_int_equal(frame::encode(5, out), 4);
  assert_memory_equal(out, "\0\0\0\5", 4);
  assert_int_equal(frame::encode(0x01020304, out), 4);
  assert_memory_equal(out, "\1\2\3\4", 4);
  assert_int_equal(frame::encode(0, out), 4); /* H84 */
  assert_memory_equal(out, "\0\0\0\0", 4);
}

void the_long_form_begins_at_two_to_the_31(void **) { /* H62 */
  unsigned char out[frame::long_header];
  assert_int_equal(frame::encode(0x7fffffff, out), 4);
  assert_memory_equal(out, "\x7f\xff\xff\xff", 4);
  assert_int_equal(frame::encode(0x80000000, out), 12);
  assert_memory_equal(out, "\xff\xff\xff\xff\0\0\0\0\x80\0\0\0", 12);
  assert_int_equal(frame::encode(UINT64_C(0x0102030405060708), out), 12);
  assert_memory_equal(out, "\xff\xff\xff\xff\1\2\3\4\5\6\7\x8", 12);
}

void header_size_is_what_encode_writes(void **) {
  unsigned char out[frame::long_header];
  for (int bit = 0; bit < 64; ++bit)
    for (uint64_t size : {(UINT64_C(1) << bit) - 1, UINT64_C(1) << bit})
      assert_int_equal(frame::header_size(size), frame::encode(size, out));
}

void a_decoded_header_is_the_encoded_one(void **) {
  for (int bit = 0; bit < 64; ++bit)
    for (int add = -1; add <= 1; ++add) {
      uint64_t size = (UINT64_C(1) << bit) + static_cast<uint64_t>(add);
      unsigned char out[frame::long_header + 1];
      size_t header = frame::encode(size, out);
      uint64_t payload = 77;
      // A part of a header is not enough.
      for (size_t there = 0; there < header; ++there) {
        assert_int_equal(decode(out, there, &payload), -EAGAIN);
        assert_int_equal(payload, 77);
      }
      assert_int_equal(decode(out, header, &payload), header);
      assert_true(payload == size);
      out[header] = 0xff;
      assert_int_equal(decode(out, header + 1, &payload), header);
      assert_true(payload == size);
    }
}

void readers_accept_the_long_form_for_any_length(void **) {
  for (uint64_t size : {UINT64_C(0), UINT64_C(5), UINT64_C(0x7fffffff)}) {
    unsigned char out[frame::long_header];
    frame::store32(out, 0xffffffff);
    frame::store32(out + 4, static_cast<uint32_t>(size >> 32));
    frame::store32(out + 8, static_cast<uint32_t>(size));
    uint64_t payload = 77;
    assert_int_equal(decode(out, sizeof out, &payload), 12);
    assert_true(payload == size);
  }
}

void is_reserved(uint32_t value) {
  unsigned char out[frame::long_header] = {};
  uint64_t payload = 77;
  frame::store32(out, value);
  // Known from the first four bytes alone.
  assert_int_equal(decode(out, 4, &payload), GIPC_EPROTOCOL);
  assert_int_equal(decode(out, sizeof out, &payload), GIPC_EPROTOCOL);
  assert_int_equal(payload, 77);
}

// Whether this begins the header of a message with descriptors: how many each
// kind of handle has, from the page.
bool has_descriptors(uint32_t value) {
  static const uint32_t each[] = {0, 1, 1, 1, 2, 2, 2, 3};
  uint32_t count = value & 0xff, kinds = value >> 8 & 0x1fffff, needed = 0;
  for (; (kinds & 7) != 0; kinds >>= 3)
    needed += each[kinds & 7];
  return value >> 29 == 4 && kinds == 0 && count > 0 && needed <= count &&
         count <= frame::most_descriptors;
}

void every_other_negative_length_is_reserved(void **) { /* H64, H88 */
  is_reserved(0xfffffffe);
  is_reserved(0xfffffffb); // -5, which gipc for Python took for b''
  is_reserved(0x80000000);
  is_reserved(0x80000000 + frame::most_descriptors + 1);
  // A sample of all of them, each bit pattern at the ends.
  uint32_t step = slow() ? 0x00100001 : 0x00000201;
  for (uint32_t value = 0x80000000; value < 0xffffffff - step; value += step)
    if (!has_descriptors(value))
      is_reserved(value);
  for (int bit = 0; bit < 31; ++bit)
    is_reserved(0xffffffff & ~(UINT32_C(1) << bit));
}

void a_header_with_descriptors_is_decoded_when_it_is_whole(void **) {
  for (uint64_t size : {UINT64_C(0), UINT64_C(5), UINT64_C(0x80000000)})
    for (uint32_t count : {1u, 2u, frame::most_descriptors, 0x00000101u,
                           0x00000603u, 0x1fffff15u}) {
      unsigned char out[frame::longest_header] = {};
      size_t whole = frame::encode(size, count, out);
      assert_int_equal(whole, frame::header_size(size, count));
      assert_int_equal(frame::attached(out), count);
      assert_true(frame::has_descriptors(out));
      uint64_t payload = 77;
      for (size_t part = 0; part < whole; ++part)
        assert_int_equal(decode(out, part, &payload), -EAGAIN);
      assert_int_equal(payload, 77);
      assert_int_equal(decode(out, whole, &payload), whole);
      assert_true(payload == size);
    }
}

void a_header_with_descriptors_is_that_of_a_message(void **) {
  for (uint32_t next : {0x80000001u, 0xfffffffeu, 0x80000000u}) {
    unsigned char out[frame::longest_header] = {};
    uint64_t payload = 77;
    frame::store32(out, 0x80000001);
    frame::store32(out + 4, next);
    assert_int_equal(decode(out, 8, &payload), GIPC_EPROTOCOL);
    assert_int_equal(decode(out, sizeof out, &payload), GIPC_EPROTOCOL);
  }
  for (uint64_t size : {UINT64_C(0), UINT64_C(0x7fffffff), UINT64_MAX}) {
    unsigned char out[frame::long_header];
    frame::encode(size, out);
    assert_int_equal(frame::attached(out), 0);
  }
}

void bytes_are_in_the_order_of_the_wire_format(void **) {
  unsigned char out[4];
  for (uint32_t value : {0u, 1u, 0x80u, 0x12345678u, 0xffffffffu}) {
    frame::store32(out, value);
    assert_int_equal(out[0], value >> 24);
    assert_int_equal(out[3], value & 0xff);
    assert_true(frame::load32(out) == value);
  }
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_short_header_is_the_length_most_significant_byte_first),
      TEST(the_long_form_begins_at_two_to_the_31),
      TEST(header_size_is_what_encode_writes),
      TEST(a_decoded_header_is_the_encoded_one),
      TEST(readers_accept_the_long_form_for_any_length),
      TEST(every_other_negative_length_is_reserved),
      TEST(a_header_with_descriptors_is_decoded_when_it_is_whole),
      TEST(a_header_with_descriptors_is_that_of_a_message),
      TEST(bytes_are_in_the_order_of_the_wire_format),
  };
  return cmocka_run_group_tests_name("frame", tests, nullptr, nullptr);
}
