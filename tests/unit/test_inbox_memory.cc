// The memory of an inbox: it grows with the traffic and with the bytes received
// ahead, and is released.
#include "support_inbox.h"

using namespace gipc;

namespace {

// ---- Memory -----------------------------------------------------------------

// As many reads as it takes, of as much as there is room for.
size_t feed_in_full(Inbox &inbox, const std::string &stream, Messages &out) {
  size_t reads = 0;
  for (size_t at = 0; at < stream.size(); ++reads) {
    at += feed(inbox, stream.data() + at, stream.size() - at);
    take_all(inbox, out);
  }
  return reads;
}

void a_small_message_costs_a_small_buffer(void **) {
  Inbox inbox;
  Messages got;
  assert_int_equal(inbox.memory(), 0);
  for (int i = 0; i < 1000; ++i)
    feed_all(inbox, frame_of("x"), got);
  assert_int_equal(inbox.memory(), Inbox::least);
  assert_int_equal(got.size(), 1000);
}

void reads_that_fill_their_room_make_the_next_larger(void **) {
  Inbox inbox;
  Messages got;
  std::string stream;
  for (int i = 0; i < 50000; ++i)
    stream += frame_of(bytes(60, static_cast<uint64_t>(i)));
  // 4, 16 and 64 KiB, then 256 KiB each.
  assert_in_range(feed_in_full(inbox, stream, got), 12, 16);
  assert_in_range(inbox.memory(), Inbox::read_ahead, Inbox::read_ahead);
  assert_int_equal(got.size(), 50000);
}

void an_idle_reader_releases_the_memory_of_a_burst(void **) {
  for (size_t size : {10u, 60u, 5000u, 65536u, 65537u, 3000000u}) {
    Inbox inbox;
    Messages got;
    std::string stream;
    while (stream.size() < 1000000)
      stream += frame_of(bytes(size, size));
    feed_in_full(inbox, stream, got);
    // Large messages need no room for small ones.
    assert_in_range(inbox.memory(), size > 65536 ? size : Inbox::read_ahead,
                    SIZE_MAX);
    inbox.note_idle();
    assert_in_range(inbox.memory(), 0, Inbox::least);
    // Nor does it keep the buffer of the next read.
    for (int i = 0; i < 3; ++i) {
      iovec areas[2];
      assert_int_equal(inbox.prepare(areas), 1);
      inbox.note_idle();
      assert_in_range(inbox.memory(), 0, Inbox::least);
    }
    Messages more;
    feed_in_full(inbox, frame_of("after") + stream, more);
    assert_true(more.front() == "after" && more.size() == got.size() + 1);
  }
}

void memory_of_messages_that_were_not_got_is_kept(void **) {
  std::string large = bytes(300000, 1);
  for (size_t there : {1u, 3u, 5u, 100u, 70000u, 300003u, 300004u}) {
    Inbox inbox;
    Messages got;
    std::string stream = frame_of(large);
    for (size_t at = 0; at < there;) {
      View none;
      at += feed(inbox, stream.data() + at, there - at);
      if (at < stream.size())
        assert_int_equal(inbox.next(no_limit, none), -EAGAIN);
    }
    inbox.note_idle();
    assert_int_equal(inbox.bytes() > 0, true);
    take_all(inbox, got);
    feed_all(inbox, stream.substr(there), got);
    assert_true(got == Messages{large});
  }
}

void a_reader_of_small_messages_releases_the_memory_of_a_burst(void **) {
  // It waits in the kernel and never learns that nothing is there.
  Inbox inbox;
  Messages got;
  feed_in_full(inbox, frame_of(bytes(400000, 1)), got);
  std::string stream;
  for (int i = 0; i < 20000; ++i)
    stream += frame_of(bytes(60, 2));
  feed_in_full(inbox, stream, got);
  for (int i = 0; i < 300; ++i)
    feed_all(inbox, frame_of("x"), got);
  assert_in_range(inbox.memory(), 0, Inbox::least);
}

void large_messages_that_keep_coming_keep_their_memory(void **) {
  // Faulting fresh pages in would halve their rate.
  Inbox inbox;
  Messages got;
  std::string stream = frame_of(bytes(1 << 20, 1));
  for (int i = 0; i < 10; ++i) {
    feed_in_full(inbox, stream, got);
    inbox.note_idle();
    inbox.note_idle(); // a second time for the same pause
  }
  assert_in_range(inbox.memory(), 1 << 20, SIZE_MAX);
  for (int i = 0; i < 100; ++i) {
    feed_in_full(inbox, frame_of("x"), got);
    inbox.note_idle();
  }
  assert_in_range(inbox.memory(), 0, Inbox::least);
}

// ---- Receiving ahead --------------------------------------------------------

// As a put that waits does; how much was received.
size_t receive_ahead(Inbox &inbox, const std::string &stream, size_t bound) {
  size_t at = 0;
  while (at < stream.size()) {
    size_t most = inbox.wanted(no_limit, bound);
    if (most == 0)
      break;
    iovec areas[2];
    int count = inbox.prepare(areas, most);
    assert_in_range(count, 1, 2);
    size_t fed = 0;
    for (int i = 0; i < count; ++i) {
      size_t part = std::min(areas[i].iov_len, stream.size() - at - fed);
      memcpy(areas[i].iov_base, stream.data() + at + fed, part);
      fed += part;
      assert_in_range(areas[i].iov_len, 1, most); // no more than asked for
      most -= areas[i].iov_len;
    }
    inbox.commit(fed);
    at += fed;
  }
  return at;
}

void whole_messages_are_received_ahead_up_to_the_bound(void **) { /* H78 */
  uint64_t seed = 11;
  for (int round = 0; round < (slow() ? 10 : 100); ++round) {
    Inbox inbox;
    Messages sent, got;
    std::string stream;
    while (stream.size() < 2000000) {
      size_t size = random_next(&seed) % (round % 2 ? 400000 : 3000);
      sent.push_back(bytes(size, random_next(&seed)));
      stream += frame_of(sent.back());
    }
    size_t bound = random_next(&seed) % 1500000, first = sent[0].size() + 4;
    size_t at = receive_ahead(inbox, stream, bound);
    // The header of a message that is assembled apart is dropped.
    assert_in_range(at, std::max(bound, first),
                    std::max(bound, first) + frame::long_header);
    assert_in_range(inbox.bytes(), at - frame::short_header, at);
    // Some are got, then the put continues; and so on.
    while (got.size() < sent.size()) {
      View view;
      size_t some = 1 + random_next(&seed) % 5;
      for (; some > 0 && inbox.next(no_limit, view) == 0; --some)
        got.emplace_back(static_cast<const char *>(view.data), view.size);
      at += receive_ahead(inbox, stream.substr(at), bound);
    }
    assert_true(got == sent);
    assert_true(inbox.at_boundary());
    inbox.note_idle();
    assert_in_range(inbox.memory(), 0, Inbox::least);
  }
}

void memory_of_receiving_ahead_is_released_afterwards(void **) {
  Inbox inbox;
  Messages got;
  std::string stream = frame_of("first"), traffic;
  for (int i = 0; i < 5; ++i)
    stream += frame_of(bytes(1 << 20, 1));
  assert_int_equal(receive_ahead(inbox, stream, no_limit), stream.size());
  assert_in_range(inbox.memory(), stream.size(), 2 * stream.size());
  take_all(inbox, got);
  assert_int_equal(got.size(), 6);
  // Busy without a pause, and never empty at a read.
  for (int i = 0; i < 200; ++i)
    traffic += frame_of(bytes(50000, 2));
  for (size_t at = 0; at < traffic.size();) {
    at += feed(inbox, traffic.data() + at,
               std::min<size_t>(60000, traffic.size() - at));
    take_all(inbox, got);
  }
  assert_in_range(inbox.memory(), 0, 2 * Inbox::read_ahead);
  assert_int_equal(got.size(), 206);
}

void nothing_is_received_ahead_of_a_broken_stream(void **) {
  Inbox inbox;
  unsigned char header[4];
  frame::store32(header, 0xfffffffb);
  feed(inbox, reinterpret_cast<char *>(header), 4);
  assert_int_equal(inbox.wanted(no_limit, no_limit), 0);
  Inbox other;
  feed(other, frame_of("ten bytes!").data(), 6);
  assert_int_equal(other.wanted(9, no_limit), 0);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_small_message_costs_a_small_buffer),
      TEST(reads_that_fill_their_room_make_the_next_larger),
      TEST(an_idle_reader_releases_the_memory_of_a_burst),
      TEST(memory_of_messages_that_were_not_got_is_kept),
      TEST(a_reader_of_small_messages_releases_the_memory_of_a_burst),
      TEST(large_messages_that_keep_coming_keep_their_memory),
      TEST(whole_messages_are_received_ahead_up_to_the_bound),
      TEST(memory_of_receiving_ahead_is_released_afterwards),
      TEST(nothing_is_received_ahead_of_a_broken_stream),
  };
  return cmocka_run_group_tests_name("inbox memory", tests, nullptr, nullptr);
}
