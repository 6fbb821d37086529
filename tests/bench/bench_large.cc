// Large messages from a parent to its child, next to plain writes and reads of
// blocks of the same size on the same transport.
#include "bench.h"

#include "gipc.h"

#include <cerrno>
#include <ev.h>
#include <poll.h>
#include <unistd.h>

using namespace bench;

namespace {

// Memory that was touched before, and is used for every message.
std::vector<char> block(size_t size) { return std::vector<char>(size, 'x'); }

double raw(size_t size, Counts counts) {
  Socketpair pair;
  Child child([&](int report) {
    std::vector<char> buffer = block(size);
    Progress progress(counts, report);
    do {
      for (size_t done = 0; done < size;)
        done += static_cast<size_t>(check(
            read(pair.fds[1], buffer.data() + done, size - done), "read"));
      touch(buffer.data(), size);
    } while (!progress.one_more());
  });
  std::vector<char> message = block(size);
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      for (size_t done = 0; done < size;)
        done += static_cast<size_t>(check(
            write(pair.fds[0], message.data() + done, size - done), "write"));
  });
}

struct Ends {
  gipc_handle *reader, *writer;
  Ends() { must(gipc_pipe(&reader, &writer), "pipe"); }
  ~Ends() {
    gipc_handle_free(reader);
    gipc_handle_free(writer);
  }
  Ends(const Ends &) = delete;
};

void wait_for(gipc_handle *h, int direction) {
  pollfd one{must(gipc_fd(h, direction), "fd"),
             static_cast<short>(direction == GIPC_READ ? POLLIN : POLLOUT), 0};
  check(poll(&one, 1, -1), "poll");
}

double put_all(const Child &child, Ends &ends, size_t size, Counts counts) {
  std::vector<char> message = block(size);
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      must(gipc_put(ends.writer, message.data(), size, -1), "put");
  });
}

double into(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, [&](struct ev_loop *, int report) {
    std::vector<char> buffer = block(size);
    Progress progress(counts, report);
    do {
      size_t got;
      int result;
      while ((result = gipc_get_into(ends.reader, buffer.data(), size, &got)) ==
             -EAGAIN)
        wait_for(ends.reader, GIPC_READ);
      must(result, "get");
      touch(buffer.data(), got);
    } while (!progress.one_more());
  });
  return put_all(child, ends, size, counts);
}

double get(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, [&](struct ev_loop *, int report) {
    Progress progress(counts, report);
    const void *data;
    size_t got;
    do {
      must(gipc_get(ends.reader, -1, &data, &got), "get");
      touch(data, got);
    } while (!progress.one_more());
  });
  return put_all(child, ends, size, counts);
}

// ---- On a loop --------------------------------------------------------------

struct Pushed {
  Progress progress;
  struct ev_loop *loop;
  static void on_message(gipc_handle *, const void *data, size_t size,
                         void *user) {
    auto *self = static_cast<Pushed *>(user);
    touch(data, size);
    if (self->progress.one_more())
      ev_break(self->loop, EVBREAK_ALL);
  }
};

struct Sender {
  gipc_handle *writer;
  std::vector<char> message;
  size_t left = 0;

  void fill() {
    for (; left > 0; --left) {
      int result = gipc_try_put(writer, message.data(), message.size());
      if (result == -EAGAIN)
        return;
      must(result, "put");
    }
  }
};

std::function<void(struct ev_loop *, int)> pushed(const Ends &ends,
                                                  Counts counts) {
  return [&ends, counts](struct ev_loop *loop, int report) {
    Pushed self{Progress(counts, report), loop};
    gipc_events events{sizeof events, Pushed::on_message, nullptr, nullptr};
    must(gipc_start(ends.reader, loop, &events, &self), "start");
    ev_run(loop, 0);
  };
}

// From the sender's memory, without a copy.
double put_to_loop(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, pushed(ends, counts));
  return put_all(child, ends, size, counts);
}

double on_a_loop(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, pushed(ends, counts));
  Sender sender{ends.writer, block(size)};
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  ev_io reported;
  ev_io_init(
      &reported,
      [](struct ev_loop *its, ev_io *, int) { ev_break(its, EVBREAK_ALL); },
      child.report_fd(), EV_READ);
  ev_io_start(loop, &reported);
  auto drain = [](gipc_handle *, void *user) {
    static_cast<Sender *>(user)->fill();
  };
  gipc_events events{sizeof events, nullptr, drain, nullptr};
  must(gipc_start(ends.writer, loop, &events, &sender), "start");
  double result = rate(child, counts, [&](size_t count) {
    sender.left = count;
    sender.fill();
    ev_run(loop, 0);
  });
  must(gipc_stop(ends.writer), "stop");
  ev_loop_destroy(loop);
  return result;
}

// ---- The tables -------------------------------------------------------------

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
  size_t direct = add("gipc_put; gipc_get_into", into);
  size_t own = add("gipc_put; gipc_get", get);
  size_t half = add("gipc_put; on_message", put_to_loop);
  size_t loop = add("gipc_try_put; on_message", on_a_loop);
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
