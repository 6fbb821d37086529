/* Messages with descriptors on a pipe that uses a ring: they go through the
 * socket, in their order. */
#include "support_fds.h"
#include "support_ring.h"

enum { small = 16 };

static uint64_t seed;
static uint32_t draw(uint32_t below) {
  return (uint32_t)(random_next(&seed) % below);
}

/* Of these messages some have descriptors, and the ring comes back after some
 * more. */
struct plan {
  uint32_t put, got;
  uint8_t count[4096];
  uint32_t size[4096];
  uint32_t in_ring;
};

static void put_next(gipc_handle *w, struct plan *plan) {
  uint32_t at = plan->put % 4096;
  plan->count[at] = (uint8_t)(draw(20) == 0 ? 1 + draw(3) : 0);
  plan->size[at] = small + (draw(10) == 0 ? draw(100000) : draw(500));
  CHECK_OK(try_put_fds(w, plan->put, plan->size[at], plan->count[at]));
  plan->put++;
  if (draw(30) == 0)
    CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
  plan->in_ring += transport(w, GIPC_WRITE) == GIPC_TRANSPORT_RING;
}

/* False: there is none yet. */
static bool get_next(gipc_handle *r, struct plan *plan) {
  static unsigned char buffer[1 << 17];
  const void *data = buffer;
  size_t size;
  int result = plan->got % 7 == 0
                   ? gipc_get_into(r, buffer, sizeof buffer, &size)
                   : gipc_try_get(r, &data, &size);
  if (result == -EAGAIN)
    return false;
  CHECK_OK(result);
  uint32_t at = plan->got % 4096;
  expect_fds(r, data, size, plan->got, plan->size[at], plan->count[at]);
  plan->got++;
  return true;
}

static void they_come_in_order_among_10000_on_the_ring(void **state) {
  static struct plan plan;
  gipc_handle *r, *w;
  uint32_t all = (uint32_t)many(10000, 1000);
  need_descriptors();
  seed = 5;
  make_ring(&r, &w);
  CHECK_OK(gipc_set_marks(w, 1, 64 << 20));
  int before = count_fds();
  while (plan.got < all) {
    for (uint32_t i = draw(30); i > 0 && plan.put < all; i--)
      put_next(w, &plan);
    int flushed = gipc_flush_step(w);
    CHECK(flushed == 0 || flushed == -EAGAIN);
    /* Now and then the reader falls behind. */
    for (uint32_t i = plan.put == all ? all : draw(60); i > 0; i--)
      if (!get_next(r, &plan))
        break;
  }
  CHECK(plan.in_ring > all / 10);
  CHECK(count_fds() <= before);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_message_with_descriptors_leaves_the_ring(void **state) {
  gipc_handle *r, *w;
  need_descriptors();
  for (uint32_t unread = 0; unread < 3; unread++) {
    make_ring(&r, &w);
    for (uint32_t i = 0; i < unread; i++)
      put_number(w, i);
    CHECK_OK(put_fds(w, 7, small, 2, 20));
    put_number(w, 8);
    CHECK_OK(put_fds(w, 9, small, 1, 20));
    CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
    for (uint32_t i = 0; i < unread; i++)
      get_number(r, i);
    get_fds(r, 7, small, 2);
    get_number(r, 8);
    get_fds(r, 9, small, 1);
    use_ring(r, w);
    CHECK_OK(gipc_close(w));
    expect_end(r);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

/* The ring is full, and the socket has fillers. */
static void a_full_ring_is_left_when_there_is_room(void **state) {
  static char block[4096];
  const void *data;
  size_t size;
  gipc_handle *r, *w;
  uint32_t blocks = 0;
  need_descriptors();
  make_ring(&r, &w);
  CHECK_OK(gipc_set_marks(w, 1, 64 << 20));
  for (int result = 0; result == 0; blocks++) {
    CHECK_OK(gipc_try_put(w, block, sizeof block));
    result = gipc_flush_step(w);
    CHECK(result == 0 || result == -EAGAIN);
  }
  CHECK_OK(try_put_fds(w, 3, small, 3));
  CHECK_IS(gipc_flush_step(w), -EAGAIN);
  for (uint32_t got = 0; got < blocks; got++) {
    int result;
    while ((result = gipc_try_get(r, &data, &size)) == -EAGAIN) {
      result = gipc_flush_step(w);
      CHECK(result == 0 || result == -EAGAIN);
    }
    CHECK_OK(result);
    CHECK_IS(size, sizeof block);
  }
  CHECK_OK(gipc_flush(w, 20));
  get_fds(r, 3, small, 3);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void exchange(gipc_handle *a, gipc_handle *b) {
  for (uint32_t i = 0; i < 200; i++) {
    put_number(a, i);
    get_number(b, i);
    put_number(b, i);
    get_number(a, i);
  }
}

/* Which was in use, and has a ring. */
static void a_handle_is_put_as_its_descriptors(void **state) {
  gipc_handle *r, *w, *a, *b;
  const void *data;
  size_t size, pending;
  int fds[2];
  need_descriptors();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_set_transport(a, GIPC_TRANSPORT_AUTO));
  CHECK_OK(gipc_set_transport(b, GIPC_TRANSPORT_AUTO));
  exchange(a, b);
  for (int i = 0; i < 3; i++) {
    while (gipc_set_transport(a, GIPC_TRANSPORT_PLAIN) == -EBUSY) {
      put_number(b, 1); /* the mark comes with it */
      get_number(a, 1);
    }
    CHECK_OK(gipc_pending(a, GIPC_READ, &pending));
    CHECK_IS(pending, 0);
    fds[0] = gipc_fd(a, GIPC_READ);
    fds[1] = gipc_fd(a, GIPC_WRITE);
    CHECK_OK(gipc_put_with(w, "handle", 6, fds, 2, 20));
    gipc_handle_free(a);
    CHECK_OK(gipc_get(r, 20, &data, &size));
    CHECK_IS(gipc_take_fds(r, fds, 2), 2);
    CHECK_OK(gipc_open(fds[0], fds[1], &a));
    CHECK_OK(gipc_set_transport(a, GIPC_TRANSPORT_AUTO));
    exchange(a, b);
    CHECK_OK(put_fds(a, 1, small, 1, 20));
    get_fds(b, 1, small, 1);
  }
  gipc_handle_free(a);
  gipc_handle_free(b);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(they_come_in_order_among_10000_on_the_ring),
      TEST(a_message_with_descriptors_leaves_the_ring),
      TEST(a_full_ring_is_left_when_there_is_room),
      TEST(a_handle_is_put_as_its_descriptors),
  };
  return cmocka_run_group_tests_name("fds ring", tests, NULL, NULL);
}
