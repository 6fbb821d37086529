// Wait sets, interrupts, notices, the trace and what is live; see sites.h.
#include "sites.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <initializer_list>
#include <sys/socket.h>

namespace {

int wait_set() {
  struct All {
    gipc_wait_set *set = nullptr;
    gipc_handle *r = nullptr, *w = nullptr;
    gipc_process *p = nullptr;
    ~All() {
      gipc_wait_set_free(set);
      gipc_handle_free(r);
      gipc_handle_free(w);
      gipc_process_free(p);
    }
  } it;
  gipc_handle *h;
  gipc_process *ended = nullptr;
  int directions;
  TRY(gipc_wait_set_new(&it.set));
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_start_process(return_argument, INT(3), nullptr, &it.p));
  TRY(gipc_wait_set_add_handle(it.set, it.r, GIPC_READ));
  TRY(gipc_wait_set_add_process(it.set, it.p));
  TRY(gipc_put(it.w, "x", 1, 20));
  for (bool handle = false, process = false; !handle || !process;) {
    int count = gipc_wait(it.set, 20);
    if (count < 0)
      return count;
    while (gipc_wait_set_next(it.set, &h, &ended, &directions) == 0) {
      handle |= h == it.r;
      process |= ended == it.p;
      if (h == it.r)
        TRY(gipc_wait_set_remove_handle(it.set, it.r));
      if (ended == it.p)
        TRY(gipc_wait_set_remove_process(it.set, it.p));
    }
  }
  TRY(gipc_wait_set_wake(it.set));
  int result = gipc_wait(it.set, 20);
  return result == -ECANCELED ? 0 : result;
}

int interrupt() {
  sites::Ends it;
  const void *data;
  size_t size;
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_set_interruptible(it.r, 1));
  TRY(gipc_interrupt(it.r));
  int result = gipc_get(it.r, 20, &data, &size);
  if (result != -ECANCELED)
    return result;
  TRY(gipc_put(it.w, "x", 1, 20));
  TRY(gipc_get(it.r, 20, &data, &size));
  return gipc_set_interruptible(it.r, 0);
}

int notify() {
  struct All {
    gipc_notify_socket *s = nullptr;
    ~All() {
      unsetenv("NOTIFY_SOCKET");
      gipc_notify_socket_free(s);
    }
  } it;
  TRY(gipc_notify_socket_new(&it.s));
  // setenv(3) keeps each value for good.
  static char variable[200];
  std::snprintf(variable, sizeof variable, "NOTIFY_SOCKET=%s",
                gipc_notify_socket_address(it.s));
  if (putenv(variable) != 0)
    return -errno;
  TRY(gipc_ready());
  TRY(gipc_alive());
  for (int wanted : {GIPC_NOTIFY_READY, GIPC_NOTIFY_ALIVE}) {
    int got = gipc_notify_socket_receive(it.s, 0);
    if (got < 0)
      return got;
    CHECK_IS(got, wanted);
  }
  return 0;
}

int nothing(const gipc_handle_entry *, void *) { return 0; }
int nothing_of_processes(const gipc_process_entry *, void *) { return 0; }

int trace() {
  struct All {
    gipc_handle *r = nullptr, *w = nullptr;
    int fd = -1;
    ~All() {
      CHECK_OK(gipc_trace(-1));
      gipc_handle_free(r);
      gipc_handle_free(w);
      close(fd);
    }
  } it;
  it.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(it.fd >= 0);
  TRY(gipc_trace(it.fd));
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_put(it.w, "x", 1, 20));
  TRY(gipc_each_handle(nothing, nullptr));
  TRY(gipc_each_process(nothing_of_processes, nullptr));
  return 0;
}

// On a socket, with a child that runs, and with one that has ended.
int overview() {
  struct All {
    gipc_process *p = nullptr, *ended = nullptr;
    int ends[2] = {-1, -1};
    ~All() {
      CHECK_OK(gipc_trace(-1));
      if (p != nullptr) {
        kill(gipc_process_pid(p), SIGKILL);
        (void)!gipc_process_join(p, 60);
      }
      gipc_process_free(p);
      gipc_process_free(ended);
      close(ends[0]);
      close(ends[1]);
    }
  } it;
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, it.ends));
  TRY(gipc_trace(it.ends[1]));
  TRY(gipc_start_process(wait_for_signal, nullptr, nullptr, &it.p));
  TRY(gipc_start_process(return_argument, nullptr, nullptr, &it.ended));
  TRY(gipc_each_process(nothing_of_processes, nullptr));
  TRY(gipc_process_join(it.ended, 60));
  return gipc_each_process(nothing_of_processes, nullptr);
}

// Less may be claimed than is there.
int features() {
  int result = gipc_features();
  return result < 0 ? result : 0;
}

const sites::Scenario scenarios[] = {
    {"wait_set", wait_set}, {"interrupt", interrupt}, {"notify", notify},
    {"trace", trace},       {"overview", overview},   {"features", features},
};

} // namespace

namespace sites {
const Scenarios other_scenarios{scenarios,
                                sizeof scenarios / sizeof *scenarios};
}
