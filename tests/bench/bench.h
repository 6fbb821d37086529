// A small harness: interleaved rounds, medians, ratios, and targets.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

typedef struct gipc_handle gipc_handle;
typedef struct gipc_process gipc_process;
struct ev_loop;

namespace bench {

extern bool quick; // a shorter run, with fewer rounds

// First in main(): reads --quick, --table=TEXT and --row=TEXT, which leave out
// tables and rows without that text (for a profiler).
void begin(int argc, char **argv);
// 0 and more pass; an error of the library ends the program.
int must(int result, const char *what);
// The same for a system call that returns -1 and sets errno.
ssize_t check(ssize_t result, const char *what);
// Seconds on the monotonic clock.
double now();
// A smaller number in a quick run.
size_t scaled(size_t count);

constexpr double not_measured = -1;

// Both processes on one core, or wherever the scheduler puts them.
enum class Cores { same, free };
const char *name_of(Cores cores);
class Pinned {
public:
  explicit Pinned(Cores cores);
  ~Pinned();
  Pinned(const Pinned &) = delete;

private:
  bool active_;
};

// ---- Measuring --------------------------------------------------------------

struct Target {
  int direction; // 1: at least, -1: at most, 0: none, only printed
  double bound;
};
constexpr Target no_target{0, 0};
constexpr Target at_least(double bound) { return {1, bound}; }
constexpr Target at_most(double bound) { return {-1, bound}; }

// Variants that are measured alternately (A B C, C B A, ...), so that a change
// of the machine's state affects all of them.
class Table {
public:
  // digits: behind the point of the figures.
  Table(std::string title, int digits = 0);
  // run() returns one figure in the unit of the title, or not_measured.
  size_t add(std::string name, std::function<double()> run);
  void measure(int rounds = 9);
  // Prints the median over the rounds of a / b.
  void compare(size_t a, size_t b, Target target) const;

private:
  struct Row {
    std::string name;
    std::function<double()> run;
    std::vector<double> values;
  };
  std::string title_;
  int digits_;
  bool left_out_ = false;
  std::vector<Row> rows_;
};

// ---- Children ---------------------------------------------------------------

// A child that receives, and reports its progress a byte at a time.
class Child {
public:
  // By fork(2).
  explicit Child(const std::function<void(int report)> &body);
  // By gipc_start_process(), with h moved into it.
  Child(gipc_handle *h,
        const std::function<void(struct ev_loop *, int report)> &body);
  ~Child(); // waits for its end
  Child(const Child &) = delete;
  // Readable when there is a report.
  int report_fd() const { return reports_; }
  void await() const;

private:
  pid_t pid_ = -1;
  int reports_ = -1;
};

void report(int fd);

// The two ends of a plain AF_UNIX stream, closed at the end of the scope.
struct Socketpair {
  int fds[2];
  Socketpair();
  ~Socketpair();
  Socketpair(const Socketpair &) = delete;
};

// A process of its own that measures when it is asked to: with much memory, or
// with many descriptors.
class Worker {
public:
  // prepare() false: nothing of this worker is measured.
  Worker(const std::function<bool()> &prepare,
         std::vector<std::function<double()>> jobs);
  ~Worker();
  Worker(const Worker &) = delete;
  double run(size_t job) const;

private:
  pid_t pid_;
  int channel_;
};

// ---- Transfers that are timed -----------------------------------------------

// How many messages a child gets: first some to warm up, then those that count.
struct Counts {
  size_t warm, timed;
};

// Messages per second: send(count) sends, the child reports each part.
template <typename Send>
double rate(const Child &child, Counts counts, Send send) {
  send(counts.warm);
  child.await();
  double start = now();
  send(counts.timed);
  child.await();
  return static_cast<double>(counts.timed) / (now() - start);
}

// Reports when one of the parts is complete; true at the end of the last.
class Progress {
public:
  Progress(Counts counts, int report) : counts_(counts), report_(report) {}
  bool one_more() {
    ++done_;
    if (__builtin_expect(done_ == counts_.warm, 0))
      report(report_);
    if (__builtin_expect(done_ < counts_.warm + counts_.timed, 1))
      return false;
    report(report_);
    return true;
  }

private:
  Counts counts_;
  int report_;
  size_t done_ = 0;
};

// The times of round trips that have to be fast while others are under way.
class Latencies {
public:
  explicit Latencies(Counts counts) : counts_(counts) {}
  void start() { started_ = now(); }
  // True at the end of the last round trip.
  bool stop();
  // Round trips per second at the time that so many percent do not exceed.
  double rate_at(size_t percent) const;

private:
  Counts counts_;
  double started_ = 0;
  size_t done_ = 0;
  std::vector<double> times_;
};
// What is put beside them in each loop iteration.
constexpr size_t puts_beside = 64;

// Reads a byte of a received message.
inline void touch(const void *data, size_t size) {
  if (size > 0)
    asm volatile("" : : "r"(*static_cast<const volatile char *>(data)));
}

// ---- One way, messages per second -------------------------------------------

double limit(size_t size, Counts counts);      // frames in writes of 64 KiB
double naive(size_t size, Counts counts);      // a writev, two reads
double naive_pipe(size_t size, Counts counts); // the same through a pipe
double raw(size_t size, Counts counts);        // no frames
double gipc_put_get(size_t size, Counts counts);
double gipc_put_get_into(size_t size, Counts counts);
double gipc_put_many_get(size_t size, Counts counts);
double gipc_put_pushed(size_t size, Counts counts); // gipc_put, on_message
double gipc_flushed(size_t size, Counts counts);    // gipc_try_put, gipc_flush
// On loops; per_iteration 0: as many as the writer accepts.
double gipc_queued(size_t size, Counts counts, size_t per_iteration);

// ---- Round trips per second -------------------------------------------------

double plain_round_trip(size_t size, Counts counts);
double gipc_round_trip(size_t size, Counts counts);
// flush: each answer is written at once, not at the end of the loop iteration.
double gipc_loop_round_trip(size_t size, Counts counts, bool flush);

// As Latencies::rate_at(), while another pipe of the process is kept full.
double gipc_tail(size_t size, Counts counts, size_t percent);

// ---- Children and pipes -----------------------------------------------------

double per_second(size_t count, void (*once)());
void fork_and_wait();
void spawn_and_wait();
void vfork_and_wait();
void start_function();
// Before the process gets what its starts are measured with; false: there are
// no templates here.
bool make_template();
void start_from_template();
void start_program();
// Kills a worker that has done a task; until another one is ready.
void kill_pool_worker();
void kill_bare_worker(); // of a socket pair, fork and waitpid
void join_and_free(gipc_process *process);
void socketpair_and_close();
void pipe_and_free();
// What the process holds from then on; false: not enough of it here.
bool touch_memory(size_t bytes);
bool open_handles(size_t count);

// ---- Peers: not_measured where the package is missing -----------------------

double zmq_one_way(size_t size, Counts counts);
double zmq_round_trip(size_t size, Counts counts);
double zmq_tail(size_t size, Counts counts, size_t percent);
double nng_one_way(size_t size, Counts counts);
double nng_round_trip(size_t size, Counts counts);
double uv_one_way(size_t size, Counts counts, bool coalesce);
double uv_round_trip(size_t size, Counts counts);
double uv_tail(size_t size, Counts counts, size_t percent);
double uv_spawn_rate(const char *program, size_t count);

} // namespace bench
