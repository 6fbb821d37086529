#include "support_ring.h"

gipc_stats stats_of(gipc_handle *h) {
  gipc_stats stats = {.size = sizeof stats};
  CHECK_OK(gipc_handle_stats(h, &stats));
  return stats;
}

uint64_t transport(gipc_handle *h, int direction) {
  gipc_stats stats = stats_of(h);
  return direction == GIPC_READ ? stats.transport_in : stats.transport_out;
}

bool in_ring(gipc_handle *r, gipc_handle *w) {
  return transport(r, GIPC_READ) == GIPC_TRANSPORT_RING &&
         transport(w, GIPC_WRITE) == GIPC_TRANSPORT_RING;
}

void use_ring(gipc_handle *r, gipc_handle *w) {
  CHECK_OK(gipc_set_transport(r, GIPC_TRANSPORT_RING));
  CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
  for (uint32_t i = 0; i < 4; i++) {
    put_number(w, i);
    get_number(r, i);
  }
  CHECK(in_ring(r, w));
}

void make_ring(gipc_handle **r, gipc_handle **w) {
  CHECK_OK(gipc_pipe(r, w));
  use_ring(*r, *w);
}

void put_number(gipc_handle *w, uint32_t number) {
  CHECK_OK(gipc_put(w, &number, sizeof number, 20));
}

void get_number(gipc_handle *r, uint32_t number) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_get(r, 20, &data, &size));
  CHECK_IS(size, sizeof number);
  CHECK(memcmp(data, &number, sizeof number) == 0);
}

void expect_end(gipc_handle *r) {
  const void *data;
  size_t size;
  CHECK_IS(gipc_get(r, 20, &data, &size), GIPC_EOF);
}
