// The outbox: queued frames and one borrowed, sent in pieces of every size.
#include "support.h"

#include "outbox.h"

#include <string>
#include <vector>

using namespace gipc;

namespace {

std::string frame_of(const std::string &payload) {
  unsigned char header[frame::long_header];
  size_t size = frame::encode(payload.size(), header);
  return std::string(reinterpret_cast<char *>(header), size) + payload;
}

std::string bytes(size_t size, uint64_t seed) {
  std::string out(size, '\0');
  fill(&out[0], size, seed);
  return out;
}

// Takes at most size bytes as the kernel would in one write.
std::string drain(Outbox &outbox, size_t size) {
  iovec areas[Outbox::max_areas];
  int count = outbox.areas(areas);
  assert_in_range(count, 0, Outbox::max_areas); /* H85 */
  std::string out;
  for (int i = 0; i < count && out.size() < size; ++i) {
    assert_true(areas[i].iov_len > 0);
    out.append(static_cast<char *>(areas[i].iov_base),
               std::min(areas[i].iov_len, size - out.size()));
  }
  size_t before = outbox.bytes();
  outbox.sent(out.size());
  assert_int_equal(before - outbox.bytes(), out.size());
  return out;
}

std::string drain_all(Outbox &outbox, size_t piece) {
  std::string out;
  while (!outbox.empty())
    out += drain(outbox, piece);
  return out;
}

void pieces_of_every_size_make_the_same_stream(void **) { /* H59 */
  std::string borrowed = bytes(30, 3);
  std::string expected = frame_of("") + frame_of("hello") +
                         frame_of(bytes(20, 1)) + frame_of(borrowed);
  for (size_t piece = 1; piece <= expected.size(); ++piece) {
    Outbox outbox;
    assert_int_equal(outbox.put(nullptr, 0), 0);
    assert_int_equal(outbox.put("hello", 5), 0);
    assert_int_equal(outbox.put(bytes(20, 1).data(), 20), 0);
    outbox.borrow(borrowed.data(), borrowed.size());
    assert_int_equal(outbox.bytes(), expected.size());
    assert_true(drain_all(outbox, piece) == expected);
    assert_false(outbox.borrowing());
    assert_int_equal(outbox.messages(), 4);
  }
}

void a_borrowed_message_withdrawn_at_any_byte_is_whole_or_not_put(void **) {
  /* H59, H67 */
  for (size_t size : {0u, 1u, 30u}) {
    std::string queued = frame_of("first"), second = bytes(size, 9);
    std::string whole = queued + frame_of(second);
    for (size_t cut = 0; cut < whole.size(); ++cut) {
      Outbox outbox;
      std::string memory = second;
      assert_int_equal(outbox.put("first", 5), 0);
      outbox.borrow(memory.data(), memory.size());
      std::string out = cut > 0 ? drain(outbox, cut) : "";
      int result = outbox.withdraw();
      assert_int_equal(result, cut > queued.size() ? 1 : 0);
      assert_int_equal(outbox.messages(), result == 1 ? 2 : 1);
      fill(&memory[0], size, 1234); // no longer borrowed
      assert_int_equal(outbox.put("last", 4), 0);
      out += drain_all(outbox, 3);
      assert_true(out == (result == 1 ? whole : queued) + frame_of("last"));
    }
  }
}

void the_last_put_can_be_removed(void **) {
  Outbox outbox;
  assert_int_equal(outbox.put("keep", 4), 0);
  assert_int_equal(outbox.put("back", 4), 0);
  outbox.remove_last(frame::short_header + 4);
  assert_int_equal(outbox.messages(), 1);
  assert_true(drain_all(outbox, 5) == frame_of("keep"));
}

void room_is_made_under_any_mix_of_puts_and_sends(void **) {
  uint64_t seed = 42;
  for (int round = 0; round < (slow() ? 3 : 30); ++round) {
    Outbox outbox;
    std::string expected, out;
    for (int i = 0; i < 400; ++i) {
      std::string next = bytes(random_next(&seed) % 3000, random_next(&seed));
      expected += frame_of(next);
      assert_int_equal(outbox.put(next.data(), next.size()), 0);
      if (random_next(&seed) % 2 == 0 && !outbox.empty())
        out += drain(outbox, 1 + random_next(&seed) % 6000);
      assert_int_equal(expected.size() - out.size(), outbox.bytes());
    }
    out += drain_all(outbox, 4096);
    assert_true(out == expected);
  }
}

void a_cleared_queue_can_be_used_again(void **) {
  Outbox outbox;
  assert_int_equal(outbox.put("lost", 4), 0);
  outbox.borrow("also", 4);
  (void)drain(outbox, 3);
  outbox.clear();
  assert_true(outbox.empty());
  assert_int_equal(outbox.bytes(), 0);
  assert_int_equal(outbox.put("next", 4), 0);
  assert_true(drain_all(outbox, 1) == frame_of("next"));
}

void an_empty_queue_releases_the_memory_of_a_burst(void **) {
  Outbox outbox;
  std::string message = bytes(1000, 1);
  for (int burst = 0; burst < 3; ++burst) {
    for (int i = 0; i < 200; ++i)
      assert_int_equal(outbox.put(message.data(), message.size()), 0);
    assert_in_range(outbox.memory(), 200 * 1004, 3 * 200 * 1004);
    drain_all(outbox, 50000);
    assert_in_range(outbox.memory(), 0, 4096);
  }
  assert_int_equal(outbox.put("x", 1), 0);
  drain_all(outbox, 50000);
  assert_int_equal(outbox.put("x", 1), 0);
  assert_in_range(outbox.memory(), 1, 4096);
}

// The quick put writes unchecked, so each change of the queue closes it.
void every_change_but_a_quick_put_closes_the_quick_put(void **) {
  const std::string big = bytes(5000, 7);
  struct Case {
    const char *what;
    void (*change)(Outbox &, const std::string &);
  };
  const Case cases[] = {
      {"put", [](Outbox &o, const auto &) { (void)o.put("x", 1); }},
      {"put that grows",
       [](Outbox &o, const auto &m) { (void)o.put(m.data(), m.size()); }},
      {"borrow", [](Outbox &o, const auto &m) { o.borrow(m.data(), 9); }},
      {"sent a part", [](Outbox &o, const auto &) { o.sent(2); }},
      {"sent all", [](Outbox &o, const auto &) { o.sent(o.bytes()); }},
      {"remove_last",
       [](Outbox &o, const auto &) { o.remove_last(frame::short_header + 3); }},
      {"clear", [](Outbox &o, const auto &) { o.clear(); }},
      {"close_quick", [](Outbox &o, const auto &) { o.close_quick(); }},
  };
  for (const Case &one : cases) {
    Outbox outbox;
    assert_int_equal(outbox.put("abc", 3), 0);
    outbox.open_quick(100, 1000);
    assert_true(outbox.is_quick("yes", 3));
    outbox.append("yes", 3);
    assert_true(outbox.is_quick("yes", 3));
    one.change(outbox, big);
    if (outbox.is_quick("no", 2))
      fail_msg("a quick put is allowed after %s", one.what);
  }
  // Withdrawn, with a part sent and with none.
  for (size_t sent : {0u, 10u}) {
    Outbox outbox;
    assert_int_equal(outbox.put("abc", 3), 0);
    outbox.borrow(big.data(), big.size());
    (void)drain(outbox, sent);
    assert_int_equal(outbox.withdraw(), sent > 0 ? 1 : 0);
    assert_false(outbox.is_quick("no", 2));
  }
}

void a_quick_put_is_bounded_by_its_size_the_mark_and_the_memory(void **) {
  Outbox outbox;
  assert_int_equal(outbox.put("abc", 3), 0);
  outbox.open_quick(10, 30);
  assert_false(outbox.is_quick("12345678901", 11));
  assert_false(outbox.is_quick(nullptr, 0));
  assert_true(outbox.is_quick("1234567890", 10));
  outbox.append("1234567890", 10); // 7 + 14 are queued
  assert_true(outbox.is_quick("12345", 5));
  assert_false(outbox.is_quick("123456", 6));
  outbox.open_quick(SIZE_MAX / 2, SIZE_MAX / 2);
  size_t left = outbox.memory() - outbox.bytes();
  std::string fits = bytes(left - frame::short_header, 1);
  assert_true(outbox.is_quick(fits.data(), fits.size()));
  assert_false(outbox.is_quick(fits.data(), fits.size() + 1));
  outbox.append(fits.data(), fits.size());
  assert_true(drain_all(outbox, 100) ==
              frame_of("abc") + frame_of("1234567890") + frame_of(fits));
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(pieces_of_every_size_make_the_same_stream),
      TEST(a_borrowed_message_withdrawn_at_any_byte_is_whole_or_not_put),
      TEST(the_last_put_can_be_removed),
      TEST(room_is_made_under_any_mix_of_puts_and_sends),
      TEST(a_cleared_queue_can_be_used_again),
      TEST(an_empty_queue_releases_the_memory_of_a_burst),
      TEST(every_change_but_a_quick_put_closes_the_quick_put),
      TEST(a_quick_put_is_bounded_by_its_size_the_mark_and_the_memory),
  };
  return cmocka_run_group_tests_name("outbox", tests, nullptr, nullptr);
}
