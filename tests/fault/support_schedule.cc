// Other orders of the system calls of processes and threads; see
// support_schedule.h.
#include "support_schedule.h"
#include "support_process.h"

#include "sys.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

namespace schedule {

namespace {

// ---- What the processes share -----------------------------------------------

struct Slot {
  std::atomic<pid_t> tid, pid;
  std::atomic<unsigned> calls;
  std::atomic<bool> held; // it waits here, not in a call
};

constexpr unsigned most = 64;

// In memory that the forked children share.
struct Board {
  std::atomic<unsigned> used;
  Slot slots[most];
  // Of an order: the first slot is that of the thread that called order(), the
  // second that of the first other thread.
  std::atomic<bool> ordered, armed, met;
  Pair pair;
};

Board *board;
char what[128]; // how to repeat what runs now; empty: nothing runs

struct Thread {
  pid_t tid;
  Slot *slot;
  uint64_t random;
  unsigned hold_at; // a number of its call
};
thread_local Thread self;
uint64_t seed_of_all;

pid_t own_tid() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// Not by functions in which a thread can be cancelled.
void sleep_for(long nanoseconds) {
  timespec time{0, nanoseconds};
  (void)syscall(SYS_ppoll, nullptr, 0, &time, nullptr, 0);
}

// R, S, ... of /proc; X when there is no such thread.
char state_of_slot(const Slot &slot) {
  char path[64], text[256];
  std::snprintf(path, sizeof path, "/proc/%d/task/%d/stat", slot.pid.load(),
                slot.tid.load());
  auto fd = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  if (fd < 0)
    return 'X';
  long size = syscall(SYS_read, fd, text, sizeof text - 1);
  (void)syscall(SYS_close, fd);
  text[size > 0 ? size : 0] = 0;
  const char *end = std::strrchr(text, ')');
  return end != nullptr && end[1] == ' ' ? end[2] : 'X';
}

// It cannot go on before another thread does: it waits in a call, or here, or
// has ended.
bool is_waiting(const Slot &slot) {
  unsigned calls = slot.calls;
  if (slot.held)
    return true;
  char state = state_of_slot(slot);
  return state != 'R' && !slot.held && slot.calls == calls;
}

// Bounds each wait: what an order cannot be, or /proc is not there to say.
constexpr long look = 20'000, most_looks = 100'000;

template <typename Condition> void hold_until(Slot &mine, Condition &&holds) {
  mine.held = true;
  for (long i = 0; i < most_looks && !holds(); ++i)
    sleep_for(look);
  mine.held = false;
}

// ---- By chance --------------------------------------------------------------

uint64_t mixed(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return (value ^ value >> 31) | 1; // no seed of random_next() is 0
}

// At the first call of each thread.  A forked child continues the numbers of
// the thread that forked it, but from another place.
void enter(pid_t tid) {
  self.tid = tid;
  unsigned place = board->used++;
  self.slot = &board->slots[place % most]; // shared, after as many threads
  self.random = self.random != 0 ? mixed(self.random)
                                 : mixed(seed_of_all + (uint64_t{place} << 32));
  self.slot->pid = getpid();
  self.slot->tid = tid;
  // Half of all threads are held once, before one of their first calls.
  uint64_t choice = random_next(&self.random);
  self.hold_at = choice % 2 == 0 ? 0 : 1 + choice / 2 % 30;
}

bool others_wait() {
  unsigned used = board->used < most ? board->used.load() : most;
  for (unsigned i = 0; i < used; ++i)
    if (Slot &slot = board->slots[i];
        &slot != self.slot && slot.tid != 0 && !is_waiting(slot))
      return false;
  return true;
}

// A child of the last call may not have come to its first one.
void hold_behind_others() {
  int quiet = 0;
  long left = 150;
  hold_until(*self.slot, [&] {
    quiet = others_wait() ? quiet + 1 : 0;
    return quiet > 10 || --left == 0;
  });
}

int choose(const char *) noexcept {
  pid_t tid = own_tid();
  if (self.tid != tid)
    enter(tid);
  uint64_t choice = random_next(&self.random);
  unsigned call = ++self.slot->calls;
  if (call == self.hold_at)
    hold_behind_others();
  else if (choice % 8 == 0)
    sched_yield();
  else if (choice % 16 == 1)
    sleep_for(1000 + static_cast<long>(choice / 16 % 300'000));
  return 0;
}

// ---- Each order -------------------------------------------------------------

const char *armed_by; // the name of a call

Slot *slot_of(pid_t tid) {
  if (board->slots[0].tid == tid)
    return &board->slots[0];
  Slot &second = board->slots[1];
  pid_t none = 0;
  if (second.tid.compare_exchange_strong(none, tid))
    second.pid = getpid();
  return second.tid == tid ? &second : nullptr;
}

// The other comes to its call, or cannot.
void meet(Slot &mine, Slot &other, unsigned its_number) {
  int waits = 0;
  hold_until(mine, [&] {
    if (other.calls >= its_number)
      return true;
    if (other.tid == 0)
      return false; // the child has not come to its first call
    // Held, it has come to its own call of the pair, and is about to go on.
    waits = !other.held && is_waiting(other) ? waits + 1 : 0;
    return waits > 3;
  });
}

int take_turn(const char *name) noexcept {
  if (!board->armed) {
    // Not a store of false, which could undo an arm() of the other.
    if (armed_by != nullptr && std::strcmp(name, armed_by) == 0)
      board->armed = true;
    return 0;
  }
  Slot *mine = slot_of(own_tid());
  if (mine == nullptr)
    return 0;
  bool is_child = mine != &board->slots[0];
  Slot &other = board->slots[is_child ? 0 : 1];
  const Pair &pair = board->pair;
  unsigned number = is_child ? pair.childs : pair.mine;
  unsigned its_number = is_child ? pair.mine : pair.childs;
  if (++mine->calls != number)
    return 0;
  meet(*mine, other, its_number);
  bool is_second = is_child != pair.child_first;
  if (other.calls == its_number)
    board->met = true;
  if (is_second)
    meet(*mine, other, its_number + 1);
  return 0;
}

} // namespace

// ---- Beginning and ending ---------------------------------------------------

namespace {

constexpr const char *variable = "GIPC_TEST_SCHEDULE";

void on_deadline(int) {
  (void)!write(2, what, std::strlen(what));
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

void *shared_memory(size_t size) {
  void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    std::abort();
  return memory;
}

// What is on the board of an earlier scenario has ended.
void prepare() {
  if (board == nullptr)
    board = static_cast<Board *>(shared_memory(sizeof(Board)));
  std::memset(static_cast<void *>(board), 0, sizeof(Board));
  self = {};
}

void watch_deadline() {
  deadline(slow() ? 900 : 300);
  std::signal(SIGALRM, on_deadline);
}

// In each program that is linked with this file, before main(): as its parent
// chose, but by another generator.
__attribute__((constructor)) void resume() {
  const char *seed = std::getenv(variable);
  if (seed == nullptr)
    return;
  prepare();
  seed_of_all = mixed(std::strtoull(seed, nullptr, 10) + (1ull << 63));
  gipc::sys::fault = choose;
}

} // namespace

void begin(uint64_t seed, const char *scenario) {
  char text[24];
  prepare();
  watch_deadline();
  std::snprintf(what, sizeof what, "%s fails: repeat it by SEED=%ju %s\n",
                scenario, static_cast<uintmax_t>(seed),
                program_invocation_short_name);
  std::snprintf(text, sizeof text, "%ju", static_cast<uintmax_t>(seed));
  setenv(variable, text, 1);
  seed_of_all = mixed(seed);
  gipc::sys::fault = choose;
}

void order(const Pair &pair, const char *scenario, const char *from) {
  prepare();
  watch_deadline();
  std::snprintf(what, sizeof what, "%s fails: repeat it by ORDER=%u,%u,%d %s\n",
                scenario, pair.mine, pair.childs, pair.child_first ? 1 : 0,
                program_invocation_short_name);
  board->pair = pair;
  armed_by = from;
  board->slots[0].pid = getpid();
  board->slots[0].tid = own_tid();
  gipc::sys::fault = take_turn;
}

void arm() { board->armed = true; }

void wait_until_armed() {
  while (board != nullptr && gipc::sys::fault == take_turn && !board->armed)
    sleep_for(look);
}

Made made() {
  return {board->slots[0].calls, board->slots[1].calls, board->met};
}

void end() {
  gipc::sys::fault = nullptr;
  unsetenv(variable);
  what[0] = 0;
}

int test_end(void **state) {
  if (what[0] != 0)
    print_error("%s", what);
  end();
  return ::test_end(state);
}

// ---- Runs -------------------------------------------------------------------

namespace {

void print_surroundings(const char *name) {
  utsname system{};
  uname(&system);
  print_message("%s: Linux %s, %s half, features %#x: ", name, system.release,
                portable() ? "portable" : "linux",
                static_cast<unsigned>(gipc_features()));
}

// All of them, but for a long scenario in a short run.
unsigned step_of(unsigned pairs) {
  bool all = std::getenv("GIPC_TEST_LONG") != nullptr;
  return all ? 1 : 1 + pairs / static_cast<unsigned>(many(400, 40));
}

} // namespace

Seeds seeds() {
  if (const char *one = std::getenv("SEED")) {
    uint64_t seed = std::strtoull(one, nullptr, 10);
    return {seed, seed, 100};
  }
  if (std::getenv("GIPC_TEST_LONG") != nullptr)
    return {1, 10'000, 1};
  return {1, many(200, 10), 1};
}

namespace {

// The threads of a scenario wait most of the time, so that several processes
// with a part of the runs each take less time than one.
constexpr unsigned processes = 4;

// Of a part, in shared memory.
struct Report {
  char what[sizeof schedule::what]; // is running
  unsigned tried, met;
};

struct Part {
  const char *name;
  void (*scenario)();
  Report *report;
  void (*body)(const Part &part, unsigned number, void *argument);
  unsigned number;
  void *argument;
};

int run_part(void *argument) {
  const Part &part = *static_cast<const Part *>(argument);
  int fds = count_fds();
  board = nullptr; // that of another process
  part.body(part, part.number, part.argument);
  std::snprintf(part.report->what, sizeof what, "%s leaves something open\n",
                part.name);
  CHECK(count_fds() == fds && !has_children());
  return 0;
}

void run_scenario(const Part &part) {
  std::memcpy(part.report->what, what, sizeof what);
  part.scenario();
}

// The body in each of the processes.
Report in_parts(Part part) {
  pid_t pids[processes];
  auto *reports =
      static_cast<Report *>(shared_memory(processes * sizeof(Report)));
  for (part.number = 0; part.number < processes; ++part.number) {
    part.report = reports + part.number;
    pids[part.number] = child_start(run_part, &part);
  }
  Report all{};
  bool right = true;
  for (unsigned i = 0; i < processes; ++i) {
    int status = -1;
    while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
      ;
    if (status != 0)
      print_error("wait status %#x: %s", static_cast<unsigned>(status),
                  reports[i].what);
    right &= status == 0;
    all.tried += reports[i].tried;
    all.met += reports[i].met;
  }
  munmap(reports, processes * sizeof(Report));
  CHECK(right);
  return all;
}

void run_seeds(const Part &part, unsigned number, void *argument) {
  Seeds all = *static_cast<const Seeds *>(argument);
  for (uint64_t seed = all.first + number; seed <= all.last; seed += processes)
    for (unsigned i = 0; i < all.times; ++i) {
      begin(seed, part.name);
      run_scenario(part);
      part.report->tried += 1;
      end();
    }
}

struct Orders {
  const char *from;
  Made all;
};

void run_order(const Part &part, const Pair &pair, const char *from) {
  order(pair, part.name, from);
  run_scenario(part);
  part.report->tried += 1;
  part.report->met += made().met ? 1 : 0;
  end();
}

void run_orders(const Part &part, unsigned number, void *argument) {
  auto [from, all] = *static_cast<const Orders *>(argument);
  // One more than the calls of the child: it has ended.
  unsigned pairs = all.mine * (all.childs + 1);
  unsigned step = step_of(pairs);
  for (unsigned i = step * number; i < pairs; i += step * processes)
    for (bool child_first : {false, true})
      run_order(part, {1 + i % all.mine, 1 + i / all.mine, child_first}, from);
}

void run_one_order(const Part &part, unsigned number, void *argument) {
  Pair one{};
  int first = 0;
  if (number != 0 || std::sscanf(std::getenv("ORDER"), "%u,%u,%d", &one.mine,
                                 &one.childs, &first) != 3)
    return;
  one.child_first = first != 0;
  for (int i = 0; i < 100; ++i)
    run_order(part, one, static_cast<const Orders *>(argument)->from);
}

} // namespace

void by_seeds(const char *name, void (*scenario)()) {
  Seeds all = seeds();
  double began = now();
  Report report = in_parts({name, scenario, nullptr, run_seeds, 0, &all});
  print_surroundings(name);
  print_message("seeds %ju to %ju, %u runs, %.1f s\n",
                static_cast<uintmax_t>(all.first),
                static_cast<uintmax_t>(all.last), report.tried, now() - began);
  CHECK(report.tried == (all.last - all.first + 1) * all.times);
}

void in_each_order(const char *name, void (*scenario)(), const char *from) {
  double began = now();
  Orders orders{from, {}};
  auto *body = run_one_order;
  if (std::getenv("ORDER") == nullptr) {
    order({0, 0, false}, name, from);
    scenario();
    orders.all = made();
    end();
    body = run_orders;
  }
  Report all = in_parts({name, scenario, nullptr, body, 0, &orders});
  print_surroundings(name);
  print_message("%u calls beside %u of the child, %u orders, in %u both calls "
                "met, %.1f s\n",
                orders.all.mine, orders.all.childs, all.tried, all.met,
                now() - began);
}

} // namespace schedule
