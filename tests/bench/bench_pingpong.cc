// Round trips of a small message between a parent and its child, next to a
// plain write and read of as many bytes.
#include "bench.h"

using namespace bench;

namespace {

constexpr size_t size = 64;
constexpr size_t framed = size + 4;

void round_trip(Cores cores, size_t count) {
  Pinned pinned(cores);
  Counts counts{scaled(count) / 8 + 1, scaled(count)};
  Table table(
      "round trip, 64 B, " + std::string(name_of(cores)) + ": microseconds", 2);
  auto add = [&](const char *name, const std::function<double(Counts)> &run) {
    return table.add(name, [=] {
      double result = run(counts);
      return result < 0 ? result : 1e6 / result;
    });
  };
  size_t raw = add("plain write and read",
                   [](Counts c) { return plain_round_trip(size, c); });
  size_t put = add("gipc_put, gipc_get",
                   [](Counts c) { return gipc_round_trip(size, c); });
  size_t loop = add("gipc on a loop", [](Counts c) {
    return gipc_loop_round_trip(size, c, false);
  });
  size_t flushed = add("gipc on a loop, flushed", [](Counts c) {
    return gipc_loop_round_trip(size, c, true);
  });
  size_t uv = add("libuv", [](Counts c) { return uv_round_trip(framed, c); });
  size_t zmq = add("ZeroMQ", [](Counts c) { return zmq_round_trip(size, c); });
  table.measure(11);
  bool same = cores == Cores::same;
  table.compare(put, raw, same ? at_most(1.15) : no_target);
  table.compare(loop, raw, no_target);
  table.compare(flushed, raw, no_target);
  table.compare(loop, uv, same ? at_most(1) : no_target);
  table.compare(put, zmq, same ? at_most(0.25) : no_target);
  table.compare(loop, zmq, same ? at_most(0.25) : no_target);
}

} // namespace

int main(int argc, char **argv) {
  begin(argc, argv);
  round_trip(Cores::same, 8'000);
  round_trip(Cores::free, 1'500);
}
