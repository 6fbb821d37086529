// Adopted pipes and terminals where the kernel cannot transfer without waiting:
// preadv2 and pwritev2 fail as on an older kernel, and poll(2) decides.
#include "support_fault.h"

#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace {

// As if the kernel lacked the two calls, as long as this lives.
struct OldKernel {
  explicit OldKernel(int error = EOPNOTSUPP) {
    fault::fail_call("preadv2,pwritev2", 1, error, 1 << 30);
  }
  ~OldKernel() { fault::stop_calls(); }
};

void make_pipe(gipc_handle **r, gipc_handle **w, int flags = 0) {
  int p[2];
  assert_int_equal(pipe2(p, flags), 0);
  OK(gipc_open(p[0], -1, r));
  OK(gipc_open(-1, p[1], w));
}

void messages_of_all_sizes_cross_a_blocking_pipe(void **) { /* H74 */
  for (int error : {EOPNOTSUPP, ENOSYS, EINVAL}) {
    OldKernel old(error);
    gipc_handle *r, *w;
    std::string text(300000, '\0');
    make_pipe(&r, &w);
    for (size_t size : {0u, 1u, 255u, 4091u, 4092u, 4093u, 65536u, 300000u}) {
      const void *data = nullptr;
      size_t got = 0;
      int result;
      fill(&text[0], size, size);
      int put = gipc_put_start(w, text.data(), size);
      // No call waits, though the pipe is full and blocking.
      while ((result = gipc_try_get(r, &data, &got)) == -EAGAIN)
        if (put == -EAGAIN)
          put = gipc_put_step(w);
      OK(put);
      OK(result);
      assert_int_equal(got, size);
      assert_true(filled(data, size, size));
    }
    assert_int_equal(fcntl(gipc_fd(r, GIPC_READ), F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(gipc_fd(w, GIPC_WRITE), F_GETFL) & O_NONBLOCK, 0);
    OK(gipc_close(w));
    const void *data;
    size_t got;
    RESULT(gipc_get(r, 10, &data, &got), GIPC_EOF);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

void a_full_pipe_is_not_waited_for(void **) {
  OldKernel old;
  gipc_handle *r, *w;
  std::string text(1 << 20, 'f');
  const void *data;
  size_t size;
  make_pipe(&r, &w);
  RESULT(gipc_put(w, text.data(), text.size(), 0), -EINPROGRESS);
  RESULT(gipc_put(w, "x", 1, 0.01), -ETIMEDOUT);
  int result;
  while ((result = gipc_try_get(r, &data, &size)) == -EAGAIN) {
    int flushed = gipc_flush_step(w);
    assert_true(flushed == 0 || flushed == -EAGAIN);
  }
  OK(result);
  assert_int_equal(size, text.size());
  assert_true(memcmp(data, text.data(), size) == 0);
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

volatile sig_atomic_t pipes_broken;
void on_sigpipe(int) { pipes_broken = pipes_broken + 1; }

bool sigpipe_is_pending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

bool same_mask(const sigset_t &a, const sigset_t &b) {
  for (int s = 1; s < 32; ++s)
    if (sigismember(&a, s) != sigismember(&b, s))
      return false;
  return true;
}

// The reader of an adopted pipe goes away.
void break_a_pipe(int flags) {
  gipc_handle *r, *w;
  make_pipe(&r, &w, flags);
  gipc_handle_free(r);
  RESULT(gipc_put(w, "x", 1, 10), -EPIPE);
  RESULT(gipc_put(w, "x", 1, 10), -EPIPE);
  gipc_handle_free(w);
}

void a_put_into_a_broken_pipe_raises_nothing(void **) { /* H75 */
  struct sigaction mine = {}, old, seen;
  sigset_t before, after;
  mine.sa_handler = on_sigpipe;
  pipes_broken = 0;
  sigaction(SIGPIPE, &mine, &old);
  for (bool old_kernel : {false, true})
    for (int flags : {0, O_NONBLOCK})
      for (bool blocked : {false, true}) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, SIGPIPE);
        pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &one, nullptr);
        pthread_sigmask(SIG_BLOCK, nullptr, &before);
        if (old_kernel) {
          OldKernel kernel;
          break_a_pipe(flags);
        } else
          break_a_pipe(flags);
        pthread_sigmask(SIG_BLOCK, nullptr, &after);
        assert_true(same_mask(before, after));
        assert_false(sigpipe_is_pending());
        pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
        assert_int_equal(pipes_broken, 0);
      }
  sigaction(SIGPIPE, &old, &seen);
  assert_true(seen.sa_handler == on_sigpipe);
}

void a_put_without_a_timeout_into_a_broken_pipe_raises_nothing(
    void **) { /* H75 */
  struct sigaction mine = {}, old;
  gipc_handle *r, *w;
  mine.sa_handler = on_sigpipe;
  pipes_broken = 0;
  sigaction(SIGPIPE, &mine, &old);
  OK(gipc_pipe(&r, &w));
  gipc_handle_free(r);
  // The first try finds no room, so that the second one may wait.
  fault::fail_call("send", 1, EAGAIN);
  RESULT(gipc_put(w, "x", 1, -1), -EPIPE);
  assert_int_equal(fault::stop_calls(), 1);
  assert_int_equal(pipes_broken, 0);
  gipc_handle_free(w);
  sigaction(SIGPIPE, &old, nullptr);
}

void a_pending_sigpipe_of_the_program_stays_its_own(void **) { /* H75 */
  struct sigaction mine = {}, old;
  sigset_t one, before;
  mine.sa_handler = on_sigpipe;
  sigaction(SIGPIPE, &mine, &old);
  sigemptyset(&one);
  sigaddset(&one, SIGPIPE);
  for (bool old_kernel : {false, true})
    for (int flags : {0, O_NONBLOCK}) {
      pipes_broken = 0;
      pthread_sigmask(SIG_BLOCK, &one, &before);
      raise(SIGPIPE);
      assert_true(sigpipe_is_pending());
      if (old_kernel) {
        OldKernel kernel;
        break_a_pipe(flags);
      } else
        break_a_pipe(flags);
      assert_true(sigpipe_is_pending());
      assert_int_equal(pipes_broken, 0);
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      assert_int_equal(pipes_broken, 1);
    }
  sigaction(SIGPIPE, &old, nullptr);
}

void an_ignored_sigpipe_stays_ignored(void **) { /* H75 */
  struct sigaction old, seen;
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &old);
  break_a_pipe(0);
  {
    OldKernel kernel;
    break_a_pipe(0);
  }
  sigaction(SIGPIPE, &old, &seen);
  assert_true(seen.sa_handler == SIG_IGN);
}

void a_terminal_in_raw_mode_carries_messages(void **) {
  OldKernel old;
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0)
    skip_because("devpts is missing");
  assert_int_equal(grantpt(master) | unlockpt(master), 0);
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  assert_true(slave >= 0);
  termios raw;
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  gipc_handle *a, *b;
  OK(gipc_open(master, master, &a));
  OK(gipc_open(slave, slave, &b));
  std::string text(20000, '\0');
  for (int way = 0; way < 2; ++way) {
    gipc_handle *from = way ? a : b, *to = way ? b : a;
    const void *data;
    size_t size;
    int result;
    fill(&text[0], text.size(), 3);
    int put = gipc_put_start(from, text.data(), text.size());
    while ((result = gipc_try_get(to, &data, &size)) == -EAGAIN) {
      assert_true(put == -EAGAIN ||
                  wait_fd(gipc_fd(to, GIPC_READ), POLLIN, 9000));
      if (put == -EAGAIN)
        put = gipc_put_step(from);
    }
    OK(result);
    OK(put);
    assert_int_equal(size, text.size());
    assert_true(filled(data, size, 3));
  }
  gipc_handle_free(b);
  gipc_handle_free(a);
}

// A sandbox may refuse the calls that wait in the kernel.
void messages_cross_a_socket_without_the_calls_that_wait(void **) {
  for (int error : {ENOSYS, EPERM}) {
    fault::fail_call("recvmmsg,sendmmsg", 1, error, 1 << 30);
    gipc_handle *r, *w;
    std::string text(3000000, '\0'); // more than a socket holds
    const void *data;
    size_t size;
    fill(&text[0], text.size(), 5);
    OK(gipc_pipe(&r, &w));
    int fd = gipc_fd(w, GIPC_WRITE);
    pid_t pid = fork();
    if (pid == 0) {
      // No handle of the parent works here, its descriptors do.
      gipc_handle *copy;
      bool good = gipc_open(-1, dup(fd), &copy) == 0 &&
                  gipc_put(copy, text.data(), text.size(), -1) == 0;
      _exit(good ? 0 : 1);
    }
    OK(gipc_get(r, -1, &data, &size));
    assert_int_equal(size, text.size());
    assert_true(filled(data, size, 5));
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fault::stop_calls();
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(messages_of_all_sizes_cross_a_blocking_pipe),
      TEST(a_full_pipe_is_not_waited_for),
      TEST(a_put_into_a_broken_pipe_raises_nothing),
      TEST(a_put_without_a_timeout_into_a_broken_pipe_raises_nothing),
      TEST(a_pending_sigpipe_of_the_program_stays_its_own),
      TEST(an_ignored_sigpipe_stays_ignored),
      TEST(a_terminal_in_raw_mode_carries_messages),
      TEST(messages_cross_a_socket_without_the_calls_that_wait),
  };
  return cmocka_run_group_tests_name("pipe fallbacks", tests, nullptr, nullptr);
}
