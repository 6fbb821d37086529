// Starts from a program in an unusual state: handles at 0 to 2, a default loop,
// a live ring, changes during the fork; see sites.h.
#include "sites.h"

#include <fcntl.h>
#include <initializer_list>
#include <sys/socket.h>

namespace {

constexpr int as_asked = 7, failed = 90;

struct Started {
  gipc_process *p = nullptr;
  gipc_options *o = nullptr;
  gipc_handle *r = nullptr, *w = nullptr;

  ~Started() {
    gipc_handle_free(w);
    gipc_handle_free(r);
    gipc_options_free(o);
    if (p != nullptr && gipc_process_join(p, 60) != 0)
      (void)!gipc_process_join(p, 60);
    gipc_process_free(p);
  }
  int end() {
    gipc_exit_info info{};
    info.size = sizeof info;
    TRY(gipc_process_join(p, 60));
    TRY(gipc_process_info(p, &info));
    if (info.how == GIPC_STATUS_LOST)
      return GIPC_ESTATUSLOST;
    if (info.code == 127 || info.ended == GIPC_ENDED_BEFORE_START)
      return sites::ended_before_start;
    if (info.code == failed)
      return sites::failed_in_child;
    CHECK_IS(info.code, as_asked);
    return 0;
  }
};

// ---- Handles at 0 and 1 -----------------------------------------------------

int put_one(struct ev_loop *, void *argument) {
  auto *w = static_cast<gipc_handle *>(argument);
  return gipc_put(w, "text", 4, 20) == 0 ? as_asked : failed;
}

int low_numbers(bool is_program) {
  sites::FreeLow moved;
  Started it;
  int fds[2];
  const char *const argv[] = {"/bin/sh", "-c", "exit 7", nullptr};
  CHECK_OK(pipe2(fds, O_CLOEXEC));
  CHECK(fds[0] == 0 && fds[1] == 1);
  int result = gipc_open(0, -1, &it.r);
  if (result == 0)
    result = gipc_open(-1, 1, &it.w);
  if (it.r == nullptr)
    close(0);
  if (it.w == nullptr)
    close(1);
  TRY(result);
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_pass(it.o, "it", it.w));
  TRY(gipc_options_set_stdio(it.o, 1, GIPC_STDIO_NULL, -1));
  TRY(gipc_options_set_stdio(it.o, 2, GIPC_STDIO_STDOUT, -1));
  if (is_program) {
    TRY(gipc_exec_process(argv, it.o, &it.p));
    return it.end();
  }
  TRY(gipc_start_process(put_one, it.w, it.o, &it.p));
  const void *data;
  size_t size;
  TRY(gipc_get(it.r, 60, &data, &size));
  CHECK_IS(size, 4);
  return it.end();
}

int low_function() { return low_numbers(false); }
int low_program() { return low_numbers(true); }

// ---- The default loop -------------------------------------------------------

int end_at_once(struct ev_loop *, void *) { return as_asked; }

// Its descriptor is stdin, and a signalfd is there, which the child must not
// read from.
int default_loop() {
  sites::FreeLow moved;
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  struct Loop {
    sigset_t *mask;
    ~Loop() {
      ev_default_destroy();
      pthread_sigmask(SIG_SETMASK, mask, nullptr);
    }
  } loop{&mask};
  CHECK(ev_default_loop(EVFLAG_SIGNALFD) != nullptr);
  Started it;
  TRY(gipc_start_process(end_at_once, nullptr, nullptr, &it.p));
  return it.end();
}

// ---- A ring -----------------------------------------------------------------

int get_one(struct ev_loop *, void *argument) {
  auto *r = static_cast<gipc_handle *>(argument);
  const void *data;
  size_t size;
  int result = gipc_get(r, 20, &data, &size);
  return result == 0 && size == 5 ? as_asked : failed;
}

int live_ring() {
  Started it;
  const void *data;
  size_t size;
  TRY(gipc_pipe(&it.r, &it.w));
  if (!portable()) {
    TRY(gipc_set_transport(it.r, GIPC_TRANSPORT_RING));
    TRY(gipc_set_transport(it.w, GIPC_TRANSPORT_RING));
  }
  for (int i = 0; i < 6; ++i) {
    TRY(gipc_put(it.w, "text", 4, 20));
    TRY(gipc_get(it.r, 20, &data, &size));
  }
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_pass(it.o, "it", it.r));
  TRY(gipc_start_process(get_one, it.r, it.o, &it.p));
  TRY(gipc_put(it.w, "other", 5, 20));
  return it.end();
}

// Neither end asks for one, until the writer has learned that the reader knows.
int found_ring() {
  Started it;
  const void *data;
  size_t size;
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_set_transport(it.r, GIPC_TRANSPORT_AUTO));
  TRY(gipc_set_transport(it.w, GIPC_TRANSPORT_AUTO));
  for (int i = 0; i < 60; ++i) {
    TRY(gipc_put(it.w, "text", 4, 20));
    TRY(gipc_get(it.r, 20, &data, &size));
    CHECK_IS(size, 4);
  }
  return 0;
}

// ---- Changes during the fork ------------------------------------------------

struct Changes {
  gipc_handle *r = nullptr, *w = nullptr;
  gipc_process *p = nullptr;
};

// As another thread may do.
pid_t fork_and_close(void *user) {
  auto *changes = static_cast<Changes *>(user);
  pid_t pid = fork();
  if (pid != 0) {
    gipc_handle_free(changes->r);
    gipc_handle_free(changes->w);
    gipc_process_free(changes->p);
    *changes = Changes();
  }
  return pid;
}

int changes_at_fork() {
  struct All : Changes {
    ~All() {
      gipc_handle_free(r);
      gipc_handle_free(w);
      if (p != nullptr)
        (void)!gipc_process_join(p, 60);
      gipc_process_free(p);
    }
  } changes;
  Started it;
  TRY(gipc_pipe(&changes.r, &changes.w));
  TRY(gipc_start_process(end_at_once, nullptr, nullptr, &changes.p));
  TRY(gipc_process_join(changes.p, 60));
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_set_fork(it.o, fork_and_close,
                            static_cast<Changes *>(&changes)));
  TRY(gipc_start_process(end_at_once, nullptr, it.o, &it.p));
  return it.end();
}

// ---- Handles in messages ----------------------------------------------------

int handles_in_messages() {
  struct All {
    gipc_handle *r = nullptr, *w = nullptr, *a = nullptr, *b = nullptr,
                *got = nullptr;
    ~All() {
      for (gipc_handle *h : {r, w, a, b, got})
        gipc_handle_free(h);
    }
  } it;
  if (portable())
    return 0;
  const void *data;
  size_t size;
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_pipe_duplex(&it.a, &it.b));
  TRY(gipc_put_handles(it.w, "h", 1, &it.b, 1, nullptr, 0, 20));
  TRY(gipc_get(it.r, 20, &data, &size));
  TRY(gipc_take_handle(it.r, &it.got));
  TRY(gipc_put(it.a, "text", 4, 20));
  TRY(gipc_get(it.got, 20, &data, &size));
  CHECK_IS(size, 4);
  return 0;
}

// The peer says that it is a handle when it has read for some time.
int descriptors_of_others() {
  if (portable())
    return 0;
  sites::Ends it;
  int fds[2], got[1];
  const void *data;
  size_t size;
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  TRY(it.adopt(fds));
  for (int i = 0; i < 12; ++i) {
    TRY(gipc_put(it.w, "text", 4, 20));
    TRY(gipc_get(it.r, 20, &data, &size));
  }
  const int sent[] = {2};
  int result = gipc_put_with(it.w, "d", 1, sent, 1, 20);
  if (result == -EOPNOTSUPP)
    return 0; // it could not say so
  TRY(result);
  TRY(gipc_get(it.r, 20, &data, &size));
  int count = gipc_take_fds(it.r, got, 1);
  if (count < 0)
    return count;
  CHECK_IS(count, 1);
  close(got[0]);
  return 0;
}

const sites::Scenario scenarios[] = {
    {"start_low_function", low_function},
    {"start_low_program", low_program},
    {"start_default_loop", default_loop},
    {"start_live_ring", live_ring},
    {"start_changes", changes_at_fork},
    {"ring_found", found_ring},
    {"handles_in_messages", handles_in_messages},
    {"descriptors_of_others", descriptors_of_others},
};

} // namespace

namespace sites {
const Scenarios state_scenarios{scenarios,
                                sizeof scenarios / sizeof *scenarios};
}
