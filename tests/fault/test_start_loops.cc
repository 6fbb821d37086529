// What a start costs where the parent has loops: descriptors are listed where a
// loop has a signalfd only, and once (H121).
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <atomic>
#include <cstring>
#include <sys/mman.h>

namespace {

struct Counts {
  pid_t parent;
  std::atomic<int> opened; // in the child: /dev/null, or a folder
};
Counts *shared;

int count(const char *name) noexcept {
  if (getpid() != shared->parent && std::strcmp(name, "open") == 0)
    ++shared->opened;
  return 0;
}

int make_shared(void **) {
  void *memory = mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared = static_cast<Counts *>(memory);
  return memory == MAP_FAILED ? -1 : 0;
}

void never(gipc_process *, void *) { CHECK(false); }

void on_signal(struct ev_loop *, ev_signal *, int) { CHECK(false); }

struct Loops {
  unsigned first, others; // flags
  int count;              // of the others
};

int start_beside_loops(void *argument) {
  const auto &loops = *static_cast<Loops *>(argument);
  static const int numbers[] = {SIGHUP,  SIGINT,   SIGQUIT, SIGUSR1, SIGUSR2,
                                SIGPIPE, SIGWINCH, SIGTERM, SIGCONT, SIGTSTP};
  constexpr int most = sizeof numbers / sizeof *numbers;
  ev_signal watchers[most];
  gipc_process *known[most];
  struct ev_loop *loop = ev_default_loop(loops.first);
  CHECK(loop != nullptr && loops.count <= most);
  for (int i = 0; i < loops.count; ++i) {
    loop = ev_loop_new(loops.others);
    known[i] = start(wait_for_signal, nullptr, nullptr);
    CHECK_OK(gipc_process_watch(known[i], loop, never, nullptr));
    ev_signal_init(&watchers[i], on_signal, numbers[i]);
    ev_signal_start(loop, &watchers[i]);
  }
  shared->parent = getpid();
  shared->opened = 0;
  gipc::sys::fault = count;
  CHECK_IS(in_child(return_argument, INT(0), nullptr), 0);
  gipc::sys::fault = nullptr;
  for (int i = 0; i < loops.count; ++i)
    destroy(known[i]);
  return shared->opened;
}

int opened_beside(Loops loops) {
  fflush(nullptr);
  pid_t pid = child_start(start_beside_loops, &loops);
  int status = -1;
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

void no_descriptor_is_looked_for_where_no_loop_has_a_signalfd(void **) {
  CHECK_IS(opened_beside({EVFLAG_AUTO, EVFLAG_AUTO, 0}), 0);
  CHECK_IS(opened_beside({EVFLAG_AUTO, EVFLAG_AUTO, 9}), 0);
}

void descriptors_are_listed_once_however_many_signalfds_there_are(void **) {
  // The folder, and /dev/null.
  CHECK_IS(opened_beside({EVFLAG_SIGNALFD, EVFLAG_AUTO, 0}), 2);
  CHECK_IS(opened_beside({EVFLAG_SIGNALFD, EVFLAG_AUTO, 9}), 2);
  CHECK_IS(opened_beside({EVFLAG_AUTO, EVFLAG_SIGNALFD, 9}), 2);
  CHECK_IS(opened_beside({EVFLAG_SIGNALFD, EVFLAG_SIGNALFD, 9}), 2);
}

int refuse_links(const char *name) noexcept {
  bool in_child = getpid() != shared->parent;
  return in_child && std::strcmp(name, "readlink") == 0 ? ENOMEM : 0;
}

int start_without_links(void *) {
  gipc_process *p = nullptr;
  CHECK(ev_default_loop(EVFLAG_SIGNALFD) != nullptr);
  shared->parent = getpid();
  gipc::sys::fault = refuse_links;
  int result = gipc_start_process(return_argument, INT(0), nullptr, &p);
  gipc::sys::fault = nullptr;
  CHECK_IS(result, -ENOMEM);
  CHECK(p == nullptr && !has_children());
  return 0;
}

// The child would change what its parent's signalfd receives.
void a_signalfd_that_cannot_be_told_from_others_fails_the_start(void **) {
  in_own_fork(start_without_links, nullptr);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(no_descriptor_is_looked_for_where_no_loop_has_a_signalfd),
      TEST(descriptors_are_listed_once_however_many_signalfds_there_are),
      TEST(a_signalfd_that_cannot_be_told_from_others_fails_the_start),
  };
  return cmocka_run_group_tests(tests, make_shared, nullptr);
}
