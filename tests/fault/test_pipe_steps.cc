// A call that must not wait moves a step, and not all that it could: here the
// kernel takes and has as much as it is asked for, as with a peer that is as
// fast as this process (H68).
#include "support.h"

#include <dlfcn.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace {

bool endless = false;
size_t largest = 0;

size_t size_of(const msghdr *message) {
  size_t size = 0;
  for (size_t i = 0; i < message->msg_iovlen; ++i)
    size += message->msg_iov[i].iov_len;
  return size;
}

ssize_t moved(size_t size) {
  if (size > largest)
    largest = size;
  return static_cast<ssize_t>(size);
}

template <typename F> F real(F, const char *name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

} // namespace

// Before those of libc, for the library in this program.
extern "C" {
ssize_t send(int fd, const void *data, size_t size, int flags) {
  return endless ? moved(size) : real(send, "send")(fd, data, size, flags);
}
ssize_t sendmsg(int fd, const msghdr *message, int flags) {
  return endless ? moved(size_of(message))
                 : real(sendmsg, "sendmsg")(fd, message, flags);
}
ssize_t recv(int fd, void *data, size_t size, int flags) {
  return endless ? moved(size) : real(recv, "recv")(fd, data, size, flags);
}
ssize_t recvmsg(int fd, msghdr *message, int flags) {
  return endless ? moved(size_of(message))
                 : real(recvmsg, "recvmsg")(fd, message, flags);
}
}

namespace {

constexpr size_t step = 1 << 20, large = 64 << 20;

void a_put_without_time_moves_a_step(void **) {
  std::string text(large, 'x');
  gipc_handle *r, *w;
  size_t pending = 0;
  OK(gipc_pipe(&r, &w));
  largest = 0;
  endless = true;
  int put = gipc_put(w, text.data(), large, 0);
  int flushed = gipc_flush(w, 0);
  endless = false;
  OK(gipc_pending(w, GIPC_WRITE, &pending));
  gipc_handle_free(r);
  gipc_handle_free(w);
  RESULT(put, -EINPROGRESS);
  RESULT(flushed, -ETIMEDOUT);
  assert_true(largest <= step);
  assert_true(pending >= large - 4 * step);
}

// The first bytes of a large message.
void begin_large(gipc_handle *&r, int &peer) {
  const unsigned char header[] = {large >> 24, large >> 16 & 255, 0, 0};
  int s[2];
  size_t size = 0;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(gipc_open(s[0], -1, &r));
  peer = s[1];
  assert_true(write_all(peer, header, sizeof header));
  OK(gipc_next_size(r, &size));
  assert_int_equal(size, large);
}

void a_get_without_time_moves_a_step(void **) {
  std::string buffer(large, '\0');
  const void *data;
  gipc_stats stats{};
  stats.size = sizeof stats;
  for (bool into : {false, true}) {
    gipc_handle *r;
    size_t size;
    int peer, result;
    begin_large(r, peer);
    largest = 0;
    endless = true;
    if (into)
      result = gipc_get_into(r, &buffer[0], large, &size);
    else
      result = gipc_get(r, 0, &data, &size);
    endless = false;
    OK(gipc_handle_stats(r, &stats));
    gipc_handle_free(r);
    close(peer);
    RESULT(result, into ? -EAGAIN : -ETIMEDOUT);
    assert_true(largest <= step);
    assert_true(stats.bytes_in <= 2 * step);
  }
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_put_without_time_moves_a_step),
      TEST(a_get_without_time_moves_a_step),
  };
  return cmocka_run_group_tests_name("pipe steps", tests, nullptr, nullptr);
}
