// Round trips of a small message between a parent and its child, next to a
// plain write and read of as many bytes.
#include "bench.h"

#include "gipc.h"

#include <cstring>
#include <ev.h>
#include <unistd.h>

using namespace bench;

namespace {

constexpr size_t size = 64;
constexpr size_t framed = size + 4;

double plain(Counts counts) {
  Socketpair pair;
  char data[framed] = {};
  Child child([&](int report) {
    Progress progress(counts, report);
    do {
      check(read(pair.fds[1], data, framed), "read");
      check(write(pair.fds[1], data, framed), "write");
    } while (!progress.one_more());
  });
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0) {
      check(write(pair.fds[0], data, framed), "write");
      check(read(pair.fds[0], data, framed), "read");
    }
  });
}

struct Ends {
  gipc_handle *here, *there;
  Ends() { must(gipc_pipe_duplex(&here, &there), "pipe"); }
  ~Ends() {
    gipc_handle_free(here);
    gipc_handle_free(there);
  }
  Ends(const Ends &) = delete;
};

double blocking(Counts counts) {
  Ends ends;
  Child child(ends.there, [&](struct ev_loop *, int report) {
    Progress progress(counts, report);
    do {
      const void *data;
      size_t got;
      must(gipc_get(ends.there, -1, &data, &got), "get");
      must(gipc_put(ends.there, data, got, -1), "put");
    } while (!progress.one_more());
  });
  char data[size] = {};
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0) {
      const void *answer;
      size_t got;
      must(gipc_put(ends.here, data, size, -1), "put");
      must(gipc_get(ends.here, -1, &answer, &got), "get");
    }
  });
}

// Answers each message with itself, until done() says that it was the last.
template <typename Done> struct Player {
  struct ev_loop *loop;
  Done done;

  void start(gipc_handle *h) {
    gipc_events events{sizeof events, on_message, nullptr, nullptr};
    must(gipc_start(h, loop, &events, this), "start");
  }
  static void on_message(gipc_handle *h, const void *data, size_t got,
                         void *user) {
    auto *self = static_cast<Player *>(user);
    if (self->done(h, data, got))
      ev_break(self->loop, EVBREAK_ALL);
  }
};
template <typename Done> Player(struct ev_loop *, Done) -> Player<Done>;

// flush: each answer is written at once, not at the end of the loop iteration.
double on_a_loop(Counts counts, bool flush) {
  Ends ends;
  auto put = [flush](gipc_handle *h, const void *data, size_t got) {
    must(gipc_try_put(h, data, got), "put");
    if (flush)
      must(gipc_flush_step(h), "flush");
  };
  Child child(ends.there, [&](struct ev_loop *loop, int report) {
    Progress progress(counts, report);
    Player player{loop, [&](gipc_handle *h, const void *data, size_t got) {
                    put(h, data, got);
                    return progress.one_more();
                  }};
    player.start(ends.there);
    ev_run(loop, 0);
    must(gipc_stop(ends.there), "stop");
  });
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  size_t left = 0;
  Player player{loop, [&](gipc_handle *h, const void *data, size_t got) {
                  if (--left == 0)
                    return true;
                  put(h, data, got);
                  return false;
                }};
  player.start(ends.here);
  char data[size] = {};
  double result = rate(child, counts, [&](size_t count) {
    left = count;
    put(ends.here, data, size);
    ev_run(loop, 0);
  });
  must(gipc_stop(ends.here), "stop");
  ev_loop_destroy(loop);
  return result;
}

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
  size_t raw = add("plain write and read", plain);
  size_t put = add("gipc_put, gipc_get", blocking);
  size_t loop =
      add("gipc on a loop", [](Counts c) { return on_a_loop(c, false); });
  size_t flushed = add("gipc on a loop, flushed",
                       [](Counts c) { return on_a_loop(c, true); });
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
