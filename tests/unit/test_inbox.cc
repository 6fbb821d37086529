// The inbox: frames cut anywhere, lengths without payload, borrowed memory.  No
// descriptor is involved, so each cut is exactly where the test puts it.
#include "support_inbox.h"

using namespace gipc;

namespace {

// 60 bytes: empty messages, small ones, and the long form.
const std::string &sixty() {
  static const std::string stream =
      frame_of("") + frame_of("hello") + frame_of(bytes(7, 1), true) +
      frame_of("") + frame_of(bytes(16, 2)) + frame_of("x") + frame_of("");
  return stream;
}

Messages sixty_messages() {
  return {"", "hello", bytes(7, 1), "", bytes(16, 2), "x", ""};
}

void a_frame_cut_anywhere_still_arrives_whole(void **) { /* H58 */
  const std::string &stream = sixty();
  assert_true(stream.size() >= 60);
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    Inbox inbox;
    Messages got;
    feed_all(inbox, stream.substr(0, cut), got);
    assert_int_equal(inbox.at_boundary(), inbox.bytes() == 0);
    feed_all(inbox, stream.substr(cut), got);
    assert_true(got == sixty_messages());
    assert_true(inbox.at_boundary());
    assert_int_equal(inbox.messages(), got.size());
  }
}

void only_an_end_between_messages_is_clean(void **) {
  // Messages that were received ahead and not yet returned.
  size_t boundaries = 0;
  for (size_t cut = 0; cut <= sixty().size(); ++cut) {
    Inbox inbox;
    Messages got;
    feed(inbox, sixty().data(), cut);
    bool whole = inbox.whole();
    take_all(inbox, got);
    assert_int_equal(whole, inbox.at_boundary());
    boundaries += whole;
  }
  assert_int_equal(boundaries, sixty_messages().size() + 1);
}

void frames_cut_at_any_two_places_still_arrive_whole(void **) { /* H58 */
  const std::string &stream = sixty();
  for (size_t first = 0; first <= stream.size(); ++first)
    for (size_t second = first; second <= stream.size(); ++second) {
      Inbox inbox;
      Messages got;
      feed_all(inbox, stream.substr(0, first), got);
      feed_all(inbox, stream.substr(first, second - first), got);
      feed_all(inbox, stream.substr(second), got);
      assert_true(got == sixty_messages());
    }
}

void a_stream_received_byte_by_byte_arrives_whole(void **) { /* H58 */
  Inbox inbox;
  Messages got;
  for (char byte : sixty())
    feed_all(inbox, std::string(1, byte), got);
  assert_true(got == sixty_messages());
}

// Sizes around those at which another code path is used.
void large_frames_cut_anywhere_near_their_ends_arrive_whole(void **) {
  for (size_t size : {65535u, 65536u, 65537u, 262143u, 262144u, 262145u}) {
    std::string large = bytes(size, size);
    std::string stream = frame_of("before") + frame_of(large) +
                         frame_of("after") + frame_of(large, true);
    size_t step = slow() ? 37 : 5;
    for (size_t cut = 0; cut < 40; cut += slow() ? 7 : 1)
      for (size_t other = 0; other < 40; other += step) {
        Inbox inbox;
        Messages got;
        size_t end = 10 + 4 + size - 20 + other;
        feed_all(inbox, stream.substr(0, cut), got);
        feed_all(inbox, stream.substr(cut, end - cut), got);
        feed_all(inbox, stream.substr(end), got);
        assert_true((got == Messages{"before", large, "after", large}));
        assert_true(inbox.at_boundary());
      }
  }
}

void every_size_around_the_read_ahead_survives_small_pieces(void **) {
  uint64_t seed = 7;
  for (int round = 0; round < (slow() ? 2 : 12); ++round) {
    Inbox inbox;
    Messages sent, got;
    std::string stream;
    for (int i = 0; i < 40; ++i) {
      size_t size = random_next(&seed) % (round % 2 ? 300000 : 70000);
      sent.push_back(bytes(size, random_next(&seed)));
      stream += frame_of(sent.back(), random_next(&seed) % 4 == 0);
    }
    for (size_t at = 0; at < stream.size();) {
      size_t piece = 1 + random_next(&seed) % (1 + random_next(&seed) % 90000);
      piece = std::min(piece, stream.size() - at);
      feed_all(inbox, stream.substr(at, piece), got);
      at += piece;
    }
    assert_true(got == sent);
  }
}

void the_limit_is_the_largest_size_that_passes(void **) { /* H63 */
  for (size_t size : {0u, 1u, 1000u, 65536u, 65537u, 300000u}) {
    for (int over = 0; over < 2; ++over)
      for (bool long_form : {false, true}) {
        if (size == 0 && over)
          continue;
        size_t limit = size - static_cast<size_t>(over);
        Inbox inbox;
        std::string stream = frame_of(bytes(size, 3), long_form);
        View view;
        int result = -EAGAIN;
        for (size_t at = 0; at < stream.size() && result == -EAGAIN;) {
          at += feed(inbox, stream.data() + at, stream.size() - at);
          result = inbox.next(limit, view);
        }
        assert_int_equal(result, over ? GIPC_ETOOBIG : 0);
        for (int i = 0; over && i < 100; ++i)
          assert_int_equal(inbox.next(limit, view), GIPC_ETOOBIG);
      }
  }
}

void a_broken_stream_stays_broken_under_a_higher_limit(void **) { /* H64 */
  Inbox inbox;
  std::string stream = frame_of("ten bytes!");
  View view;
  size_t size;
  feed(inbox, stream.data(), stream.size());
  assert_int_equal(inbox.next(9, view), GIPC_ETOOBIG);
  assert_int_equal(inbox.next(10, view), GIPC_ETOOBIG);
  assert_int_equal(inbox.next_size(10, size), GIPC_ETOOBIG);
}

void a_reserved_length_is_reported_before_later_frames(void **) { /* H64 */
  for (uint32_t value : {0xfffffffbu, 0xfffffffeu, 0x80000000u}) {
    Inbox inbox;
    Messages got;
    unsigned char header[4];
    frame::store32(header, value);
    std::string stream = frame_of("good");
    stream.append(reinterpret_cast<char *>(header), 4);
    stream += frame_of("behind");
    feed(inbox, stream.data(), stream.size());
    View view;
    assert_int_equal(inbox.next(no_limit, view), 0);
    for (int i = 0; i < 100; ++i)
      assert_int_equal(inbox.next(no_limit, view), GIPC_EPROTOCOL);
    assert_true(inbox.ready(no_limit)); // next() returns a message or an error
  }
}

void memory_grows_with_the_bytes_and_not_with_the_claim(void **) { /* H63 */
  Inbox inbox;
  unsigned char header[frame::long_header];
  // Far more than there is memory, and still a size.
  constexpr int bits = sizeof(size_t) > 4 ? 40 : 31;
  size_t size = frame::encode(UINT64_C(1) << bits, header);
  View view;
  feed(inbox, reinterpret_cast<char *>(header), size);
  assert_int_equal(inbox.next(no_limit, view), -EAGAIN);
  size_t fed = 0;
  for (int i = 0; i < 8; ++i) {
    iovec areas[2];
    int count = inbox.prepare(areas);
    assert_int_equal(count, 1);
    // Never far more than has arrived.
    assert_true(areas[0].iov_len <= 2 * fed + 2 * Inbox::read_ahead);
    inbox.commit(1000);
    fed += 1000;
  }
  assert_int_equal(inbox.bytes(), fed);
}

void the_callers_memory_gets_a_message_cut_anywhere(void **) { /* H66 */
  size_t size = 70000;
  std::string large = bytes(size, 5), stream = frame_of(large) + frame_of("x");
  for (size_t cut = 0; cut < size + 9; cut += slow() ? 9973 : 331) {
    Inbox inbox;
    std::string buffer(size, '\0');
    size_t got = 1;
    int result = -EAGAIN;
    for (size_t at = 0; at < stream.size() && result == -EAGAIN;) {
      size_t piece = at < cut ? cut - at : stream.size() - at;
      at += feed(inbox, stream.data() + at, piece);
      result = inbox.next_into(no_limit, &buffer[0], size, got);
      if (result == -EAGAIN && inbox.borrowed() != nullptr) {
        assert_ptr_equal(inbox.borrowed(), buffer.data());
        if (at % 2 == 0) { // what was received stays after this
          assert_int_equal(inbox.end_borrow(), 0);
          assert_null(inbox.borrowed());
          fill(&buffer[0], size, 999);
        }
      }
    }
    assert_int_equal(result, 0);
    assert_int_equal(got, size);
    assert_true(buffer == large);
    assert_null(inbox.borrowed());
    Messages later;
    take_all(inbox, later);
    feed_all(inbox, frame_of("y"), later);
    assert_true(later.back() == "y");
  }
}

void a_buffer_that_is_too_small_loses_no_message(void **) {
  for (size_t size : {10u, 70000u}) {
    Inbox inbox;
    std::string stream = frame_of(bytes(size, 6)), buffer(size, '\0');
    size_t got = 77, at = 0;
    while (at < stream.size()) {
      at += feed(inbox, stream.data() + at, stream.size() - at);
      assert_int_equal(inbox.next_into(no_limit, &buffer[0], size - 1, got),
                       GIPC_ETOOBIG);
      assert_int_equal(got, 77);
    }
    assert_int_equal(inbox.next_size(no_limit, got), 0);
    assert_int_equal(got, size);
    assert_int_equal(inbox.next_into(no_limit, &buffer[0], size, got), 0);
    assert_true(buffer == bytes(size, 6));
  }
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_frame_cut_anywhere_still_arrives_whole),
      TEST(only_an_end_between_messages_is_clean),
      TEST(frames_cut_at_any_two_places_still_arrive_whole),
      TEST(a_stream_received_byte_by_byte_arrives_whole),
      TEST(large_frames_cut_anywhere_near_their_ends_arrive_whole),
      TEST(every_size_around_the_read_ahead_survives_small_pieces),
      TEST(the_limit_is_the_largest_size_that_passes),
      TEST(a_broken_stream_stays_broken_under_a_higher_limit),
      TEST(a_reserved_length_is_reported_before_later_frames),
      TEST(memory_grows_with_the_bytes_and_not_with_the_claim),
      TEST(the_callers_memory_gets_a_message_cut_anywhere),
      TEST(a_buffer_that_is_too_small_loses_no_message),
  };
  return cmocka_run_group_tests_name("inbox", tests, nullptr, nullptr);
}
