// Descriptors that a child must not have are closed by any call that works, or
// the start fails (H119).
#include "support_fault.h"
#include "support_process.h"

#include <cstring>
#include <fcntl.h>
#include <initializer_list>

namespace {

// Every way to close many descriptors, and to find out which there are.
constexpr const char *all = "close_range,open,getdents64,getrlimit";

// At a number that nothing else takes.
int open_secret() {
  int fd = open("/dev/null", O_RDONLY), secret = fcntl(fd, F_DUPFD, 100);
  CHECK(fd > 2 && secret >= 100);
  close(fd);
  return secret;
}

int is_open(struct ev_loop *, void *argument) {
  return fcntl(static_cast<int>(reinterpret_cast<intptr_t>(argument)),
               F_GETFD) >= 0;
}

void a_start_fails_where_nothing_can_be_closed(void **) {
  not_under_valgrind();
  const char *argv[] = {PROGRAM("child_fds"), nullptr};
  int secret = open_secret();
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_keep_fds(o, nullptr, 0));
  for (int error : {ENOSYS, EPERM, EMFILE}) {
    gipc_process *p = nullptr;
    fault::fail_call(all, 1, error, 1000);
    int program = gipc_exec_process(argv, nullptr, &p);
    int function = gipc_start_process(is_open, INT(secret), o, &p);
    fault::stop_calls();
    CHECK_IS(program, -error);
    CHECK_IS(function, -error);
    CHECK(p == nullptr && !has_children());
  }
  gipc_options_free(o);
  close(secret);
}

void one_way_to_close_is_enough(void **) {
  not_under_valgrind();
  const char *argv[] = {PROGRAM("child_fds"), nullptr};
  static const char *const refused[] = {
      "close_range", "close_range,open", "close_range,getdents64",
      "close_range,getrlimit", "open,getdents64,getrlimit"};
  char text[256];
  int secret = open_secret();
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_keep_fds(o, nullptr, 0));
  for (const char *names : refused) {
    if (portable() && std::strstr(names, "getrlimit") != nullptr)
      continue; // there are two ways only
    fault::fail_call(names, 1, ENOSYS, 1000);
    int code = output_of(o, argv, text, sizeof text);
    int open_there = in_child(is_open, INT(secret), o);
    fault::stop_calls();
    CHECK_IS(code, 0);
    assert_string_equal(text, "0 1 2 \n");
    CHECK_IS(open_there, 0);
  }
  gipc_options_free(o);
  close(secret);
}

} // namespace

int main() {
  for (int fd = 3; fd < 256; fd++)
    close(fd); // what the shell left
  const struct CMUnitTest tests[] = {
      TEST(a_start_fails_where_nothing_can_be_closed),
      TEST(one_way_to_close_is_enough),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
