// Every allocation that pipes make fails once: -ENOMEM, nothing leaks, the
// handle still works, and the stream is exact (H103).
#include "support_fault.h"

#include <ev.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace {

// Fails allocation 1, 2, ... of body and those after it (a smaller one may do
// instead of one that failed), until there is none left to fail.  body
// returns the library's result; after() checks the state.
template <typename Body, typename After>
int each_allocation(int kinds, Body &&body, After &&after) {
  for (int nth = 1; nth < 100; ++nth) {
    fault::fail_memory(kinds, nth, 1000);
    int result = body();
    int failed = fault::stop_memory();
    if (failed > 0 && result != -ENOMEM)
      print_error("allocation %d failed, result %d\n", nth, result);
    after(result);
    if (failed == 0) {
      RESULT(result, 0);
      return nth - 1;
    }
    RESULT(result, -ENOMEM);
  }
  fail_msg("always one more allocation");
  return 0;
}

void need(int kind) {
  if (!fault::can_fail(kind))
    skip_because("the allocator is that of a sanitizer or valgrind");
}
void need_malloc() { need(fault::by_malloc); }

void expect_message(gipc_handle *h, const std::string &text) {
  const void *data = nullptr;
  size_t size = 0;
  OK(gipc_get(h, 10, &data, &size));
  assert_int_equal(size, text.size());
  assert_memory_equal(data, text.data(), size);
}

void making_a_pipe_fails_cleanly(void **) {
  need(fault::by_new);
  for (bool duplex : {false, true}) {
    gipc_handle *a = nullptr, *b = nullptr;
    int fds = count_fds();
    int allocations = each_allocation(
        fault::any,
        [&] { return duplex ? gipc_pipe_duplex(&a, &b) : gipc_pipe(&a, &b); },
        [&](int result) {
          if (result == 0)
            return;
          assert_null(a);
          assert_null(b);
          assert_int_equal(count_fds(), fds);
        });
    assert_true(allocations >= 2);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

void adopting_fails_cleanly_and_leaves_the_descriptors(void **) {
  need(fault::by_new);
  int s[2];
  gipc_handle *h = nullptr;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  int fds = count_fds();
  assert_true(each_allocation(
                  fault::any, [&] { return gipc_open(s[0], s[0], &h); },
                  [&](int result) {
                    if (result != 0) {
                      assert_null(h);
                      assert_int_equal(count_fds(), fds);
                    }
                  }) >= 1);
  gipc_handle_free(h);
  close(s[1]);
}

void a_put_without_memory_queues_nothing(void **) {
  need_malloc();
  for (size_t size : {size_t(1), size_t(5000), size_t(100000)}) {
    gipc_handle *r, *w;
    OK(gipc_pipe(&r, &w));
    // Without memory there is no ring, which is no failure.
    OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
    std::string text(size, 'x');
    size_t pending = 0;
    // Refused, cancelled, and put again: it is delivered once.
    each_allocation(
        fault::any, [&] { return gipc_try_put(w, text.data(), size); },
        [&](int result) {
          gipc_stats stats;
          stats.size = sizeof stats;
          OK(gipc_handle_stats(w, &stats));
          assert_int_equal(stats.messages_out, result == 0 ? 1 : 0);
          OK(gipc_pending(w, GIPC_WRITE, &pending));
          if (result != 0)
            assert_int_equal(pending, 0);
        });
    OK(gipc_flush(w, 10));
    expect_message(r, text);
    RESULT(gipc_close(w), 0);
    const void *data;
    RESULT(gipc_get(r, 10, &data, &size), GIPC_EOF);
    gipc_handle_free(w);
    gipc_handle_free(r);
  }
}

void errno_is_the_callers_even_without_memory(void **) { /* H105 */
  need_malloc();
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  OK(gipc_pipe(&r, &w));
  errno = 42;
  fault::fail_memory(fault::any, 1, 100);
  gipc_handle *a, *b;
  int made = gipc_pipe(&a, &b), put = gipc_try_put(w, "x", 1);
  int after_put = errno;
  errno = 42;
  int got = gipc_try_get(r, &data, &size);
  fault::stop_memory();
  assert_int_equal(errno, 42);
  assert_int_equal(after_put, 42);
  RESULT(made, -ENOMEM);
  RESULT(put, -ENOMEM);
  RESULT(got, -ENOMEM);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

// Fills the socket to the last byte, with nothing queued in w.
int fill_kernel(gipc_handle *w) {
  int messages = 0, result;
  while ((result = gipc_put_start(w, "filling", 7)) == 0)
    ++messages;
  RESULT(result, -EAGAIN);
  OK(gipc_put_cancel(w));
  return messages;
}

void a_large_put_into_a_full_socket_can_be_repeated_after_no_memory(void **) {
  need_malloc();
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  int filling = fill_kernel(w);
  std::string text(200000, 'y');
  assert_true(each_allocation(
                  fault::any,
                  [&] { return gipc_try_put(w, text.data(), text.size()); },
                  [&](int) {}) >= 1);
  while (filling-- > 0)
    expect_message(r, "filling");
  OK(gipc_set_limit(r, 1 << 20));
  for (int result = -EAGAIN; result == -EAGAIN;) {
    const void *data;
    size_t size;
    int flushed = gipc_flush_step(w);
    assert_true(flushed == 0 || flushed == -EAGAIN);
    result = gipc_try_get(r, &data, &size);
    if (result == 0)
      assert_int_equal(size, text.size());
  }
  gipc_handle_free(w);
  gipc_handle_free(r);
}

void a_partial_write_without_memory_for_the_remaining_bytes_ends_the_stream(
    void **) {
  need_malloc();
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  std::string text(2 << 20, 'z');
  fault::fail_memory(fault::any, 1);
  RESULT(gipc_try_put(w, text.data(), text.size()), -ENOMEM);
  assert_int_equal(fault::stop_memory(), 1);
  // After a partly written message the stream cannot be continued.
  RESULT(gipc_try_put(w, "x", 1), -ENOMEM);
  RESULT(gipc_close(w), 0);
  const void *data;
  size_t size;
  RESULT(gipc_get(r, 10, &data, &size), GIPC_ETRUNCATED);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

void a_blocking_put_never_keeps_the_callers_memory(void **) { /* H67 */
  need_malloc();
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  std::string text(2 << 20, 'z');
  // A part is written, the timeout expires, and the remaining bytes cannot be
  // copied.
  fault::fail_memory(fault::any, 1, 100);
  int result = gipc_put(w, text.data(), text.size(), 0);
  assert_true(fault::stop_memory() >= 1);
  assert_true(result < 0);
  // In every case the memory is no longer borrowed.
  RESULT(gipc_put_cancel(w), -EINVAL);
  RESULT(gipc_put_step(w), -EINVAL);
  int closed = gipc_close(w);
  assert_int_not_equal(closed, GIPC_ELOCKED);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

void a_cancel_without_memory_can_be_repeated(void **) { /* H67 */
  need_malloc();
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  std::string text(2 << 20, 'z');
  RESULT(gipc_put_start(w, text.data(), text.size()), -EAGAIN);
  fault::fail_memory(fault::any, 1);
  RESULT(gipc_put_cancel(w), -ENOMEM);
  fault::stop_memory();
  RESULT(gipc_put_cancel(w), 1);
  const void *data;
  size_t size;
  int got;
  while ((got = gipc_try_get(r, &data, &size)) == -EAGAIN) {
    int flushed = gipc_flush_step(w);
    assert_true(flushed == 0 || flushed == -EAGAIN);
  }
  OK(got);
  assert_int_equal(size, text.size());
  assert_memory_equal(data, text.data(), size);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

void a_get_without_memory_loses_nothing(void **) {
  need_malloc();
  for (size_t size : {size_t(0), size_t(10), size_t(70000), size_t(190000)})
    for (int way = 0; way < 3; ++way) {
      gipc_handle *r, *w;
      OK(gipc_pipe(&r, &w));
      OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
      std::string text(size, 'g'), buffer(size + 1, '\0');
      OK(gipc_put(w, text.data(), size, 10));
      OK(gipc_put(w, "next", 4, 10));
      const void *data = nullptr;
      size_t got = 0;
      int allocations = each_allocation(
          fault::any,
          [&] {
            return way == 0   ? gipc_try_get(r, &data, &got)
                   : way == 1 ? gipc_get(r, 10, &data, &got)
                              : gipc_get_into(r, &buffer[0], size, &got);
          },
          [&](int) {});
      assert_true(allocations >= 1);
      assert_int_equal(got, size);
      assert_memory_equal(way == 2 ? buffer.data() : data, text.data(), size);
      expect_message(r, "next");
      gipc_handle_free(w);
      gipc_handle_free(r);
    }
}

void a_get_cancel_without_memory_can_be_repeated(void **) { /* H66 */
  need_malloc();
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  std::string text(600000, 'g'), buffer(600000, '\0');
  size_t got;
  RESULT(gipc_put_start(w, text.data(), text.size()), -EAGAIN);
  RESULT(gipc_get_into(r, &buffer[0], buffer.size(), &got), -EAGAIN);
  fault::fail_memory(fault::any, 1);
  int result = gipc_get_cancel(r);
  if (fault::stop_memory() > 0) {
    RESULT(result, -ENOMEM);
    OK(gipc_get_cancel(r));
  } else
    OK(result);
  const void *data;
  while ((result = gipc_try_get(r, &data, &got)) == -EAGAIN) {
    int stepped = gipc_put_step(w);
    assert_true(stepped == 0 || stepped == -EAGAIN || stepped == -EINVAL);
  }
  OK(result);
  assert_memory_equal(data, text.data(), text.size());
  gipc_handle_free(w);
  gipc_handle_free(r);
}

void a_batch_without_memory_reports_the_accepted_messages(void **) {
  need_malloc();
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  std::string large(40000, 'L');
  const gipc_message batch[] = {
      {"one", 3}, {"two", 3}, {large.data(), large.size()}, {"three", 5}};
  size_t sum = 0;
  for (int nth = 1; sum < 4; ++nth) {
    size_t accepted = 77;
    fault::fail_memory(fault::any, nth);
    int result = gipc_put_many(w, batch + sum, 4 - sum, 10, &accepted);
    fault::stop_memory();
    assert_true(result == 0 || result == -ENOMEM);
    assert_in_range(accepted, 0, 4 - sum);
    sum += accepted;
  }
  OK(gipc_flush(w, 10));
  expect_message(r, "one");
  expect_message(r, "two");
  expect_message(r, large);
  expect_message(r, "three");
  gipc_handle_free(w);
  gipc_handle_free(r);
}

int delivered;
void count_message(gipc_handle *, const void *, size_t, void *) { ++delivered; }

void starting_without_memory_leaves_the_step_tier(void **) {
  need(fault::by_new);
  gipc_handle *r, *w;
  struct ev_loop *loop = ev_loop_new(0);
  gipc_events events = {};
  events.size = sizeof events;
  events.on_message = count_message;
  OK(gipc_pipe(&r, &w));
  // libev ends the program when it gets no memory, so only that of the library
  // fails.
  assert_true(each_allocation(
                  fault::by_new,
                  [&] { return gipc_start(r, loop, &events, nullptr); },
                  [&](int result) {
                    if (result == 0)
                      return;
                    OK(gipc_put(w, "step", 4, 10));
                    expect_message(r, "step");
                    RESULT(gipc_stop(r), -EINVAL);
                  }) >= 1);
  delivered = 0;
  OK(gipc_put(w, "push", 4, 10));
  ev_run(loop, EVRUN_ONCE);
  assert_int_equal(delivered, 1);
  gipc_handle_free(r);
  gipc_handle_free(w);
  ev_loop_destroy(loop);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(making_a_pipe_fails_cleanly),
      TEST(adopting_fails_cleanly_and_leaves_the_descriptors),
      TEST(a_put_without_memory_queues_nothing),
      TEST(errno_is_the_callers_even_without_memory),
      TEST(a_large_put_into_a_full_socket_can_be_repeated_after_no_memory),
      TEST(
          a_partial_write_without_memory_for_the_remaining_bytes_ends_the_stream),
      TEST(a_blocking_put_never_keeps_the_callers_memory),
      TEST(a_cancel_without_memory_can_be_repeated),
      TEST(a_get_without_memory_loses_nothing),
      TEST(a_get_cancel_without_memory_can_be_repeated),
      TEST(a_batch_without_memory_reports_the_accepted_messages),
      TEST(starting_without_memory_leaves_the_step_tier),
  };
  return cmocka_run_group_tests_name("pipe memory", tests, nullptr, nullptr);
}
