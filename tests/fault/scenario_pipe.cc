// Pipes of each kind, and each way to put and to get; see sites.h.
#include "sites.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace {

char big[300000];

int get_whole(gipc_handle *h, size_t wanted, uint64_t seed) {
  const void *data;
  size_t size;
  TRY(gipc_get(h, 20, &data, &size));
  CHECK(size == wanted && filled(data, size, seed));
  return 0;
}

int put_whole(gipc_handle *h, size_t size, uint64_t seed) {
  fill(big, size, seed);
  return gipc_put(h, big, size, 20);
}

int exchange(gipc_handle *r, gipc_handle *w) {
  TRY(put_whole(w, 10, 1));
  TRY(put_whole(w, 3000, 2));
  TRY(get_whole(r, 10, 1));
  TRY(get_whole(r, 3000, 2));
  return 0;
}

// Those of a step are tried again, as after a poll(2).
template <typename Step> int step(Step &&once) {
  int result = -EAGAIN;
  for (int i = 0; result == -EAGAIN && i < 1000; ++i)
    result = once();
  return result;
}

int steps(gipc_handle *r, gipc_handle *w) {
  const void *data;
  size_t size;
  char part[100];
  int none = gipc_try_get(r, &data, &size);
  if (none != -EAGAIN)
    return none;
  fill(big, sizeof big, 3);
  TRY(gipc_try_put(w, big, 50));
  TRY(step([&] { return gipc_flush_step(w); }));
  TRY(step([&] { return gipc_next_size(r, &size); }));
  CHECK_IS(size, 50);
  TRY(step([&] { return gipc_get_into(r, part, sizeof part, &size); }));
  CHECK(size == 50 && filled(part, size, 3));
  int begun = gipc_put_start(w, big, sizeof big);
  if (begun != 0 && begun != -EAGAIN)
    return begun;
  TRY(step([&] {
    int put = begun == 0 ? 0 : gipc_put_step(w);
    if (put == 0)
      begun = 0;
    return put != 0 && put != -EAGAIN ? put : gipc_try_get(r, &data, &size);
  }));
  CHECK(size == sizeof big && filled(data, size, 3));
  return 0;
}

int end(gipc_handle *r, gipc_handle *w) {
  const void *data;
  size_t size;
  TRY(gipc_try_put(w, "last", 4));
  TRY(gipc_close_within(w, 20));
  TRY(gipc_get(r, 20, &data, &size));
  CHECK(size == 4 && memcmp(data, "last", 4) == 0);
  int result = gipc_get(r, 20, &data, &size);
  if (result != GIPC_EOF)
    return result;
  return gipc_close(r);
}

int through(gipc_handle *r, gipc_handle *w) {
  TRY(exchange(r, w));
  TRY(steps(r, w));
  return end(r, w);
}

int plain() {
  sites::Ends it;
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_set_transport(it.w, GIPC_TRANSPORT_PLAIN));
  return through(it.r, it.w);
}

int duplex() {
  sites::Ends it;
  TRY(gipc_pipe_duplex(&it.r, &it.w));
  TRY(exchange(it.r, it.w));
  TRY(exchange(it.w, it.r));
  TRY(gipc_shutdown(it.w));
  TRY(put_whole(it.r, 10, 1));
  return get_whole(it.w, 10, 1);
}

// Descriptors that something else has made.  The handle has them if it is made.
int adopted(const int (&fds)[2]) {
  sites::Ends it;
  TRY(it.adopt(fds));
  return through(it.r, it.w);
}

int kernel_pipe() {
  int fds[2];
  CHECK_OK(pipe2(fds, 0));
  return adopted(fds);
}

int kernel_socket() {
  int fds[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
  return adopted(fds);
}

// One descriptor for both directions.
int one_descriptor() {
  sites::Ends it;
  int fds[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
  int result = gipc_open(fds[0], fds[0], &it.r);
  if (result == 0)
    result = gipc_open(fds[1], fds[1], &it.w);
  if (it.r == nullptr)
    close(fds[0]);
  if (it.w == nullptr)
    close(fds[1]);
  TRY(result);
  TRY(exchange(it.r, it.w));
  return exchange(it.w, it.r);
}

// Of another family, where the wait is in the read and in the write.
int network() {
  sites::Ends it;
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto *place = reinterpret_cast<sockaddr *>(&address);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int writer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_OK(bind(listener, place, size));
  CHECK_OK(listen(listener, 1));
  CHECK_OK(getsockname(listener, place, &size));
  CHECK_OK(connect(writer, place, size));
  int reader = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  CHECK(reader >= 0);
  close(listener);
  int result = gipc_open(reader, -1, &it.r);
  if (result == 0)
    result = gipc_open(-1, writer, &it.w);
  if (it.r == nullptr)
    close(reader);
  if (it.w == nullptr)
    close(writer);
  TRY(result);
  const void *data;
  TRY(gipc_put(it.w, "text", 4, -1));
  size_t length;
  TRY(gipc_get(it.r, -1, &data, &length));
  CHECK_IS(length, 4);
  TRY(exchange(it.r, it.w));
  return end(it.r, it.w);
}

const sites::Scenario scenarios[] = {{"pipe", plain},
                                     {"pipe_duplex", duplex},
                                     {"pipe_of_kernel", kernel_pipe},
                                     {"pipe_socket", kernel_socket},
                                     {"pipe_one_descriptor", one_descriptor},
                                     {"pipe_network", network}};

} // namespace

namespace sites {
const Scenarios pipe_scenarios{scenarios, sizeof scenarios / sizeof *scenarios};
}
