// Every system call and every allocation of a message with descriptors fails
// once: the put or the get says so, nothing leaks, and what was put arrives.
#include "support_fault.h"

#include "os.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <initializer_list>
#include <poll.h>
#include <unistd.h>

namespace {

void need_descriptors() {
  if (!gipc::os::sends_descriptors)
    skip_because("messages have descriptors on Linux only");
}

// The other end of a pipe says when all copies of its descriptor are closed.
struct Watched {
  Watched() { OK(pipe2(ends, O_CLOEXEC)); }
  ~Watched() {
    close(ends[0]);
    close_here();
  }
  void close_here() {
    if (ends[1] >= 0)
      close(ends[1]);
    ends[1] = -1;
  }
  bool is_gone() {
    pollfd one{ends[0], POLLIN, 0};
    return poll(&one, 1, 0) == 1 && (one.revents & POLLHUP) != 0;
  }
  int ends[2];
};

struct Pipe {
  explicit Pipe(bool full) {
    static const char block[4096] = {};
    OK(gipc_pipe(&r, &w));
    OK(gipc_set_marks(w, 1, 64 << 20));
    while (full && gipc_flush_step(w) == 0)
      OK(gipc_try_put(w, block, sizeof block));
  }
  ~Pipe() {
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
  // A get that failed for want of memory, or for a while, is repeated.  How
  // many messages of one byte came, each with count descriptors.
  int get_all(int count, int &lost) {
    int got = 0;
    for (int tries = 0; tries < 100;) {
      const void *data;
      size_t size;
      int flushed = gipc_flush_step(w);
      assert_true(flushed == 0 || flushed == -EAGAIN || flushed == -ENOMEM);
      int result = gipc_try_get(r, &data, &size);
      if (result != 0) {
        assert_true(result == -EAGAIN || result == -ENOMEM);
        ++tries;
        continue;
      }
      if (size != 1)
        continue;
      ++got;
      int fds[4], taken = gipc_take_fds(r, fds, 4);
      assert_true(taken == count || taken == -EMFILE);
      lost += taken < 0 ? 1 : 0;
      for (int i = 0; i < taken; ++i)
        close(fds[i]);
    }
    return got;
  }
  gipc_handle *r, *w;
};

// Puts two messages.  The number of those that were accepted.
int put_two(Pipe &pipe, Watched &watched, bool blocks, int error) {
  int fds[3] = {watched.ends[1], watched.ends[1], watched.ends[1]};
  int accepted = 0;
  for (int i = 0; i < 2; ++i) {
    int result = blocks ? gipc_put_with(pipe.w, "a", 1, fds, 3, 0)
                        : gipc_try_put_with(pipe.w, "a", 1, fds, 3);
    if (result != 0 && result != error && result != -ETIMEDOUT)
      RESULT(result, error);
    accepted += result == 0 ? 1 : 0;
  }
  return accepted;
}

template <typename Begin, typename End>
int fail_each(bool full, bool blocks, int error, Begin &&begin, End &&end) {
  for (int nth = 1; nth < 300; ++nth) {
    Watched watched;
    int failed, lost = 0;
    {
      Pipe pipe(full);
      begin(nth);
      int accepted = put_two(pipe, watched, blocks, error);
      watched.close_here();
      int got = pipe.get_all(3, lost);
      failed = end();
      // Without memory for its descriptors a message is not returned.
      assert_true(got == accepted || (error == -ENOMEM && failed > 0));
      assert_true(lost == 0 || failed > 0);
    }
    assert_true(watched.is_gone());
    if (failed == 0)
      return nth - 1;
  }
  return 0;
}

// After which the transfer is repeated.
bool is_temporary(int error) {
  return error == ENOBUFS || error == ENOMEM || error == EAGAIN ||
         error == ETOOMANYREFS;
}

void a_call_that_fails_is_said(void **) {
  need_descriptors();
  int calls = 0;
  for (const char *name : {"sendmsg", "recvmsg", "recv", "fcntl"})
    for (int error : {ENOBUFS, ENOMEM, EAGAIN, ETOOMANYREFS, EMFILE, EPERM}) {
      bool duplicates = std::strcmp(name, "fcntl") == 0;
      bool sends = std::strcmp(name, "sendmsg") == 0;
      if (duplicates == is_temporary(error) ||
          (error == ETOOMANYREFS && !sends))
        continue;
      for (int kind = 0; kind < 4; ++kind)
        calls += fail_each((kind & 1) != 0, (kind & 2) != 0, -error,
                           [&](int nth) { fault::fail_call(name, nth, error); },
                           [] { return fault::stop_calls(); });
    }
  assert_true(calls > 100);
}

void an_allocation_that_fails_is_said(void **) {
  need_descriptors();
  if (!fault::can_fail(fault::any))
    skip_because("the allocator is that of a sanitizer or valgrind");
  int allocations = 0;
  for (int kind = 0; kind < 4; ++kind)
    allocations +=
        fail_each((kind & 1) != 0, (kind & 2) != 0, -ENOMEM,
                  [](int nth) { fault::fail_memory(fault::any, nth); },
                  [] { return fault::stop_memory(); });
  assert_true(allocations > 10);
}

void nothing_was_put_after_a_refusal(void **) {
  need_descriptors();
  for (int error : {ETOOMANYREFS, EPERM, EINVAL, EBADF}) {
    Watched watched;
    Pipe pipe(false);
    int lost = 0;
    fault::fail_call("sendmsg", 1, error);
    RESULT(gipc_put_with(pipe.w, "a", 1, &watched.ends[1], 1, 10), -error);
    fault::fail_call("sendmsg", 1, error);
    RESULT(gipc_try_put_with(pipe.w, "a", 1, &watched.ends[1], 1), -error);
    (void)fault::stop_calls();
    OK(gipc_put_with(pipe.w, "a", 1, &watched.ends[1], 1, 10));
    watched.close_here();
    assert_false(watched.is_gone());
    assert_int_equal(pipe.get_all(1, lost), 1);
    assert_true(watched.is_gone());
  }
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_call_that_fails_is_said),
      TEST(an_allocation_that_fails_is_said),
      TEST(nothing_was_put_after_a_refusal),
  };
  return cmocka_run_group_tests_name("fds calls", tests, nullptr, nullptr);
}
