// Handles and processes on a loop; see sites.h.
#include "sites.h"

namespace {

struct Loop {
  struct ev_loop *loop = nullptr;
  gipc_handle *r = nullptr, *w = nullptr;
  gipc_process *p = nullptr;
  int messages = 0, drained = 0, why = 0, exits = 0;
  ev_timer timer{};
  bool late = false;

  ~Loop() {
    gipc_handle_free(r);
    gipc_handle_free(w);
    gipc_process_free(p);
    if (loop != nullptr)
      ev_loop_destroy(loop);
  }
  int make() {
    loop = ev_loop_new(0);
    CHECK(loop != nullptr);
    ev_init(&timer, [](struct ev_loop *l, ev_timer *t, int) {
      static_cast<Loop *>(t->data)->late = true;
      ev_break(l, EVBREAK_ALL);
    });
    timer.data = this;
    timer.repeat = 100; // what takes longer hangs
    ev_timer_again(loop, &timer);
    return gipc_pipe(&r, &w);
  }
  int run() {
    ev_run(loop, 0);
    return late ? -ETIMEDOUT : 0;
  }
};

void on_message(gipc_handle *h, const void *, size_t, void *user) {
  auto *it = static_cast<Loop *>(user);
  if (++it->messages == 2) {
    CHECK_OK(gipc_pause(h));
    CHECK_OK(gipc_resume(h));
  }
}
void on_drain(gipc_handle *, void *user) {
  auto *it = static_cast<Loop *>(user);
  ++it->drained;
  ev_break(it->loop, EVBREAK_ALL);
}
void on_end(gipc_handle *, int why, void *user) {
  auto *it = static_cast<Loop *>(user);
  it->why = why;
  ev_break(it->loop, EVBREAK_ALL);
}
void on_exit(gipc_process *, void *user) {
  auto *it = static_cast<Loop *>(user);
  ++it->exits;
  ev_break(it->loop, EVBREAK_ALL);
}

int both_ends() {
  static char big[4000];
  Loop it;
  gipc_events events{sizeof events, on_message, on_drain, on_end};
  TRY(it.make());
  TRY(gipc_set_marks(it.w, 1000, 3000));
  TRY(gipc_start(it.r, it.loop, &events, &it));
  TRY(gipc_start(it.w, it.loop, &events, &it));
  int put = 0, result;
  while ((result = gipc_try_put(it.w, big, sizeof big)) == 0)
    ++put;
  if (result != -EAGAIN)
    return result;
  TRY(it.run());
  if (it.why != 0)
    return it.why;
  CHECK_IS(it.drained, 1);
  TRY(gipc_close(it.w)); // its loop writes the rest
  while (it.why == 0)
    TRY(it.run());
  if (it.why != GIPC_EOF)
    return it.why;
  // Or a failure has ended the stream.
  return it.messages == put ? 0 : GIPC_EOF;
}

int start_and_stop() {
  Loop it;
  gipc_events events{sizeof events, on_message, on_drain, on_end};
  const void *data;
  size_t size;
  TRY(it.make());
  TRY(gipc_start(it.r, it.loop, &events, &it));
  TRY(gipc_stop(it.r));
  TRY(gipc_put(it.w, "x", 1, 20));
  return gipc_get(it.r, 20, &data, &size);
}

int watch_in(bool group) {
  struct Options {
    gipc_options *o = nullptr;
    ~Options() { gipc_options_free(o); }
  } options;
  Loop it;
  TRY(it.make());
  TRY(gipc_options_new(&options.o));
  if (group)
    TRY(gipc_options_set_group(options.o, GIPC_GROUP_NEW));
  TRY(gipc_start_process(wait_for_signal, nullptr, options.o, &it.p));
  int result = gipc_process_watch(it.p, it.loop, on_exit, &it);
  if (result == 0)
    result = group ? gipc_process_begin_stop_group(it.p, 0.5)
                   : gipc_process_begin_stop(it.p, 0.5);
  if (result != 0) {
    (void)!gipc_process_kill(it.p);
    kill(gipc_process_pid(it.p), SIGKILL); // if that was made to fail
    return result;
  }
  TRY(it.run());
  CHECK_IS(it.exits, 1);
  return 0;
}

int watch() { return watch_in(false); }
int watch_group() { return watch_in(true); }

const sites::Scenario scenarios[] = {{"push", both_ends},
                                     {"push_stop", start_and_stop},
                                     {"push_watch", watch},
                                     {"push_watch_group", watch_group}};

} // namespace

namespace sites {
const Scenarios push_scenarios{scenarios, sizeof scenarios / sizeof *scenarios};
}
