// Every system call and every allocation of gipc_stdio() fails once: then 0 to
// 2 are what they were, and nothing else is open.
#include "support_fault.h"
#include "support_process.h"

#include <algorithm>
#include <fcntl.h>
#include <functional>
#include <sys/socket.h>
#include <sys/stat.h>

namespace {

struct Files {
  ino_t inode[3];

  Files() {
    for (int fd = 0; fd < 3; ++fd) {
      struct stat info;
      inode[fd] = fstat(fd, &info) == 0 ? info.st_ino : 0;
    }
  }
  bool operator==(const Files &other) const {
    return std::equal(inode, inode + 3, other.inode);
  }
};

// A stream at 0 and 1, and another file or nothing at 2.
void become_launched(bool with_stderr) {
  CHECK(dup2(0, 2) == 2); // nothing else shall land there
  int s[2], file = open("/dev/zero", O_RDWR);
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  CHECK(file > 2 && s[0] > 2);
  CHECK(dup2(s[0], 0) == 0 && dup2(s[1], 1) == 1 && dup2(file, 2) == 2);
  for (int fd : {s[0], s[1], file})
    close(fd);
  if (!with_stderr)
    close(2);
}

// Calls it with failure 1, 2, ... until none is left; their number.  Where a
// failure may do no harm, it may succeed, too.
int each_failure(int expected, bool harmless,
                 const std::function<void(int)> &begin,
                 const std::function<int()> &stop) {
  for (int nth = 1; nth < 100; ++nth) {
    gipc_handle *h = nullptr;
    Files before;
    int fds = count_fds();
    begin(nth);
    int result = gipc_stdio(&h);
    bool failed = stop() > 0;
    if (result != 0) {
      CHECK(failed);
      CHECK_IS(result, expected);
      CHECK(h == nullptr && before == Files());
      CHECK_IS(count_fds(), fds);
      continue;
    }
    CHECK(h != nullptr && count_fds() == fds + 2);
    CHECK(!(before == Files()));
    gipc_handle_free(h);
    if (!failed)
      return nth - 1;
    CHECK(harmless);
    become_launched(fcntl(2, F_GETFD) >= 0);
  }
  CHECK(!"always one more");
  return 0;
}

int each_failing_call(const char *names, bool harmless) {
  return each_failure(
      -ENFILE, harmless,
      [names](int nth) { fault::fail_call(names, nth, ENFILE); },
      fault::stop_calls);
}

int fail_calls(void *with_stderr) {
  become_launched(with_stderr != nullptr);
  CHECK_IS(each_failing_call("open,fstat,dup2", false), 7);
  // And two copies, and what gipc_open() does, some of which is for the better
  // only.
  become_launched(with_stderr != nullptr);
  CHECK(each_failing_call(nullptr, true) >= 13);
  return 0;
}

void a_failing_call_of_gipc_stdio_changes_nothing(void **) { /* H24 */
  for (int with_stderr = 0; with_stderr < 2; ++with_stderr)
    in_own_fork(fail_calls, INT(with_stderr));
}

int fail_allocations(void *) {
  become_launched(true);
  CHECK(each_failure(
            -ENOMEM, false,
            [](int nth) { fault::fail_memory(fault::any, nth); },
            fault::stop_memory) >= 1);
  return 0;
}

void gipc_stdio_without_memory_changes_nothing(void **) { /* H103 */
  if (!fault::can_fail(fault::by_new))
    skip_because("the allocator is that of a sanitizer or valgrind");
  in_own_fork(fail_allocations, nullptr);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_failing_call_of_gipc_stdio_changes_nothing),
      TEST(gipc_stdio_without_memory_changes_nothing),
  };
  return cmocka_run_group_tests_name("stdio calls", tests, nullptr, nullptr);
}
