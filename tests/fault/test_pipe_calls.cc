// Every system call that pipes make fails once: -errno, nothing leaks, and a
// handle that can still be used has an exact stream.
#include "support_fault.h"

#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, ENOSYS};

// Fails call 1, 2, ... of body; result 0 once none is left.  The number.
template <typename Body> int each_call(int error, Body &&body) {
  for (int nth = 1; nth < 100; ++nth) {
    errno = 42;
    fault::fail_call(nullptr, nth, error);
    int result = body();
    bool failed = fault::stop_calls() > 0;
    assert_int_equal(errno, 42); /* H105 */
    if (!failed) {
      OK(result);
      return nth - 1;
    }
  }
  fail_msg("always one more call");
  return 0;
}

void expect_message(gipc_handle *h, const std::string &text) {
  const void *data = nullptr;
  size_t size = 0;
  OK(gipc_get(h, 10, &data, &size));
  assert_int_equal(size, text.size());
  assert_memory_equal(data, text.data(), size);
}

void making_a_pipe_fails_with_the_systems_error(void **) {
  // The first handle of a process asks for its generation.
  gipc_handle *first, *second;
  OK(gipc_pipe(&first, &second));
  gipc_handle_free(first);
  gipc_handle_free(second);
  for (int error : errors)
    for (bool duplex : {false, true}) {
      gipc_handle *a = nullptr, *b = nullptr;
      int fds = count_fds();
      int calls = each_call(error, [&] {
        int result = duplex ? gipc_pipe_duplex(&a, &b) : gipc_pipe(&a, &b);
        if (result != 0) {
          RESULT(result, -error);
          assert_null(a);
          assert_null(b);
          assert_int_equal(count_fds(), fds);
        }
        return result;
      });
      assert_true(calls >= (duplex ? 3 : 2));
      gipc_handle_free(a);
      gipc_handle_free(b);
    }
}

void adopting_fails_and_the_caller_keeps_the_descriptors(void **) {
  for (int kind = 0; kind < 3; ++kind) {
    int s[2], fds = count_fds();
    gipc_handle *h = nullptr;
    assert_int_equal(
        kind == 0 ? pipe(s) : socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    int calls = each_call(EMFILE, [&] {
      int result = kind == 0   ? gipc_open(s[0], s[1], &h)
                   : kind == 1 ? gipc_open(s[0], s[1], &h)
                               : gipc_open(s[0], s[0], &h);
      if (result != 0) {
        RESULT(result, -EMFILE);
        assert_null(h);
        assert_true(fcntl(s[0], F_GETFD) >= 0);
        assert_true(fcntl(s[1], F_GETFD) >= 0);
        return result;
      }
      // What only makes it better (close-on-exec) may fail.
      if (fault::calls_failed() > 0) {
        gipc_handle_free(h);
        h = nullptr;
        if (kind == 2)
          close(s[1]);
        assert_int_equal(
            kind == 0 ? pipe(s) : socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
      }
      return result;
    });
    assert_true(calls >= 4);
    gipc_handle_free(h);
    if (kind == 2)
      close(s[1]);
    assert_int_equal(count_fds(), fds);
  }
}

void a_read_that_finds_no_buffers_is_tried_again(void **) { /* H86 */
  for (int error : {EAGAIN, ENOBUFS, ENOMEM}) {
    gipc_handle *r, *w;
    const void *data;
    size_t size;
    OK(gipc_pipe(&r, &w));
    OK(gipc_put(w, "kept", 4, 10));
    fault::fail_call("recv,recvmsg", 1, error);
    RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
    assert_int_equal(fault::stop_calls(), 1);
    fault::fail_call("recv,recvmsg", 1, error);
    OK(gipc_get(r, 10, &data, &size));
    assert_int_equal(fault::stop_calls(), 1);
    assert_memory_equal(data, "kept", 4);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

void a_write_that_finds_no_buffers_is_tried_again(void **) { /* H86 */
  for (int error : {EAGAIN, ENOBUFS, ENOMEM}) {
    gipc_handle *r, *w;
    OK(gipc_pipe(&r, &w));
    fault::fail_call("send,sendmsg", 1, error);
    OK(gipc_put(w, "blocking", 8, 10));
    assert_int_equal(fault::stop_calls(), 1);
    OK(gipc_try_put(w, "queued", 6));
    fault::fail_call("send,sendmsg", 1, error);
    RESULT(gipc_flush_step(w), -EAGAIN);
    assert_int_equal(fault::stop_calls(), 1);
    fault::fail_call("send,sendmsg", 1, error);
    RESULT(gipc_close(w), -EAGAIN);
    fault::stop_calls();
    OK(gipc_flush(w, 10));
    OK(gipc_close(w));
    expect_message(r, "blocking");
    expect_message(r, "queued");
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

void a_failing_read_is_a_permanent_error(void **) {
  for (int error : {EIO, EBADF, ETIMEDOUT, ECONNABORTED}) {
    gipc_handle *r, *w;
    const void *data;
    size_t size;
    OK(gipc_pipe(&r, &w));
    OK(gipc_put(w, "before", 6, 10));
    OK(gipc_put(w, "behind", 6, 10));
    expect_message(r, "before");
    // What was received before the failure is not lost.
    expect_message(r, "behind");
    fault::fail_call("recv", 1, error);
    RESULT(gipc_get(r, 10, &data, &size), -error);
    assert_int_equal(fault::stop_calls(), 1);
    for (int i = 0; i < 100; ++i) { /* H83 */
      RESULT(gipc_get(r, 10, &data, &size), -error);
      RESULT(gipc_try_get(r, &data, &size), -error);
      RESULT(gipc_next_size(r, &size), -error);
    }
    OK(gipc_close(r));
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

void a_failing_write_is_a_permanent_error(void **) { /* H77 */
  for (int error : {EIO, EPIPE, ECONNRESET}) {
    int expected = error == EIO ? -EIO : -EPIPE;
    gipc_handle *r, *w;
    size_t pending = 1;
    OK(gipc_pipe(&r, &w));
    OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
    OK(gipc_try_put(w, "queued", 6));
    fault::fail_call("send", 1, error);
    RESULT(gipc_flush(w, 10), expected);
    assert_int_equal(fault::stop_calls(), 1);
    OK(gipc_pending(w, GIPC_WRITE, &pending));
    assert_int_equal(pending, 0);
    RESULT(gipc_put(w, "x", 1, 10), expected);
    RESULT(gipc_try_put(w, "x", 1), expected);
    RESULT(gipc_put_start(w, "x", 1), expected);
    RESULT(gipc_flush_step(w), expected);
    OK(gipc_close(w));
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

void a_close_whose_last_bytes_fail_has_closed(void **) {
  gipc_handle *r, *w;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  OK(gipc_try_put(w, "queued", 6));
  fault::fail_call("send", 1, EIO);
  RESULT(gipc_close(w), -EIO);
  assert_int_equal(fault::stop_calls(), 1);
  RESULT(gipc_close(w), GIPC_ECLOSED);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

void a_failing_poll_leaves_both_directions_intact(void **) {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  OK(gipc_pipe(&r, &w));
  fault::fail_call("poll", 1, ENOMEM);
  RESULT(gipc_get(r, 10, &data, &size), -ENOMEM);
  assert_int_equal(fault::stop_calls(), 1);
  int put = 0, result;
  while ((result = gipc_put_start(w, "filling", 7)) == 0)
    ++put;
  RESULT(result, -EAGAIN);
  OK(gipc_put_cancel(w));
  // No byte of it was written, so it is not put.
  fault::fail_call("poll", 1, ENOMEM);
  RESULT(gipc_put(w, "refused", 7, 10), -ENOMEM);
  assert_int_equal(fault::stop_calls(), 1);
  while (put-- > 0)
    expect_message(r, "filling");
  OK(gipc_put(w, "last", 4, 10));
  expect_message(r, "last");
  gipc_handle_free(r);
  gipc_handle_free(w);
}

void interrupted_polls_are_no_error(void **) { /* H60 */
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  OK(gipc_pipe(&r, &w));
  fault::fail_call("poll", 1, EINTR, 1000);
  RESULT(gipc_get(r, 0.01, &data, &size), -ETIMEDOUT);
  assert_true(fault::stop_calls() > 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

void half_of_all_transfers_may_be_refused(void **) { /* H61 */
  gipc_handle *a, *b;
  const void *data;
  size_t size;
  std::string text(70000, '\0');
  uint64_t seed = 61;
  OK(gipc_pipe_duplex(&a, &b));
  fault::fail_every_other("recv,recvmsg,send,sendmsg", EAGAIN);
  for (uint64_t i = 0; i < many(1000, 100); ++i) {
    size_t sent = random_next(&seed) % text.size();
    fill(&text[0], sent, i);
    OK(gipc_put(a, text.data(), sent, 10));
    OK(gipc_get(b, 10, &data, &size));
    assert_int_equal(size, sent);
    assert_true(filled(data, size, i));
  }
  assert_true(fault::stop_calls() > 100);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

void shutting_down_is_an_end_even_when_the_call_fails(void **) {
  gipc_handle *a, *b;
  OK(gipc_pipe_duplex(&a, &b));
  fault::fail_call("shutdown", 1, ENOTCONN);
  OK(gipc_shutdown(a));
  fault::stop_calls();
  RESULT(gipc_directions(a), GIPC_READ);
  RESULT(gipc_put(a, "x", 1, 0), GIPC_ECLOSED);
  OK(gipc_put(b, "still", 5, 10));
  expect_message(a, "still");
  gipc_handle_free(a);
  gipc_handle_free(b);
}

// A part of the message was written: it must not be put again.
void a_wait_that_fails_within_a_message_leaves_the_message_put(
    void **) { /* H77 */
  for (bool many : {false, true}) {
    gipc_handle *r, *w;
    std::string text(4 << 20, 'x');
    const void *data;
    size_t size, accepted = 9;
    gipc_message message{text.data(), text.size()};
    OK(gipc_pipe(&r, &w));
    fault::fail_call("poll", 1, ENOMEM);
    if (many)
      RESULT(gipc_put_many(w, &message, 1, 10, &accepted), -ENOMEM);
    else
      RESULT(gipc_put(w, text.data(), text.size(), 10), -EINPROGRESS);
    assert_true(fault::stop_calls() > 0);
    assert_int_equal(accepted, many ? 1 : 9);
    int result;
    while ((result = gipc_try_get(r, &data, &size)) == -EAGAIN)
      if (int flushed = gipc_flush_step(w))
        RESULT(flushed, -EAGAIN);
    OK(result);
    assert_int_equal(size, text.size());
    RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(making_a_pipe_fails_with_the_systems_error),
      TEST(adopting_fails_and_the_caller_keeps_the_descriptors),
      TEST(a_read_that_finds_no_buffers_is_tried_again),
      TEST(a_write_that_finds_no_buffers_is_tried_again),
      TEST(a_failing_read_is_a_permanent_error),
      TEST(a_failing_write_is_a_permanent_error),
      TEST(a_close_whose_last_bytes_fail_has_closed),
      TEST(a_failing_poll_leaves_both_directions_intact),
      TEST(interrupted_polls_are_no_error),
      TEST(half_of_all_transfers_may_be_refused),
      TEST(shutting_down_is_an_end_even_when_the_call_fails),
      TEST(a_wait_that_fails_within_a_message_leaves_the_message_put),
  };
  return cmocka_run_group_tests_name("pipe calls", tests, nullptr, nullptr);
}
