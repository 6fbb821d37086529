// Wait sets while a system call or an allocation fails: -errno, nothing leaks,
// and the set is unchanged.
#include "support_fault.h"

#include "sys.h"

#include <cstring>
#include <initializer_list>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace {

gipc_wait_set *set;
gipc_handle *r, *w;

int setup(void **state) {
  int result = test_setup(state);
  result = result != 0 ? result : gipc_wait_set_new(&set);
  return result != 0 ? result : gipc_pipe(&r, &w);
}

int end(void **state) {
  (void)fault::stop_calls();
  (void)fault::stop_memory();
  gipc_wait_set_free(set);
  gipc_handle_free(r);
  gipc_handle_free(w);
  return test_end(state);
}

// Fails call 1, 2, ... of body, which returns its result.  Returns the number
// of calls.
template <typename Body> int each_call(Body &&body) {
  for (int nth = 1; nth < 100; ++nth) {
    int fds = count_fds();
    errno = 42;
    fault::fail_call(nullptr, nth, ENFILE);
    int result = body();
    bool failed = fault::stop_calls() > 0;
    assert_int_equal(errno, 42); /* H105 */
    if (!failed) {
      assert_true(result >= 0);
      return nth - 1;
    }
    if (result < 0)
      assert_int_equal(count_fds(), fds);
  }
  fail_msg("always one more call");
  return 0;
}

void a_set_that_cannot_be_made_leaves_nothing(void **) {
  gipc_wait_set *made = nullptr;
  int calls = each_call([&] {
    int result = gipc_wait_set_new(&made);
    assert_true((result == 0) == (made != nullptr));
    if (result != 0)
      RESULT(result, -ENFILE);
    return result;
  });
  assert_true(calls >= 1);
  gipc_wait_set_free(made);
}

void a_handle_that_cannot_be_made_interruptible_is_not(void **) {
  const void *data;
  size_t size;
  int calls = each_call([&] {
    int result = gipc_set_interruptible(r, 1);
    if (result != 0) {
      RESULT(result, -ENFILE);
      RESULT(gipc_interrupt(r), -EINVAL);
      RESULT(gipc_get(r, 0, &data, &size), -ETIMEDOUT);
    }
    return result;
  });
  assert_true(calls >= 1);
  OK(gipc_interrupt(r));
  RESULT(gipc_get(r, -1, &data, &size), -ECANCELED);
}

void a_wait_that_fails_can_be_repeated(void **) {
  OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  OK(gipc_put(w, "x", 1, -1));
  fault::fail_call("poll", 1, ENOMEM);
  RESULT(gipc_wait(set, -1), -ENOMEM);
  gipc_handle *h;
  gipc_process *p;
  int directions;
  RESULT(gipc_wait_set_next(set, &h, &p, &directions), -EAGAIN);
  fault::fail_call("poll", 1, EINTR, 3);
  RESULT(gipc_wait(set, -1), 1);
  OK(gipc_wait_set_next(set, &h, &p, &directions));
  assert_ptr_equal(h, r);
}

void a_wake_that_fails_can_be_repeated(void **) {
  fault::fail_call("send", 1, ENOMEM);
  RESULT(gipc_wait_set_wake(set), -ENOMEM);
  RESULT(gipc_wait(set, 0), -ETIMEDOUT);
  OK(gipc_wait_set_wake(set));
  RESULT(gipc_wait(set, -1), -ECANCELED);
}

// A wake of another thread, at the moment when the send of the first one fails.
gipc_wait_set *woken_meanwhile;
int wake_and_fail(const char *name) noexcept {
  gipc_wait_set *it = std::exchange(woken_meanwhile, nullptr);
  if (it == nullptr || std::strcmp(name, "send") != 0)
    return 0;
  return gipc_wait_set_wake(it) == 0 ? ENOMEM : EIO;
}

void a_wake_beside_one_that_fails_is_not_lost(void **) {
  woken_meanwhile = set;
  gipc::sys::fault = wake_and_fail;
  int result = gipc_wait_set_wake(set);
  gipc::sys::fault = nullptr;
  RESULT(result, -ENOMEM);
  RESULT(gipc_wait(set, -1), -ECANCELED);
  RESULT(gipc_wait(set, 0), -ETIMEDOUT);
}

void wakes_that_nobody_waits_for_count_as_one(void **) {
  for (int i = 0; i < 5000; ++i) // more than a socket has space for
    OK(gipc_wait_set_wake(set));
  RESULT(gipc_wait(set, -1), -ECANCELED);
  RESULT(gipc_wait(set, 0), -ETIMEDOUT);
}

void a_member_without_memory_is_not_added(void **) {
  if (!fault::can_fail(fault::by_new))
    skip();
  for (int nth = 1; nth < 20; ++nth) {
    fault::fail_memory(fault::by_new, nth);
    int result = gipc_wait_set_add_handle(set, r, GIPC_READ);
    if (fault::stop_memory() == 0) {
      OK(result);
      break;
    }
    RESULT(result, -ENOMEM);
    RESULT(gipc_wait_set_remove_handle(set, r), -ENOENT);
  }
  OK(gipc_put(w, "x", 1, -1));
  for (int nth = 1; nth < 20; ++nth) {
    fault::fail_memory(fault::by_new, nth);
    int result = gipc_wait(set, -1);
    if (fault::stop_memory() == 0) {
      RESULT(result, 1);
      break;
    }
    RESULT(result, -ENOMEM);
  }
}

struct Failing {
  int nth, error;
};

// In a process of its own, as an answer is remembered.  77: nothing failed.
int find_out_while_failing(void *argument) {
  auto *failing = static_cast<Failing *>(argument);
  int fds = count_fds();
  errno = 42;
  fault::fail_call(nullptr, failing->nth, failing->error);
  int result = gipc_features();
  CHILD_CHECK(errno == 42); /* H105 */
  bool failed = fault::stop_calls() > 0;
  CHILD_CHECK(result >= 0 || (failed && result == -failing->error));
  CHILD_CHECK(count_fds() == fds && has_children() == 0);
  int later = gipc_features();
  CHILD_CHECK(result < 0 ? later >= 0 : later == result);
  return failed ? 0 : 77;
}

// Whatever fails: an answer that claims less, or an error; no trace of it.
void finding_the_features_leaves_no_trace(void **) {
  for (int error : {EMFILE, ENOMEM, EPERM, ENOSYS})
    for (int nth = 1, status = 0; status == 0; ++nth) {
      assert_true(nth < 60);
      Failing failing{nth, error};
      pid_t pid = child_start(find_out_while_failing, &failing);
      assert_int_equal(waitpid(pid, &status, 0), pid);
      assert_true(WIFEXITED(status));
      status = WEXITSTATUS(status);
      assert_true(status == 0 || status == 77);
    }
}

#define SET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

} // namespace

int main() {
  const CMUnitTest tests[] = {
      SET_TEST(a_set_that_cannot_be_made_leaves_nothing),
      SET_TEST(a_handle_that_cannot_be_made_interruptible_is_not),
      SET_TEST(a_wait_that_fails_can_be_repeated),
      SET_TEST(a_wake_that_fails_can_be_repeated),
      SET_TEST(a_wake_beside_one_that_fails_is_not_lost),
      SET_TEST(wakes_that_nobody_waits_for_count_as_one),
      SET_TEST(a_member_without_memory_is_not_added),
      SET_TEST(finding_the_features_leaves_no_trace),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
