// One way: small messages from a parent to its child, next to what the same
// transport does with framed bytes and nothing else.
#include "bench.h"

using namespace bench;

namespace {

std::function<double()> thousands(double (*run)(size_t, Counts), size_t size,
                                  Counts counts) {
  return [=] {
    double result = run(size, counts);
    return result < 0 ? result : result / 1e3;
  };
}

Counts counts_for(size_t fast) { return {scaled(fast) / 8 + 1, scaled(fast)}; }

void queued(size_t size, size_t fast, double target, Cores cores) {
  Pinned pinned(cores);
  Counts counts = counts_for(fast);
  Table table("one way, " + std::to_string(size) + " B, " + name_of(cores) +
              ": thousand messages/s");
  size_t raw =
      table.add("limit, 64 KiB writes", thousands(limit, size, counts));
  size_t gipc = table.add("gipc, queued puts on a loop",
                          [=] { return gipc_queued(size, counts, 0) / 1e3; });
  size_t batch = table.add("gipc_put_many, 1000 at once; gipc_get",
                           thousands(gipc_put_many_get, size, counts));
  bool same = cores == Cores::same;
  if (size != 64) {
    table.measure();
    table.compare(gipc, raw, same ? at_least(target) : no_target);
    table.compare(batch, raw, no_target);
    return;
  }
  Counts slow = counts_for(60'000), medium = counts_for(300'000);
  size_t plain = table.add("naive, a writev and two reads each",
                           thousands(naive, size, slow));
  size_t zmq = table.add("ZeroMQ ipc", thousands(zmq_one_way, size, medium));
  size_t sixteen = table.add("gipc, 16 messages an iteration",
                             [=] { return gipc_queued(64, medium, 16) / 1e3; });
  size_t single = table.add("gipc, 1 message an iteration",
                            [=] { return gipc_queued(64, slow, 1) / 1e3; });
  size_t put =
      table.add("gipc_put; gipc_get", thousands(gipc_put_get, size, slow));
  size_t flush = table.add("gipc_try_put, gipc_flush; on_message",
                           thousands(gipc_flushed, size, slow));
  table.measure();
  table.compare(gipc, raw, same ? at_least(target) : no_target);
  table.compare(gipc, zmq, same ? at_least(10) : no_target);
  table.compare(gipc, plain, same ? at_least(20) : no_target);
  table.compare(batch, raw, no_target);
  table.compare(sixteen, raw, same ? at_least(0.25) : no_target);
  table.compare(single, plain, no_target);
  table.compare(put, plain, same ? at_least(1.1) : no_target);
  table.compare(flush, plain, same ? at_least(1.1) : no_target);
}

} // namespace

int main(int argc, char **argv) {
  begin(argc, argv);
  for (Cores cores : {Cores::same, Cores::free}) {
    queued(1, 4'000'000, 0.75, cores);
    queued(64, 1'500'000, 0.85, cores);
    queued(1024, 150'000, 0.90, cores);
  }
}
