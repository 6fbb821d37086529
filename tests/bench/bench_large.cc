// Large messages from a parent to its child, next to plain writes and reads of
// blocks of the same size on the same transport.
#include "bench.h"

using namespace bench;

namespace {

void large(const char *name, size_t size, size_t count, double target,
           Cores cores) {
  Pinned pinned(cores);
  Counts counts{scaled(count) / 8 + 1, scaled(count)};
  Table table("large, " + std::string(name) + ", " + name_of(cores) + ": MB/s");
  auto add = [&](const char *what, double (*run)(size_t, Counts)) {
    return table.add(what, [=] {
      double result = run(size, counts);
      return result < 0 ? result : result * static_cast<double>(size) / 1e6;
    });
  };
  size_t limit = add("raw, write and read", raw);
  size_t direct = add("gipc_put; gipc_get_into", gipc_put_get_into);
  size_t own = add("gipc_put; gipc_get", gipc_put_get);
  size_t half = add("gipc_put; on_message", gipc_put_pushed);
  size_t loop = add("gipc_try_put; on_message", [](size_t bytes, Counts c) {
    return gipc_queued(bytes, c, 0);
  });
  size_t zmq = add("ZeroMQ ipc", zmq_one_way);
  table.measure();
  bool same = cores == Cores::same;
  table.compare(direct, limit, same ? at_least(target) : no_target);
  table.compare(own, limit, same ? at_least(target) : no_target);
  table.compare(half, limit, no_target);
  table.compare(loop, limit, no_target);
  table.compare(direct, zmq, same ? at_least(1) : no_target);
  table.compare(loop, zmq, no_target);
}

} // namespace

int main(int argc, char **argv) {
  begin(argc, argv);
  for (Cores cores : {Cores::same, Cores::free}) {
    large("64,000 B", 64'000, 2'000, 0.95, cores);
    large("1 MiB", 1 << 20, 150, 0.95, cores);
    large("64 MiB", 64 << 20, 3, 0.90, cores);
  }
}
