// The system call that sends a signal fails: no process but the child gets it.
#include "support_fault.h"
#include "support_process.h"

#include <cerrno>
#include <initializer_list>

namespace {

int end(void **state) {
  (void)fault::stop_calls();
  return test_end(state);
}

void a_child_unknown_to_its_descriptor_gets_no_signal_by_its_pid(void **) {
  // H47: another process may have that pid now.
  gipc_process *p = start(wait_for_signal, nullptr, nullptr);
  fault::fail_call("pidfd_send_signal", 1, ESRCH);
  int result = gipc_process_kill(p);
  if (fault::stop_calls() == 0) {
    destroy(p);
    skip_because("signals are sent by pid here");
  }
  RESULT(result, GIPC_EDEAD);
  OK(gipc_process_signal(p, SIGTERM));
  assert_int_equal(end_of(p), -SIGTERM);
}

void a_kernel_that_sends_no_signals_by_descriptor_sends_them_by_pid(void **) {
  for (int error : {ENOSYS, EPERM, EMFILE}) {
    gipc_process *p = start(wait_for_signal, nullptr, nullptr);
    fault::fail_call("pidfd_send_signal", 1, error);
    OK(gipc_process_kill(p));
    (void)fault::stop_calls();
    assert_int_equal(end_of(p), -SIGKILL);
  }
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(
          a_child_unknown_to_its_descriptor_gets_no_signal_by_its_pid,
          test_setup, end),
      cmocka_unit_test_setup_teardown(
          a_kernel_that_sends_no_signals_by_descriptor_sends_them_by_pid,
          test_setup, end),
  };
  return cmocka_run_group_tests_name("signal calls", tests, nullptr, nullptr);
}
