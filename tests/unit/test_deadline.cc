// Deadlines: on the monotonic clock, whatever the wall clock does, and rounded
// so that they never end early.
#include "support.h"

#include "deadline.h"
#include "handle.h"

#include <cmath>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

// Jumps back and forth with each question, as long as this is set.
bool wall_clock_jumps;
double fake_now = -1; // of the monotonic clock, when it is stopped

// The system call for the timespec of this program: 64-bit time on a 32-bit
// system has another one.
int ask_kernel(clockid_t clock, timespec *out) {
#ifdef SYS_clock_gettime64
  if (sizeof out->tv_sec > sizeof(long))
    return static_cast<int>(syscall(SYS_clock_gettime64, clock, out));
#endif
  return static_cast<int>(syscall(SYS_clock_gettime, clock, out));
}

} // namespace

extern "C" int clock_gettime(clockid_t clock, timespec *out) {
  static int jump = 3600;
  if (clock == CLOCK_MONOTONIC && fake_now >= 0) {
    out->tv_sec = static_cast<time_t>(fake_now);
    out->tv_nsec =
        static_cast<long>((fake_now - static_cast<double>(out->tv_sec)) * 1e9);
    return 0;
  }
  int result = ask_kernel(clock, out);
  if (clock == CLOCK_REALTIME && wall_clock_jumps)
    out->tv_sec += jump = -jump;
  return result;
}

namespace {

using gipc::Deadline;

Deadline of(double timeout) {
  Deadline deadline;
  assert_int_equal(Deadline::create(timeout, deadline), 0);
  return deadline;
}

void a_jump_of_the_wall_clock_moves_no_deadline(void **) { /* H71 */
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  OK(gipc_pipe(&r, &w));
  wall_clock_jumps = true;
  for (int i = 0; i < 4; ++i) {
    timespec before, after;
    ask_kernel(CLOCK_MONOTONIC, &before);
    RESULT(gipc_get(r, 0.02, &data, &size), -ETIMEDOUT);
    ask_kernel(CLOCK_MONOTONIC, &after);
    double took = static_cast<double>(after.tv_sec - before.tv_sec) +
                  static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e9;
    assert_true(took >= 0.02);
    assert_true(took < 5);
  }
  wall_clock_jumps = false;
  gipc_handle_free(r);
  gipc_handle_free(w);
}

void milliseconds_are_rounded_up(void **) {
  fake_now = 1000;
  Deadline deadline = of(0.0101);
  assert_int_equal(deadline.milliseconds(), 11);
  fake_now = 1000.0095;
  assert_int_equal(deadline.milliseconds(), 1);
  fake_now = 1000.0100999;
  assert_int_equal(deadline.milliseconds(), 1);
  fake_now = 1000.0102;
  assert_int_equal(deadline.milliseconds(), 0);
  fake_now = 2000;
  assert_int_equal(deadline.milliseconds(), 0);
  fake_now = -1;
}

void the_time_starts_once(void **) { /* H68 */
  fake_now = 500;
  Deadline deadline = of(2);
  assert_int_equal(deadline.milliseconds(), 2000);
  fake_now = 501;
  assert_int_equal(deadline.milliseconds(), 1000);
  fake_now = 501.5;
  assert_int_equal(deadline.milliseconds(), 500);
  fake_now = -1;
}

void zero_infinite_and_nan_timeouts_have_their_meaning(void **) {
  Deadline deadline;
  assert_int_equal(Deadline::create(NAN, deadline), -EINVAL);
  assert_int_equal(of(-1).milliseconds(), -1);
  assert_int_equal(of(-INFINITY).milliseconds(), -1);
  assert_int_equal(of(0).milliseconds(), 0);
  assert_int_equal(of(-0.0).milliseconds(), 0);
  // Longer than poll can express: it looks again after that.
  assert_int_equal(of(INFINITY).milliseconds(), 1000000000);
  assert_int_equal(of(1e300).milliseconds(), 1000000000);
  assert_int_equal(of(1e9).milliseconds(), 1000000000);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_jump_of_the_wall_clock_moves_no_deadline),
      TEST(milliseconds_are_rounded_up),
      TEST(the_time_starts_once),
      TEST(zero_infinite_and_nan_timeouts_have_their_meaning),
  };
  return cmocka_run_group_tests_name("deadline", tests, nullptr, nullptr);
}
