// Rings from their offer to their end, and descriptors in messages; see
// sites.h.
#include "sites.h"

#include "os.h"

#include <fcntl.h>

namespace {

char bytes[100000];

// A call that failed for a while is repeated, as after a poll(2).
struct Ring {
  gipc_handle *r = nullptr, *w = nullptr;
  uint64_t sent = 0, got = 0;

  ~Ring() {
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
  int make() {
    TRY(gipc_pipe(&r, &w));
    TRY(gipc_set_marks(w, 1, 10 << 20));
    if (!portable()) {
      TRY(gipc_set_transport(r, GIPC_TRANSPORT_RING));
      TRY(gipc_set_transport(w, GIPC_TRANSPORT_RING));
    }
    return 0;
  }
  int flush() {
    int result = gipc_flush_step(w);
    return result == -EAGAIN ? 0 : result;
  }
  int put(size_t size) {
    fill(bytes, size, sent);
    TRY(gipc_try_put(w, bytes, size));
    ++sent;
    return flush();
  }
  int get() {
    const void *data;
    size_t size;
    int result = -EAGAIN;
    for (int i = 0; result == -EAGAIN && i < 100000; ++i) {
      result = gipc_try_get(r, &data, &size);
      TRY(flush());
    }
    TRY(result);
    CHECK(filled(data, size, got));
    ++got;
    return 0;
  }
  int exchange(int messages) {
    for (int i = 0; i < messages; ++i) {
      TRY(put(100));
      TRY(get());
    }
    return 0;
  }
};

int live() {
  Ring it;
  TRY(it.make());
  for (int round = 0; round < 2; ++round) {
    TRY(it.exchange(6));
    for (int i = 0; i < 5; ++i)
      TRY(it.put(100000)); // until it is full
    for (int i = 0; i < 5; ++i)
      TRY(it.get());
    TRY(it.put(10));
    int left = gipc_set_transport(it.w, GIPC_TRANSPORT_PLAIN);
    if (left != 0 && left != -EBUSY)
      return left;
    TRY(it.put(10));
    if (!portable())
      TRY(gipc_set_transport(it.w, GIPC_TRANSPORT_RING));
    TRY(it.get());
    TRY(it.get());
  }
  TRY(gipc_close_within(it.w, 20));
  const void *data;
  size_t size;
  int result = gipc_get(it.r, 20, &data, &size);
  return result == GIPC_EOF ? 0 : result;
}

// Each end in a process of its own, which wait for each other.
int answer(struct ev_loop *, void *argument) {
  auto *h = static_cast<gipc_handle *>(argument);
  const void *data;
  size_t size;
  int result;
  while ((result = gipc_get(h, 20, &data, &size)) == 0)
    if ((result = gipc_put(h, data, size, 20)) != 0)
      break;
  return result == GIPC_EOF ? 3 : 4;
}

int two_processes() {
  struct All {
    gipc_handle *a = nullptr, *b = nullptr;
    gipc_options *o = nullptr;
    gipc_process *p = nullptr;
    ~All() {
      gipc_handle_free(a);
      gipc_handle_free(b);
      gipc_options_free(o);
      if (p != nullptr)
        (void)!gipc_process_join(p, 60);
      gipc_process_free(p);
    }
  } it;
  const void *data;
  size_t size;
  TRY(gipc_pipe_duplex(&it.a, &it.b));
  TRY(gipc_options_new(&it.o));
  TRY(gipc_options_pass(it.o, "b", it.b));
  TRY(gipc_start_process(answer, it.b, it.o, &it.p));
  if (!portable())
    TRY(gipc_set_transport(it.a, GIPC_TRANSPORT_RING));
  for (uint64_t i = 0; i < 20; ++i) {
    fill(bytes, 1000, i);
    TRY(gipc_put(it.a, bytes, 1000, 20));
    TRY(gipc_get(it.a, 20, &data, &size));
    CHECK(size == 1000 && filled(data, size, i));
  }
  TRY(gipc_close(it.a));
  TRY(gipc_process_join(it.p, 60));
  int code;
  TRY(gipc_process_exitcode(it.p, &code));
  return code == 3 ? 0 : sites::failed_in_child;
}

// Twice from what is closed on the way: at once, and from the queue.
int descriptors() {
  struct All {
    gipc_handle *r = nullptr, *w = nullptr;
    int ends[2] = {-1, -1};
    ~All() {
      gipc_handle_free(r);
      gipc_handle_free(w);
      close(ends[0]);
      close(ends[1]);
    }
  } it;
  if (!gipc::os::sends_descriptors)
    return 0;
  CHECK_OK(pipe2(it.ends, O_CLOEXEC));
  TRY(gipc_pipe(&it.r, &it.w));
  const int sent[] = {it.ends[0], it.ends[1], it.ends[1]};
  for (int round = 0; round < 3; ++round) {
    const void *data;
    size_t size;
    int fds[4];
    if (round == 0)
      TRY(gipc_put_with(it.w, "a", 1, sent, 3, 20));
    else
      TRY(gipc_try_put_with(it.w, "a", 1, sent, 3));
    TRY(gipc_flush(it.w, 20));
    TRY(round == 1 ? gipc_get(it.r, 20, &data, &size) : [&] {
      int result = -EAGAIN;
      for (int i = 0; result == -EAGAIN && i < 100; ++i)
        result = gipc_try_get(it.r, &data, &size);
      return result;
    }());
    int count = gipc_take_fds(it.r, fds, 4);
    if (count < 0)
      return count;
    CHECK_IS(count, 3);
    for (int i = 0; i < count; ++i)
      close(fds[i]);
  }
  return 0;
}

const sites::Scenario scenarios[] = {{"ring", live},
                                     {"ring_processes", two_processes},
                                     {"descriptors", descriptors}};

} // namespace

namespace sites {
const Scenarios ring_scenarios{scenarios, sizeof scenarios / sizeof *scenarios};
}
