// Notices and keepers while a system call or an allocation fails: -errno,
// nothing leaks, and a keeper goes on.
#include "support_fault.h"
#include "support_process.h"

#include <ev.h>
#include <unistd.h>

namespace {

int end(void **state) {
  (void)fault::stop_calls();
  (void)fault::stop_memory();
  return test_end(state);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, end)

// Fails call 1, 2, ... of body, which returns its result.  Returns the number
// of calls.  clean() follows each.
template <typename Body, typename Clean>
int each_call(Body &&body, Clean &&clean) {
  for (int nth = 1; nth < 100; ++nth) {
    int fds = count_fds();
    errno = 42;
    fault::fail_call(nullptr, nth, ENFILE);
    int result = body();
    bool failed = fault::stop_calls() > 0;
    assert_int_equal(errno, 42); /* H105 */
    clean();
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

// ---- Notices ----------------------------------------------------------------

void a_socket_that_cannot_be_made_leaves_nothing(void **) {
  char folder[] = "/tmp/gipc_test_XXXXXX";
  assert_non_null(mkdtemp(folder));
  setenv("TMPDIR", folder, 1);
  gipc_notify_socket *s = nullptr;
  int calls = each_call(
      [&] {
        int result = gipc_notify_socket_new(&s);
        assert_true((result == 0) == (s != nullptr));
        return result;
      },
      [&] {
        gipc_notify_socket_free(s);
        s = nullptr;
      });
  assert_true(calls >= 3);
  if (fault::can_fail(fault::by_new)) {
    fault::fail_memory(fault::by_new, 1);
    RESULT(gipc_notify_socket_new(&s), -ENOMEM);
    assert_int_equal(fault::stop_memory(), 1);
    assert_null(s);
  }
  unsetenv("TMPDIR");
  assert_int_equal(rmdir(folder), 0); // it is empty
}

void a_notice_that_cannot_be_sent_or_received_is_an_error(void **) {
  gipc_notify_socket *s;
  OK(gipc_notify_socket_new(&s));
  setenv("NOTIFY_SOCKET", gipc_notify_socket_address(s), 1);
  assert_true(each_call([] { return gipc_ready(); }, [] {}) >= 2);
  assert_true(each_call([] { return gipc_alive(); }, [] {}) >= 2);
  assert_int_equal(
      each_call([&] { return gipc_notify_socket_receive(s, 0); }, [] {}), 1);
  RESULT(gipc_notify_socket_receive(s, 0), GIPC_NOTIFY_ALIVE);
  unsetenv("NOTIFY_SOCKET");
  gipc_notify_socket_free(s);
}

// ---- Keepers ----------------------------------------------------------------

// Only what the keeper's process does fails.
pid_t fork_without_faults(void *) {
  pid_t pid = fork();
  if (pid == 0) {
    (void)fault::stop_calls();
    (void)fault::stop_memory();
  }
  return pid;
}

int report_and_wait(struct ev_loop *, void *) {
  if (gipc_ready() != 0)
    return 1;
  for (;;)
    pause();
}

struct Run {
  struct ev_loop *loop;
  int ready, ended, end_why;
};

void on_service(gipc_keeper *keeper, const gipc_service_change *change,
                void *user) {
  auto &run = *static_cast<Run *>(user);
  run.ready += change->kind == GIPC_SERVICE_READY;
  run.ended += change->kind == GIPC_SERVICE_ENDED;
  if (change->kind == GIPC_SERVICE_READY)
    OK(gipc_keeper_stop(keeper));
}

void on_end(gipc_keeper *, int why, void *user) {
  static_cast<Run *>(user)->end_why = why;
}

gipc_keeper *new_keeper(const gipc_rules &rules) {
  gipc_keeper *keeper;
  gipc_options *options;
  size_t service;
  OK(gipc_options_new(&options));
  OK(gipc_options_set_fork(options, fork_without_faults, nullptr));
  OK(gipc_keeper_new(GIPC_ONE_FOR_ONE, &keeper));
  OK(gipc_keeper_add(keeper, "a", report_and_wait, nullptr, &rules, options,
                     &service));
  gipc_options_free(options);
  return keeper;
}

// Runs a keeper until its service is ready, and stops it.  True if something
// failed.
template <typename Begin, typename Stop>
bool keep(Begin &&begin, Stop &&stop_failing) {
  gipc_rules rules{};
  rules.size = sizeof rules;
  rules.notify = 1;
  rules.first_delay = 0.001;
  rules.longest_delay = 0.001;
  rules.ready_within = 20; // of one whose start could not be completed
  gipc_keeper_events events{};
  events.size = sizeof events;
  events.on_service = on_service;
  events.on_end = on_end;
  Run run{ev_loop_new(EVFLAG_AUTO), 0, 0, -1};
  gipc_keeper *keeper = new_keeper(rules);
  OK(gipc_keeper_start(keeper, run.loop, &events, &run));
  begin();
  ev_run(run.loop, 0);
  bool failed = stop_failing() > 0;
  assert_int_equal(run.ready, 1);
  assert_int_equal(run.end_why, GIPC_WHY_STOPPED);
  assert_true(failed || run.ended == 1);
  gipc_keeper_free(keeper);
  ev_loop_destroy(run.loop);
  while (has_children()) { // what it killed is reaped by the next free
    gipc_process_free(nullptr);
    usleep(1000);
  }
  return failed;
}

void a_keeper_goes_on_when_a_call_fails(void **) {
  // Those that can fail for want of something.
  const char *const names[] = {"socket",  "setsockopt", "bind",  "getsockname",
                               "mkdtemp", "recvmsg",    "fcntl", "socketpair",
                               "pipe",    "pidfd_open"};
  int failures = 0;
  for (const char *name : names)
    for (int nth = 1;
         keep([&] { fault::fail_call(name, nth, ENFILE); }, fault::stop_calls);
         ++nth)
      assert_true(++failures < 500);
  assert_true(failures > 5);
}

void a_keeper_goes_on_without_memory(void **) {
  if (!fault::can_fail(fault::by_new))
    skip_because("allocations cannot be made to fail here");
  int nth = 1;
  while (
      keep([&] { fault::fail_memory(fault::by_new, nth); }, fault::stop_memory))
    assert_true(++nth < 500);
  assert_true(nth > 5);
}

void what_cannot_be_added_is_not_there(void **) {
  if (!fault::can_fail(fault::by_new))
    skip_because("allocations cannot be made to fail here");
  gipc_keeper *keeper = nullptr;
  size_t service = 7;
  fault::fail_memory(fault::by_new, 1);
  RESULT(gipc_keeper_new(GIPC_ONE_FOR_ONE, &keeper), -ENOMEM);
  (void)fault::stop_memory();
  assert_null(keeper);
  OK(gipc_keeper_new(GIPC_ONE_FOR_ONE, &keeper));
  const char *const argv[] = {"a program with a long name", nullptr};
  int nth = 1;
  for (int failed = 1; failed > 0; ++nth) {
    fault::fail_memory(fault::by_new, nth);
    int result = gipc_keeper_add_exec(keeper, "a service with a long name",
                                      argv, nullptr, nullptr, &service);
    failed = fault::stop_memory();
    RESULT(result, failed > 0 ? -ENOMEM : 0);
  }
  assert_true(nth > 3 && service == 0);
  gipc_keeper_free(keeper);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      FAULT_TEST(a_socket_that_cannot_be_made_leaves_nothing),
      FAULT_TEST(a_notice_that_cannot_be_sent_or_received_is_an_error),
      FAULT_TEST(a_keeper_goes_on_when_a_call_fails),
      FAULT_TEST(a_keeper_goes_on_without_memory),
      FAULT_TEST(what_cannot_be_added_is_not_there),
  };
  return cmocka_run_group_tests_name("keeper_calls", tests, nullptr, nullptr);
}
