// What the library reaches; see bench.h.
#include "bench.h"

#include "gipc.h"

#include <cerrno>
#include <ev.h>
#include <poll.h>
#include <utility>

namespace bench {

namespace {

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

std::function<void(struct ev_loop *, int)> pushed(const Ends &ends,
                                                  Counts counts) {
  return [&ends, counts](struct ev_loop *loop, int report) {
    Pushed::run(ends.reader, loop, counts, report);
  };
}

std::function<void(struct ev_loop *, int)> got(const Ends &ends,
                                               Counts counts) {
  return [&ends, counts](struct ev_loop *, int report) {
    Progress progress(counts, report);
    const void *data;
    size_t size;
    do {
      must(gipc_get(ends.reader, -1, &data, &size), "get");
      touch(data, size);
    } while (!progress.one_more());
  };
}

void wait_for(gipc_handle *h, int direction) {
  pollfd one{must(gipc_fd(h, direction), "fd"),
             static_cast<short>(direction == GIPC_READ ? POLLIN : POLLOUT), 0};
  check(poll(&one, 1, -1), "poll");
}

double put_all(const Child &child, const Ends &ends, size_t size,
               Counts counts) {
  std::vector<char> message(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      must(gipc_put(ends.writer, message.data(), size, -1), "put");
  });
}

} // namespace

double gipc_queued(size_t size, Counts counts, size_t per_iteration) {
  Ends ends;
  Child child(ends.reader, pushed(ends, counts));
  Sender sender(ends.writer, child.report_fd(), size, per_iteration);
  return rate(child, counts, [&](size_t count) { sender.send(count); });
}

double gipc_put_get(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, got(ends, counts));
  return put_all(child, ends, size, counts);
}

double gipc_put_pushed(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, pushed(ends, counts));
  return put_all(child, ends, size, counts);
}

double gipc_flushed(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, pushed(ends, counts));
  std::vector<char> message(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0) {
      must(gipc_try_put(ends.writer, message.data(), size), "put");
      must(gipc_flush(ends.writer, -1), "flush");
    }
  });
}

double gipc_put_many_get(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, got(ends, counts));
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

double gipc_put_get_into(size_t size, Counts counts) {
  Ends ends;
  Child child(ends.reader, [&](struct ev_loop *, int report) {
    std::vector<char> buffer = std::vector<char>(size, 'x');
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

// ---- Round trips ------------------------------------------------------------

namespace {

struct Duplex {
  gipc_handle *here, *there;
  Duplex() { must(gipc_pipe_duplex(&here, &there), "pipe"); }
  ~Duplex() {
    gipc_handle_free(here);
    gipc_handle_free(there);
  }
  Duplex(const Duplex &) = delete;
};

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

} // namespace

double gipc_round_trip(size_t size, Counts counts) {
  Duplex ends;
  Child child(ends.there, [&](struct ev_loop *, int report) {
    Progress progress(counts, report);
    do {
      const void *data;
      size_t got;
      must(gipc_get(ends.there, -1, &data, &got), "get");
      must(gipc_put(ends.there, data, got, -1), "put");
    } while (!progress.one_more());
  });
  std::vector<char> data(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0) {
      const void *answer;
      size_t got;
      must(gipc_put(ends.here, data.data(), size, -1), "put");
      must(gipc_get(ends.here, -1, &answer, &got), "get");
    }
  });
}

// flush: each answer is written at once, not at the end of the loop iteration.
double gipc_loop_round_trip(size_t size, Counts counts, bool flush) {
  Duplex ends;
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
  std::vector<char> data(size, 'x');
  double result = rate(child, counts, [&](size_t count) {
    left = count;
    put(ends.here, data.data(), size);
    ev_run(loop, 0);
  });
  must(gipc_stop(ends.here), "stop");
  ev_loop_destroy(loop);
  return result;
}

// ---- Round trips beside a full pipe -----------------------------------------

namespace {

// Keeps a pipe full, some messages in each loop iteration.
class Flood {
public:
  Flood(gipc_handle *writer, struct ev_loop *loop, size_t size)
      : writer_(writer), loop_(loop), message_(size, 'x') {
    ev_idle_init(&idle_, on_iteration);
    idle_.data = this;
    ev_idle_start(loop_, &idle_);
    gipc_events events{sizeof events, nullptr, on_drain, nullptr};
    must(gipc_start(writer_, loop_, &events, this), "start");
  }
  ~Flood() {
    ev_idle_stop(loop_, &idle_);
    must(gipc_stop(writer_), "stop");
    must(gipc_flush(writer_, -1), "flush");
  }
  Flood(const Flood &) = delete;

private:
  static void on_iteration(struct ev_loop *loop, ev_idle *idle, int) {
    auto *self = static_cast<Flood *>(idle->data);
    for (size_t i = 0; i < puts_beside; ++i) {
      int result = gipc_try_put(self->writer_, self->message_.data(),
                                self->message_.size());
      if (result == -EAGAIN)
        return ev_idle_stop(loop, idle);
      must(result, "put");
    }
  }
  static void on_drain(gipc_handle *, void *user) {
    auto *self = static_cast<Flood *>(user);
    ev_idle_start(self->loop_, &self->idle_);
  }

  gipc_handle *writer_;
  struct ev_loop *loop_;
  std::vector<char> message_;
  ev_idle idle_;
};

// The child: received(data, size) for each message until the end of the stream.
template <typename Received> void get_all(gipc_handle *h, Received received) {
  const void *data;
  size_t size;
  int result;
  while ((result = gipc_get(h, -1, &data, &size)) != GIPC_EOF) {
    must(result, "get");
    received(data, size);
  }
}

} // namespace

double gipc_tail(size_t size, Counts counts, size_t percent) {
  Latencies latencies(counts);
  std::vector<char> message(size, 'x');
  auto send = [&](gipc_handle *h) {
    latencies.start();
    must(gipc_try_put(h, message.data(), size), "put");
  };
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  Ends beside;
  Duplex ends;
  Child sink(beside.reader, [&](struct ev_loop *, int) {
    get_all(beside.reader, [](const void *, size_t) {});
  });
  Child echo(ends.there, [&](struct ev_loop *, int) {
    get_all(ends.there, [&](const void *data, size_t got) {
      must(gipc_put(ends.there, data, got, -1), "put");
    });
  });
  {
    Flood flood(beside.writer, loop, size);
    Player player{loop, [&](gipc_handle *h, const void *, size_t) {
                    if (latencies.stop())
                      return true;
                    send(h);
                    return false;
                  }};
    player.start(ends.here);
    send(ends.here);
    ev_run(loop, 0);
    must(gipc_stop(ends.here), "stop");
  }
  ev_loop_destroy(loop);
  // The children end with the streams, and then they are waited for.
  gipc_handle_free(std::exchange(beside.writer, nullptr));
  gipc_handle_free(std::exchange(ends.here, nullptr));
  return latencies.rate_at(percent);
}

} // namespace bench
