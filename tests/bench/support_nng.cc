// nng over ipc, as a peer; nothing where its header is missing.
#include "bench.h"

#if __has_include(<nng/nng.h>)

#include <cstdio>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/supplemental/util/platform.h>
#include <unistd.h>

namespace bench {

namespace {

void must_nng(int result, const char *what) {
  if (result != 0) {
    std::fprintf(stderr, "bench: %s: %s\n", what, nng_strerror(result));
    _exit(1);
  }
}

// A socket of one process: the library must not be used before a fork.
struct Socket {
  nng_socket socket;
  explicit Socket(int (*open)(nng_socket *)) {
    must_nng(open(&socket), "nng_open");
    must_nng(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), "nng limit");
  }
  ~Socket() { nng_close(socket); }
  Socket(const Socket &) = delete;
  nng_msg *receive() {
    nng_msg *message;
    must_nng(nng_recvmsg(socket, &message, 0), "nng_recvmsg");
    touch(nng_msg_body(message), nng_msg_len(message));
    return message;
  }
  void send(const std::vector<char> &data) {
    must_nng(nng_send(socket, const_cast<char *>(data.data()), data.size(), 0),
             "nng_send");
  }
};

std::string fresh_address() {
  static int serial = 0;
  char name[64];
  std::snprintf(name, sizeof name, "abstract://bench-%d-%d", getpid(),
                ++serial);
  return name;
}

} // namespace

// The parent forks before it uses the library, and a worker of its own runs
// each measurement: threads of the library do not survive a fork.
double nng_one_way(size_t size, Counts counts) {
  std::string address = fresh_address();
  Child child([&](int report) {
    Socket in(nng_pull0_open);
    must_nng(nng_dial(in.socket, address.c_str(), nullptr, NNG_FLAG_NONBLOCK),
             "nng_dial");
    Progress progress(counts, report);
    do
      nng_msg_free(in.receive());
    while (!progress.one_more());
  });
  Socket out(nng_push0_open);
  must_nng(nng_listen(out.socket, address.c_str(), nullptr, 0), "nng_listen");
  std::vector<char> data(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      out.send(data);
  });
}

double nng_round_trip(size_t size, Counts counts) {
  std::string address = fresh_address();
  Child child([&](int report) {
    Socket socket(nng_pair0_open);
    must_nng(
        nng_dial(socket.socket, address.c_str(), nullptr, NNG_FLAG_NONBLOCK),
        "nng_dial");
    Progress progress(counts, report);
    do
      must_nng(nng_sendmsg(socket.socket, socket.receive(), 0), "nng_sendmsg");
    while (!progress.one_more());
    // The last answer is still on its way.
    nng_msleep(20);
  });
  Socket socket(nng_pair0_open);
  must_nng(nng_listen(socket.socket, address.c_str(), nullptr, 0),
           "nng_listen");
  std::vector<char> data(size, 'x');
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0) {
      socket.send(data);
      nng_msg_free(socket.receive());
    }
  });
}

} // namespace bench

#else

namespace bench {

double nng_one_way(size_t, Counts) { return not_measured; }
double nng_round_trip(size_t, Counts) { return not_measured; }

} // namespace bench

#endif
