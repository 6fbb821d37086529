// How many system calls a plain start takes, in the parent and in the child,
// and that it takes more where more has to be done.
#include "support_fault.h"
#include "support_process.h"

#include "sys.h"

#include <cstring>
#include <sys/mman.h>
#include <sys/resource.h>

namespace {

// ---- The calls: in memory that parent and child share -----------------------

struct Calls {
  pid_t parent;
  int of_parent, of_child, fstats, sends;
};
Calls *calls;

int on_call(const char *name) noexcept {
  bool here = getpid() == calls->parent;
  ++(here ? calls->of_parent : calls->of_child);
  calls->fstats += here && std::strcmp(name, "fstat") == 0 ? 1 : 0;
  calls->sends += here && std::strcmp(name, "send") == 0 ? 1 : 0;
  return 0;
}

int make_shared(void **) {
  void *memory = mmap(nullptr, sizeof(Calls), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  calls = static_cast<Calls *>(memory);
  return memory == MAP_FAILED ? -1 : 0;
}

pid_t fork_with_a_pipe(void *) {
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  pid_t pid = fork();
  if (pid != 0) {
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
  return pid;
}

void count_a_start(gipc_options *o) {
  *calls = Calls{getpid(), 0, 0, 0, 0};
  gipc::sys::fault = on_call;
  gipc_process *p = start(return_argument, INT(3), o);
  CHECK_OK(gipc_process_join(p, -1));
  gipc::sys::fault = nullptr;
  CHECK_IS(end_of(p), 3);
}

void a_plain_start_makes_few_system_calls(void **) {
  count_a_start(nullptr); // what is asked once has been asked
  count_a_start(nullptr);
  print_message("%d calls of the parent, %d of the child\n", calls->of_parent,
                calls->of_child);
  // Without pidfds the parent looks again and again.
  if (!portable())
    CHECK(calls->of_parent <= 12);
  CHECK(calls->of_child <= 8);
}

void a_child_is_told_what_changed_and_only_then(void **) {
  gipc_options *o = new_options();
  count_a_start(nullptr);
  CHECK_IS(calls->fstats, 0);
  CHECK_IS(calls->sends, 1);
  CHECK_OK(gipc_options_set_fork(o, fork_with_a_pipe, nullptr));
  count_a_start(o);
  CHECK(calls->fstats > 0);
  CHECK_IS(calls->sends, 2);
  gipc_options_free(o);
}

// ---- The memory of the parent -----------------------------------------------

long page_faults() {
  struct rusage usage;
  CHECK_IS(getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_minflt;
}

// How many page faults it takes to write to all of a large memory once more,
// when a program has been started since: a copy would cost one a page.
long faults_after_a_start(void *memory, size_t size, size_t page) {
  std::memset(memory, 1, size);
  gipc_process *p = execute(nullptr, "true", nullptr);
  long before = page_faults();
  for (size_t i = 0; i < size; i += page)
    static_cast<volatile char *>(memory)[i] = 2;
  long faults = page_faults() - before;
  CHECK_IS(end_of(p), 0);
  return faults;
}

void a_start_of_a_program_copies_no_memory(void **) { // H22
  if ((gipc_features() & GIPC_FEATURE_SHARED_START) == 0)
    skip_because("a program's start copies the memory here");
  if (slow())
    skip_because("valgrind and sanitizers start programs in their own way");
  const size_t size = 32 << 20, page = size_t(sysconf(_SC_PAGESIZE));
  void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  (void)madvise(memory, size, MADV_NOHUGEPAGE); // a fault a page
  long faults = faults_after_a_start(memory, size, page);
  print_message("%ld page faults in %zu pages\n", faults, size / page);
  CHECK(size_t(faults) < size / page / 8);
  CHECK_IS(munmap(memory, size), 0);
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(a_plain_start_makes_few_system_calls),
      TEST(a_child_is_told_what_changed_and_only_then),
      TEST(a_start_of_a_program_copies_no_memory),
  };
  return cmocka_run_group_tests(tests, make_shared, nullptr);
}
