// ZeroMQ over ipc, as a peer; nothing where its header is missing.
#include "bench.h"

#if __has_include(<zmq.h>)

#include <cerrno>
#include <cstdio>
#include <memory>
#include <unistd.h>
#include <utility>
#include <zmq.h>

namespace bench {

namespace {

// A context and a socket of a process; contexts do not survive a fork.
struct Socket {
  void *context = zmq_ctx_new();
  void *socket;
  explicit Socket(int type) : socket(zmq_socket(context, type)) {}
  ~Socket() {
    zmq_close(socket);
    zmq_ctx_term(context);
  }
  Socket(const Socket &) = delete;
  void receive(zmq_msg_t &message) {
    while (zmq_msg_recv(&message, socket, 0) < 0)
      check(errno == EINTR ? 0 : -1, "zmq_msg_recv");
  }
  void send(const void *data, size_t size) {
    while (zmq_send(socket, data, size, 0) < 0)
      check(errno == EINTR ? 0 : -1, "zmq_send");
  }
};

// An abstract name, for which no file is made.
std::string fresh_address() {
  static int serial = 0;
  char name[64];
  std::snprintf(name, sizeof name, "ipc://@bench-%d-%d", getpid(), ++serial);
  return name;
}

} // namespace

double zmq_one_way(size_t size, Counts counts) {
  std::string address = fresh_address();
  Child child([&](int report) {
    Socket in(ZMQ_PULL);
    check(zmq_connect(in.socket, address.c_str()), "zmq_connect");
    Progress progress(counts, report);
    zmq_msg_t message;
    zmq_msg_init(&message);
    do {
      in.receive(message);
      touch(zmq_msg_data(&message), zmq_msg_size(&message));
    } while (!progress.one_more());
    zmq_msg_close(&message);
  });
  Socket out(ZMQ_PUSH);
  check(zmq_bind(out.socket, address.c_str()), "zmq_bind");
  std::vector<char> data(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      out.send(data.data(), size);
  });
}

double zmq_round_trip(size_t size, Counts counts) {
  std::string address = fresh_address();
  auto echo = [&](Socket &socket, const char *data, zmq_msg_t &message) {
    socket.send(data, size);
    socket.receive(message);
  };
  std::vector<char> data(size, 'x');
  zmq_msg_t message;
  zmq_msg_init(&message);
  Child child([&](int report) {
    Socket socket(ZMQ_PAIR);
    check(zmq_connect(socket.socket, address.c_str()), "zmq_connect");
    Progress progress(counts, report);
    do {
      socket.receive(message);
      socket.send(zmq_msg_data(&message), zmq_msg_size(&message));
    } while (!progress.one_more());
  });
  Socket socket(ZMQ_PAIR);
  check(zmq_bind(socket.socket, address.c_str()), "zmq_bind");
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      echo(socket, data.data(), message);
  });
}

double zmq_tail(size_t size, Counts counts, size_t percent) {
  Latencies latencies(counts);
  std::string address = fresh_address(), beside = fresh_address();
  // Until an empty message.
  auto receive_all = [](const std::string &from, int type, bool answer) {
    Socket socket(type);
    check(zmq_connect(socket.socket, from.c_str()), "zmq_connect");
    zmq_msg_t message;
    zmq_msg_init(&message);
    for (;;) {
      socket.receive(message);
      if (zmq_msg_size(&message) == 0)
        return;
      if (answer)
        socket.send(zmq_msg_data(&message), zmq_msg_size(&message));
    }
  };
  Child sink([&](int) { receive_all(beside, ZMQ_PULL, false); });
  Child echo([&](int) { receive_all(address, ZMQ_PAIR, true); });
  Socket out(ZMQ_PUSH), socket(ZMQ_PAIR);
  check(zmq_bind(out.socket, beside.c_str()), "zmq_bind");
  check(zmq_bind(socket.socket, address.c_str()), "zmq_bind");
  std::vector<char> data(size, 'x');
  zmq_msg_t answer;
  zmq_msg_init(&answer);
  zmq_pollitem_t items[] = {{socket.socket, 0, ZMQ_POLLIN, 0},
                            {out.socket, 0, ZMQ_POLLOUT, 0}};
  for (bool last = false, waits = false; !last;) {
    if (!std::exchange(waits, true)) {
      latencies.start();
      socket.send(data.data(), size);
    }
    check(zmq_poll(items, 2, -1), "zmq_poll");
    for (size_t i = 0; (items[1].revents & ZMQ_POLLOUT) && i < puts_beside; ++i)
      if (zmq_send(out.socket, data.data(), size, ZMQ_DONTWAIT) < 0)
        break;
    if (items[0].revents & ZMQ_POLLIN) {
      socket.receive(answer);
      last = latencies.stop();
      waits = false;
    }
  }
  out.send("", 0);
  socket.send("", 0);
  return latencies.rate_at(percent);
}

} // namespace bench

#else

namespace bench {

double zmq_one_way(size_t, Counts) { return not_measured; }
double zmq_round_trip(size_t, Counts) { return not_measured; }
double zmq_tail(size_t, Counts, size_t) { return not_measured; }

} // namespace bench

#endif
