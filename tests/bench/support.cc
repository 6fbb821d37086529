// The harness of the benchmarks; see bench.h.
#include "bench.h"

#include "gipc.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace bench {

bool quick = false;

namespace {

cpu_set_t all_cores;
std::string only_table, only_row;

[[noreturn]] void fail(const char *what, const char *why) {
  std::fprintf(stderr, "bench: %s: %s\n", what, why);
  _exit(1);
}

// A child must not outlive its parent.
void end_with_parent() { (void)prctl(PR_SET_PDEATHSIG, SIGKILL); }

} // namespace

void begin(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    std::string option(argv[i]);
    if (option == "--quick")
      quick = true;
    else if (option.rfind("--table=", 0) == 0)
      only_table = option.substr(8);
    else if (option.rfind("--row=", 0) == 0)
      only_row = option.substr(6);
    else
      fail(argv[i], "only --quick, --table=TEXT, --row=TEXT");
  }
  check(sched_getaffinity(0, sizeof all_cores, &all_cores), "affinity");
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
}

int must(int result, const char *what) {
  if (result < 0)
    fail(what, gipc_strerror(result));
  return result;
}

ssize_t check(ssize_t result, const char *what) {
  if (result < 0)
    fail(what, std::strerror(errno));
  return result;
}

double now() {
  timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) / 1e9;
}

size_t scaled(size_t count) {
  return quick ? std::max<size_t>(count / 4, 1) : count;
}

const char *name_of(Cores cores) {
  return cores == Cores::same ? "same core" : "free";
}

Pinned::Pinned(Cores cores) : active_(cores == Cores::same) {
  if (!active_)
    return;
  int last = CPU_SETSIZE - 1;
  while (last > 0 && !CPU_ISSET(last, &all_cores))
    --last;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  check(sched_setaffinity(0, sizeof one, &one), "affinity");
}

Pinned::~Pinned() {
  if (active_)
    (void)sched_setaffinity(0, sizeof all_cores, &all_cores);
}

// ---- Measuring --------------------------------------------------------------

namespace {

struct Summary {
  double median, low, high; // low and high: the quartiles
};

Summary summarize(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t last = values.size() - 1;
  return {values[values.size() / 2], values[last / 4], values[last - last / 4]};
}

std::string text(double value, int digits) {
  char out[64];
  std::snprintf(out, sizeof out, "%.*f", digits, value);
  std::string number(out);
  size_t point = std::min(number.find('.'), number.size());
  for (size_t at = point; at > 3; at -= 3)
    number.insert(at - 3, ",");
  return number;
}

std::string spread(const Summary &summary, int digits) {
  return "(" + text(summary.low, digits) + ".." + text(summary.high, digits) +
         ")";
}

bool missing(const std::vector<double> &values) {
  return std::find(values.begin(), values.end(), not_measured) != values.end();
}

} // namespace

Table::Table(std::string title, int digits)
    : title_(std::move(title)), digits_(digits) {}

size_t Table::add(std::string name, std::function<double()> run) {
  rows_.push_back({std::move(name), std::move(run), {}});
  return rows_.size() - 1;
}

void Table::measure(int rounds) {
  left_out_ = title_.find(only_table) == std::string::npos;
  if (left_out_)
    return;
  std::printf("\n%s\n", title_.c_str());
  if (quick)
    rounds = 3;
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < rows_.size(); ++i) {
      Row &row = rows_[round % 2 == 0 ? i : rows_.size() - 1 - i];
      if (row.name.find(only_row) != std::string::npos)
        row.values.push_back(row.run());
    }
  for (const Row &row : rows_) {
    if (row.values.empty())
      continue;
    if (missing(row.values)) {
      std::printf("  %-42s %12s\n", row.name.c_str(), "not measured");
      continue;
    }
    Summary summary = summarize(row.values);
    std::printf("  %-42s %12s %s\n", row.name.c_str(),
                text(summary.median, digits_).c_str(),
                spread(summary, digits_).c_str());
    // Quartiles do not show a round that slept.
    auto range = std::minmax_element(row.values.begin(), row.values.end());
    if (*range.second > 8 * summary.median || *range.first < summary.median / 8)
      std::printf("  ! a round that is far off: %s..%s\n",
                  text(*range.first, digits_).c_str(),
                  text(*range.second, digits_).c_str());
  }
}

void Table::compare(size_t a, size_t b, Target target) const {
  if (left_out_ || rows_[a].values.empty() || rows_[b].values.empty())
    return;
  std::string name = rows_[a].name + " / " + rows_[b].name;
  if (missing(rows_[a].values) || missing(rows_[b].values)) {
    std::printf("  = %-58s not measured\n", name.c_str());
    return;
  }
  std::vector<double> ratios;
  for (size_t i = 0; i < rows_[a].values.size(); ++i)
    ratios.push_back(rows_[a].values[i] / rows_[b].values[i]);
  Summary summary = summarize(ratios);
  std::printf("  = %-58s %6.2f %s", name.c_str(), summary.median,
              spread(summary, 2).c_str());
  if (target.direction != 0) {
    bool met =
        target.direction * summary.median >= target.direction * target.bound;
    std::printf("  target %s %.2f: %s",
                target.direction > 0 ? ">=" : "<=", target.bound,
                met ? "met" : "MISSED");
  }
  std::printf("\n");
}

bool Latencies::stop() {
  if (++done_ > counts_.warm)
    times_.push_back(now() - started_);
  return times_.size() == counts_.timed;
}

double Latencies::rate_at(size_t percent) const {
  std::vector<double> sorted(times_);
  std::sort(sorted.begin(), sorted.end());
  return 1 / sorted[(sorted.size() - 1) * percent / 100];
}

// ---- Children ---------------------------------------------------------------

void report(int fd) { check(write(fd, "", 1), "report"); }

Child::Child(const std::function<void(int)> &body) {
  int ends[2];
  check(pipe(ends), "pipe");
  pid_ = static_cast<pid_t>(check(fork(), "fork"));
  if (pid_ == 0) {
    end_with_parent();
    close(ends[0]);
    body(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  reports_ = ends[0];
}

Child::Child(gipc_handle *h,
             const std::function<void(struct ev_loop *, int)> &body) {
  int ends[2];
  check(pipe(ends), "pipe");
  struct Call {
    decltype(body) run;
    int report;
  } call{body, ends[1]};
  gipc_options *options;
  must(gipc_options_new(&options), "options");
  must(gipc_options_pass(options, nullptr, h), "pass");
  gipc_process *process;
  must(gipc_start_process(
           [](struct ev_loop *loop, void *argument) {
             end_with_parent();
             auto *mine = static_cast<Call *>(argument);
             mine->run(loop, mine->report);
             return 0;
           },
           &call, options, &process),
       "start");
  gipc_options_free(options);
  close(ends[1]);
  reports_ = ends[0];
  pid_ = must(gipc_process_pid(process), "pid");
  // ~Child() waits for it.
  gipc_process_free(process);
}

Child::~Child() {
  close(reports_);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

void Child::await() const {
  char byte;
  if (check(read(reports_, &byte, 1), "report") == 0)
    fail("child", "ended early");
}

Socketpair::Socketpair() {
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
}

Socketpair::~Socketpair() {
  for (int fd : fds)
    if (fd >= 0)
      close(fd);
}

Worker::Worker(const std::function<bool()> &prepare,
               std::vector<std::function<double()>> jobs) {
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  pid_ = static_cast<pid_t>(check(fork(), "fork"));
  if (pid_ == 0) {
    end_with_parent();
    close(ends[0]);
    bool able = prepare();
    size_t job;
    while (read(ends[1], &job, sizeof job) == sizeof job) {
      double result = able ? jobs[job]() : not_measured;
      check(write(ends[1], &result, sizeof result), "worker");
    }
    _exit(0);
  }
  close(ends[1]);
  channel_ = ends[0];
}

Worker::~Worker() {
  close(channel_);
  (void)waitpid(pid_, nullptr, 0);
}

double Worker::run(size_t job) const {
  double result;
  check(write(channel_, &job, sizeof job), "worker");
  if (check(read(channel_, &result, sizeof result), "worker") == 0)
    fail("worker", "ended early");
  return result;
}

} // namespace bench
