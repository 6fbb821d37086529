// Starting a child and waiting for its end, in a small parent, and in those
// with 500 MB and 2 GiB of touched memory.
#include "bench.h"

#include "gipc.h"

#include <sys/wait.h>
#include <unistd.h>

using namespace bench;

namespace {

int nothing(struct ev_loop *, void *) { return 0; }

constexpr size_t touched = size_t{2} << 30;
constexpr size_t touched_less = size_t{500} << 20;

bool grow(size_t size) { return make_template() && touch_memory(size); }

// Children per second.
std::function<double()> job(void (*once)(), size_t count) {
  return [=] { return per_second(count, once); };
}

// What bare fork and the library reach with children that overlap.
constexpr size_t at_once = 32;

double forks_at_once() {
  double start = now();
  pid_t pids[at_once];
  for (pid_t &pid : pids) {
    pid = static_cast<pid_t>(check(fork(), "fork"));
    if (pid == 0)
      _exit(0);
  }
  for (pid_t pid : pids)
    check(waitpid(pid, nullptr, 0), "waitpid");
  return at_once / (now() - start);
}

double starts_at_once() {
  double start = now();
  gipc_process *processes[at_once];
  for (gipc_process *&process : processes)
    must(gipc_start_process(nothing, nullptr, nullptr, &process), "start");
  for (gipc_process *process : processes)
    join_and_free(process);
  return at_once / (now() - start);
}

enum Job {
  bare,
  function,
  templated,
  posix,
  vforked,
  exec,
  uv,
  bare_32,
  function_32
};

// slow: how many children where each start copies the page tables.
std::vector<std::function<double()>> jobs(size_t quickly, size_t slow) {
  size_t execs = scaled(40);
  return {job(fork_and_wait, slow),
          job(start_function, slow),
          job(start_from_template, execs),
          job(spawn_and_wait, execs),
          job(vfork_and_wait, execs),
          job(start_program, execs),
          [=] { return uv_spawn_rate("/bin/true", quickly); },
          forks_at_once,
          starts_at_once};
}

void start(Cores cores) {
  Pinned pinned(cores);
  Worker small(make_template, jobs(scaled(40), scaled(100)));
  Worker middle([] { return grow(touched_less); }, jobs(scaled(4), scaled(4)));
  Worker big([] { return grow(touched); }, jobs(scaled(2), scaled(2)));
  std::string where = std::string(", ") + name_of(cores) + ": children/s";
  bool same = cores == Cores::same;
  auto in = [](const Worker &worker, Job which) {
    return [&worker, which] { return worker.run(which); };
  };
  {
    Table table("start and join, small parent" + where);
    size_t forked = table.add("bare fork, waitpid", in(small, bare));
    size_t gipc = table.add("gipc_start_process", in(small, function));
    size_t fast = table.add("gipc_template_start", in(small, templated));
    size_t spawned = table.add("posix_spawn /bin/true", in(small, posix));
    size_t vfork = table.add("vfork, exec /bin/true", in(small, vforked));
    size_t run = table.add("gipc_exec_process /bin/true", in(small, exec));
    size_t peer = table.add("libuv uv_spawn /bin/true", in(small, uv));
    size_t forks = table.add("bare fork, 32 at once", in(small, bare_32));
    size_t starts =
        table.add("gipc_start_process, 32 at once", in(small, function_32));
    table.measure();
    // Of rates, so that a target for the time is its inverse.
    table.compare(forked, gipc, same ? at_most(1.15) : no_target);
    table.compare(forked, fast, no_target);
    table.compare(spawned, run, same ? at_most(1.1) : no_target);
    table.compare(vfork, run, no_target);
    table.compare(run, peer, no_target);
    table.compare(forks, starts, no_target);
  }
  {
    Table table("start and join, 500 MB touched" + where);
    size_t forked = table.add("bare fork, waitpid", in(middle, bare));
    size_t fast = table.add("gipc_template_start", in(middle, templated));
    size_t flat =
        table.add("the same in the small parent", in(small, templated));
    table.measure(7);
    table.compare(fast, forked, no_target);
    table.compare(flat, fast, same ? at_most(1.2) : no_target);
  }
  {
    Table table("start and join, 2 GiB touched" + where);
    size_t forked = table.add("bare fork, waitpid", in(big, bare));
    size_t gipc = table.add("gipc_start_process", in(big, function));
    size_t fast = table.add("gipc_template_start", in(big, templated));
    size_t small_fast =
        table.add("the same in the small parent", in(small, templated));
    size_t spawned = table.add("posix_spawn /bin/true", in(big, posix));
    size_t vfork = table.add("vfork, exec /bin/true", in(big, vforked));
    size_t run = table.add("gipc_exec_process /bin/true", in(big, exec));
    size_t flat = table.add("that in the small parent", in(small, exec));
    size_t peer = table.add("libuv uv_spawn /bin/true", in(big, uv));
    table.measure(7);
    table.compare(forked, gipc, same ? at_most(1.15) : no_target);
    table.compare(spawned, run, same ? at_most(1.1) : no_target);
    table.compare(vfork, run, no_target);
    table.compare(flat, run, same ? at_most(1.2) : no_target);
    table.compare(fast, forked, no_target);
    table.compare(small_fast, fast, same ? at_most(1.2) : no_target);
    table.compare(run, peer, same ? at_least(30) : no_target);
  }
}

} // namespace

int main(int argc, char **argv) {
  begin(argc, argv);
  start(Cores::same);
  start(Cores::free);
}
