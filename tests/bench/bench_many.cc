// With 10,000 open handles: children and pipes must cost what they cost with
// none.
#include "bench.h"

using namespace bench;

namespace {

constexpr size_t handles = 10'000;

enum Job { forked, function, spawned, program, socket, handle };

std::vector<std::function<double()>> jobs() {
  size_t starts = scaled(40), pipes = scaled(8'000);
  return {[=] { return per_second(starts, fork_and_wait); },
          [=] { return per_second(starts, start_function); },
          [=] { return per_second(starts, spawn_and_wait); },
          [=] { return per_second(starts, start_program); },
          [=] { return per_second(pipes, socketpair_and_close) / 1e3; },
          [=] { return per_second(pipes, pipe_and_free) / 1e3; }};
}

void many(Cores cores) {
  Pinned pinned(cores);
  Worker none([] { return true; }, jobs());
  Worker full([] { return open_handles(handles); }, jobs());
  std::string where = std::string(", ") + name_of(cores) + ": ";
  bool same = cores == Cores::same;
  auto in = [](const Worker &worker, Job which) {
    return [&worker, which] { return worker.run(which); };
  };
  {
    Table table("start and join, 10,000 open handles" + where + "children/s");
    size_t bare = table.add("bare fork, as many open files", in(full, forked));
    size_t gipc = table.add("gipc_start_process", in(full, function));
    size_t posix = table.add("posix_spawn /bin/true", in(full, spawned));
    size_t exec = table.add("gipc_exec_process /bin/true", in(full, program));
    size_t flat = table.add("the same with none open", in(none, program));
    table.measure();
    // Of rates, so that a target for the time is its inverse.
    table.compare(bare, gipc, same ? at_most(2) : no_target);
    table.compare(posix, exec, no_target);
    table.compare(flat, exec, no_target);
  }
  {
    Table table("pipe create and close" + where + "thousand/s");
    size_t bare =
        table.add("socketpair, shutdown, closes; none open", in(none, socket));
    size_t bare_full = table.add("the same, 10,000 open", in(full, socket));
    size_t gipc = table.add("gipc_pipe, frees; none open", in(none, handle));
    size_t gipc_full =
        table.add("gipc_pipe, frees; 10,000 open", in(full, handle));
    table.measure();
    table.compare(bare, gipc, same ? at_most(3) : no_target);
    table.compare(bare_full, gipc_full, same ? at_most(3) : no_target);
    table.compare(gipc, gipc_full, same ? at_most(1.2) : no_target);
  }
}

} // namespace

int main(int argc, char **argv) {
  begin(argc, argv);
  many(Cores::same);
  many(Cores::free);
}
