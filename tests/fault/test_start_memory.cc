// Every allocation of a start fails once: -ENOMEM, and nothing is left (H24,
// H103).
#include "support_fault.h"
#include "support_process.h"

#include <fcntl.h>
#include <string>
#include <sys/stat.h>

namespace {

// Fails allocation 1, 2, ... of body, and those after it, until there is none.
template <typename Body> int each_allocation(int kinds, Body &&body) {
  for (int nth = 1; nth < 200; ++nth) {
    int fds = count_fds(), children = has_children();
    uint64_t mask = signal_field("SigBlk");
    fault::fail_memory(kinds, nth, 1000);
    int result = body();
    int failed = fault::stop_memory();
    CHECK(signal_field("SigBlk") == mask);
    if (failed == 0) {
      CHECK_OK(result);
      return nth - 1;
    }
    CHECK_IS(result, -ENOMEM);
    CHECK_IS(has_children(), children);
    CHECK_IS(count_fds(), fds);
  }
  fail_msg("always one more allocation");
  return 0;
}

// The child has memory.
pid_t fork_with_memory(void *) {
  int failed = fault::stop_memory();
  CHECK_IS(failed, 0);
  return fork();
}

gipc_options *everything(gipc_handle *h) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_name(o, "a name that is too long for its place"));
  CHECK_OK(gipc_options_pass(o, "it", h));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST", "a value of some length, too"));
  CHECK_OK(gipc_options_set_cwd(o, "/"));
  CHECK_OK(gipc_options_set_daemon(o, 1));
  for (int which = 0; which < 3; ++which)
    CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_keep_fds(o, nullptr, 0));
  CHECK_OK(gipc_options_map_fd(o, 2, 600));
  CHECK_OK(gipc_options_set_fork(o, fork_with_memory, nullptr));
  return o;
}

struct Started {
  gipc_handle *r, *w;
  gipc_options *o;
  gipc_process *p = nullptr;

  Started() {
    CHECK_OK(gipc_pipe(&r, &w));
    o = everything(w);
  }
  ~Started() {
    if (p != nullptr)
      CHECK_IS(end_of(p), 0);
    gipc_options_free(o);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
};

void starting_a_function_fails_cleanly(void **) {
  not_under_valgrind();
  for (int kinds : {fault::by_new, fault::any}) {
    Started s;
    CHECK(each_allocation(kinds, [&] {
            int result =
                gipc_start_process(return_argument, nullptr, s.o, &s.p);
            if (result != 0) {
              CHECK(s.p == nullptr);
              CHECK_IS(gipc_directions(s.w), GIPC_WRITE);
            }
            return result;
          }) >= 3);
  }
}

void starting_a_program_fails_cleanly(void **) {
  not_under_valgrind();
  const char *argv[] = {"true", nullptr};
  for (int kinds : {fault::by_new, fault::any}) {
    Started s;
    CHECK(each_allocation(kinds, [&] {
            int result = gipc_exec_process(argv, s.o, &s.p);
            if (result != 0) {
              CHECK(s.p == nullptr);
              CHECK_IS(gipc_directions(s.w), GIPC_WRITE);
            }
            return result;
          }) >= 5);
  }
}

void preparing_a_fork_fails_cleanly(void **) {
  not_under_valgrind();
  for (int kinds : {fault::by_new, fault::any}) {
    Started s;
    CHECK(each_allocation(kinds, [&] {
            gipc_fork_context *f = nullptr;
            int result = gipc_fork_prepare(s.o, &f);
            if (result != 0) {
              CHECK(f == nullptr);
              return result;
            }
            gipc_process *p = nullptr;
            errno = EAGAIN;
            CHECK_IS(gipc_fork_parent(f, -1, &p), -EAGAIN);
            return 0;
          }) >= 3);
  }
}

void setting_options_fails_cleanly(void **) {
  not_under_valgrind();
  gipc_handle *r, *w;
  gipc_options *o = nullptr;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK(each_allocation(fault::any, [&] { return gipc_options_new(&o); }) == 1);
  std::string text(100, 'x');
  const int fds[] = {7, 8, 9};
  const gid_t groups[] = {1, 2, 3};
  int made = 0;
  made += each_allocation(
      fault::any, [&] { return gipc_options_set_name(o, text.c_str()); });
  made += each_allocation(fault::any, [&] {
    return gipc_options_set_env(o, text.c_str(), text.c_str());
  });
  made += each_allocation(
      fault::any, [&] { return gipc_options_set_cwd(o, "/bin/../usr/bin"); });
  made += each_allocation(
      fault::any, [&] { return gipc_options_pass(o, text.c_str(), w); });
  made += each_allocation(fault::any,
                          [&] { return gipc_options_keep_fds(o, fds, 3); });
  made += each_allocation(fault::any, [&] {
    return gipc_options_set_user(o, geteuid(), getegid(), groups, 3);
  });
  made += each_allocation(fault::any,
                          [&] { return gipc_options_set_rlimit(o, 0, 1, 1); });
  made += each_allocation(
      fault::any, [&] { return gipc_options_block_signal(o, SIGUSR1); });
  made +=
      each_allocation(fault::any, [&] { return gipc_options_map_fd(o, 7, 8); });
  made += each_allocation(
      fault::any, [&] { return gipc_options_set_program(o, text.c_str()); });
  CHECK(made >= 10);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

void never(gipc_process *, void *) {}

void watching_fails_cleanly(void **) {
  not_under_valgrind();
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_process *p = start(return_argument, nullptr, nullptr);
  // libev ends the program where it has no memory itself.
  CHECK(each_allocation(fault::by_new, [&] {
          return gipc_process_watch(p, loop, never, nullptr);
        }) >= 1);
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(end_of(p), 0);
  ev_loop_destroy(loop);
}

// A variable as a parent makes it, for a descriptor that is here.
std::string handles_of(const char *name, int fd) {
  struct stat info;
  char value[200];
  CHECK_OK(fstat(fd, &info));
  std::snprintf(value, sizeof value, "%s=%d/r@%llx:%llu", name, fd,
                static_cast<unsigned long long>(info.st_dev),
                static_cast<unsigned long long>(info.st_ino));
  return value;
}

int inherit_without_memory(void *several) {
  gipc_handle *h = nullptr;
  int fds[2];
  const char *name = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
  CHECK_OK(pipe(fds));
  std::string value = handles_of(name, fds[0]);
  if (several != nullptr)
    value += "," + handles_of("another", fds[0]);
  CHECK_OK(setenv("GIPC_HANDLES", value.c_str(), 1));
  CHECK(each_allocation(fault::any, [&] {
          int result = gipc_inherit(name, &h);
          CHECK((result == 0) == (h != nullptr));
          // A failure has changed nothing.
          if (result != 0)
            CHECK(getenv("GIPC_HANDLES") == value);
          return result;
        }) >= 2);
  const char *left = getenv("GIPC_HANDLES");
  CHECK(several == nullptr ? left == nullptr
                           : left == handles_of("another", fds[0]));
  gipc_handle_free(h);
  return 0;
}

void inheriting_fails_cleanly(void **) {
  not_under_valgrind();
  in_own_fork(inherit_without_memory, nullptr);
  in_own_fork(inherit_without_memory, INT(1));
}

int inherit_without_environment(void *) {
  gipc_handle *h = nullptr;
  int fds[2];
  CHECK_OK(pipe(fds));
  std::string another = handles_of("another", fds[0]);
  std::string value = handles_of("it", fds[0]) + "," + another;
  CHECK_OK(setenv("GIPC_HANDLES", value.c_str(), 1));
  fault::fail_call("setenv", 1, EACCES);
  int result = gipc_inherit("it", &h);
  CHECK_IS(fault::stop_calls(), 1);
  CHECK_IS(result, -EACCES);
  CHECK(h == nullptr && getenv("GIPC_HANDLES") == value);
  CHECK(fcntl(fds[0], F_GETFD) >= 0);
  CHECK_OK(gipc_inherit("it", &h));
  CHECK(getenv("GIPC_HANDLES") == another);
  gipc_handle_free(h);
  return 0;
}

void a_handle_is_not_inherited_where_the_environment_cannot_change(void **) {
  in_own_fork(inherit_without_environment, nullptr);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(starting_a_function_fails_cleanly),
      TEST(starting_a_program_fails_cleanly),
      TEST(preparing_a_fork_fails_cleanly),
      TEST(setting_options_fails_cleanly),
      TEST(watching_fails_cleanly),
      TEST(inheriting_fails_cleanly),
      TEST(a_handle_is_not_inherited_where_the_environment_cannot_change),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
