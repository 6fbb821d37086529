// One way: small messages from a parent to its child, next to what the same
// transport does with framed bytes and nothing else.
#include "bench.h"

#include "gipc.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ev.h>
#include <sys/uio.h>
#include <unistd.h>

using namespace bench;

namespace {

constexpr size_t coalesced = 64 * 1024;
constexpr size_t read_size = 256 * 1024;

// ---- The limit: framed bytes in writes of 64 KiB ----------------------------

void write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    auto sent = static_cast<size_t>(check(write(fd, data, size), "write"));
    data += sent;
    size -= sent;
  }
}

void read_frames(int fd, Progress progress) {
  std::vector<char> buffer(read_size);
  size_t begin = 0, end = 0;
  for (;;) {
    end += static_cast<size_t>(
        check(read(fd, buffer.data() + end, buffer.size() - end), "read"));
    while (end - begin >= 4) {
      uint32_t size;
      std::memcpy(&size, buffer.data() + begin, 4);
      size = ntohl(size);
      if (end - begin - 4 < size)
        break;
      touch(buffer.data() + begin + 4, size);
      begin += 4 + size;
      if (progress.one_more())
        return;
    }
    std::memmove(buffer.data(), buffer.data() + begin, end - begin);
    end -= begin;
    begin = 0;
  }
}

double limit(size_t size, Counts counts) {
  Socketpair pair;
  Child child(
      [&](int report) { read_frames(pair.fds[1], Progress(counts, report)); });
  std::vector<char> message(size, 'x'), buffer(coalesced);
  return rate(child, counts, [&](size_t count) {
    size_t used = 0;
    uint32_t header = htonl(static_cast<uint32_t>(size));
    while (count-- > 0) {
      if (coalesced - used < 4 + size) {
        write_all(pair.fds[0], buffer.data(), used);
        used = 0;
      }
      std::memcpy(buffer.data() + used, &header, 4);
      std::memcpy(buffer.data() + used + 4, message.data(), size);
      used += 4 + size;
    }
    write_all(pair.fds[0], buffer.data(), used);
  });
}

// ---- The naive way: one writev and two reads a message ----------------------

void read_all(int fd, char *data, size_t size) {
  while (size > 0) {
    auto got = static_cast<size_t>(check(read(fd, data, size), "read"));
    data += got;
    size -= got;
  }
}

double naive(size_t size, Counts counts) {
  Socketpair pair;
  Child child([&](int report) {
    Progress progress(counts, report);
    std::vector<char> buffer(size);
    do {
      char header[4];
      read_all(pair.fds[1], header, 4);
      uint32_t wire;
      std::memcpy(&wire, header, 4);
      read_all(pair.fds[1], buffer.data(), ntohl(wire));
      touch(buffer.data(), size);
    } while (!progress.one_more());
  });
  std::vector<char> message(size, 'x');
  return rate(child, counts, [&](size_t count) {
    uint32_t header = htonl(static_cast<uint32_t>(size));
    while (count-- > 0) {
      iovec parts[] = {{&header, 4}, {message.data(), size}};
      check(writev(pair.fds[0], parts, 2), "writev");
    }
  });
}

// ---- The library ------------------------------------------------------------

struct Ends {
  gipc_handle *reader, *writer;
  Ends() { must(gipc_pipe(&reader, &writer), "pipe"); }
  ~Ends() {
    gipc_handle_free(reader);
    gipc_handle_free(writer);
  }
  Ends(const Ends &) = delete;
};

// The child: its messages come as callbacks.
struct Pushed {
  Progress progress;
  struct ev_loop *loop;

  static void run(gipc_handle *reader, struct ev_loop *loop, Counts counts,
                  int report) {
    Pushed self{Progress(counts, report), loop};
    gipc_events events{sizeof events, on_message, nullptr, nullptr};
    must(gipc_start(reader, loop, &events, &self), "start");
    ev_run(loop, 0);
  }
  static void on_message(gipc_handle *, const void *data, size_t size,
                         void *user) {
    auto *self = static_cast<Pushed *>(user);
    touch(data, size);
    if (self->progress.one_more())
      ev_break(self->loop, EVBREAK_ALL);
  }
};

// The parent: puts until refused, or a number of messages in each loop
// iteration.
class Sender {
public:
  Sender(gipc_handle *writer, int report, size_t size, size_t per_iteration)
      : writer_(writer), message_(size, 'x'), per_iteration_(per_iteration) {
    ev_io_init(&report_, on_report, report, EV_READ);
    ev_idle_init(&idle_, on_iteration);
    report_.data = idle_.data = this;
    ev_io_start(loop_, &report_);
    gipc_events events{sizeof events, nullptr, on_drain, nullptr};
    must(gipc_start(writer_, loop_, &events, this), "start");
  }
  ~Sender() {
    must(gipc_stop(writer_), "stop");
    ev_loop_destroy(loop_);
  }
  Sender(const Sender &) = delete;

  // Until the child has reported.
  void send(size_t count) {
    left_ = count;
    continue_sending();
    ev_run(loop_, 0);
  }

private:
  void continue_sending() {
    if (per_iteration_ == 0)
      fill(left_);
    else
      ev_idle_start(loop_, &idle_);
  }
  bool fill(size_t count) {
    for (; count > 0; --count) {
      int result = gipc_try_put(writer_, message_.data(), message_.size());
      if (result == -EAGAIN)
        return false;
      must(result, "put");
      --left_;
    }
    return true;
  }
  static void on_iteration(struct ev_loop *loop, ev_idle *idle, int) {
    auto *self = static_cast<Sender *>(idle->data);
    bool accepted = self->fill(std::min(self->per_iteration_, self->left_));
    if (!accepted || self->left_ == 0)
      ev_idle_stop(loop, idle);
  }
  static void on_drain(gipc_handle *, void *user) {
    static_cast<Sender *>(user)->continue_sending();
  }
  static void on_report(struct ev_loop *loop, ev_io *, int) {
    ev_break(loop, EVBREAK_ALL);
  }

  gipc_handle *writer_;
  std::vector<char> message_;
  size_t per_iteration_, left_ = 0;
  struct ev_loop *loop_ = ev_loop_new(EVFLAG_AUTO);
  ev_io report_;
  ev_idle idle_;
};

double on_a_loop(size_t size, Counts counts, size_t per_iteration) {
  Ends ends;
  Child child(ends.reader, [&](struct ev_loop *loop, int report) {
    Pushed::run(ends.reader, loop, counts, report);
  });
  Sender sender(ends.writer, child.report_fd(), size, per_iteration);
  return rate(child, counts, [&](size_t count) { sender.send(count); });
}

double blocking(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, [&](struct ev_loop *, int report) {
    Progress progress(counts, report);
    do {
      const void *data;
      size_t got;
      must(gipc_get(ends.reader, -1, &data, &got), "get");
      touch(data, got);
    } while (!progress.one_more());
  });
  std::vector<char> message(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      must(gipc_put(ends.writer, message.data(), size, -1), "put");
  });
}

double flushed(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, [&](struct ev_loop *loop, int report) {
    Pushed::run(ends.reader, loop, counts, report);
  });
  std::vector<char> message(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0) {
      must(gipc_try_put(ends.writer, message.data(), size), "put");
      must(gipc_flush(ends.writer, -1), "flush");
    }
  });
}

double many(size_t size, Counts counts) {
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
  std::vector<char> message(size, 'x');
  std::vector<gipc_message> batch(1000, {message.data(), size});
  return rate(child, counts, [&](size_t count) {
    while (count > 0) {
      size_t accepted, some = std::min(count, batch.size());
      must(gipc_put_many(ends.writer, batch.data(), some, -1, &accepted),
           "put");
      count -= accepted;
    }
  });
}

// ---- The tables -------------------------------------------------------------

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
                          [=] { return on_a_loop(size, counts, 0) / 1e3; });
  size_t batch = table.add("gipc_put_many, 1000 at once; gipc_get",
                           thousands(many, size, counts));
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
                             [=] { return on_a_loop(64, medium, 16) / 1e3; });
  size_t single = table.add("gipc, 1 message an iteration",
                            [=] { return on_a_loop(64, slow, 1) / 1e3; });
  size_t put = table.add("gipc_put; gipc_get", thousands(blocking, size, slow));
  size_t flush = table.add("gipc_try_put, gipc_flush; on_message",
                           thousands(flushed, size, slow));
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
