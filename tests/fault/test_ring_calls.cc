// Every system call that a ring makes fails once: then there is no ring, or it
// goes on, and the stream is exact.
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

uint64_t transport(gipc_handle *w) {
  gipc_stats stats;
  stats.size = sizeof stats;
  OK(gipc_handle_stats(w, &stats));
  return stats.transport_out;
}

struct Pipe {
  Pipe() {
    OK(gipc_pipe(&r, &w));
    OK(gipc_set_marks(w, 1, 10 << 20));
    OK(gipc_set_transport(r, GIPC_TRANSPORT_RING));
    OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
  }
  ~Pipe() {
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
  void put(size_t size) {
    std::string text(size, '\0');
    fill(&text[0], size, sent);
    int result = gipc_try_put(w, text.data(), size);
    OK(result);
    ++sent;
    result = gipc_flush_step(w);
    assert_true(result == 0 || result == -EAGAIN);
  }
  // A call that failed for a while is repeated, as a program would after
  // poll(2).
  void get() {
    const void *data;
    size_t size;
    int result = -EAGAIN;
    for (int i = 0; result == -EAGAIN && i < 100; ++i) {
      result = gipc_try_get(r, &data, &size);
      int flushed = gipc_flush_step(w);
      assert_true(flushed == 0 || flushed == -EAGAIN);
    }
    OK(result);
    assert_true(filled(data, size, got));
    ++got;
  }
  void exchange(int messages) {
    for (int i = 0; i < messages; ++i) {
      put(100);
      get();
    }
  }

  gipc_handle *r, *w;
  uint64_t sent = 0, got = 0;
};

// What becomes of a ring from its offer to its end.
bool live() {
  Pipe pipe;
  bool was_ring = false;
  for (int round = 0; round < 2; ++round) {
    pipe.exchange(6);
    was_ring |= transport(pipe.w) == GIPC_TRANSPORT_RING;
    for (int i = 0; i < 5; ++i)
      pipe.put(100000); // until it is full
    for (int i = 0; i < 5; ++i)
      pipe.get();
    pipe.put(10);
    int left = gipc_set_transport(pipe.w, GIPC_TRANSPORT_PLAIN);
    assert_true(left == 0 || left == -EBUSY);
    pipe.put(10);
    OK(gipc_set_transport(pipe.w, GIPC_TRANSPORT_RING));
    pipe.get();
    pipe.get();
  }
  OK(gipc_close_within(pipe.w, 10));
  const void *data;
  size_t size;
  RESULT(gipc_get(pipe.r, 10, &data, &size), GIPC_EOF);
  return was_ring;
}

int fail_each(const char *name, int error, int times) {
  for (int nth = 1; nth < 1000; ++nth) {
    fault::fail_call(name, nth, error, times);
    int fds = count_fds();
    (void)live();
    assert_int_equal(count_fds(), fds);
    if (fault::stop_calls() == 0)
      return nth - 1;
  }
  return 0;
}

void a_call_that_is_refused_leaves_the_pipe_as_it_is(void **) {
  assert_true(live());
  for (const char *name :
       {"memfd_create", "fallocate", "fcntl", "mmap", "madvise", "getsockopt",
        "setsockopt", "getrlimit", "fstat", "fstatfs"})
    for (int error : {EPERM, ENOMEM, EINVAL, ENOSYS, EMFILE, ENOSPC})
      for (int times : {1, 1000}) {
        int calls = fail_each(name, error, times);
        assert_true(calls >= 1);
      }
}

// The writer asks again, the reader says it once.
void a_name_that_cannot_be_had_leaves_the_pipe_plain(void **) {
  for (const char *name : {"bind", "getpeername"})
    for (int times : {1, 1000}) {
      Pipe pipe;
      OK(gipc_set_transport(pipe.r, GIPC_TRANSPORT_AUTO));
      OK(gipc_set_transport(pipe.w, GIPC_TRANSPORT_AUTO));
      fault::fail_call(name, 1, EACCES, times);
      pipe.exchange(100);
      assert_true(fault::stop_calls() >= 1);
      bool recovers = times == 1 && std::strcmp(name, "getpeername") == 0;
      assert_int_equal(transport(pipe.w),
                       recovers ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN);
    }
}

void a_transfer_that_has_no_memory_is_repeated(void **) {
  for (const char *name : {"send", "recv", "sendmsg"})
    for (int error : {ENOBUFS, ENOMEM, EAGAIN}) {
      int calls = fail_each(name, error, 1);
      assert_true(calls >= 1);
    }
}

// A sandbox that does not allow a descriptor beside the bytes.
void bytes_go_without_the_descriptor_that_is_refused(void **) {
  for (int error : {EPERM, ETOOMANYREFS, EINVAL, EBADF}) {
    fault::fail_call("sendmsg", 1, error, 1);
    Pipe pipe;
    pipe.exchange(20);
    assert_int_equal(fault::stop_calls(), 1);
  }
}

void a_bell_that_cannot_be_rung_ends_the_writer(void **) {
  Pipe pipe;
  const void *data;
  size_t size;
  pipe.exchange(6);
  RESULT(gipc_try_get(pipe.r, &data, &size), -EAGAIN);
  fault::fail_call("send", 1, EPIPE);
  RESULT(gipc_put(pipe.w, "x", 1, 10), -EPIPE);
  assert_int_equal(fault::stop_calls(), 1);
  RESULT(gipc_put(pipe.w, "x", 1, 10), -EPIPE);
}

gipc_handle *leaving;

// Just before the reader drains the socket, the writer puts and leaves.
int put_and_leave(const char *call) noexcept {
  if (leaving != nullptr && std::strcmp(call, "recv") == 0) {
    gipc_handle *w = leaving;
    leaving = nullptr;
    if (gipc_put(w, "last", 4, 10) != 0 ||
        gipc_set_transport(w, GIPC_TRANSPORT_PLAIN) != 0 ||
        gipc_put(w, "behind", 6, 10) != 0)
      std::abort();
  }
  return 0;
}

void what_was_put_before_the_mark_is_read_before_what_is_behind_it(void **) {
  Pipe pipe;
  const void *data;
  size_t size;
  pipe.exchange(6);
  assert_int_equal(transport(pipe.w), GIPC_TRANSPORT_RING);
  RESULT(gipc_try_get(pipe.r, &data, &size), -EAGAIN);
  leaving = pipe.w;
  gipc::sys::fault = put_and_leave;
  int result = gipc_try_get(pipe.r, &data, &size);
  gipc::sys::fault = nullptr;
  assert_null(leaving);
  OK(result);
  assert_int_equal(size, 4);
  assert_memory_equal(data, "last", 4);
  OK(gipc_get(pipe.r, 10, &data, &size));
  assert_int_equal(size, 6);
}

// The same, and the writer closes.
int put_and_close(const char *call) noexcept {
  if (leaving != nullptr && std::strcmp(call, "recv") == 0) {
    gipc_handle *w = leaving;
    leaving = nullptr;
    if (gipc_put(w, "last", 4, 10) != 0 || gipc_close(w) != 0)
      std::abort();
  }
  return 0;
}

void what_was_put_before_the_end_is_read_before_it(void **) {
  Pipe pipe;
  const void *data;
  size_t size;
  pipe.exchange(6);
  RESULT(gipc_try_get(pipe.r, &data, &size), -EAGAIN);
  // The reader is awake, and has read all that was sent to wake it, when the
  // writer that waited for room goes on.
  pipe.put(150000);
  pipe.put(150000);
  pipe.get();
  pipe.get();
  leaving = pipe.w;
  gipc::sys::fault = put_and_close;
  int result = gipc_try_get(pipe.r, &data, &size);
  gipc::sys::fault = nullptr;
  assert_null(leaving);
  OK(result);
  assert_memory_equal(data, "last", 4);
  RESULT(gipc_try_get(pipe.r, &data, &size), GIPC_EOF);
}

gipc_handle *ending;

// Just before the bell, the reader, which was about to wait, finds the message.
int get_and_close(const char *call) noexcept {
  if (ending != nullptr && std::strcmp(call, "send") == 0) {
    gipc_handle *r = ending;
    ending = nullptr;
    const void *data;
    size_t size;
    if (gipc_try_get(r, &data, &size) != 0 || size != 4 || gipc_close(r) != 0)
      std::abort();
  }
  return 0;
}

void a_message_that_was_read_before_its_bell_was_put(void **) {
  Pipe pipe;
  const void *data;
  size_t size;
  pipe.exchange(6);
  RESULT(gipc_try_get(pipe.r, &data, &size), -EAGAIN);
  ending = pipe.r;
  gipc::sys::fault = get_and_close;
  int result = gipc_put(pipe.w, "last", 4, 10);
  gipc::sys::fault = nullptr;
  assert_null(ending);
  OK(result);
  RESULT(gipc_put(pipe.w, "none", 4, 10), -EPIPE);
}

const char *moment;

// Just before the reader receives, the writer leaves, and offers a ring.
int leave_and_offer(const char *call) noexcept {
  if (leaving != nullptr && std::strcmp(call, moment) == 0) {
    gipc_handle *w = leaving;
    leaving = nullptr;
    if (gipc_set_transport(w, GIPC_TRANSPORT_PLAIN) != 0 ||
        gipc_set_transport(w, GIPC_TRANSPORT_RING) != 0 ||
        gipc_put(w, "behind", 6, 10) != 0)
      std::abort();
  }
  return 0;
}

void an_offer_that_comes_with_the_mark_is_accepted(void **) {
  for (const char *call : {"recv", "recvmmsg"}) {
    Pipe pipe;
    const void *data;
    size_t size;
    pipe.exchange(6);
    RESULT(gipc_try_get(pipe.r, &data, &size), -EAGAIN);
    leaving = pipe.w;
    moment = call;
    gipc::sys::fault = leave_and_offer;
    int result = gipc_get(pipe.r, -1, &data, &size);
    gipc::sys::fault = nullptr;
    assert_null(leaving);
    OK(result);
    assert_int_equal(size, 6);
    pipe.exchange(4);
    assert_int_equal(transport(pipe.w), GIPC_TRANSPORT_RING);
  }
}

void the_portable_half_has_no_rings(void **) {
  gipc_handle *reader, *writer;
  OK(gipc_pipe(&reader, &writer));
  RESULT(gipc_set_transport(writer, GIPC_TRANSPORT_RING), -EOPNOTSUPP);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

} // namespace

int main() {
  const CMUnitTest plain[] = {TEST(the_portable_half_has_no_rings)};
  const CMUnitTest tests[] = {
      TEST(a_call_that_is_refused_leaves_the_pipe_as_it_is),
      TEST(a_name_that_cannot_be_had_leaves_the_pipe_plain),
      TEST(a_transfer_that_has_no_memory_is_repeated),
      TEST(bytes_go_without_the_descriptor_that_is_refused),
      TEST(a_bell_that_cannot_be_rung_ends_the_writer),
      TEST(what_was_put_before_the_mark_is_read_before_what_is_behind_it),
      TEST(what_was_put_before_the_end_is_read_before_it),
      TEST(a_message_that_was_read_before_its_bell_was_put),
      TEST(an_offer_that_comes_with_the_mark_is_accepted),
  };
  if (portable())
    return cmocka_run_group_tests_name("ring calls", plain, nullptr, nullptr);
  return cmocka_run_group_tests_name("ring calls", tests, nullptr, nullptr);
}
