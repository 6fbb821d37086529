// Pipes of each kind, and each way to put and to get; see sites.h.
#include "sites.h"

#include <fcntl.h>
#include <sys/socket.h>

namespace {

struct Ends {
  gipc_handle *r = nullptr, *w = nullptr;
  ~Ends() {
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
};

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
  CHECK_IS(gipc_try_get(r, &data, &size) == -EAGAIN, 1);
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
  Ends it;
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_set_transport(it.w, GIPC_TRANSPORT_PLAIN));
  return through(it.r, it.w);
}

const sites::Scenario scenarios[] = {{"pipe", plain}};

} // namespace

namespace sites {
const Scenarios pipe_scenarios{scenarios, sizeof scenarios / sizeof *scenarios};
}
