// Runs scenarios while something fails; see sites.h.
#include "sites.h"

#include "support_fault.h"
#include "sys.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <link.h>
#include <string>
#include <sys/utsname.h>
#include <unwind.h>

namespace sites {

namespace {

// ---- The hooks --------------------------------------------------------------

int on_call(const char *name) noexcept { return failure_of(a_call, name); }

struct Range {
  uintptr_t start, end;
} libev;

int find_libev(dl_phdr_info *info, size_t, void *) {
  if (std::strstr(info->dlpi_name, "/libev.") == nullptr)
    return 0;
  libev.start = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i)
    if (info->dlpi_phdr[i].p_type == PT_LOAD)
      libev.end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
                  info->dlpi_phdr[i].p_memsz;
  return 1;
}

struct Caller {
  int left;
  uintptr_t address;
};

_Unwind_Reason_Code find_caller(_Unwind_Context *context, void *pointer) {
  auto *caller = static_cast<Caller *>(pointer);
  caller->address = static_cast<uintptr_t>(_Unwind_GetIP(context));
  return caller->left-- == 0 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

// libev ends the program when it gets no memory.
bool is_of_libev() noexcept {
  // This, the hook, what asks the hook, and malloc itself.
  for (int depth = 2; depth < 6; ++depth) {
    Caller caller{depth, 0};
    _Unwind_Backtrace(find_caller, &caller);
    if (caller.address >= libev.start && caller.address < libev.end)
      return true;
  }
  return false;
}

bool inside;

bool on_allocation(int) noexcept {
  if (inside || !shared->on || shared->kind != an_allocation)
    return false;
  inside = true;
  bool fails = !is_of_libev() && failure_of(an_allocation, "allocation") != 0;
  inside = false;
  return fails;
}

// ---- One run ----------------------------------------------------------------

struct Failure {
  uint64_t hash;
  int error;
};

// Whatever a failed wait for a child has left is a zombie, and nothing else is.
bool waits(const char *name) { return std::strncmp(name, "wait", 4) == 0; }

// Every child ends, and is reaped.  One that could not be waited for is the
// test's.
void settle(bool waits_failed) {
  char path[64], text[4096];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/children",
                static_cast<int>(getpid()));
  for (gipc_process_free(nullptr); has_children(); gipc_process_free(nullptr)) {
    if (waits_failed) {
      read_file(path, text, sizeof text);
      for (char *at = text; *at >= '0' && *at <= '9'; ++at)
        kill(static_cast<pid_t>(std::strtol(at, &at, 10)), SIGKILL);
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
    }
    usleep(500);
  }
}

bool is_told(int result, const Failure *failures, int count) {
  if (result == 0)
    return true;
  for (int i = 0; i < count; ++i)
    if (const Path *path = find_path(failures[i].hash))
      if (path->kind == an_allocation
              ? result == -ENOMEM
              : tells(result, path->name, failures[i].error))
        return true;
  return false;
}

// What a failure in a child is here: it has ended.
bool tells_of_child(int result) {
  return result == ended_before_start || result == failed_in_child ||
         result == GIPC_EOF || result == -EPIPE || result == GIPC_EDEAD;
}

// Or the parent was told that the child has gone, and could not open its gate.
bool is_of_child(const Path &path, int error) {
  return path.in_child || (std::strncmp(path.name, "send", 4) == 0 &&
                           (error == EPIPE || error == ECONNRESET));
}

__attribute__((noinline)) int hooked(const Scenario &scenario) {
  gipc::sys::fault = on_call;
  fault::memory_hook = on_allocation;
  top = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  int result = scenario.run();
  gipc::sys::fault = nullptr;
  fault::memory_hook = nullptr;
  return result;
}

// In a process of its own.
int attempt(const Scenario &scenario, const Failure *failures, int count) {
  shared->runner = getpid();
  bool first = count == 0, zombies = false, in_child = false;
  for (int i = 0; i < count; ++i)
    if (const Path *path = find_path(failures[i].hash)) {
      zombies |= waits(path->name);
      in_child |= is_of_child(*path, failures[i].error);
    }
  alarm(slow() ? 600 : 300);
  uint64_t mask = signal_field("SigBlk");
  shared->on = true;
  int result = hooked(scenario);
  shared->on = false;
  if (in_child && tells_of_child(result))
    result = 0;
  if (!is_told(result, failures, count)) {
    std::fprintf(stderr, "  it returned %d (%s)\n", result,
                 gipc_strerror(result));
    return 1;
  }
  CHECK(signal_field("SigBlk") == mask);
  settle(zombies);
  CHECK_OK(scenario.run()); // the next attempt works
  settle(false);
  if (first) {
    shared->fds = count_fds();
    shared->allocations = fault::allocations();
  }
  CHECK_IS(count_fds(), shared->fds);
  if (fault::can_fail(fault::by_malloc))
    CHECK_IS(fault::allocations(), shared->allocations);
  return 0;
}

void describe(const Failure &failure) {
  const Path *path = find_path(failure.hash);
  if (path == nullptr)
    return;
  std::fprintf(stderr,
               "  after %s failed with %d (%s), at\n  addr2line -Cfipe "
               "%s",
               path->name, failure.error, std::strerror(failure.error),
               program_invocation_name);
  for (int i = 0; i < path->depth; ++i)
    std::fprintf(stderr, " %x", path->frames[i] - 1);
  std::fprintf(stderr, "\n");
}

// Appends what has failed to the file that the environment names.
void report(const Failure &failure) {
  const char *name = std::getenv("GIPC_TEST_SITES");
  const Path *path = find_path(failure.hash);
  FILE *file = name != nullptr ? std::fopen(name, "ae") : nullptr;
  if (file == nullptr)
    return;
  std::fprintf(file, "%s", path->name);
  for (int i = 0; i < path->depth; ++i)
    std::fprintf(file, " %x", path->frames[i] - 1);
  std::fprintf(file, "\n");
  std::fclose(file);
}

// Runs it while these fail.  False: it is wrong.
bool run(const Scenario &scenario, const Failure *failures, int count) {
  for (size_t i = 0; i < Shared::plans; ++i) {
    shared->plan[i].error = static_cast<int>(i) < count ? failures[i].error : 0;
    shared->plan[i].hash = static_cast<int>(i) < count ? failures[i].hash : 0;
  }
  shared->delivered = 0;
  std::fflush(nullptr);
  pid_t pid = fork();
  if (pid == 0)
    _exit(attempt(scenario, failures, count));
  int status = -1;
  double started = now();
  CHECK(waitpid(pid, &status, 0) == pid);
  if (now() - started > 5) {
    std::fprintf(stderr, "SLOW %s: took %.1f s\n", scenario.name,
                 now() - started);
    for (int i = 0; i < count; ++i)
      describe(failures[i]);
  }
  if (shared->delivered == count && count > 0)
    report(failures[count - 1]);
  if (status == 0)
    return true;
  std::fprintf(stderr, "FAULT %s: status %x%s\n", scenario.name,
               static_cast<unsigned>(status),
               WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ", it hangs"
                                                                  : "");
  for (int i = 0; i < count; ++i)
    describe(failures[i]);
  return false;
}

// ---- All runs of a scenario -------------------------------------------------

struct Sum {
  int runs, wrong, delivered;
};

Path &nth_path(size_t n) { return shared->paths[shared->order[n]]; }

// Each of these is made because something failed, and is what the other one
// stands in for: a child at its gate is told to end, and is killed.
bool is_replaced(const Path &path) {
  return std::strcmp(path.name, "shutdown") == 0 ||
         std::strstr(path.name, "kill") != nullptr ||
         std::strcmp(path.name, "pidfd_send_signal") == 0;
}

// In `make check`: the places that have failed, in any scenario.  What a run
// has not freed is counted, so that this needs no memory later.
struct Places {
  size_t count = 0;
  uint64_t at[Shared::room];
  bool has(uint64_t place) const {
    return std::find(at, at + count, place) != at + count;
  }
  void add(uint64_t place) { at[count++] = place; }
} failed_places;
Sum total;

bool failed_before(const Path &path, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (nth_path(i).place == path.place && nth_path(i).kind == path.kind)
      return true;
  return false;
}

const int *numbers_of(const Path &path) {
  static const int lengths[] = {1, 2, 0}; // one byte, half
  if (path.kind == a_transfer)
    return lengths;
  const int *numbers = errors_of(path.name);
  if (numbers == nullptr)
    std::fprintf(stderr, "no errors for %s: see its manual page\n", path.name);
  CHECK(numbers != nullptr);
  return numbers;
}

void fail_path(const Scenario &scenario, size_t n, bool all, Sum &sum) {
  Path &path = nth_path(n);
  const int *numbers = numbers_of(path);
  int count = 0;
  while (numbers[count] != 0)
    ++count;
  for (int i = 0; i < count; ++i) {
    if ((!all && i != static_cast<int>(n) % count) ||
        is_impossible(scenario.name, path.name, numbers[i]) ||
        (path.kind == a_transfer && *path.name == 's' &&
         shares_socket(scenario.name)))
      continue;
    // Where it is reached after a failure only, that is there, too.
    Failure failures[2] = {{path.origin, path.origin_error},
                           {path.hash, numbers[i]}};
    bool second = path.origin != 0;
    size_t known = shared->count;
    sum.wrong += run(scenario, failures + !second, 1 + second) ? 0 : 1;
    sum.delivered += shared->delivered == 1 + second ? 1 : 0;
    ++sum.runs;
    for (size_t new_one = known; new_one < shared->count; ++new_one) {
      nth_path(new_one).origin = path.hash;
      nth_path(new_one).origin_error = numbers[i];
      if (second) // no third failure
        nth_path(new_one).depth = 0;
    }
  }
}

void each_path(const Scenario &scenario, Kind kind) {
  bool all = std::getenv("GIPC_TEST_LONG") != nullptr;
  make_shared();
  shared->kind = kind;
  dl_iterate_phdr(find_libev, nullptr);
  Sum sum{};
  CHECK(run(scenario, nullptr, 0));
  size_t first = shared->count;
  for (size_t n = 0; n < shared->count; ++n) {
    const Path &path = nth_path(n);
    if (path.depth == 0 ||
        (n >= first && (failed_before(path, n) || is_replaced(path))) ||
        (!all && failed_places.has(path.place)))
      continue;
    int delivered = sum.delivered;
    fail_path(scenario, n, all, sum);
    if (sum.delivered > delivered)
      failed_places.add(path.place);
  }
  std::printf("%s: %zu paths, %d failures made in %d runs\n", scenario.name,
              first, sum.delivered, sum.runs);
  std::fflush(stdout);
  munmap_shared();
  total.runs += sum.runs;
  total.wrong += sum.wrong;
  total.delivered += sum.delivered;
  CHECK_IS(sum.wrong, 0);
}

} // namespace

void print_total() {
  utsname system{};
  (void)uname(&system);
  std::printf("test_sites: %d failures made in %d runs, %d wrong; %s %s; no "
              "seed: systematic\n",
              total.delivered, total.runs, total.wrong, system.sysname,
              system.release);
}

void stop_failing() {
  if (shared != nullptr && shared->only_counts)
    return; // nothing fails
  gipc::sys::fault = nullptr;
  fault::memory_hook = nullptr;
}

int run_program(const Scenario &program) {
  dl_iterate_phdr(find_libev, nullptr);
  return hooked(program);
}

void each_call_fails(const Scenario &scenario) { each_path(scenario, a_call); }

void each_allocation_fails(const Scenario &scenario) {
  if (!fault::can_fail(fault::by_new))
    skip_because("the allocator is that of a sanitizer or valgrind");
  each_path(scenario, an_allocation);
}

void each_transfer_is_short(const Scenario &scenario) {
  bool all = std::getenv("GIPC_TEST_LONG") != nullptr;
  each_path(scenario, a_transfer);
  for (size_t size : {3, 1, 7}) {
    make_shared();
    shared->kind = a_transfer;
    shared->cut = size;
    shared->cuts_sends = !shares_socket(scenario.name);
    bool right = run(scenario, nullptr, 0);
    munmap_shared();
    CHECK(right);
    if (!all)
      break;
  }
}

void count_calls(const Scenario &scenario, const char *name) {
  make_shared();
  shared->kind = a_call;
  shared->only_counts = true;
  (void)!write(-1, scenario.name, std::strlen(scenario.name)); // for strace
  pid_t pid = fork();
  if (pid == 0) {
    shared->runner = getpid();
    shared->on = true;
    CHECK_OK(hooked(scenario));
    settle(false); // what its children still do counts, too
    shared->on = false;
    _exit(0);
  }
  int status = -1;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  FILE *file = std::fopen(name, "ae");
  CHECK(file != nullptr);
  for (size_t n = 0; n < shared->count; ++n)
    std::fprintf(file, "%s %s %d\n", scenario.name, nth_path(n).name,
                 nth_path(n).hits.load());
  std::fclose(file);
  munmap_shared();
}

} // namespace sites
